"""A small hospital for tests, whose categories are not all declared: events as codes, texts, and the kernel in plain Python.

An event is what the store holds: a person number and a code for each column, 0 for null. The text of a code is
`text(code)`; their order is not that of the codes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from queries.catalog import manifest, parts
from queries.catalog.codes import code_type
from queries.catalog.schema import PERSONS, Column, Dataset, Kind, Table, frozen
from queries.execution import kernel, partition_selection
from queries.language import nodes
from queries.planning import planner
from queries.store import ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.execution.partition_selection import Scored
    from queries.execution.passes import Codes
    from queries.plan import Plan

NANO, ATTO = 10**9, 10**18
STORED = {"UTINYINT": np.uint8, "USMALLINT": np.uint16, "UINTEGER": np.uint32, "BIGINT": np.int64}

PERSON_COLUMNS = {
    "sex": Column("sex", Kind.CATEGORY, of_person=True, values=("female", "male"), high=1),
    "origin": Column("origin", Kind.CATEGORY, of_person=True, nullable=True, high=1),  # undeclared
}
EVENT_COLUMNS = {
    "ward": Column("ward", Kind.CATEGORY, nullable=True, values=("A", "B", "C"), high=1),
    "unit": Column("unit", Kind.CATEGORY, values=("I", "II"), high=1),  # not nullable: null falls into no cell
    "diagnosis": Column("diagnosis", Kind.CATEGORY, nullable=True, high=1),  # undeclared
    "doctor": Column("doctor", Kind.CATEGORY, high=1),  # undeclared, not nullable
    "visits": Column("visits", Kind.INTEGER, low=0, high=9),
}
COLUMNS = (*PERSON_COLUMNS, *EVENT_COLUMNS)
UNDECLARED = ("origin", "diagnosis", "doctor")
HOSPITAL = Dataset(
    "hospital",
    "A hospital",
    Decimal(10),
    Decimal("1e-6"),
    persons_max=100_000,
    epsilon_min=Decimal("1e-9"),
    tables=frozen(
        {
            PERSONS: Table(PERSONS, frozen(PERSON_COLUMNS)),
            "stays": Table("stays", frozen({**PERSON_COLUMNS, **EVENT_COLUMNS})),
        }
    ),
)
EVERYBODY = [range(2**31)]


@dataclass(frozen=True)
class Event:
    """A person and the codes of the columns by name; what is not named is 1."""

    person: int
    codes: Mapping[str, int]

    def code(self, column: str) -> int:
        """Return the code of a column."""
        return self.codes.get(column, 1)


def event(person: int, **codes: int) -> Event:
    """Return an event."""
    return Event(person, codes)


def text(code: int) -> str:
    """Return the text of a code: not in the order of codes, and not only of letters."""
    return f"{code * 7919 % 1000:03} é\n{code}"


def planned(
    *group_by: str | nodes.Key,
    epsilon_nano: int | None = NANO,
    rho_nano: int | None = None,
    delta_atto: int | None = ATTO // 10**8,
    cells: int | None = None,
    events: int | None = None,
    where: nodes.Predicate | None = None,
    table: str = "stays",
    cells_max: int = 1_000_000,
    **select: nodes.Statistic,
) -> Plan:
    """Return the plan of a query; keys are columns or nodes."""
    keys = tuple(nodes.ByValue(key) if isinstance(key, str) else key for key in group_by)
    named = tuple(select.items()) or (("n", nodes.Count("persons")),)
    query = nodes.Query(table, named, where, keys, nodes.Bounds(cells, events))
    if rho_nano is not None:
        epsilon_nano = None
    return planner.plan(query, HOSPITAL, nodes.Privacy(epsilon_nano, rho_nano, delta_atto), cells_max)


def stream(events: Sequence[Event], batch: int = 65_536) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
    """Yield events as the engine does, in the order given and in the store's types."""
    columns = HOSPITAL.tables["stays"].columns
    for start in range(0, len(events), batch):
        part = events[start : start + batch]
        codes = {
            name: np.array([one.code(name) for one in part], dtype=STORED[code_type(columns[name])]) for name in COLUMNS
        }
        yield np.array([one.person for one in part], dtype=np.int32), codes


