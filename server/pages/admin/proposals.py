"""What an admin proposes and a second person confirms: to add or remove an approver or a DPO, or a token for one."""

from __future__ import annotations

from typing import Any

from flask import flash, request

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to
from server.pages.once import show_once


@page("/admin/proposals", "admin", methods=("GET", "POST"))
def admin_proposals() -> Any:
    """List what waits for a second person, propose something, and withdraw it."""
    refusal = None
    if request.method == "POST":
        try:
            return _changed()
        except Refused as error:
            refusal = error
    return again("admin/proposals.html", refusal, found=calling.every("proposals"), fields=request.form)


def _changed() -> Any:
    form = request.form
    match form.get("do"):
        case "propose":
            role = {"role": form["role"]} if form["act"] == "add" else {}
            made = calling.post("proposals", body={"act": form["act"], "user": form["user"].strip(), **role})
            if made["token_part"] is not None:
                return show_once(made, back="admin_proposals")
            flash(_("This was proposed. It is done once another person has confirmed it."), "done")
        case "withdraw":
            calling.call("DELETE", "proposals", form["proposal"])
            flash(_("The proposal was withdrawn. Nothing was changed."), "done")
        case _:
            raise calling.nowhere()
    return to("admin_proposals")
