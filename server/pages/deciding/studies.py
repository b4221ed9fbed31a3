"""A study to decide on: what it may ask, what its budget lets an attacker learn, what changed, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, session

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

if TYPE_CHECKING:
    from collections.abc import Mapping

REASON, ADVICE, APPROVAL = ("reason",), ("opinion", "reason"), ("reason", "without_advice")
# button -> the API's path below the study, and the fields that it takes
ACTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
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
    refusal = None
    typed = {name: value.replace("\r\n", "\n") for name, value in request.form.items()}
    if request.method == "POST":
        try:
            words = _done(study, typed)
        except Refused as error:
            refusal = error
        else:
            flash(words, "done")
            return to("decide", study=study)
    shown = calling.get("studies", study)
    return again(
        "deciding/study.html",
        refusal,
        study=shown,
        meaning=_meaning(shown["budget"]),
        raise_meaning=_meaning(shown["raise"]),
        shares=calling.get("datasets", shown["dataset"], "shares"),
        since=calling.get("studies", study, "changes"),
        do=typed.get("do"),
        typed=typed,
        own_hand=_own_hand(shown),
        own_raise=shown["raise_by"] == session["name"],
    )


def _done(study: str, typed: Mapping[str, str]) -> str:
    """Do what a button says, and return the words for it. Raises Refused."""
    do = typed.get("do", "")
    if do not in ACTS:
        raise Refused(calling.NOWHERE)
    path, fields = ACTS[do]
    body = {name: typed.get(name, "") for name in fields}
    if not body.get("without_advice"):
        body.pop("without_advice", None)
    calling.post("studies", study, *path, body=body)
    return {
        "advise": _("Your advice is recorded. The approver sees it."),
        "approve": _("Approved. The members may ask from now on."),
        "advise-raise": _("Your advice is recorded. The approver sees it."),
        "approve-raise": _("Approved. The larger budget is in force."),
        "suspend": _("Suspended. Nothing more is asked until you resume it."),
        "resume": _("Resumed. The members may ask again."),
        "close": _("Closed, for good."),
    }[do]


def _meaning(limit: Mapping[str, Any] | None) -> Any:
    """Return how a limit bounds attacks on one person, as the API says it."""
    return None if limit is None else calling.get("guarantee", epsilon=limit["epsilon"], delta=limit["delta"])


def _own_hand(study: Mapping[str, Any]) -> bool:
    """Return whether the user opened or edited a study, so that the API would refuse their decision."""
    return session["name"] in (study["opened_by"], *study["edited_by"])
