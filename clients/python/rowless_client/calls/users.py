"""Users, their tokens, and acts that take two persons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rowless_client.calls.records import Record, Records
from rowless_client.calls.study import given

if TYPE_CHECKING:
    from rowless_client.connection.http import Connection


@dataclass(frozen=True)
class Users:
    """The users of a server, for its admins."""

    connection: Connection

    def list(self, limit: int | None = None) -> Records:
        """Return the users. Reading it is an audit entry."""
        return Records(self.connection.pages("GET", "/users", limit=limit))

    def add(
        self,
        name: str,
        role: str = "researcher",
        *,
        days: int | None = None,
        study: str | None = None,
        reads_only: bool | None = None,
    ) -> Record:
        """Add a researcher or an admin. Return their token, which is shown only now."""
        body = given(name=name, role=role, days=days, study=study, reads_only=reads_only)
        return Record(self.connection.json("POST", "/users", body))

    def remove(self, name: str) -> None:
        """Remove a user, with their tokens and memberships."""
        self.connection.json("DELETE", "/users/{name}", segments={"name": name})

    def end_account(self, name: str) -> None:
        """End that a user can sign in by the issuer."""
        self.connection.json("DELETE", "/users/{name}/account", segments={"name": name})

    def new_token(
        self, name: str, *, days: int | None = None, study: str | None = None, reads_only: bool | None = None
    ) -> Record:
        """Return another token of a user, perhaps a limited one. It is shown only now."""
        body = given(days=days, study=study, reads_only=reads_only)
        return Record(self.connection.json("POST", "/users/{name}/tokens", body, segments={"name": name}))

    def tokens(self, user: str | None = None, limit: int | None = None) -> Records:
        """Return the tokens that were not revoked, of all or of one user. Reading it is an audit entry."""
        return Records(self.connection.pages("GET", "/tokens", limit=limit, user=user))

    def revoke(self, token_id: str) -> None:
        """Revoke a token by its id."""
        self.connection.json("DELETE", "/tokens/{token_id}", segments={"token_id": token_id})


@dataclass(frozen=True)
class Proposals:
    """Acts that wait for a second person: to add or remove a DPO or an approver, or to make them a token."""

    connection: Connection

    def list(self) -> Records:
        """Return what waits."""
        return Records(self.connection.json("GET", "/proposals")["items"])

    def make(
        self,
        act: str,
        user: str,
        *,
        role: str | None = None,
        days: int | None = None,
        study: str | None = None,
        reads_only: bool | None = None,
    ) -> Record:
        """Propose to `add`, to `remove`, or a `token`. Return the first part of a token, which is shown only now."""
        body = given(act=act, user=user, role=role, days=days, study=study, reads_only=reads_only)
        return Record(self.connection.json("POST", "/proposals", body))

    def confirm(self, proposal: str) -> Record:
        """Do what was proposed, as another person. Return the second part of a token."""
        return Record(self.connection.json("POST", "/proposals/{proposal}/confirm", segments={"proposal": proposal}))

    def withdraw(self, proposal: str) -> None:
        """Withdraw or refuse it."""
        self.connection.json("DELETE", "/proposals/{proposal}", segments={"proposal": proposal})