def scores_over(events: Sequence[Event], batch: int = 65_536) -> Callable[[Plan], Scored]:
    """Return what an engine's `scores` is over these events."""

    def scores(planned: Plan) -> Scored:
        def stream_of(_plan: Plan, _persons: range) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
            return stream(events, batch)

        return partition_selection.scored(partition_selection.persons_by_code(planned, EVERYBODY, stream_of))

    return scores


def scored(planned: Plan, events: Sequence[Event], batch: int = 65_536) -> dict[int, int]:
    """Return the number of persons by code that the kernel finds."""
    codes, counts = scores_over(events, batch)(planned)
    assert codes.dtype == counts.dtype == np.int64
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def reference(planned: Plan, events: Sequence[Event]) -> dict[int, int]:
    """Return what the kernel should find, as plainly as Python says it."""
    assert planned.listing is not None
    column = planned.keys[planned.listing.key].column.name
    others = [key for place, key in enumerate(planned.keys) if place != planned.listing.key]
    own: dict[int, list[int]] = {}
    for one in events:
        values = own.setdefault(one.person, [])
        code = one.code(column)
        if code == 0 or any(key.index(one.code(key.column.name)) < 0 for key in others) or code in values:
            continue
        if len(values) < planned.listing.values_per_person:
            values.append(code)
    found: dict[int, int] = {}
    for code in itertools.chain(*own.values()):
        found[code] = found.get(code, 0) + 1
    return found


def look_up(_table: Table, _column: Column, codes: Sequence[int]) -> dict[int, str]:
    """Return the texts of codes, as the engine does."""
    return {code: text(code) for code in codes}


def named(planned: Plan, events: Sequence[Event]) -> Plan:
    """Return the plan with the values that are named now."""
    return partition_selection.name_values(planned, scores_over(events), look_up)


def given(planned: Plan, *codes: int) -> Plan:
    """Return the plan as it would be if just these values had been named."""
    assert planned.listing is not None
    place = planned.listing.key
    shown = sorted(codes, key=text)
    key = replace(planned.keys[place], named=tuple(shown), labels=tuple(map(text, shown)))
    keys = (*planned.keys[:place], key, *planned.keys[place + 1 :])
    return replace(planned, keys=keys, cells=int(np.prod([one.size for one in keys])))


def bounded(named: Plan, events: Sequence[Event], batch: int = 65_536) -> list[NDArray[np.int64]]:
    """Return what the kernel makes of the events."""
    return kernel.bound(named, stream(events, batch))


MANIFEST = """
[dataset]
name = "hospital"
epsilon = 10.0
delta = 1e-6
persons_max = 100000
[person]
id = "patient"
columns.sex = {type = "category", values = ["female", "male"]}
columns.origin = {type = "category", nullable = true}
[tables.stays]
source = "stays.parquet"
columns.ward = {type = "category", values = ["A", "B", "C"], nullable = true}
columns.unit = {type = "category", values = ["I", "II"]}
columns.diagnosis = {type = "category", nullable = true}
columns.doctor = {type = "category"}
columns.visits = {type = "integer", bounds = [0, 9]}
"""


def hospital_store(folder: Path, events: Sequence[Event]) -> Path:
    """Import events through a manifest and return the store, whose catalog is the hospital's own."""
    columns = HOSPITAL.tables["stays"].columns
    source: dict[str, list[object]] = {"patient": [f"p{one.person}" for one in events]}
    for name, column in columns.items():
        label = text if not column.declared else column.label
        source[name] = [None if one.code(name) == 0 else label(one.code(name)) for one in events]
    types = {name: pa.int64() if name == "visits" else pa.string() for name in source}
    pq.write_table(
        pa.table({name: pa.array(values, types[name]) for name, values in source.items()}), folder / "stays.parquet"
    )
    declared = manifest.parse(MANIFEST, folder)
    assert declared.dataset.tables["stays"].columns == columns
    made = folder / f"edition-{sum(1 for _ in folder.glob('edition-*'))}"
    made.mkdir()
    ingest.build(declared, made, memory_limit="300MB", threads=2, progress=lambda _what, _done: None)
    return made / parts.WHOLE
