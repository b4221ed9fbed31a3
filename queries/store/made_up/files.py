"""Made-up data of a catalog's shape as Parquet files, so that people can write programs before they ask.

What comes in is public: the catalog, the contribution profile if one was bought, and released numbers. The data of the
dataset are not read, not even their size. Therefore the files reveal nothing about anybody, and cost nothing.

Nobody shall take them for data: each file has `made-up` in its name and in its metadata, each person is called
`made-up 1` and so on, and a text beside the files says what they are made of.

Why no synthesis of joint distributions (OpenDP's mbi, as AIM and MST use it): it would have to buy marginals of its own
or rest on many overlapping releases, its values look like data but have no margins, and it brings JAX with a dozen
further packages. To try a program, shares of single columns are enough; for results there are queries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from queries.catalog.schema import PERSON, PERSONS, Kind
from queries.contribution.profile import likely
from queries.store.made_up.rehearsal import EVENTS_MOST, TEXTS, made_up_codes, made_up_text, mixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.catalog.schema import Column, Dataset, Table
    from queries.store.made_up.marginals import Marginal
    from queries.store.made_up.rehearsal import Numbers

    Marginals = Mapping[tuple[str, str], Marginal]  # by table (persons for their attributes) and column

ABOUT = "MADE-UP.txt"
METADATA = b"rowless"
WHAT = (
    "Made-up data, nobody's: no row is of a person, and no result computed from them means anything. They have the "
    "tables, columns and values of the catalog, so that programs can be written and tried. Columns are drawn one by "
    "one: what they have to do with each other is not in them."
)


@dataclass(frozen=True)
class Written:
    """What was written: the rows of each file by its name, and what the values are made of."""

    files: Mapping[str, int]
    made_of: tuple[str, ...]


def file_of(table: str) -> str:
    """Return the name of a table's file."""
    return f"{table}.made-up.parquet"


def write(dataset: Dataset, folder: Path, persons: int, marginals: Marginals, named: Sequence[str]) -> Written:
    """Write a file for each table into a folder that exists, and a text about them. Return what was written.

    `named` says what was used beside the catalog.
    """
    profiled = [f"contribution profile of {table.name}" for table in dataset.tables.values() if _bins(table)]
    made_of = (f"catalog of {dataset.name}", *profiled, *named)
    everybody = np.arange(persons, dtype=np.uint64)
    names = pa.array([made_up_text(number) for number in range(1, persons + 1)], pa.string())
    attributes = _columns(dataset.tables[PERSONS], PERSONS, everybody, marginals)
    files = {}
    for name, table in dataset.tables.items():
        person = np.repeat(np.arange(persons, dtype=np.int32), _events(table, everybody))
        own = {} if name == PERSONS else _columns(table, name, np.arange(len(person), dtype=np.uint64), marginals)
        columns = {PERSON: pa.DictionaryArray.from_arrays(pa.array(person), names)}
        columns |= {
            called: _array(column, attributes[called][person] if column.of_person else own[called])
            for called, column in table.columns.items()
        }
        content = pa.table(columns).replace_schema_metadata({METADATA: _about(made_of)})
        pq.write_table(content, folder / file_of(name))
        files[file_of(name)] = len(person)
    (folder / ABOUT).write_text(f"{WHAT}\n\nMade of: {', '.join(made_of)}.\n", encoding="utf-8")
    return Written(files, made_of)


def rows(dataset: Dataset, persons: int) -> dict[str, int]:
    """Return how many rows each table will have."""
    everybody = np.arange(persons, dtype=np.uint64)
    return {name: int(_events(table, everybody).sum()) for name, table in dataset.tables.items()}


def _about(made_of: Sequence[str]) -> bytes:
    return json.dumps({"made_up": True, "what": WHAT, "made_of": list(made_of)}).encode()


def _events(table: Table, everybody: Numbers) -> NDArray[np.int64]:
    """Return how many rows each person has: as the profile says, or up to a few."""
    if table.one_row_per_person:
        return np.ones(len(everybody), dtype=np.int64)
    bins = _bins(table)
    if not bins:
        return (mixed(everybody, table.name) % np.uint64(EVENTS_MOST + 1)).astype(np.int64)
    first, last, persons = (np.array(part, dtype=np.int64) for part in zip(*bins, strict=True))
    ends = np.cumsum(persons.astype(np.uint64))
    chosen = np.searchsorted(ends, mixed(everybody, f"{table.name} bin") % ends[-1], side="right")
    widths = (last - first + 1).astype(np.uint64)[chosen]
    return np.asarray(first[chosen] + (mixed(everybody, table.name) % widths).astype(np.int64))


def _bins(table: Table) -> list[tuple[int, int, int]]:
    """Return the bins of the profile that have persons, none if it tells of no events: a program needs some rows."""
    found = [] if table.profile is None else [one for one in likely(table.profile.events).bins() if one[2] > 0]
    return found if any(last > 0 for _, last, _ in found) else []


def _columns(table: Table, place: str, rows: Numbers, marginals: Marginals) -> dict[str, NDArray[np.int64]]:
    """Return the codes of a table's own columns, by name."""
    found = {}
    for name, column in table.columns.items():
        if column.of_person and place != PERSONS:
            continue
        marginal = marginals.get((place, name))
        if marginal is None:
            found[name] = made_up_codes(column, rows, f"{place}.{name}").astype(np.int64)
        else:
            found[name] = marginal.draw(rows, f"{place}.{name}")
    return found


def _array(column: Column, codes: NDArray[np.int64]) -> pa.Array:
    """Return codes as the values that they stand for, 0 as null."""
    missing = codes == 0
    units = np.where(missing, 0, codes - 1 + column.low)
    match column.kind:
        case Kind.CATEGORY:
            values = column.values or [made_up_text(code) for code in range(1, TEXTS + 1)]
            places = pa.array((codes - 1).astype(np.int32), mask=missing)
            return pa.DictionaryArray.from_arrays(places, pa.array(values, pa.string()))
        case Kind.BOOLEAN:
            return pa.array(units == 1, mask=missing)
        case Kind.DATE:
            return pa.array(units.astype(np.int32), pa.int32(), mask=missing).cast(pa.date32())
        case Kind.INTEGER:
            return pa.array(units, pa.int64(), mask=missing)
        case Kind.NUMBER:
            different, places = np.unique(units, return_inverse=True)
            numbers = np.array(column.numbers(different.tolist()), dtype=np.float64)
            return pa.array(numbers[places], pa.float64(), mask=missing)
