"""A server, on behalf of whoever has the token: where everything begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rowless_client.answers import html
from rowless_client.calls.audit import Audit
from rowless_client.calls.dataset import Dataset
from rowless_client.calls.records import Record, Records
from rowless_client.calls.study import Study, given
from rowless_client.calls.users import Proposals, Users
from rowless_client.connection import addresses, signing_in, tokens
from rowless_client.connection.http import Connection
from rowless_client.errors import Misused, Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

URL, TOKEN, TOKEN_FILE = "ROWLESS_URL", "ROWLESS_TOKEN", "ROWLESS_TOKEN_FILE"


class Rowless:
    """A server of Rowless.

    `url` is its address, by default that of ROWLESS_URL. `token` is yours, by default that of ROWLESS_TOKEN (or of the
    file that ROWLESS_TOKEN_FILE names). Without one the token is taken that `rowless login` or an earlier sign-in kept.
    If there is none, or it has ended, you sign in at the server's issuer: a line tells you where (`show` gets it).

    `users`, `proposals` and `audit` have the calls of admins, approvers and DPOs.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, show: Callable[[str], None] | None = None
    ) -> None:
        address = url or os.environ.get(URL)
        if not address:
            raise Misused(f"give the address of a server: Rowless('https://...'), or set {URL}")
        self._connection = Connection(addresses.checked(address), token or _from_environment())
        self.users = Users(self._connection)
        self.proposals = Proposals(self._connection)
        self.audit = Audit(self._connection)
        if self._connection.token is None:
            self._connection.token = tokens.kept_token(self.url)
            if self._connection.token is None or not self._works():
                self.sign_in(show)

    @property
    def url(self) -> str:
        """Return the address of the server."""
        return self._connection.url

    def sign_in(self, show: Callable[[str], None] | None = None) -> Record:
        """Sign in at the server's issuer, in a browser, and keep the token for later. Return who you are."""
        self._connection.token = None
        self._connection.token = signing_in.sign_in(self._connection, show)
        tokens.keep_token(self.url, self._connection.token)
        return self.me

    def link_account(self, token: str) -> Record:
        """Tie yourself to an account of the issuer: give an access token of it."""
        return Record(self._connection.json("PUT", "/me/account", {"token": token}) or {})

    @property
    def me(self) -> Record:
        """Return who you are: name, role, studies, and what your token is limited to."""
        return Record(self._connection.json("GET", "/me"))

    # Studies and datasets

    def study(self, name: str) -> Study:
        """Return a study by its name. Raises NotFound if you may not know of it."""
        return Study(self._connection, self._connection.json("GET", "/studies/{study}", segments={"study": name}))

    def studies(self, *, waiting: bool | None = None, limit: int | None = None) -> Records:
        """Return the studies that you may see; with `waiting=True` those that an approver has to decide on."""
        return Records(self._connection.pages("GET", "/studies", limit=limit, waiting=waiting))

    def open_study(
        self,
        name: str,
        dataset: str,
        *,
        title: str,
        purpose: str,
        legal_basis: str,
        epsilon: float,
        delta: float | None = None,
        laplace_percent: int | None = None,
        justification: str | None = None,
        protocol: Mapping[str, Any] | None = None,
        starts: str | None = None,
        ends: str | None = None,
        formalities: Mapping[str, Any] | None = None,
    ) -> Study:
        """Open a study as a draft, as an admin."""
        body = given(
            name=name,
            dataset=dataset,
            title=title,
            purpose=purpose,
            legal_basis=legal_basis,
            epsilon=epsilon,
            delta=delta,
            laplace_percent=laplace_percent,
            justification=justification,
            protocol=None if protocol is None else dict(protocol),
            starts=starts,
            ends=ends,
            formalities=None if formalities is None else dict(formalities),
        )
        return Study(self._connection, self._connection.json("POST", "/studies", body))

    def dataset(self, name: str) -> Dataset:
        """Return a dataset by its name."""
        return Dataset(self._connection, name)

    def datasets(self) -> Records:
        """Return the datasets."""
        return Records(self._connection.json("GET", "/datasets")["items"])

    def guarantee(self, epsilon: float, delta: float | None = None) -> Record:
        """Return what an epsilon means: how it limits attacks on one person."""
        return Record(self._connection.json("GET", "/guarantee", query={"epsilon": epsilon, "delta": delta}))

    # The server

    def server(self) -> Record:
        """Return its version and whether it can serve, for admins."""
        return Record(self._connection.json("GET", "/server"))

    def health(self) -> Record:
        """Return that it answers."""
        return Record(self._connection.json("GET", "/health"))

    def live(self) -> Record:
        """Return the same, for probes."""
        return Record(self._connection.json("GET", "/health/live"))

    def ready(self) -> Record:
        """Return that it can serve. Raises TooBusy at once where it cannot; `members["failed"]` names the checks."""
        return Record(self._connection.json("GET", "/health/ready", seconds=0.0))

    def issuer(self) -> Record:
        """Return by which issuer and client people sign in; null without one."""
        return Record(self._connection.json("GET", "/sign-in"))

    def _works(self) -> bool:
        try:
            _ = self.me
        except Unauthenticated:
            return False
        return True

    def _repr_html_(self) -> str:
        return html.block(html.line(f"Rowless at {self.url}"))

    def __repr__(self) -> str:
        return f"<Rowless at {self.url}>"


def _from_environment() -> str | None:
    if os.environ.get(TOKEN):
        return os.environ[TOKEN]
    file = os.environ.get(TOKEN_FILE)
    if not file:
        return None
    try:
        with open(file, encoding="utf-8") as opened:  # noqa: PTH123
            return opened.read().strip() or None
    except OSError as error:
        raise Misused(f"{TOKEN_FILE} names {file}, which cannot be read: {error.strerror}") from error
