"""Studies: opening one, its terms, its members, its budget, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request

from server.languages.phrase import phrase
from server.pages.admin.meaning import of as meaning_of
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again, number
from server.pages.frame.language import number as number_words
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXTS, DAYS = ("title", "purpose", "legal_basis"), ("starts", "ends")
EPSILON = "1"


@page("/admin/new-study", "admin", methods=("GET", "POST"))
def new_study() -> Any:
    """Open a study as a draft."""
    refusal = None
    fields = request.form.to_dict() if request.method == "POST" else {"epsilon": EPSILON}
    if request.method == "POST" and fields.get("do") != "meaning":
        try:
            opened = calling.post("studies", body={**_names(fields), **terms(fields), **budget(fields)})
        except Refused as error:
            refusal = error
        else:
            flash(_("The study is open, as a draft. Add its members; then an approver decides on it."), "done")
            return to("manage_study", study=opened["id"])
    return again(
        "admin/new_study.html",
        refusal,
        fields=fields,
        datasets=_choices(),
        meaning=meaning_of(fields.get("epsilon", "")),
    )


def _choices() -> list[tuple[str, str]]:
    """Return the datasets by name, each with its title and what is free of its cap."""
    found = []
    for one in calling.every("datasets"):
        free = number_words(calling.get("datasets", str(one["name"]), "shares")["free"])
        found.append((str(one["name"]), _("%(title)s (ε %(free)s free)", title=one["title"], free=free)))
    return found


@page("/admin/studies/<study>/terms", "admin", methods=("GET", "POST"))
def edit_terms(study: str) -> Any:
    """Change a study's title, purpose, legal basis and days."""
    shown = calling.get("studies", study)
    fields, refusal = dict(shown), None
    if request.method == "POST":
        fields = request.form.to_dict()
        try:
            changed = calling.call("PATCH", "studies", study, body=terms(fields)).json
        except Refused as error:
            refusal = error
        else:
            return changed_terms(shown, changed)
    return again("admin/terms.html", refusal, study=shown, fields=fields)


def changed_terms(before: Mapping[str, Any], after: Mapping[str, Any]) -> Any:
    """Say what a change of terms did, and lead back to the study."""
    if before["state"] != after["state"]:
        flash(_("Saved. The study is a draft again: an approver decides on the new terms."), "warning")
    else:
        flash(_("Saved."), "done")
    for note in after.get("notes", ()):
        flash(phrase(note), "warning")
    return to("manage_study", study=after["id"])


@page("/admin/studies/<study>", "admin", methods=("GET", "POST"))
def manage_study(study: str) -> Any:
    """Show a study to its admin: members, budget, terms, protocol; change members and budget, and close it."""
    refusal, do = None, request.form.get("do", "")
    if request.method == "POST" and do != "meaning":
        try:
            _changed(study, do, request.form)
            return to("manage_study", study=study)
        except Refused as error:
            refusal = error
    shown = calling.get("studies", study)
    typed, is_limited = request.form.get("epsilon", ""), calling.limited_to() is not None
    return again(
        "admin/study.html",
        refusal,
        study=shown,
        budget=calling.get("studies", study, "budget"),
        free=None if is_limited else calling.get("datasets", str(shown["dataset"]), "shares")["free"],
        outside=None if is_limited else _outside(shown["members"]),
        fields=request.form,
        do="budget" if do == "meaning" else do,
        meaning=meaning_of(typed or str(shown["budget"]["epsilon"])),
    )


def _outside(members: Sequence[str]) -> list[str]:
    """Return the researchers who are no members."""
    people = [str(one["user"]) for one in calling.every("users") if one["role"] == "researcher"]
    return [name for name in people if name not in members]


def _changed(study: str, do: str, form: Mapping[str, str]) -> None:
    match do:
        case "add":
            calling.call("PUT", "studies", study, "members", form.get("user", ""))
            flash(_("%(name)s is a member now.", name=form.get("user", "")), "done")
        case "remove":
            calling.call("DELETE", "studies", study, "members", form.get("user", ""))
            flash(_("%(name)s is no longer a member.", name=form.get("user", "")), "done")
        case "budget":
            changed = calling.call(
                "PUT", "studies", study, "budget", body={**budget(form), "reason": form.get("reason", "")}
            ).json
            waits = changed["raise"] is not None
            flash(_("Proposed. The larger budget waits for an approver.") if waits else _("The budget is set."), "done")
            for note in changed.get("notes", ()):
                flash(phrase(note), "warning")
        case "close":
            calling.post("studies", study, "close", body={"reason": form.get("reason", "")})
            flash(_("The study is closed, for good."), "done")
        case _:
            raise calling.nowhere()


def _names(fields: Mapping[str, str]) -> dict[str, Any]:
    return {name: fields.get(name, "").strip() for name in ("name", "dataset")}


def terms(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the terms that were typed; a day that was left empty is none."""
    texts = {name: fields.get(name, "").strip() for name in TEXTS}
    return {**texts, **{name: fields.get(name, "").strip() or None for name in DAYS}}


def budget(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the budget that was typed; what was left empty is not sent."""
    return {"epsilon": number(fields.get("epsilon", ""))} | division(fields) | why(fields)


def division(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the delta and the part for Laplace noise that were typed."""
    return {name: number(fields[name]) for name in ("delta", "laplace_percent") if fields.get(name, "").strip()}


def why(fields: Mapping[str, str]) -> dict[str, Any]:
    """Return the justification that was typed, if one was."""
    text = fields.get("justification", "").strip()
    return {"justification": text} if text else {}
