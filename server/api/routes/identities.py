"""The names that are kept, and their erasure, for DPOs. Each reading of the list is in the log."""

from __future__ import annotations

from typing import Any

from budgets.governance import erasure
from server.api import replies
from server.api.requests.schemas import ErasureSchema, IdentitiesSchema
from server.runtime.tallies import Act
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("identities", __name__, description="Names that are kept, and their erasure")


@blueprint.route("/audit/identities")
@for_roles("dpo")
@blueprint.arguments(IdentitiesSchema, location="query")
@blueprint.response(200, replies.page_of(replies.Identity))
def list_identities(page: dict[str, Any]) -> Any:
    """List the names that are kept, oldest first; with due=true only those that can be erased now."""
    days, limit = services().settings.identity_days, page["limit"]
    act = Act(actor(), "identity.read", "identities", None, "readings of the list of names")
    with services().tallies.reading(services().database, act, "the list of names was read") as transaction:
        found = erasure.kept(transaction, days, due=page["due"], after=page["cursor"], limit=limit + 1)
    following = erasure.cursor(found[limit - 1]) if len(found) > limit else None
    return {"items": [one.to_json() for one in found[:limit]], "next": following}


@blueprint.route("/audit/identities/erase", methods=["POST"])
@for_roles("dpo")
@blueprint.arguments(ErasureSchema)
@blueprint.response(200, replies.Erased)
def erase_identities(body: dict[str, Any]) -> Any:
    """Erase for good all names that are due, or the names of some commitments. The log keeps everything else."""
    done = erasure.erase(services().database, services().settings.identity_days, body["commitments"], actor())
    return {"erased": list(done.commitments), "shredded": done.is_shredded}
