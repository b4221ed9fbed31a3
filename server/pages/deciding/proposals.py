"""What an admin proposed and a second person has to confirm: to make or remove a DPO or an approver, or a token."""

from __future__ import annotations

from typing import Any

from flask import flash, request, session

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to
from server.pages.once import show_once


@page("/proposals/<proposal>", "approver", "dpo", methods=("GET", "POST"))
def proposal(proposal: str) -> Any:
    """Show what was proposed, and confirm or refuse it. The second part of a token is shown once."""
    wanted = next((one for one in calling.get("proposals")["items"] if one["id"] == proposal), None)
    if wanted is None:
        raise calling.nowhere()
    refusal = None
    if request.method == "POST":
        try:
            return _decided(proposal, request.form.get("do", ""))
        except Refused as error:
            refusal = error
    return again("deciding/proposal.html", refusal, proposal=wanted, own=wanted["user"] == session["name"])


def _decided(proposal: str, do: str) -> Any:
    match do:
        case "confirm":
            done = calling.post("proposals", proposal, "confirm")
            if done["token_part"] is not None:
                return show_once(done, back="start", is_second=True)
            flash(_("Confirmed. It is done."), "done")
        case "refuse":
            calling.call("DELETE", "proposals", proposal)
            flash(_("Refused. Nothing was changed."), "done")
        case _:
            raise calling.nowhere()
    return to("start")
