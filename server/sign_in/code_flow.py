"""The authorization code flow with PKCE (RFC 6749, RFC 7636): somebody signs in at the issuer with a browser.

The browser is sent to the issuer with a random state and the hash of a random verifier, and comes back with the state
and a code. Only who knows the verifier can turn the code into an access token, and only who began the sign-in knows
both: they are kept in the session.

Anybody can begin a sign-in and come back, also with a session that was copied before. What the issuer is asked for is
bounded therefore: its discovery document is kept (`keys.py`), a few browsers at once have their codes turned into
tokens, and a state works once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from server.errors import Busy, IssuerUnavailable, Unauthenticated
from server.sign_in import fetching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from server.sign_in.keys import IssuerKeys

REFUSED = "the issuer did not sign you in"
NOT_BEGUN = "this sign-in was not begun in this browser, or it was begun anew; try again"
PLACES = 4  # codes that are turned into tokens at once: each holds a thread until the issuer answers
USED_MAX = 10_000  # states that are remembered as used


@dataclass(frozen=True)
class Begun:
    """A sign-in that was begun: where the browser goes, and what the session keeps until it comes back."""

    address: str
    state: str
    verifier: str


class Arrivals:
    """Browsers that came back and ask for their tokens: a few at once, and each state once. Threads share it.

    Which states were used is known to this process alone. For another one the issuer takes a code only once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._used: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def one(self, state: str) -> Iterator[None]:
        """Let a state be used, once. Raises Busy at once, without waiting, and Unauthenticated."""
        with self._lock:
            if state in self._used:
                raise Unauthenticated(NOT_BEGUN)
            if self._inside >= PLACES:
                raise Busy("too many people are signing in right now; try again soon")
            self._inside += 1
            self._used[state] = None
            if len(self._used) > USED_MAX:
                self._used.popitem(last=False)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1


@dataclass(frozen=True)
class Browsers:
    """The client at the issuer for sign-ins with a browser, and where the issuer sends the browser back to."""

    keys: IssuerKeys
    arrivals: Arrivals
    issuer: str
    client: str
    secret: str | None
    scope: str
    back: str

    def begin(self) -> Begun:
        """Begin a sign-in. Raises IssuerUnavailable."""
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": self.back,
            "scope": self.scope,
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return Begun(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}", state, verifier)

    def finish(self, came: Mapping[str, str], state: str, verifier: str) -> str:
        """Return the access token of who came back with these parameters.

        Raises Unauthenticated, IssuerUnavailable, Busy.
        """
        if not state or not hmac.compare_digest(came.get("state", "").encode(), state.encode()):
            raise Unauthenticated(NOT_BEGUN)
        if came.get("iss", self.issuer) != self.issuer:  # RFC 9207: another issuer's code is not for this one
            raise Unauthenticated(REFUSED)
        if not came.get("code"):
            raise Unauthenticated(REFUSED)
        form = {
            "grant_type": "authorization_code",
            "code": came["code"],
            "redirect_uri": self.back,
            "client_id": self.client,
            "code_verifier": verifier,
            **({} if self.secret is None else {"client_secret": self.secret}),
        }
        with self.arrivals.one(state):
            token = self._posted(self._endpoint("token_endpoint"), form).get("access_token")
        if not isinstance(token, str):
            raise Unauthenticated(REFUSED)
        return token

    def _endpoint(self, name: str) -> str:
        try:
            return fetching.require_address(self.keys.document().get(name))
        except (IssuerUnavailable, ValueError):
            raise IssuerUnavailable("the issuer cannot be reached right now; try again soon") from None

    def _posted(self, address: str, form: dict[str, str]) -> dict[str, Any]:
        try:
            return fetching.post_form(address, form)[1]
        except fetching.FetchFailed:
            raise IssuerUnavailable("the issuer cannot be reached right now; try again soon") from None
