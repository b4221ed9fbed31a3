"""Releases and audit entries as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Request

    from budgets.audit import Entry

ENTRY_COLUMNS = ("index", "time", "actor_name", "role", "action", "subject", "study", "summary", "leaf_hash")


def wanted(request: Request, *others: str) -> str:
    """Return the media type a client prefers among JSON and some others."""
    return request.accept_mimetypes.best_match(["application/json", *others], default="application/json")


def release(shown: dict[str, Any]) -> str:
    """Return a release's rows: its keys, and value, low and high of each statistic."""
    keys = [column["name"] for column in shown["columns"] if column["kind"] == "key"]
    statistics = [column["name"] for column in shown["columns"] if column["kind"] == "statistic"]
    header = keys + [f"{name}{part}" for name in statistics for part in ("", "_low", "_high")]
    rows = (
        [row[key] for key in keys] + [row[name][part] for name in statistics for part in ("value", "low", "high")]
        for row in shown["rows"]
    )
    return _csv(header, rows)


def entries(found: Iterable[Entry]) -> str:
    """Return audit entries, one a line, without their facts."""
    shown = (entry.to_json() for entry in found)
    return _csv(list(ENTRY_COLUMNS), ([entry[name] for name in ENTRY_COLUMNS] for entry in shown))


def _csv(header: list[str], rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
