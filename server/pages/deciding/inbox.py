"""The start page of approvers and DPOs: what waits for them, and what the DPO should look at."""

from __future__ import annotations

import datetime as dt
from typing import Any

from flask import session

from budgets.database import clock
from server.pages.frame import calling
from server.pages.frame.rendering import show

SHOWN = 100
ALERTS = 5
RECENT_DAYS = 7


def start() -> Any:
    """Show what waits for an approver or a DPO."""
    waiting, is_limited = calling.get("studies", waiting="true", limit=SHOWN), calling.limited_to() is not None
    return show(
        "deciding/start_deciding.html",
        waiting=[
            *([] if is_limited else _datasets(calling.get("datasets")["items"])),
            *(to_decide for study in waiting["items"] for to_decide in _of(study)),
        ],
        more=waiting["next"] is not None,
        proposals=[] if is_limited else calling.get("proposals")["items"],
        alerts=_alerts() if session["role"] == "dpo" and not is_limited else None,
        days=RECENT_DAYS,
    )


def _datasets(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the datasets whose cap or profile waits."""
    return [
        {"kind": "dataset", "dataset": one, "advice": one["terms"]["advice"], "budget": one["terms"]["waiting"]}
        for one in found
        if one["terms"]["waiting"] is not None
    ]


def _of(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what waits of a study: its terms, a larger budget, or both."""
    found = []
    if study["state"] == "draft":
        found.append({"study": study, "kind": "study", "advice": study["advice"], "budget": study["budget"]})
    if study["raise"] is not None:
        found.append({"study": study, "kind": "raise", "advice": study["raise_advice"], "budget": study["raise"]})
    return found


def _alerts() -> list[dict[str, Any]]:
    since = (clock.moment() - dt.timedelta(days=RECENT_DAYS)).date().isoformat()
    found: list[dict[str, Any]] = calling.get("alerts", order="newest", limit=ALERTS, **{"from": since})["items"]
    return found
