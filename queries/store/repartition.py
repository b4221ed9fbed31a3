"""Repartition: the parts of an edition -> another number of parts, without importing again.

The persons of all parts stand one after the other: those of part 0, then those of part 1, and so on. The new parts are
ranges of that row of persons, of equal length up to one person. Each numbers its persons from 0 again. A person's
events keep their order, so that the first ones stay the first ones, and every query gets the same cells.

Nothing is taken on trust. Before, each file has to be what the list says. Afterwards, both lists are read from end to
end: laid one after the other, the new parts have to be the old ones, in every column of every row, in the same order.
Therefore no person is lost, is in two parts or has other events, whatever went wrong in between. Only then does the
caller put the new list in the old one's place (`parts.keep`).

DuckDB copies and nothing is sorted, so that the work fits into any memory limit that queries fit into.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from queries.catalog import parts
from queries.catalog.parts import Parts
from queries.catalog.schema import PERSON, PERSONS
from queries.contribution.person_order import is_ordered
from queries.errors import ImportFailed
from queries.store import layout
from queries.store.encoding import name, text
from queries.store.inspection import attached, persons_of, require_sound
from queries.store.sources import run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from queries.store.ingest import Progress

    Shape = dict[str, tuple[tuple[str, str], ...]]  # table -> (column, type of DuckDB) in their order

TEMPORARY = ".repartition"  # a folder for what DuckDB does not hold in memory
BATCH_ROWS = 1_000_000
_OURS = re.compile(r"((?:store|part-[0-9]{4}-[0-9a-f]{16})\.duckdb)(?:\.wal|\.tmp)?")


@dataclass(frozen=True)
class Contents:
    """What the parts of a list hold, laid one after the other. Two lists with equal contents answer alike.

    `columns` has a hash of all codes of each column in their order, persons numbered through all parts. `dictionaries`
    has a hash of the texts of each undeclared category.
    """

    persons: int
    rows: Mapping[str, int]
    columns: Mapping[tuple[str, str, str], str]
    dictionaries: Mapping[str, str]


def repartition(
    folder: Path, present: Parts, into: int, *, memory_limit: str, threads: int, progress: Progress
) -> Parts:
    """Write an edition's persons into `into` new files beside its present ones, and return their list.

    The present files stay as they are. Raises ImportFailed (a part is damaged, missing or of another edition; the new
    parts would not hold the same), and then leaves nothing behind.
    """
    require_sound(folder, present, progress)
    listed = parts.new_name()
    files = [folder / parts.file_of(listed, number) for number in range(into)]
    try:
        with _connected(folder, memory_limit, threads) as connection:
            before = contents(connection, [folder / part.file for part in present.parts], progress, "reading the parts")
            old = _sizes(connection, folder, present)
            for number, file in enumerate(files):
                progress("writing parts", number / into)
                _write(connection, old, _range_of(before.persons, number, into), file, (listed, number))
            progress("writing parts", 1.0)
            after = contents(connection, files, progress, "comparing the new parts with the old ones")
        _require_equal(before, after)
        return Parts(listed, tuple(parts.described(number, file) for number, file in enumerate(files)))
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        delete(files)
        raise ImportFailed(f"the parts cannot be made anew, and nothing was changed: {error}") from error
    except BaseException:
        delete(files)
        raise


def leftovers(folder: Path, kept: Parts) -> list[Path]:
    """Return what a killed repartition left in an edition's folder: what the list of its parts does not name."""
    named = {part.file for part in kept.parts}
    found = []
    for path in folder.iterdir():
        ours = _OURS.fullmatch(path.name)
        if path.name in {TEMPORARY, f".{parts.FILE}"} or (ours is not None and ours[1] not in named):
            found.append(path)
    return sorted(found)


