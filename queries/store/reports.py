"""What an import reported, as JSON values, and kept beside the edition's store for the admin to read again.

The counts are exact and of the data: they are for the admin alone. They are deleted with the edition.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from queries.store.ingest import ImportReport

FILE = "report.json"


def to_json(report: ImportReport) -> dict[str, Any]:
    """Return a report as JSON values: persons, tables with their columns, and oddities of identities."""
    tables = {table: dataclasses.asdict(one) for table, one in report.tables.items()}
    return {"persons": report.persons, "tables": tables, "identity": dataclasses.asdict(report.identity)}


def keep(folder: Path, report: ImportReport) -> None:
    """Write a report into its edition's folder."""
    (folder / FILE).write_text(json.dumps(to_json(report)), encoding="utf-8")


def kept(folder: Path) -> dict[str, Any] | None:
    """Return the report of an edition, or None if it was imported by a version that kept none, or cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
