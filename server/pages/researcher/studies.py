"""A researcher's studies, what was asked in them, and the catalog of a dataset."""

from __future__ import annotations

from typing import Any

from flask import request

from server.pages.frame import calling
from server.pages.frame.rendering import ROLES, page, show

RECENT = 5
PAGE = 50


@page("/studies", *ROLES)
def studies() -> Any:
    """List the studies that the user may see."""
    found = calling.get("studies", limit=PAGE, cursor=request.args.get("cursor"))
    return show("researcher/studies.html", found=found)


@page("/studies/<study>", *ROLES)
def study(study: str) -> Any:
    """Show a study: what it is for, what it may still spend, and what it asked last."""
    shown = calling.get("studies", study)
    return show(
        "researcher/study.html",
        study=shown,
        budget=calling.get("studies", study, "budget"),
        releases=calling.get("studies", study, "releases", limit=RECENT)["items"],
    )


@page("/studies/<study>/releases", *ROLES)
def releases(study: str) -> Any:
    """List what a study asked."""
    found = calling.get("studies", study, "releases", limit=PAGE, cursor=request.args.get("cursor"))
    return show("researcher/releases.html", study=study, found=found)


@page("/datasets/<dataset>", *ROLES)
def dataset(dataset: str) -> Any:
    """Show the catalog of a dataset: its tables and columns, and what is known of them."""
    shown = calling.get("datasets", dataset)
    wanted = request.args.get("search", "").strip()
    return show("researcher/dataset.html", dataset=shown, tables=_matching(shown["tables"], wanted), search=wanted)


def _matching(tables: dict[str, Any], wanted: str) -> dict[str, Any]:
    """Return the tables and columns whose name or title has a text. A table that has it keeps all columns."""
    if not wanted:
        return tables
    text = wanted.casefold()
    found = {}
    for name, table in tables.items():
        columns = {
            column: about
            for column, about in table["columns"].items()
            if text in f"{column} {about.get('title') or ''}".casefold()
        }
        whole = text in f"{name} {table.get('title') or ''}".casefold()
        if whole or columns:
            found[name] = {**table, "columns": table["columns"] if whole else columns}
    return found
