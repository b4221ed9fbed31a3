"""What waits for an admin: the start page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from budgets.database import clock
from server.pages.admin import cap
from server.pages.frame import calling

SOON_DAYS = 14


def waiting() -> dict[str, Any]:
    """Return what waits: studies and larger budgets, acts to confirm, tokens that end soon, what cannot be used."""
    studies = calling.every("studies", waiting="true")
    found = {
        "drafts": [one for one in studies if one["state"] == "draft"],
        "raises": [one for one in studies if one["raise"] is not None and one["state"] != "draft"],
    }
    return found if calling.limited_to() else found | _beyond_studies()


def _beyond_studies() -> dict[str, Any]:
    datasets = calling.every("datasets")
    return {
        "proposals": calling.every("proposals"),
        "ending": ending(calling.every("tokens")),
        "datasets": [one for one in datasets if one["state"] != "ready" or one["terms"]["waiting"] is not None],
        "failed": [one for one in calling.get("server")["checks"] if not one["passed"]],
        "soon_days": SOON_DAYS,
        "caps": [(one, *cap.of(str(one["name"]))) for one in datasets],
    }


def ending(tokens: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tokens that end soon, the next first."""
    last = clock.text(clock.moment() + dt.timedelta(days=SOON_DAYS))
    found = [one for one in tokens if not one["is_expired"] and one["expires_at"] <= last]
    return sorted(found, key=lambda one: str(one["expires_at"]))
