"""Tokens: the list, new ones with their limits, and revoking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request

from server.pages.admin.users import PRIVILEGED
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again, number
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to
from server.pages.once import show_once

if TYPE_CHECKING:
    from collections.abc import Mapping


@page("/admin/tokens", "admin", methods=("GET", "POST"))
def tokens() -> Any:
    """List the tokens that were not revoked, and revoke one."""
    refusal = None
    if request.method == "POST":
        try:
            calling.call("DELETE", "tokens", request.form["token"])
        except Refused as error:
            refusal = error
        else:
            flash(_("The token was revoked. It gives no access from now on."), "done")
            return to("user", name=request.form["user"]) if request.form.get("user") else to("tokens")
    return again("admin/tokens.html", refusal, found=sorted(calling.every("tokens"), key=_by_user))


def _by_user(token: Mapping[str, Any]) -> tuple[str, str]:
    return str(token["user"]), str(token["expires_at"])


@page("/admin/new-token", "admin", methods=("GET", "POST"))
def new_token() -> Any:
    """Make a token, perhaps a limited one. For a DPO or an approver it is proposed to a second person."""
    people = calling.every("users")
    refusal = None
    if request.method == "POST":
        roles = {str(one["user"]): str(one["role"]) for one in people}
        try:
            return _made(request.form["user"], roles)
        except Refused as error:
            refusal = error
    return again(
        "admin/new_token.html",
        refusal,
        fields=request.form or request.args,
        people=people,
        studies=calling.every("studies"),
    )


def _made(user: str, roles: Mapping[str, str]) -> Any:
    body = _limits(request.form)
    if roles.get(user) in PRIVILEGED:
        return show_once(calling.post("proposals", body={"act": "token", "user": user, **body}), back="admin_proposals")
    made = calling.post("users", user, "tokens", body=body)
    return show_once({"user": user, "role": roles.get(user), **made}, back="tokens")


def _limits(form: Mapping[str, str]) -> dict[str, Any]:
    """Return how long the token lives and what it is limited to. What is empty is not sent."""
    found: dict[str, Any] = {"reads_only": "reads_only" in form}
    if form.get("days", "").strip():
        found["days"] = number(form["days"])
    if form.get("study"):
        found["study"] = form["study"]
    return found
