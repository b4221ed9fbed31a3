"""A made-up store: what a rehearsal runs on instead of anybody's data.

It has the tables, columns, code types and dictionaries that an import makes (`ingest.py`). Its content follows from the
catalog only: which codes exist, and how many persons there may be. The real store is not read, not even its size, so
an answer from it reveals nothing about anybody and costs nothing.

Every value is a fixed function of its position (`mixed` of a person's or row's number and a name), so that two
servers, or one server before and after a restart, rehearse on the same data. No random number is drawn.
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa

from queries.catalog.codes import code_type
from queries.catalog.schema import PERSON, PERSONS, Kind
from queries.errors import EngineFailed
from queries.execution.duckdb import Store, dictionary
from queries.execution.engine import LocalEngine
from queries.execution.event_numbers import numbered
from queries.store.encoding import name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from queries.catalog.schema import Column, Dataset, Table

    Numbers = NDArray[np.uint64]

PERSONS_MADE = 4_000  # fewer if the catalog allows fewer
EVENTS_MOST = 9  # of one person in one table; the average is half of it
ONE_IN_NULL = 12  # of a nullable column's values
TEXTS = 20  # of an undeclared category
STORED = {"UTINYINT": np.uint8, "USMALLINT": np.uint16, "UINTEGER": np.uint32, "BIGINT": np.int64}


def engine(dataset: Dataset, *, memory_limit: str, query_seconds: float, persons: int = PERSONS_MADE) -> LocalEngine:
    """Return an engine over a made-up store of the dataset's catalog. Raises EngineFailed.

    The file is deleted once it is open; on Linux it stays readable. Each process has its own file, nothing is written
    to the home, and nothing is left behind.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rowless-rehearsal-") as folder:
            file = Path(folder) / "store.duckdb"
            build(dataset, file, persons)
            opened = LocalEngine([Store(file, memory_limit=memory_limit, threads=1, query_seconds=query_seconds)])
            opened.open()
            return opened
    except (duckdb.Error, OSError) as error:
        raise EngineFailed("the made-up store cannot be made") from error


def build(dataset: Dataset, path: Path, persons: int = PERSONS_MADE) -> None:
    """Write the made-up store of a catalog to a new file."""
    persons = min(persons, dataset.persons_max)
    everybody = np.arange(persons, dtype=np.uint64)
    attributes = _columns(dataset.tables[PERSONS].columns, everybody, PERSONS)
    made = [name for name, table in dataset.tables.items() if not table.one_row_per_person]
    events = {table: (mixed(everybody, table) % np.uint64(EVENTS_MOST + 1)).astype(np.uint32) for table in made}
    with duckdb.connect(str(path), config={"threads": 1}) as connection:
        for table in dataset.tables.values():
            if table.one_row_per_person:
                person, columns = everybody, attributes | {numbered(name): many for name, many in events.items()}
            else:
                person = np.repeat(everybody, events[table.name])
                own = {name: column for name, column in table.columns.items() if not column.of_person}
                rows = np.arange(len(person), dtype=np.uint64)
                repeated = {name: codes[person] for name, codes in attributes.items()}
                columns = repeated | _columns(own, rows, table.name)
            _write(connection, table.name, pa.table({PERSON: person.astype(np.int32), **columns}))
            _write_dictionaries(connection, table)


def _columns(columns: Mapping[str, Column], rows: Numbers, table: str) -> dict[str, NDArray[np.integer]]:
    return {name: made_up_codes(column, rows, f"{table}.{name}") for name, column in columns.items()}


def made_up_codes(column: Column, rows: Numbers, place: str) -> NDArray[np.integer]:
    """Return a made-up code for each row: any that the catalog allows, small ones more often, as in most real columns.

    Each code is a uniform number below a uniform number below `size`: scaled to 0..1, the density at x is -ln x. Only
    days are spread evenly.
    """
    size = np.uint64(column.size if column.declared else TEXTS)
    below = np.full_like(rows, size)
    if column.kind is not Kind.DATE:
        below = np.uint64(1) + mixed(rows, f"{place} below") % size
    codes = np.uint64(1) + mixed(rows, place) % below
    if column.nullable:
        codes[mixed(rows, f"{place} null") % np.uint64(ONE_IN_NULL) == 0] = 0
    return codes.astype(STORED[code_type(column)])


def made_up_text(code: int) -> str:
    """Return the text of a code of an undeclared category."""
    return f"made-up {code}"


def mixed(numbers: Numbers, salt: str) -> Numbers:
    """Return numbers that look like chance (the finalizer of SplitMix64, Steele and others 2014), for a salt."""
    # Row numbers stay below 2^32, so that no two salts share a number.
    mixed = (numbers + np.uint64(zlib.crc32(salt.encode()) << 32)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _write_dictionaries(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Give the codes of undeclared categories their texts, as the import does."""
    for column in table.columns.values():
        # Dictionaries of persons' attributes stand only beside the table of persons.
        if column.declared or (column.of_person and not table.one_row_per_person):
            continue
        texts = [made_up_text(code) for code in range(1, TEXTS + 1)]
        content = {
            "code": np.arange(1, TEXTS + 1, dtype=np.uint32),
            "value": pa.array(texts, pa.string()),
        }
        _write(connection, dictionary(table.name, column), pa.table(content))


def _write(connection: duckdb.DuckDBPyConnection, table: str, content: pa.Table) -> None:
    connection.register("content", content)
    connection.execute(f"CREATE TABLE {name(table)} AS SELECT * FROM content").fetchall()
    connection.unregister("content")
