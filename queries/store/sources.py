"""Import, first step: source files -> relations of the staging database, to be numbered and coded (`ingest.py`)."""

from __future__ import annotations

import itertools
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from queries.catalog.source import Files
from queries.errors import ManifestError, all_of
from queries.store.encoding import name, text
from queries.store.files import ROWS_MAX, placed
from queries.store.text.delimited import Delimited, Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from queries.catalog.source import Source
    from queries.store.files import File

    # (a description of the work) -> a context whose value reports the progress, from 0 to 1
    Step = Callable[[str], AbstractContextManager[Callable[[float], None]]]

# A name of our own; no public name contains a #. It is the place of a row (`files.py`).
ROW = '"#row"'
_FEED = "feed"
_NUMBERS = {"file_row_number", "file_index"}  # columns that DuckDB adds, unless a file has them
OTHER_DELIMITERS = (";", "\t", "|")


@dataclass(frozen=True)
class Staged:
    """A source as a view or table of the staging database, with the DuckDB type of each wanted column.

    Its columns have the names that the manifest uses. `found` reports what else the lines of CSV files held: the sums
    over all files, and the first places (`files.py`).
    """

    relation: str
    types: Mapping[str, str]
    found: Found
    files: Sequence[File]


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement to its end: DuckDB 2 refuses a next one while a result is unread."""
    return connection.execute(sql).fetchall()


def stage(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    source: Source,
    files: Sequence[File],
    wanted: Mapping[str, str],
    step: Step,
    first: int = 0,
) -> Staged:
    """Make files of a source readable under a fixed name, with a row number that does not change between scans.

    `wanted` has the place in the manifest of each source column that it names. Nothing else is read, so that columns
    without a name, or with the same as another, matter only where they are wanted. `first` is the number of the first
    of the files among all of the source.

    Raises ManifestError (no such column, or several, or of several types), ImportFailed (a file cannot be read).
    """
    found = Found()
    match files[0].kind:
        case Files.PARQUET:
            _stage_parquet(connection, relation, files, wanted, first)
        case Files.CSV | Files.TSV:
            for number, file in enumerate(files):
                with step(f"reading {file.called or file.path.name}") as progress:
                    read = _stage_csv(connection, relation, source, file, wanted, progress, first + number)
                    found = merged_lines(found, read, (first + number) * ROWS_MAX)
        case Files.DUCKDB:
            _stage_table(connection, relation, source, wanted)
    types = {str(row[0]): str(row[1]) for row in run(connection, f"DESCRIBE {relation}")}
    return Staged(relation, types, found, files)


def merged_lines(earlier: Found, later: Found, shift: int = 0) -> Found:
    """Return the sums with what a later file held, whose lines are counted from `shift` on."""
    return Found(
        earlier.malformed + later.malformed,
        earlier.first_malformed or (later.first_malformed + shift if later.malformed else 0),
        earlier.doubtful + later.doubtful,
        earlier.first_doubtful or (later.first_doubtful + shift if later.doubtful else 0),
    )


def _stage_table(
    connection: duckdb.DuckDBPyConnection, relation: str, source: Source, wanted: Mapping[str, str]
) -> None:
    """Make a table of a DuckDB file readable, or a view of it.

    Rows are counted anew where some were deleted, because their numbers stay unused, or a column hides the numbers. A
    view is computed once and kept, because it may give its rows in another order each time.
    """
    table, is_view = _attached(connection, relation, source)
    with _within(connection, f"{relation}_db"):
        fields = fields_of(connection.sql(f"SELECT * FROM {table}"))
    places = resolve([one.path for one in fields], wanted)
    selected = "".join(f"{fields[at].sql} AS {name(column)}, " for column, at in places.items())
    number = "row_number() OVER () - 1"
    if not is_view and "rowid" not in {one.path.lower() for one in fields}:
        ((dense,),) = run(connection, f"SELECT count(*) = coalesce(max(rowid) + 1, 0) FROM {table}")
        number = "rowid" if dense else "row_number() OVER (ORDER BY rowid) - 1"
    select = f"SELECT {selected}{number} AS {ROW} FROM {table}"
    if not is_view:
        run(connection, f"CREATE VIEW {relation} AS {select}")
        return
    with _within(connection, f"{relation}_db") as staging:
        run(connection, f"CREATE TABLE {staging}.main.{relation} AS {select}")


@contextmanager
def _within(connection: duckdb.DuckDBPyConnection, database: str) -> Iterator[str]:
    """Find names in a database first, because its views name its tables as they did there. Yields the one before."""
    ((before,),) = run(connection, "SELECT current_database()")
    run(connection, f"USE {database}")
    try:
        yield name(str(before))
    finally:
        run(connection, f"USE {name(str(before))}")


def tables_of(connection: duckdb.DuckDBPyConnection, path: Path, database: str) -> list[tuple[str, str, bool]]:
    """Attach a DuckDB file under a name. Return its tables and views: schema, name, whether it is a view."""
    run(connection, f"ATTACH {text(str(path))} AS {database} (READ_ONLY)")
    listed = run(
        connection,
        "SELECT schema_name, table_name, false FROM duckdb_tables() WHERE database_name = "
        f"{text(database)} UNION ALL SELECT schema_name, view_name, true FROM duckdb_views() WHERE database_name = "
        f"{text(database)} AND NOT internal ORDER BY ALL",
    )
    return [(str(schema), str(table), bool(is_view)) for schema, table, is_view in listed]


def _attached(connection: duckdb.DuckDBPyConnection, relation: str, source: Source) -> tuple[str, bool]:
    """Attach a source's database. Return the quoted name of its table, and if it is a view. Raises ManifestError."""
    database = f"{relation}_db"
    listed = tables_of(connection, source.paths[0], database)
    schema = source.schema or "main"
    for found, table, is_view in listed:
        if found.lower() == schema.lower() and table.lower() == (source.table or "").lower():
            return f"{database}.{name(found)}.{name(table)}", is_view
    there = ", ".join(f"{table}" if found == "main" else f"{table} (schema {found})" for found, table, _ in listed)
    raise ManifestError(
        f"{source.place}.table",
        f"{source.paths[0].name} has no table or view {source.table} in the schema {schema}; it has {there or 'none'}",
    )


