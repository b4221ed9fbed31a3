"""Whether the server lives, and whether it can serve. Nobody needs a token, and nothing here waits for a place."""

from __future__ import annotations

from typing import Any

from server.api import replies
from server.errors import NotReady
from server.web.auth import services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("health", __name__, description="Health")


@blueprint.route("/health")
@blueprint.response(200, replies.Health)
def health() -> Any:
    """Return that the server is up."""
    return {"status": "ok"}


@blueprint.route("/health/live")
@blueprint.response(200, replies.Health)
def live() -> Any:
    """Return that the server is up. It reads nothing."""
    return {"status": "ok"}


@blueprint.route("/health/ready")
@blueprint.response(200, replies.Health)
def ready() -> Any:
    """Return that the ledger can be written, the signing key can be used and every store is there, or 503."""
    failed = services().readiness.failed(services().database, services().settings, services().stores)
    if failed:
        raise NotReady(failed)
    return {"status": "ok"}
