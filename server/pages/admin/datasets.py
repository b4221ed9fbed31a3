"""Datasets: how studies share the cap, what imports reported, and the contribution profile."""

from __future__ import annotations

import shlex
from http import HTTPStatus
from typing import Any

from flask import flash, request

from server.pages.admin import cap
from server.pages.admin.meaning import of as meaning_of
from server.pages.admin.studies import division, why
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.forms import again, number
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, show, to

LOSSES = ("coerced", "unknown", "clamped")


@page("/admin/datasets", "admin")
def admin_datasets() -> Any:
    """List the datasets with what is free of each cap."""
    found = [(one, *cap.of(str(one["name"]))) for one in calling.every("datasets")]
    return show("admin/datasets.html", found=found)


@page("/admin/datasets/<dataset>", "admin", methods=("GET", "POST"))
def admin_dataset(dataset: str) -> Any:
    """Show a dataset as its custodian sees it, and buy its contribution profile."""
    refusal, do = None, request.form.get("do", "")
    if request.method == "POST":
        try:
            _changed(dataset, do)
            return to("admin_dataset", dataset=dataset)
        except Refused as error:
            refusal = error
    shares, picture = cap.of(dataset)
    catalog, why = _catalog(dataset)
    head = next(one for one in calling.every("datasets") if one["name"] == dataset)
    editions = calling.every("datasets", dataset, "editions")
    return again(
        "admin/dataset.html",
        refusal,
        dataset=dataset,
        **{name: head[name] for name in ("title", "state", "terms")},
        catalog=catalog,
        why=why,
        shares=shares,
        picture=picture,
        meaning=meaning_of(str(shares["budget"]["epsilon"])),
        editions=editions,
        manifest=_manifest(editions),
        losing=_losing,
        fields=request.form,
        do=do,
    )


def _changed(dataset: str, do: str) -> None:
    form = request.form
    match do:
        case "buy":
            bought = calling.post("datasets", dataset, "profile", body={"epsilon": number(form.get("epsilon", ""))})
            words = _("This profile was there already. Nothing was spent.") if bought["replayed"] else _("Bought.")
            flash(words, "done")
        case "propose":
            body = {"epsilon": number(form.get("epsilon", "")), "reason": form.get("reason", "")}
            if form.get("profile", "").strip():
                body["profile"] = number(form["profile"])
            calling.post("datasets", dataset, "propose", body={**body, **division(form), **why(form)})
            flash(_("Proposed. It waits for an approver; until then what was approved stays in force."), "done")
        case _:
            raise calling.nowhere()


def _manifest(editions: list[dict[str, Any]]) -> str | None:
    """Return where the manifest of the last import was, as one word of a command, or None if it was not kept."""
    reports = [one["report"] for one in editions if one["report"] is not None]
    path = reports[0].get("manifest") if reports else None
    return None if path is None else shlex.quote(path)


def _losing(columns: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Return the columns in which something was lost, with their counts."""
    return [(name, counts) for name, counts in columns.items() if any(counts[loss] for loss in LOSSES)]


def _catalog(dataset: str) -> tuple[dict[str, Any] | None, str]:
    """Return a dataset's catalog, or None and why it cannot be used now."""
    try:
        return calling.get("datasets", dataset), ""
    except Refused as error:
        if error.status != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return None, str(error)