@dataclass(frozen=True)
class Field:
    """A column of a source, or a field within one (`patient.birth.date`), with SQL for it and its type.

    SQL is None for a column that only the names of its folders tell.
    """

    path: str
    sql: str | None
    type: str


def fields_of(relation: duckdb.DuckDBPyRelation) -> list[Field]:
    """Return the columns of a relation in their order, and after them the fields of those that are structs.

    A list or a map within is one value and has no fields: one row is one event.
    """
    columns = list(zip(relation.columns, relation.types, strict=True))
    fields = [Field(column, name(column), str(of)) for column, of in columns]
    for column, of in columns:
        fields += _nested(column, name(column), of)
    return fields


def _nested(path: str, sql: str, of: DuckDBPyType) -> Iterator[Field]:
    if of.id != "struct":
        return
    for child, inner in of.children:
        assert isinstance(inner, DuckDBPyType)
        below, read = f"{path}.{child}", f"struct_extract({sql}, {text(child)})"
        yield Field(below, read, str(inner))
        yield from _nested(below, read, inner)


def resolve(columns: Sequence[str], wanted: Mapping[str, str], called: str = "") -> dict[str, int]:
    """Return at which place of a source's file each wanted column stands. `called` is the file's name, if it has one.

    Names are compared without surrounding blanks. Raises ManifestError, with the place of the manifest, if there is no
    such column, or if several differ only in case, because choosing one would be a guess.
    """
    said = called or "the source"
    by_name: dict[str, list[int]] = {}
    for at, column in enumerate(columns):
        by_name.setdefault(column.strip().lower(), []).append(at)
    places, wrong = {}, []
    for column, place in wanted.items():
        named = by_name.get(column.strip().lower(), [])
        if len(named) > 1:
            clashing = " and ".join(columns[at].strip() for at in named)
            wrong.append(
                ManifestError(
                    place,
                    f"is ambiguous: {said} has the columns {clashing}, whose names are the same but for case; "
                    f"rename them in {said}",
                )
            )
        elif not named or columns[named[0]].strip() != column.strip():
            known = ", ".join(column.strip() for column in columns if column.strip())
            wrong.append(ManifestError(place, f"{said} has no column {column}; it has {known}{_hint(columns)}"))
        else:
            places[column] = named[0]
    if wrong:
        raise all_of(wrong)
    return places


