"""Signing in: the user that a request's bearer token belongs to, and the roles that a route is for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import current_app, g, request

from budgets.errors import NotFound, Unavailable
from budgets.identity import commitments, people
from server.errors import Unauthenticated

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.actors import Actor
    from server.runtime.services import Services

P = ParamSpec("P")
R = TypeVar("R")

ROLES = ("researcher", "admin", "dpo", "approver")


def services() -> Services:
    """Return the running application's services."""
    found: Services = current_app.extensions["rowless"]
    return found


def actor() -> Actor:
    """Return the user of the request. Call it only in a route that `for_roles` guards."""
    found: Actor = g.actor
    return found


def for_roles(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a route: without a valid token it raises Unauthenticated, with another role Forbidden.

    The OpenAPI document has the roles as `x-roles`.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.actor = authenticate(request.headers.get("Authorization"))
            people.require_role(g.actor, *roles)
            return view(*args, **kwargs)

        described: Any = guarded
        described._apidoc = {
            **getattr(view, "_apidoc", {}),
            "manual_doc": {
                **getattr(view, "_apidoc", {}).get("manual_doc", {}),
                "security": [{"token": []}],
                "x-roles": list(roles),
            },
        }
        return guarded

    return decorate


def authenticate(header: str | None) -> Actor:
    """Return the user of an Authorization header. A wrong token is recorded; a missing header is not."""
    if header is None:
        raise Unauthenticated("send a token in the header, as Authorization: Bearer TOKEN")
    sign_ins, database = services().sign_ins, services().database
    scheme, _, token = header.partition(" ")
    days = services().settings.identity_days
    with database.read() as transaction:
        found = people.authenticate(transaction, token.strip()) if scheme.lower() == "bearer" else None
        worn = found is not None and commitments.is_worn(transaction, found, days)
    if found is None:
        sign_ins.failed(database)
        raise Unauthenticated("the token is wrong or was revoked")
    sign_ins.write_what_is_due(database)
    return _renewed(found, days) if worn else found


def _renewed(found: Actor, days: int) -> Actor:
    """Return the user with a new commitment. If the ledger can only be read, keep the old one."""
    try:
        with services().database.write() as transaction:
            return commitments.in_force(transaction, found, days)
    except NotFound:  # the user was removed in between
        raise Unauthenticated("the token is wrong or was revoked") from None
    except Unavailable:
        return found
