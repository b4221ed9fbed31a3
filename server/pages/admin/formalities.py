"""The formalities of a study, which are a part of its terms, and those of a dataset, which are proposed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, request, url_for

from server.pages.admin.studies import changed_terms
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.formal_words import formality_parts
from server.pages.frame.forms import again
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, to
from server.views.formalities import BASES, CONDITIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

EMPTY = {"kind": "reference-methodology", "legal_basis": BASES[4], "condition": CONDITIONS[-2]}


@page("/admin/studies/<study>/formalities", "admin", methods=("GET", "POST"))
def edit_formalities(study: str) -> Any:
    """Write a study's formalities. Those of its dataset are a start."""
    shown = calling.get("studies", study)
    fields, refusal = shown["formalities"] or _of_dataset(str(shown["dataset"])) or EMPTY, None
    if request.method == "POST":
        fields = request.form.to_dict()
        try:
            changed = calling.call("PATCH", "studies", study, body={"formalities": typed(fields)}).json
        except Refused as error:
            refusal = error
        else:
            return changed_terms(shown, changed)
    back = url_for("pages.manage_study", study=study)
    return _again(refusal, study=shown, name=study, fields=fields, back=back)


@page("/admin/datasets/<dataset>/formalities", "admin", methods=("GET", "POST"))
def propose_formalities(dataset: str) -> Any:
    """Propose a dataset's formalities."""
    fields, refusal = _of_dataset(dataset) or EMPTY, None
    if request.method == "POST":
        fields = request.form.to_dict()
        body = {"formalities": typed(fields), "reason": fields.get("reason", "")}
        try:
            calling.post("datasets", dataset, "propose", body=body)
        except Refused as error:
            refusal = error
        else:
            flash(_("Proposed. It waits for an approver; until then what was approved stays in force."), "done")
            return to("admin_dataset", dataset=dataset)
    back = url_for("pages.admin_dataset", dataset=dataset)
    return _again(refusal, study=None, name=dataset, fields=fields, back=back)


def _again(refusal: Refused | None, **values: Any) -> Any:
    pointers = (*(f"/formalities/{part}" for part in formality_parts()), "/reason")
    return again("admin/formalities.html", refusal, pointers=pointers, **values)


def _of_dataset(dataset: str) -> Mapping[str, Any] | None:
    """Return the formalities of a dataset that were written last, if there are any."""
    if calling.limited_to() is not None:
        return None
    terms = next((one["terms"] for one in calling.every("datasets") if one["name"] == dataset), None)
    if terms is None:
        raise calling.nowhere()
    found: Mapping[str, Any] | None = (terms["waiting"] or terms)["formalities"]
    return found


def typed(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the formalities that were typed; what was left empty is not sent."""
    found = {part: fields.get(part, "").replace("\r\n", "\n").strip() for part in formality_parts()}
    return {part: text for part, text in found.items() if text}