def _hint(columns: Sequence[str]) -> str:
    """Return what to write where one column seems to be a whole line whose columns another character separates."""
    found = [mark for mark in OTHER_DELIMITERS if len(columns) == 1 and mark in columns[0]]
    return f". This looks like one line: write delimiter = {json.dumps(found[0])} beside source" if found else ""


@dataclass(frozen=True)
class _Shape:
    """How a Parquet file is read: SQL for each wanted column with its type, and whether a column hides row numbers.

    SQL is None for a column that only the names of its folders tell.
    """

    selected: Mapping[str, str | None]
    types: Mapping[str, str]
    hides_numbers: bool


def _stage_parquet(
    connection: duckdb.DuckDBPyConnection, relation: str, files: Sequence[File], wanted: Mapping[str, str], first: int
) -> None:
    """Make a view of Parquet files. Neighbours that are alike are read at once."""
    shapes = [_shape(connection, file, wanted) for file in files]
    for file, shape in zip(files, shapes, strict=True):
        require_same_types((files[0], shapes[0].types), (file, shape.types), wanted)
    selects, number = [], 0
    for shape, group in itertools.groupby(zip(shapes, files, strict=True), lambda one: one[0]):
        alike = [file for _, file in group]
        alone = [[file] for file in alike] if shape.hides_numbers else [alike]
        for together in alone:
            selects.append(_select(shape, together, first + number))
            number += len(together)
    run(connection, f"CREATE VIEW {relation} AS {' UNION ALL '.join(selects)}")


def require_same_types(
    one: tuple[File, Mapping[str, str]], other: tuple[File, Mapping[str, str]], wanted: Mapping[str, str]
) -> None:
    """Raise ManifestError, with the place of the manifest, if a column has two types in two files of a source."""
    for column, place in wanted.items():
        types = one[1][column], other[1][column]
        if types[0] != types[1]:
            raise ManifestError(
                place,
                f"{column} is {types[0]} in {one[0].called} and {types[1]} in {other[0].called}; "
                "write all files of a source with the same types",
            )


def _shape(connection: duckdb.DuckDBPyConnection, file: File, wanted: Mapping[str, str]) -> _Shape:
    """Return how a file is read. DuckDB renames columns whose names clash, so they are found by their place."""
    fields = _fields_of_parquet(connection, file)
    places = resolve([one.path for one in fields], wanted, file.called)
    hides = any(one.sql is not None and one.path.lower() in _NUMBERS for one in fields)
    found = {column: fields[at] for column, at in places.items()}
    return _Shape(
        {column: one.sql for column, one in found.items()}, {column: one.type for column, one in found.items()}, hides
    )


def _fields_of_parquet(connection: duckdb.DuckDBPyConnection, file: File) -> list[Field]:
    """Return the columns of a file as they are named in it, the fields within them, and what its folders tell."""
    path = _escaped(file.path)
    schema = run(connection, f"SELECT name, num_children FROM parquet_schema({path})")
    given, at = [], 1
    while at < len(schema):
        given.append(str(schema[at][0]))
        at = _after(schema, at)
    fields = fields_of(connection.sql(f"SELECT * FROM {_read([path])}"))
    named = [replace(one, path=path) for one, path in zip(fields, given, strict=False)] + fields[len(given) :]
    return [*named, *_fields_of_folders(file, {one.path for one in named})]


