"""A study to decide on: what it may ask, what its budget lets an attacker learn, what changed, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, session

from server.pages.deciding import taking
from server.pages.deciding.taking import ADVICE, APPROVAL, REASON
from server.pages.frame import calling
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.pages.deciding.taking import Acts

ACTS: Acts = {
    "advise": (("advise",), ADVICE),
    "approve": (("approve",), APPROVAL),
    "advise-raise": (("budget", "advise"), ADVICE),
    "approve-raise": (("budget", "approve"), APPROVAL),
    "suspend": (("suspend",), REASON),
    "resume": (("resume",), REASON),
    "close": (("close",), REASON),
}


@page("/studies/<study>/decide", "approver", "dpo", methods=("GET", "POST"))
def decide(study: str) -> Any:
    """Show a study to decide on, and take the decision."""
    sent, refusal = taking.typed(), None
    if request.method == "POST":
        refusal = taking.take(ACTS, "studies", study)
        if refusal is None:
            flash(_done(sent["do"]), "done")
            return to("decide", study=study)
    shown = calling.get("studies", study)
    return again(
        "deciding/study.html",
        refusal,
        study=shown,
        meaning=meaning(shown["budget"]),
        raise_meaning=meaning(shown["raise"]),
        shares=None if calling.limited_to() else calling.get("datasets", shown["dataset"], "shares"),
        since=calling.get("studies", study, "changes"),
        dataset=next(one for one in calling.get("datasets")["items"] if one["name"] == shown["dataset"]),
        do=sent.get("do"),
        typed=sent,
        own_hand=_own_hand(shown),
        own_raise=shown["raise_by"] == session["name"],
    )


def _done(do: str) -> str:
    return {
        "advise": _("Your advice is recorded. The approver sees it."),
        "approve": _("Approved. The members may ask from now on."),
        "advise-raise": _("Your advice is recorded. The approver sees it."),
        "approve-raise": _("Approved. The larger budget is in force."),
        "suspend": _("Suspended. Nothing more is asked until you resume it."),
        "resume": _("Resumed. The members may ask again."),
        "close": _("Closed, for good."),
    }[do]


def meaning(limit: Mapping[str, Any] | None) -> Any:
    """Return how a limit bounds attacks on one person, as the API says it."""
    return None if limit is None else calling.get("guarantee", epsilon=limit["epsilon"], delta=limit["delta"])


def _own_hand(study: Mapping[str, Any]) -> bool:
    """Return whether the user opened or edited a study, so that the API would refuse their decision."""
    return session["name"] in (study["opened_by"], *study["edited_by"])
