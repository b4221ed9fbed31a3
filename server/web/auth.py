"""Who asks: the bearer token of a request -> a user, and which roles a route is for."""

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

ROLES = ("researcher", "admin", "dpo")


def services() -> Services:
    """Return the services of the running application."""
    found: Services = current_app.extensions["rowless"]
    return found


def actor() -> Actor:
    """Return who asks. Only within a route that `for_roles` guards."""
    found: Actor = g.actor
    return found


def for_roles(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a route: a valid token of one of the roles, or Unauthenticated or Forbidden.

    It also says so in the OpenAPI document, as `x-roles`.
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
    """Return the user of an Authorization header. A token that is wrong is recorded; none leaves nothing."""
    if header is None:
        raise Unauthenticated("send a token, as Authorization: Bearer TOKEN")
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
    """Return a user by a new commitment, once in a while. A ledger that cannot be written to can still be read."""
    try:
        with services().database.write() as transaction:
            return commitments.in_force(transaction, found, days)
    except NotFound:  # removed in between
        raise Unauthenticated("the token is wrong or was revoked") from None
    except Unavailable:
        return found
