"""A small clinic for tests: a catalog with a column of every kind, its events as codes, and the kernel in plain Python.

An event here is what the store holds: a person number and a code for each column, 0 for null.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from queries import bounding, nodes, plan
from queries.catalog import EPOCH, PERSONS, Column, Dataset, Kind, Table, frozen
from queries.coding import code_type
from queries.plan import Counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.bounding import Codes
    from queries.plan import Plan

NANO = 10**9
STORED = {"UTINYINT": np.uint8, "USMALLINT": np.uint16, "UINTEGER": np.uint32, "BIGINT": np.int64}


def _days(year: int, month: int, day: int) -> int:
    return (dt.date(year, month, day) - EPOCH).days


PERSON_COLUMNS = {
    "sex": Column("sex", Kind.CATEGORY, of_person=True, values=("female", "male"), high=1),
    "birth_year": Column("birth_year", Kind.INTEGER, of_person=True, nullable=True, low=1990, high=1999),
}
EVENT_COLUMNS = {
    "region": Column("region", Kind.CATEGORY, nullable=True, values=("north", "east", "south"), high=1),
    "unit": Column("unit", Kind.CATEGORY, values=("A", "B", "C", "D"), high=1),  # not nullable: null falls into no cell
    "diagnosis": Column("diagnosis", Kind.CATEGORY, nullable=True, high=1),  # undeclared
    "visits": Column("visits", Kind.INTEGER, low=0, high=9),
    "balance": Column("balance", Kind.NUMBER, nullable=True, low=-400, high=1000, step=Decimal("0.25")),
    "wide": Column("wide", Kind.NUMBER, nullable=True, low=-(2**33), high=2**33),
    "urgent": Column("urgent", Kind.BOOLEAN, nullable=True, low=0, high=1),
    "day": Column("day", Kind.DATE, low=_days(2020, 1, 15), high=_days(2021, 3, 10)),
}
TABLE = Table("visits", frozen({**PERSON_COLUMNS, **EVENT_COLUMNS}))
CLINIC = Dataset(
    "clinic",
    "A clinic",
    Decimal(10),
    Decimal(0),
    persons_max=100_000,
    tables=frozen({PERSONS: Table(PERSONS, frozen(PERSON_COLUMNS)), "visits": TABLE}),
)
COLUMNS = tuple(TABLE.columns)


@dataclass(frozen=True)
class Event:
    """A person and the codes of the columns, in the order of `COLUMNS`."""

    person: int
    codes: tuple[int, ...]

    def code(self, column: str) -> int:
        """Return the code of a column."""
        return self.codes[COLUMNS.index(column)]


def largest_code(column: Column) -> int:
    """Return the greatest code the store may hold; an undeclared column gets some."""
    return column.size if column.declared else 7


def planned(
    *group_by: nodes.Key,
    epsilon_nano: int = NANO,
    cells: int | None = None,
    events: int | None = None,
    where: nodes.Predicate | None = None,
    dataset: Dataset = CLINIC,
    table: str = "visits",
    **select: nodes.Statistic,
) -> Plan:
    """Return the plan of a query of the clinic."""
    return plan_of(
        nodes.Query(table, tuple(select.items()), where, group_by, nodes.Bounds(cells, events)), epsilon_nano, dataset
    )


def plan_of(query: nodes.Query, epsilon_nano: int = NANO, dataset: Dataset = CLINIC) -> Plan:
    """Return the plan of a query, of the clinic's if no dataset is named."""
    return plan.plan(query, dataset, nodes.Privacy(epsilon_nano), 1_000_000)


def stream(events: Sequence[Event], batch: int = 65_536) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
    """Yield events as the engine does, in the order given and in the store's types."""
    for start in range(0, len(events), batch):
        part = events[start : start + batch]
        table = np.array([event.codes for event in part], dtype=np.int64)
        codes = {
            name: np.ascontiguousarray(table[:, place], dtype=STORED[code_type(TABLE.columns[name])])
            for place, name in enumerate(COLUMNS)
        }
        yield np.array([event.person for event in part], dtype=np.int32), codes


def bounded(planned: Plan, events: Sequence[Event], batch: int = 65_536) -> list[NDArray[np.int64]]:
    """Return what the kernel makes of the events."""
    return bounding.bound(planned, stream(events, batch))


def reference(planned: Plan, events: Sequence[Event]) -> list[list[int]]:
    """Return what the kernel should make of the events, as plainly as Python says it."""
    totals = [[0] * planned.cells for _ in planned.measures]
    counted: dict[int, Counter[int]] = {}  # by person: the events counted in each cell
    for event in events:
        cell = 0
        for key in planned.keys:
            index = key.index(event.code(key.column.name))
            cell = -1 if cell < 0 or index < 0 else cell * key.size + index
        if cell < 0:
            continue
        own = counted.setdefault(event.person, Counter())
        if cell not in own and len(own) == planned.cells_per_person:
            continue
        is_new = cell not in own
        if own[cell] == planned.events_per_cell:
            continue
        own[cell] += 1
        for measure, total in zip(planned.measures, totals, strict=True):
            code = 0 if measure.column is None else event.code(measure.column.name)
            if measure.counted is Counted.PERSONS:
                total[cell] += is_new
            elif measure.counted is Counted.EVENTS:
                total[cell] += 1
            elif code:
                assert measure.column is not None
                units = min(max(code - 1 + measure.column.low, measure.low), measure.high)
                total[cell] += 1 if measure.counted is Counted.PRESENT else units - measure.centre
    return totals
