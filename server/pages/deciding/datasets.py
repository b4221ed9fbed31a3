"""A dataset to decide on: its cap, what its profiles may take of it, and what that lets an attacker learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, session

from server.pages.deciding import taking
from server.pages.deciding.studies import meaning
from server.pages.deciding.taking import ADVICE, APPROVAL
from server.pages.frame import calling
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

if TYPE_CHECKING:
    from server.pages.deciding.taking import Acts

ACTS: Acts = {"advise": (("advise",), ADVICE), "approve": (("approve",), APPROVAL)}


@page("/datasets/<dataset>/decide", "approver", "dpo", methods=("GET", "POST"))
def decide_dataset(dataset: str) -> Any:
    """Show a dataset whose cap or profile waits, and take the decision."""
    sent, refusal = taking.typed(), None
    if request.method == "POST":
        refusal = taking.take(ACTS, "datasets", dataset)
        if refusal is None:
            flash(_done(sent["do"]), "done")
            return to("decide_dataset", dataset=dataset)
    shown = calling.get("datasets", dataset)
    return again(
        "deciding/dataset.html",
        refusal,
        dataset=shown,
        shares=calling.get("datasets", dataset, "shares"),
        meaning=meaning(shown["terms"]["waiting"] or shown["budget"]),
        do=sent.get("do"),
        typed=sent,
        own_hand=session["name"] in shown["terms"]["proposed_by"],
    )


def _done(do: str) -> str:
    if do == "advise":
        return _("Your advice is recorded. The approver sees it.")
    return _("Approved. Studies may be approved on these data, and charged to their cap.")
