"""What an import reports, and the report kept beside the edition's store for the admin to read again.

The counts are exact and of the data: they are for the admin alone. They are deleted with the edition. With them stands
where the manifest was, so that the admin can be told how to import newer data.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from queries.store.files import ROWS_MAX, file_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from queries.store.files import File
    from queries.store.text.delimited import Found

FILE = "report.json"


@dataclass(frozen=True)
class ColumnReport:
    """How a column's values were read. For the admin only: these are exact counts of the data.

    `missing` and `outside` became null because the manifest declares it; `coerced`, `unknown` and `clamped` are losses,
    and `first` is the row of the first one (for CSV its line in the file), in `first_file` if the source is a folder.
    """

    null: int
    coerced: int
    unknown: int
    clamped: int
    missing: int = 0
    outside: int = 0
    first: int | None = field(default=None, compare=False)
    first_file: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class TableReport:
    """Rows read from the source, rows kept, and rows left out because they name no person or are malformed lines.

    `doubtful` records were kept, but may have swallowed others (`delimited.py`). Lines count from 1; 0 means none. If
    the source is a folder, the files of the first lines are named.
    """

    rows: int
    kept: int
    without_person: int
    malformed: int
    columns: Mapping[str, ColumnReport] = field(default_factory=dict)
    undescribed: int = 0  # persons of the table whom the source of the persons' attributes does not have
    first_malformed: int = 0
    doubtful: int = 0
    first_doubtful: int = 0
    first_malformed_file: str | None = None
    first_doubtful_file: str | None = None


@dataclass(frozen=True)
class IdentityReport:
    """Oddities of the persons' identities, in numbers of persons. For the admin only.

    `repeated` have several rows in the source of persons. `contradicting` have rows that disagree on an attribute: the
    first row in the source's order was taken. `case_variants` have an id that differs from another person's only in
    upper and lower case.
    """

    repeated: int
    contradicting: int
    case_variants: int
    contradicting_by_column: Mapping[str, int]


@dataclass(frozen=True)
class ImportReport:
    """The result of an import. For the admin only."""

    persons: int
    tables: Mapping[str, TableReport]
    identity: IdentityReport


def with_files(report: ImportReport, files: Mapping[str, Sequence[File]]) -> ImportReport:
    """Return a report with files and rows in place of places (`files.py`). `files` are those of each table's source."""
    return replace(report, tables={table: _named(one, files[table]) for table, one in report.tables.items()})


def _named(report: TableReport, files: Sequence[File]) -> TableReport:
    columns = {
        name: one
        if one.first is None
        else replace(one, first=one.first % ROWS_MAX, first_file=file_of(files, one.first))
        for name, one in report.columns.items()
    }
    return replace(
        report,
        columns=columns,
        first_malformed=report.first_malformed % ROWS_MAX,
        first_malformed_file=file_of(files, report.first_malformed) if report.malformed else None,
        first_doubtful=report.first_doubtful % ROWS_MAX,
        first_doubtful_file=file_of(files, report.first_doubtful) if report.doubtful else None,
    )


def added(reports: Sequence[ImportReport]) -> ImportReport:
    """Return the report of the whole from those of its parts: no person is in two of them. First rows are places."""
    tables = {table: _added([one.tables[table] for one in reports]) for table in reports[0].tables}
    found = [one.identity for one in reports]
    contradicting = {column: 0 for one in found for column in one.contradicting_by_column}
    for column in contradicting:
        contradicting[column] = sum(one.contradicting_by_column.get(column, 0) for one in found)
    identity = IdentityReport(
        sum(one.repeated for one in found),
        sum(one.contradicting for one in found),
        sum(one.case_variants for one in found),
        contradicting,
    )
    return ImportReport(sum(one.persons for one in reports), tables, identity)


def _added(reports: Sequence[TableReport]) -> TableReport:
    """Return the sums over parts. What was found in lines is of files and not of parts: see `with_lines`."""
    return TableReport(
        sum(one.rows for one in reports),
        sum(one.kept for one in reports),
        sum(one.without_person for one in reports),
        0,
        {name: _of_column([one.columns[name] for one in reports]) for name in reports[0].columns},
        sum(one.undescribed for one in reports),
    )


def _of_column(reports: Sequence[ColumnReport]) -> ColumnReport:
    return ColumnReport(
        sum(one.null for one in reports),
        sum(one.coerced for one in reports),
        sum(one.unknown for one in reports),
        sum(one.clamped for one in reports),
        sum(one.missing for one in reports),
        sum(one.outside for one in reports),
        min((one.first for one in reports if one.first is not None), default=None),
    )


def with_lines(report: ImportReport, found: Mapping[str, Found]) -> ImportReport:
    """Return a report with what the lines of each table's source held besides rows."""
    tables = {
        table: replace(
            one,
            malformed=found[table].malformed,
            first_malformed=found[table].first_malformed,
            doubtful=found[table].doubtful,
            first_doubtful=found[table].first_doubtful,
        )
        for table, one in report.tables.items()
    }
    return replace(report, tables=tables)


def to_json(report: ImportReport) -> dict[str, Any]:
    """Return a report as JSON values: persons, tables with their columns, and oddities of identities."""
    tables = {table: dataclasses.asdict(one) for table, one in report.tables.items()}
    return {"persons": report.persons, "tables": tables, "identity": dataclasses.asdict(report.identity)}


def keep(folder: Path, report: ImportReport, manifest: Path | None = None) -> None:
    """Write a report into its edition's folder, with the path of the manifest if it was read from a file."""
    written = to_json(report) | {"manifest": None if manifest is None else str(manifest.resolve())}
    (folder / FILE).write_text(json.dumps(written), encoding="utf-8")


def kept(folder: Path) -> dict[str, Any] | None:
    """Return the report of an edition, or None if it was imported by a version that kept none, or cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found
