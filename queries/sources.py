"""Import, first step: source files -> relations of the staging database, to be numbered and coded (`store.py`)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.coding import name, text
from queries.errors import ImportFailed, ManifestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import duckdb

    from queries.manifest import Source

    # What is being done -> reports its progress while it runs.
    Step = Callable[[str], AbstractContextManager[None]]

# A name of our own beside those of sources; no public name has a #. It counts a source's rows in their order.
ROW = '"#row"'


@dataclass(frozen=True)
class Staged:
    """A source as a view or table of the staging database, with the DuckDB type of each of its columns."""

    relation: str
    types: Mapping[str, str]
    malformed: int


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement to its end: DuckDB 2 refuses a next one while a result is unread."""
    return connection.execute(sql).fetchall()


def stage(connection: duckdb.DuckDBPyConnection, relation: str, source: Source, step: Step) -> Staged:
    """Make a source readable under a fixed name, with a row number that does not change between scans.

    Raises ManifestError (no such file or column), ImportFailed (it cannot be read).
    """
    path = source.path
    if not path.is_file():
        raise ManifestError(f"{source.place}.source", f"there is no file {path}")
    malformed = 0
    match path.suffix.lower():
        case ".parquet":
            run(connection, f"CREATE VIEW {relation} AS {_parquet(connection, text(str(path)))}")
        case ".csv":
            with step(f"reading {path.name}"):
                malformed = _stage_csv(connection, relation, path, source.delimiter)
        case _:
            run(connection, f"ATTACH {text(str(path))} AS {relation}_db (READ_ONLY)")
            table = f"{relation}_db.{name(source.table or '')}"
            run(connection, f"CREATE VIEW {relation} AS SELECT *, rowid AS {ROW} FROM {table}")
    types = {str(row[0]): str(row[1]) for row in run(connection, f"DESCRIBE {relation}")}
    staged = Staged(relation, types, malformed)
    for column in source.person:
        require_column(staged, column, source.person_place)
    for public, source_name in source.columns.items():
        require_column(staged, source_name, f"{source.place}.columns.{public}")
    return staged


def require_column(staged: Staged, source_name: str, place: str) -> None:
    """Raise ManifestError if the source has no such column."""
    if source_name not in staged.types:
        known = ", ".join(column for column in staged.types if name(column) != ROW)
        raise ManifestError(place, f"the source has no column {source_name}; it has {known}")


def _parquet(connection: duckdb.DuckDBPyConnection, path: str) -> str:
    """Return SELECT over a Parquet file with a row number, by name unless the file has a column of that name."""
    columns = {row[0] for row in run(connection, f"DESCRIBE SELECT * FROM read_parquet({path})")}
    if "file_row_number" in columns:
        return f"SELECT *, row_number() OVER () AS {ROW} FROM read_parquet({path})"
    return (
        f"SELECT * EXCLUDE file_row_number, file_row_number AS {ROW} FROM read_parquet({path}, file_row_number = true)"
    )


def _stage_csv(connection: duckdb.DuckDBPyConnection, relation: str, path: Path, delimiter: str) -> int:
    """Copy a CSV file into the staging database as text: no type and no dialect is guessed from the data."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        header = next(csv.reader(lines, delimiter=delimiter), [])
    columns = ", ".join(f"{text(column)}: 'VARCHAR'" for column in header)
    if not header or len(set(header)) != len(header):
        raise ImportFailed(f"{path.name} needs a first line with the names of its columns, each once")
    run(
        connection,
        f"CREATE TABLE {relation} AS SELECT *, row_number() OVER () AS {ROW} FROM read_csv("
        f"{text(str(path))}, header = true, auto_detect = false, columns = {{{columns}}}, "
        f"delim = {text(delimiter)}, quote = '\"', "
        "escape = '\"', ignore_errors = true, store_rejects = true)",
    )
    ((rejected,),) = run(connection, "SELECT count(DISTINCT (file_id, line)) FROM reject_errors")
    run(connection, "DROP TABLE reject_errors")
    run(connection, "DROP TABLE reject_scans")
    return int(rejected)
