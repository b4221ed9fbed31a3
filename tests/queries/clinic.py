"""A small clinic for tests: a catalog with a column of every kind, its events as codes, and the kernel in plain Python.

An event here is what the store holds: a person number and a code for each column, 0 for null.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from queries.binding.predicates import Among, Beginning, Both, Compared, Either, Spelled
from queries.catalog.codes import code_type
from queries.catalog.schema import EPOCH, PERSONS, Column, Dataset, Kind, Table, frozen
from queries.execution import kernel
from queries.language import nodes
from queries.plan import Counted, condition
from queries.planning import planner
from queries.statistics import quantiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.binding.predicates import Bound
    from queries.execution.passes import Codes
    from queries.plan import Factor, Measure, Plan

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
    epsilon_min=Decimal("1e-9"),
    tables=frozen({PERSONS: Table(PERSONS, frozen(PERSON_COLUMNS)), "visits": TABLE}),
)
COLUMNS = tuple(TABLE.columns)

# Every statistic in some of its forms. The filters name nullable, declared and undeclared columns; each holds where all
# codes are the largest, as all bins have them.
URGENT = nodes.Comparison("urgent", "=", True)
TEXTS = nodes.Comparison("diagnosis", "in", ("text 1", "text 7"))
MANY = nodes.Not(nodes.Comparison("visits", "<", 3))
STATISTICS: dict[str, tuple[nodes.Statistic, ...]] = {
    "persons": (nodes.Count("persons"), nodes.Count("persons", where=URGENT)),
    "events": (nodes.Count("events"), nodes.Count("events", where=TEXTS)),
    "sum": (
        nodes.Sum("visits"),
        nodes.Sum("visits", (2, 7), where=nodes.Not(nodes.Comparison("diagnosis", "=", "text 3"))),
        nodes.Sum("balance"),
        nodes.Sum("balance", (-90, 10.25)),
        nodes.Sum("wide", where=URGENT),
    ),
    "mean": (
        nodes.Mean("visits"),
        nodes.Mean("visits", (0, 3)),
        nodes.Mean("balance", where=MANY),
        nodes.Mean("balance", (-50, 0.25)),
        nodes.Mean("wide"),
    ),
    "proportion": (
        nodes.Proportion(URGENT),
        nodes.Proportion(nodes.Any((MANY, TEXTS)), "persons"),
        nodes.Proportion(nodes.Comparison("region", "is_null"), "persons"),
    ),
    "variance": (
        nodes.Variance("visits"),
        nodes.Variance("visits", (0, 1)),
        nodes.Variance("balance", where=URGENT),
        nodes.Stddev("balance", (-50, 0.25)),
        nodes.Stddev("visits", (3, 8), where=TEXTS),
    ),
    "covariance": (
        nodes.Covariance(("visits", "balance")),
        nodes.Covariance(("balance", "visits"), ((-90, 10.25), (2, 7)), where=URGENT),
        nodes.Correlation(("visits", "balance")),
        nodes.Correlation(("visits", "birth_year"), ((0, 1), (1991, 1996)), where=MANY),
    ),
    "slope": (
        nodes.Slope(("visits", "balance")),
        nodes.Slope(("balance", "visits"), ((-90, 10.25), (2, 7)), where=URGENT),
        nodes.Slope(("visits", "day")),
    ),
    "quantile": (
        nodes.Quantile("visits", (0.5,)),
        nodes.Quantile("balance", (0.25, 0.9), listed=True, where=URGENT),
        nodes.Quantile("balance", (0.1,), (-50, 0.25)),
        nodes.Quantile("wide", (0.5,)),
    ),
    "iqr": (
        nodes.Iqr("visits"),
        nodes.Iqr("balance", where=URGENT),
        nodes.Iqr("balance", (-50, 0.25)),
        nodes.Iqr("wide"),
    ),
    "histogram": (
        nodes.Histogram("region"),
        nodes.Histogram("visits", (1, 2, 10)),
        nodes.Histogram("balance", (-100, 0, 0.5, 2000), where=URGENT),
        nodes.Histogram("wide", (-(2**40), -5, 0, 2**31, 2**34)),
    ),
    "top": (nodes.Top("unit", 2), nodes.Top("region", 4, where=MANY), nodes.Top("birth_year", 3)),
}
EVERY_STATISTIC = tuple(statistic for several in STATISTICS.values() for statistic in several)


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
    return planner.plan(query, dataset, nodes.Privacy(epsilon_nano), 1_000_000)


def columns_of(measure: Measure) -> set[str]:
    """Return the columns on which it depends whether an event counts for a measure, and how much."""
    conditions = [] if measure.where is None else [measure.where]
    return {column.name for column in measure.columns} | {name for one in conditions for name in _named(one)}


def _named(predicate: Bound) -> set[str]:
    if isinstance(predicate, Among | Spelled | Beginning):
        return {predicate.column}
    if isinstance(predicate, Compared):
        return set(predicate.columns)
    return {name for part in predicate.parts for name in _named(part)}


def holds(predicate: Bound, event: Event) -> bool:
    """Say whether a bound predicate holds for an event, by its plain definition; undeclared texts are `text CODE`."""
    match predicate:
        case Among(column, ranges):
            return any(low <= event.code(column) <= high for low, high in ranges)
        case Spelled(column, texts, negated):
            code = event.code(column)
            return code != 0 and ((f"text {code}" in texts) != negated)
        case Beginning(column, prefixes, negated):
            code = event.code(column)
            return code != 0 and (f"text {code}".startswith(prefixes) != negated)
        case Compared(columns, op, lows, factors):
            one, two = (event.code(column) for column in columns)
            left, right = (one + lows[0] - 1) * factors[0], (two + lows[1] - 1) * factors[1]
            held = {"=": left == right, "!=": left != right, "<": left < right, "<=": left <= right}[op]
            return one > 0 and two > 0 and held
        case Both(parts):
            return all(holds(part, event) for part in parts)
        case Either(parts):
            return any(holds(part, event) for part in parts)
    raise AssertionError("of a cohort an event alone does not tell")


def stream(
    events: Sequence[Event], batch: int = 65_536, conditions: Sequence[Bound] = ()
) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
    """Yield events as the engine does, in the order given and in the store's types, with a plan's `conditions`."""
    for start in range(0, len(events), batch):
        part = events[start : start + batch]
        table = np.array([event.codes for event in part], dtype=np.int64)
        codes: dict[str, Codes] = {
            name: np.ascontiguousarray(table[:, place], dtype=STORED[code_type(TABLE.columns[name])])
            for place, name in enumerate(COLUMNS)
        }
        for place, one in enumerate(conditions):
            codes[condition(place)] = np.array([holds(one, event) for event in part], dtype=np.uint8)
        yield np.array([event.person for event in part], dtype=np.int32), codes


def bounded(planned: Plan, events: Sequence[Event], batch: int = 65_536) -> list[NDArray[np.int64]]:
    """Return what the kernel makes of the events."""
    return kernel.bound(planned, stream(events, batch, planned.conditions))


def reference(planned: Plan, events: Sequence[Event]) -> list[list[int]]:
    """Return what the kernel should make of the events, as plainly as Python says it."""
    totals = [[0] * (planned.cells * measure.width) for measure in planned.measures]
    counted: dict[int, Counter[int]] = {}  # by person: the events counted in each cell
    active: dict[tuple[int, int], list[Event]] = {}  # by cell and person: all events there, counted or not
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
        active.setdefault((cell, event.person), []).append(event)
        if own[cell] == planned.events_per_cell:
            continue
        own[cell] += 1
        for measure, total in zip(planned.measures, totals, strict=True):
            if measure.counted is not Counted.PERSONS:
                place, amount = _of_event(measure, event)
                total[cell * measure.width + place] += amount
    for (cell, _), there in active.items():
        for measure, total in zip(planned.measures, totals, strict=True):
            if measure.counted is not Counted.PERSONS:
                continue
            if measure.split is not None:
                total[2 * cell + (not any(holds(measure.split, event) for event in there))] += 1
            else:
                total[cell] += measure.where is None or any(holds(measure.where, event) for event in there)
    return totals


def _of_event(measure: Measure, event: Event) -> tuple[int, int]:
    """Return to which of its cell's numbers an event adds, and how much."""
    place = 0
    if measure.within is not None:
        place = measure.within.index(event.code(measure.within.column.name))
    if measure.split is not None:
        place = int(not holds(measure.split, event))
    is_present = all(event.code(column.name) for column in measure.present)
    if place < 0 or not is_present or not (measure.where is None or holds(measure.where, event)):
        return 0, 0
    if measure.counted is Counted.EVENTS:
        return place, 1
    return place, math.prod(_units(factor, event) for factor in measure.factors) - measure.middle


def _units(factor: Factor, event: Event) -> int:
    units = event.code(factor.column.name) - 1 + factor.column.low
    return min(max(units, factor.low), factor.high) - factor.centre


class Silence:
    """Noise that is none, so that a search can be followed without it."""

    scale, gaussian = 1e-9, False

    def release(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers as they are."""
        return cells


def noiseless(planned: Plan, vectors: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return what would be released of exact vectors if there were no noise."""
    return [
        vector
        if measure.search is None
        else quantiles.release(
            vector.reshape(-1, measure.width), measure.search, [Silence()] * len(measure.search.tenths)
        )
        for measure, vector in zip(planned.measures, vectors, strict=True)
    ]
