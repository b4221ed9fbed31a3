"""Users: the list, adding and removing them. For a DPO or an approver it is proposed to a second person."""

from __future__ import annotations

from typing import Any

from flask import flash, request, session

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to
from server.pages.once import show_once

PRIVILEGED = ("approver", "dpo")


@page("/admin/users", "admin", methods=("GET", "POST"))
def users() -> Any:
    """List the users, and add one."""
    refusal = None
    if request.method == "POST":
        try:
            return _added(request.form["name"].strip(), request.form["role"])
        except Refused as error:
            refusal = error
    return again("admin/users.html", refusal, found=calling.every("users"), fields=request.form)


def _added(name: str, role: str) -> Any:
    if role in PRIVILEGED:
        return show_once(
            calling.post("proposals", body={"act": "add", "user": name, "role": role}), back="admin_proposals"
        )
    return show_once(calling.post("users", body={"name": name, "role": role}), back="users")


@page("/admin/users/<name>", "admin", methods=("GET", "POST"))
def user(name: str) -> Any:
    """Show a user with their tokens; end their account of the issuer; remove them."""
    found = next((one for one in calling.every("users") if one["user"] == name), None)
    if found is None:
        raise calling.nowhere()
    refusal, do = None, request.form.get("do", "")
    if request.method == "POST":
        try:
            return _changed(name, str(found["role"]), do)
        except Refused as error:
            refusal = error
    return again(
        "admin/user.html",
        refusal,
        found=found,
        tokens=calling.every("tokens", user=name),
        studies=[one for one in calling.every("studies") if name in one["members"]],
        is_privileged=found["role"] in PRIVILEGED,
        is_self=name == session["name"],
        do=do,
    )


def _changed(name: str, role: str, do: str) -> Any:
    match do:
        case "remove" if role in PRIVILEGED:
            calling.post("proposals", body={"act": "remove", "user": name})
            flash(_("This was proposed. It is done once another person has confirmed it."), "done")
            return to("admin_proposals")
        case "remove":
            calling.call("DELETE", "users", name)
            flash(_("%(name)s was removed, with their tokens and memberships.", name=name), "done")
            return to("users")
        case "unlink":
            calling.call("DELETE", "users", name, "account")
            flash(_("%(name)s can sign in with tokens alone now.", name=name), "done")
            return to("user", name=name)
        case _:
            raise calling.nowhere()
