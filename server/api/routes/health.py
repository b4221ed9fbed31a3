"""Whether the server lives, and whether it can serve. For this nobody needs a token, and nothing waits for a place.

An admin also sees its version and each check.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

from server.api import replies
from server.errors import NotReady
from server.runtime import readiness
from server.web.auth import for_roles, services
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
    failed = _failed()
    if failed:
        raise NotReady(failed)
    return {"status": "ok"}


@blueprint.route("/server")
@for_roles("admin")
@blueprint.response(200, replies.Server)
def show_server() -> Any:
    """Return the server's version, the database of its ledger, and each check of `/health/ready`."""
    failed = _failed()
    return {
        "version": importlib.metadata.version("rowless"),
        "ledger": services().database.engine_name,
        "checks": [{"name": name, "passed": name not in failed} for name in readiness.CHECKS],
    }


def _failed() -> tuple[str, ...]:
    return services().readiness.failed(services().database, services().settings, services().stores)
