"""What the custodian of a dataset sees: how studies share its cap, and what an import reported. No data leave here."""

from __future__ import annotations

from typing import Any

from budgets.governance import datasets
from budgets.ledger import spending
from queries.store import reports
from server.api import replies
from server.api.requests.schemas import ChargesSchema
from server.runtime.stores import folder_of
from server.runtime.tallies import Act
from server.views import shares
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("custody", __name__, description="Datasets as their custodian sees them")


@blueprint.route("/datasets/<name>/shares")
@for_roles("admin", "approver", "dpo")
@blueprint.response(200, replies.Shares)
def show_shares(name: str) -> Any:
    """Return how a dataset's profile and its studies share its cap, and what is free for further studies."""
    with services().database.read() as transaction:
        return shares.of(transaction, name)


@blueprint.route("/datasets/<name>/charges")
@for_roles("admin", "approver", "dpo")
@blueprint.arguments(ChargesSchema, location="query")
@blueprint.response(200, replies.page_of(replies.Charge))
def list_charges(page: dict[str, Any], name: str) -> Any:
    """List what was charged to a dataset, by studies and profiles, without what was given back, in either order."""
    with services().database.read() as transaction:
        datasets.current(transaction, name)  # raises NotFound
        found = spending.of_dataset(
            transaction,
            name,
            after=page["cursor"],
            limit=page["limit"] + 1,
            newest_first=page["order"] == "newest",
        )
    shown = found[: page["limit"]]
    return {
        "items": [one.to_json() for one in shown],
        "next": shown[-1].cursor if len(found) > len(shown) else None,
    }


@blueprint.route("/datasets/<name>/editions")
@for_roles("admin")
@blueprint.response(200, replies.page_of(replies.Edition))
def list_editions(name: str) -> Any:
    """List a dataset's imports, newest first, with what they reported as long as their stores are kept.

    The counts of a report are exact. Each reading is in the log.
    """
    home = services().settings.home
    with services().database.read() as transaction:
        datasets.current(transaction, name)  # raises NotFound, before anything is logged
    act = Act(
        actor(), "dataset.import.read", f"dataset:{name}", None, f"readings of the reports of the imports of {name}"
    )
    summary = f"the reports of the imports of {name} were read"
    with services().tallies.reading(services().database, act, summary) as transaction:
        found = datasets.editions_of(transaction, name)
    return {
        "items": [
            {
                "edition": one.number,
                "imported_at": one.imported_at,
                "report": reports.kept(folder_of(home, name, one.folder)),
            }
            for one in found
        ],
        "next": None,
    }