def delete(paths: Iterable[Path]) -> None:
    """Delete files and folders, with what DuckDB keeps beside a file, as far as that is possible."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
        for file in (path, path.with_name(f"{path.name}.wal")):
            with suppress(OSError):
                file.unlink(missing_ok=True)


@contextmanager
def _connected(folder: Path, memory_limit: str, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    temporary = folder / TEMPORARY
    try:
        with duckdb.connect(
            ":memory:",
            config={
                "memory_limit": memory_limit,
                "threads": threads,
                "temp_directory": str(temporary),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": True,
            },
        ) as connection:
            yield connection
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# Writing


@dataclass(frozen=True)
class _Old:
    """A present part, and which numbers its persons have when all parts stand one after the other."""

    file: Path
    persons: range


def _sizes(connection: duckdb.DuckDBPyConnection, folder: Path, present: Parts) -> list[_Old]:
    found, start = [], 0
    for part in present.parts:
        with attached(connection, folder / part.file, "part"):
            persons = persons_of(connection)
        found.append(_Old(folder / part.file, range(start, start + persons)))
        start += persons
    return found


def _range_of(persons: int, number: int, into: int) -> range:
    """Return which persons a new part gets."""
    return range(persons * number // into, persons * (number + 1) // into)


def _write(
    connection: duckdb.DuckDBPyConnection, old: Sequence[_Old], persons: range, file: Path, mark: tuple[str, int]
) -> None:
    """Write one new part: the tables of its persons, whole dictionaries, and the mark."""
    with attached(connection, file, "made", new=True):
        # A part without persons has the tables of the first part, empty.
        wanted = [one for one in old if max(one.persons.start, persons.start) < min(one.persons.stop, persons.stop)]
        for place, one in enumerate(wanted or old[:1]):
            with attached(connection, one.file, "part"):
                for table, columns in _shape(connection).items():
                    if _has_persons(columns):
                        _copy(connection, table, dict(columns), one.persons.start, persons, first=place == 0)
                    elif place == 0:
                        run(connection, f"CREATE TABLE made.{name(table)} AS SELECT * FROM part.{name(table)}")
        run(connection, f"CREATE TABLE made.{name(parts.MARK)} AS SELECT {text(mark[0])} AS list, {mark[1]} AS number")
        run(connection, "CHECKPOINT made")


def _copy(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    start: int,
    persons: range,
    *,
    first: bool,
) -> None:
    """Copy the rows of a range of persons from a part, whose first person is the `start`-th of all."""
    chosen = (
        f"SELECT * REPLACE (({PERSON} + {start - persons.start})::INTEGER AS {PERSON}) FROM part.{name(table)} "
        f"WHERE {PERSON} >= {persons.start - start} AND {PERSON} < {persons.stop - start}"
    )
    into = f"made.{name(table)}"
    if first:
        layout.create(partial(run, connection), into, columns, chosen)
    else:
        run(connection, f"INSERT INTO {into} {chosen}")


def _shape(connection: duckdb.DuckDBPyConnection) -> Shape:
    """Return the tables of the part that is attached, without its mark."""
    found: Shape = {}
    for table, column, of_type in run(
        connection,
        "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'part' "
        f"AND table_name <> {text(parts.MARK)} ORDER BY table_name, column_index",
    ):
        found[table] = (*found.get(table, ()), (column, of_type))
    return found


def _has_persons(columns: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a table has rows of persons. Others are dictionaries."""
    return columns[0][0] == PERSON


# Comparing


def contents(connection: duckdb.DuckDBPyConnection, files: Sequence[Path], progress: Progress, step: str) -> Contents:
    """Read parts from end to end. Raises ImportFailed unless each is ordered and all have the same tables and texts."""
    reading = _Reading(connection)
    for place, file in enumerate(files):
        progress(step, place / len(files))
        with attached(connection, file, "part"):
            reading.take(file.name)
    progress(step, 1.0)
    return reading.contents()


def _require_equal(before: Contents, after: Contents) -> None:
    if before != after:
        raise ImportFailed("the new parts do not hold what the old ones hold; nothing was changed")


class _Reading:
    """The contents of parts while they are read one after the other."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._persons = 0
        self._shape: Shape | None = None
        self._rows: dict[str, int] = {}
        self._hashes: dict[tuple[str, str, str], Any] = {}
        self._dictionaries: dict[str, str] = {}

    def take(self, file: str) -> None:
        """Read the attached part to its end."""
        shape = _shape(self._connection)
        if self._shape not in (None, shape):
            raise ImportFailed(f"{file} has other tables or columns than the other parts; nothing was changed")
        self._shape = shape
        persons = persons_of(self._connection)
        for table, columns in shape.items():
            if _has_persons(columns):
                self._take_table(file, table, columns, persons)
            else:
                self._take_dictionary(file, table)
        self._persons += persons

    def contents(self) -> Contents:
        """Return what was read."""
        columns = {place: found.hexdigest() for place, found in self._hashes.items()}
        return Contents(self._persons, dict(self._rows), columns, dict(self._dictionaries))

    def _take_table(self, file: str, table: str, columns: tuple[tuple[str, str], ...], persons: int) -> None:
        hashes = [self._hashes.setdefault((table, *column), hashlib.sha256()) for column in columns]
        last, rows = 0, 0
        for batch in self._connection.sql(f"SELECT * FROM part.{name(table)}").to_arrow_reader(BATCH_ROWS):
            person, *codes = [column.to_numpy(zero_copy_only=True) for column in batch.columns]
            if not len(person):
                continue
            if not is_ordered(person, last) or person[-1] >= persons:
                raise ImportFailed(f"{table} in {file} is not ordered by person; nothing was changed")
            if table == PERSONS and not np.array_equal(person, np.arange(rows, rows + len(person))):
                raise ImportFailed(f"{file} does not number its persons from 0, each once; nothing was changed")
            last, rows = int(person[-1]), rows + len(person)
            for found, column in zip(hashes, (person.astype(np.int64) + self._persons, *codes), strict=True):
                found.update(np.ascontiguousarray(column))
        self._rows[table] = self._rows.get(table, 0) + rows

    def _take_dictionary(self, file: str, table: str) -> None:
        found = hashlib.sha256()
        select = f'SELECT "code", "value" FROM part.{name(table)} ORDER BY "code", "value"'
        for batch in self._connection.sql(select).to_arrow_reader(BATCH_ROWS):
            for code, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found.update(f"{code} {value!r}\n".encode("utf-8", "surrogatepass"))
        if self._dictionaries.setdefault(table, found.hexdigest()) != found.hexdigest():
            raise ImportFailed(f"{file} has other texts of {table} than the other parts; nothing was changed")
