"""Signing in with a token: a session begins, or it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import session

from server.pages.frame import calling
from server.pages.frame.calling import Refused

if TYPE_CHECKING:
    from server.pages.frame.sessions import Session

TOKEN_MAX = 200  # characters; a longer one is none of this server's, and would fit into no cookie


def enter(token: str) -> Refused | None:
    """Begin a session of the token's user. Return the refusal of a token that gives no access."""
    begun: Session = session  # type: ignore[assignment]
    begun.begin(token=token.strip()[:TOKEN_MAX])
    try:
        me = calling.get("me")
    except Refused as error:
        begun.begin()
        return error
    begun.update(name=me["name"], role=me["role"], study=me["study"], reads_only=me["reads_only"])
    return None