def _fields_of_folders(file: File, taken: set[str]) -> list[Field]:
    return [Field(column, None, "VARCHAR") for column in file.partition if column not in taken]


def fields_in(connection: duckdb.DuckDBPyConnection, relation: str, source: Source, file: File) -> list[Field]:
    """Return what can be read of a file, from its header alone. A DuckDB file is attached under a name of `relation`.

    Raises ManifestError (no such table), ImportFailed (no header in the declared encoding).
    """
    match file.kind:
        case Files.PARQUET:
            return _fields_of_parquet(connection, file)
        case Files.CSV | Files.TSV:
            names = _delimited(source, file).names
            return [*(Field(one, one, "VARCHAR") for one in names), *_fields_of_folders(file, set(names))]
        case Files.DUCKDB:
            table, _ = _attached(connection, relation, source)
            with _within(connection, f"{relation}_db"):
                return fields_of(connection.sql(f"SELECT * FROM {table}"))


def _delimited(source: Source, file: File) -> Delimited:
    delimiter = source.delimiter or file.kind.delimiter
    return Delimited(file.path, delimiter=delimiter, encoding=source.encoding, called=file.called)


def _select(shape: _Shape, files: Sequence[File], first: int) -> str:
    """Return SELECT of the wanted columns and the place of each row. `first` is the number of the first file."""
    selected = "".join(
        f"{_of_folders(files, wanted) if column is None else column} AS {name(wanted)}, "
        for wanted, column in shape.selected.items()
    )
    row = "row_number() OVER () - 1" if shape.hides_numbers else "file_row_number"
    at = placed(first, row)
    if len(files) > 1:
        at = f"file_index::BIGINT * {ROWS_MAX} + {at}"
    return f"SELECT {selected}{at} AS {ROW} FROM {_read([_escaped(file.path) for file in files])}"


def _of_folders(files: Sequence[File], column: str) -> str:
    """Return SQL for a column that the names of folders tell: one text for each file."""
    texts = [_text_or_null(file.partition[column.strip()]) for file in files]
    return texts[0] if len(set(texts)) == 1 else f"[{', '.join(texts)}][file_index::BIGINT + 1]"


def _text_or_null(value: str | None) -> str:
    return "NULL::VARCHAR" if value is None else f"{text(value)}::VARCHAR"


def _read(paths: Sequence[str]) -> str:
    # The engine would put what the names of folders tell (year=2024) in place of a column of the file.
    return f"read_parquet([{', '.join(paths)}], hive_partitioning = false)"


def _escaped(path: Path) -> str:
    """Return SQL for the path of one file: without the marks by which the engine would also find others."""
    return text(re.sub(r"[\[*?]", r"[\g<0>]", str(path)))


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
    read: File,
    wanted: Mapping[str, str],
    progress: Callable[[float], None],
    number: int,
) -> Found:
    """Copy the wanted columns of a CSV file into the staging database, as texts; add to the table that is there."""
    file = _delimited(source, read)
    of_folders = (one.path for one in _fields_of_folders(read, set(file.names)))
    places = resolve([*file.names, *of_folders], wanted, read.called)
    at = sorted({place for place in places.values() if place < len(file.names)})
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
    given = {
        column: name(str(at.index(slot))) if slot in at else _text_or_null(read.partition[column.strip()])
        for column, slot in places.items()
    }
    selected = "".join(f"{sql} AS {name(column)}, " for column, sql in given.items())
    columns = "".join(f"{name(column)} VARCHAR, " for column in places)
    run(connection, f"CREATE TABLE IF NOT EXISTS {relation} ({columns}{ROW} BIGINT)")
    try:
        run(connection, f"INSERT INTO {relation} SELECT {selected}{placed(number, 'line')} FROM {_FEED}")
    except duckdb.Error:
        if failed:
            raise failed[0] from None
        raise
    finally:
        connection.unregister(_FEED)
    return file.found
