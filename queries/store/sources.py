"""Import, first step: source files -> relations of the staging database, to be numbered and coded (`ingest.py`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from queries.errors import ManifestError
from queries.store.delimited import Delimited, Found
from queries.store.encoding import name, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from queries.catalog.manifest import Source

    # (a description of the work) -> a context whose value reports the progress, from 0 to 1
    Step = Callable[[str], AbstractContextManager[Callable[[float], None]]]

# A name of our own; no public name contains a #. It numbers a source's rows in their order: for CSV it is the line of
# the file on which a row began.
ROW = '"#row"'
_FEED = "feed"
OTHER_DELIMITERS = (";", "\t", "|")


@dataclass(frozen=True)
class Staged:
    """A source as a view or table of the staging database, with the DuckDB type of each wanted column.

    Its columns have the names that the manifest uses. `found` reports what else a CSV file's lines held.
    """

    relation: str
    types: Mapping[str, str]
    found: Found


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement to its end: DuckDB 2 refuses a next one while a result is unread."""
    return connection.execute(sql).fetchall()


def stage(
    connection: duckdb.DuckDBPyConnection, relation: str, source: Source, wanted: Mapping[str, str], step: Step
) -> Staged:
    """Make a source readable under a fixed name, with a row number that does not change between scans.

    `wanted` has the place in the manifest of each source column that it names. Nothing else is read, so that columns
    without a name, or with the same as another, matter only where they are wanted.

    Raises ManifestError (no such file or column, or several), ImportFailed (it cannot be read).
    """
    path = source.path
    if not path.is_file():
        raise ManifestError(f"{source.place}.source", f"there is no file {path}")
    found = Found()
    match path.suffix.lower():
        case ".parquet":
            _stage_parquet(connection, relation, text(str(path)), wanted)
        case ".csv":
            with step(f"reading {path.name}") as progress:
                found = _stage_csv(connection, relation, source, wanted, progress)
        case _:
            run(connection, f"ATTACH {text(str(path))} AS {relation}_db (READ_ONLY)")
            table = f"{relation}_db.{name(source.table or '')}"
            columns = [str(row[0]) for row in run(connection, f"DESCRIBE {table}")]
            places = resolve(columns, wanted)
            selected = "".join(f"{name(columns[at])} AS {name(column)}, " for column, at in places.items())
            run(connection, f"CREATE VIEW {relation} AS SELECT {selected}rowid AS {ROW} FROM {table}")
    types = {str(row[0]): str(row[1]) for row in run(connection, f"DESCRIBE {relation}")}
    return Staged(relation, types, found)


def resolve(columns: Sequence[str], wanted: Mapping[str, str]) -> dict[str, int]:
    """Return at which place of the source each wanted column stands.

    Names are compared without surrounding blanks. Raises ManifestError, with the place of the manifest, if there is no
    such column, or if several differ only in case, because choosing one would be a guess.
    """
    by_name: dict[str, list[int]] = {}
    for at, column in enumerate(columns):
        by_name.setdefault(column.strip().lower(), []).append(at)
    places = {}
    for column, place in wanted.items():
        named = by_name.get(column.strip().lower(), [])
        if len(named) > 1:
            clashing = " and ".join(columns[at].strip() for at in named)
            raise ManifestError(
                place,
                f"is ambiguous: the source has the columns {clashing}, whose names are the same but for case; "
                "rename them in the source",
            )
        if not named or columns[named[0]].strip() != column.strip():
            known = ", ".join(column.strip() for column in columns if column.strip())
            raise ManifestError(place, f"the source has no column {column}; it has {known}{_hint(columns)}")
        places[column] = named[0]
    return places


def _hint(columns: Sequence[str]) -> str:
    """Return what to write where one column seems to be a whole line whose columns another character separates."""
    found = [mark for mark in OTHER_DELIMITERS if len(columns) == 1 and mark in columns[0]]
    return f". This looks like one line: write delimiter = {json.dumps(found[0])} beside source" if found else ""


def _stage_parquet(connection: duckdb.DuckDBPyConnection, relation: str, path: str, wanted: Mapping[str, str]) -> None:
    """Make a view of a Parquet file. DuckDB renames columns whose names clash, so they are found by their place."""
    schema = run(connection, f"SELECT name, num_children FROM parquet_schema({path})")
    given, at = [], 1
    while at < len(schema):
        given.append(str(schema[at][0]))
        at = _after(schema, at)
    here = [str(row[0]) for row in run(connection, f"DESCRIBE SELECT * FROM read_parquet({path})")]
    places = resolve(given, wanted)
    selected = "".join(f"{name(here[at])} AS {name(column)}, " for column, at in places.items())
    if "file_row_number" in {column.lower() for column in here}:
        number, option = "row_number() OVER ()", ""
    else:
        number, option = "file_row_number", ", file_row_number = true"
    run(
        connection,
        f"CREATE VIEW {relation} AS SELECT {selected}{number} AS {ROW} FROM read_parquet({path}{option})",
    )


def _after(schema: Sequence[tuple[Any, ...]], at: int) -> int:
    """Return the place after a column and all its nested columns, in a Parquet schema listed depth first."""
    children, at = schema[at][1] or 0, at + 1
    for _ in range(children):
        at = _after(schema, at)
    return at


def _stage_csv(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    source: Source,
    wanted: Mapping[str, str],
    progress: Callable[[float], None],
) -> Found:
    """Copy the wanted columns of a CSV file into the staging database, as texts."""
    file = Delimited(source.path, delimiter=source.delimiter, encoding=source.encoding)
    places = resolve(file.names, wanted)
    at = sorted(set(places.values()))
    schema = pa.schema([*((str(slot), pa.utf8()) for slot in range(len(at))), ("line", pa.int64())])
    failed: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        """Keep the error, because DuckDB reduces it to one text."""
        try:
            yield from file.batches(at, progress)
        except BaseException as error:
            failed.append(error)
            raise

    connection.register(_FEED, pa.RecordBatchReader.from_batches(schema, batches()))
    selected = "".join(f"{name(str(at.index(place)))} AS {name(column)}, " for column, place in places.items())
    try:
        run(connection, f"CREATE TABLE {relation} AS SELECT {selected}line AS {ROW} FROM {_FEED}")
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    finally:
        connection.unregister(_FEED)
    return file.found
