"""The report of a study to conclude from: what was released and what it bounds, beside the conclusion to sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, session

from server.pages.deciding import taking
from server.pages.frame import calling
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.pages.deciding.taking import Acts

ACTS: Acts = {"conclude": (("report", "conclusion"), ("text", "parties", "seen"))}
SHOWN_MAX = 50  # releases; the report has all
CONCLUDES = "study.conclude"


@page("/studies/<study>/conclude", "approver", methods=("GET", "POST"))
def conclude(study: str) -> Any:
    """Show the report of a study, and sign the conclusion that was typed, if it is about the report as it was shown."""
    refusal = None
    if request.method == "POST":
        refusal = taking.take(ACTS, "studies", study)
        if refusal is None:
            flash(_("Signed. Your conclusion stands in the report, and in the log."), "done")
            return to("conclude", study=study)
    report = calling.get("studies", study, "report")
    earlier = [act for act in report["history"] if act["action"] == CONCLUDES][:-1]
    return again(
        "deciding/conclude.html",
        refusal,
        report=report,
        study=report["study"],
        releases=report["releases"]["shown"][-SHOWN_MAX:],
        earlier=earlier[::-1],
        do="conclude",
        typed=taking.typed(),
        own=_own(report["study"]),
    )


def _own(study: Mapping[str, Any]) -> bool:
    """Return whether the user had a hand in what is concluded on, so that the API would refuse the conclusion."""
    advisers = [study[kind]["by"] for kind in ("advice", "raise_advice") if study[kind] is not None]
    return session["name"] in (study["opened_by"], *study["edited_by"], study["raise_by"], *advisers)
