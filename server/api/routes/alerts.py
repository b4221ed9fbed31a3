"""The alerts, for DPOs. Each alert is an entry of the audit log, and each reading is in it too."""

from __future__ import annotations

from typing import Any

from budgets.alerts import alerts
from budgets.identity import people
from server.api import replies
from server.api.requests.schemas import AlertsSchema
from server.runtime.tallies import Act
from server.web.auth import actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("alerts", __name__, description="Alerts")


@blueprint.route("/alerts")
@for_roles("dpo")
@blueprint.arguments(AlertsSchema, location="query")
@blueprint.response(200, replies.page_of(replies.Alert))
def list_alerts(asked: dict[str, Any]) -> Any:
    """List alerts, oldest or newest first: budgets in use, bursts of refusals and of failed sign-ins."""
    filters = {key: asked[key] for key in ("kind", "study", "since", "until")}
    asked_for = tuple((key, value) for key, value in filters.items() if value is not None)
    act = Act(actor(), "audit.read", "alerts", None, "readings of the alerts", asked_for)
    with services().tallies.reading(services().database, act, "the alerts were read") as transaction:
        kind = filters.pop("kind")
        found = alerts.listed(
            transaction,
            kinds=alerts.KINDS if kind is None else (kind,),
            first=asked["cursor"],
            newest_first=asked["order"] == "newest",
            limit=asked["limit"] + 1,
            **filters,
        )
        known = people.names(transaction, {one["facts"].get("actor", "") for one in found})
    shown = found[: asked["limit"]]
    return {
        "items": [show(alert, known) for alert in shown],
        "next": str(found[-1]["index"]) if len(found) > len(shown) else None,
    }


def show(alert: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """Return an alert for a DPO, with the name of the user that it is about, if that is known."""
    kept = ("index", "time", "kind", "study", "summary", "facts", "leaf_hash")
    return {**{name: alert[name] for name in kept}, "about": known.get(alert["facts"].get("actor", ""))}
