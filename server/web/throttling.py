"""Rates of requests (`server/sign_in/throttle.py`): of an address before anything else, of a token after its sign-in.

Health is not counted, because it has to answer whatever happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app, request

if TYPE_CHECKING:
    from flask import Flask

    from budgets.identity.tokens import Access
    from server.runtime.services import Services

UNCOUNTED = "health."
# Where a page says that a call is one of many of one request, which is limited otherwise. It is no header: nobody
# outside the process can set it.
PART = "rowless.part"


def register(app: Flask) -> None:
    """Count each request by its address before it is looked at."""
    app.before_request(_by_address)


def count(access: Access) -> None:
    """Count a request by its token, or by the user who signed in by the issuer. Raises TooFast."""
    if PART in request.environ:
        return
    _services().throttle.token(access.token or f"user {access.actor.name}")


def _by_address() -> None:
    if not (request.endpoint or "").startswith(UNCOUNTED) and PART not in request.environ:
        _services().throttle.address(request.remote_addr)


def _services() -> Services:
    found: Services = current_app.extensions["rowless"]
    return found
