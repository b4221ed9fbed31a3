"""A small registry for tests of pathways: two tables with dates, and plain Python that says what they should give."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa

from queries.binding import dates
from queries.catalog.codes import code_type
from queries.catalog.schema import EPOCH, PERSON, PERSONS, Column, Dataset, Kind, Table, frozen
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.execution.event_numbers import NUMBER_TYPE, numbered
from queries.language import nodes
from queries.planning import planner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from queries.plan import Plan

NANO = 10**9
FIRST, LAST = (dt.date(2020, 1, 1) - EPOCH).days, (dt.date(2020, 3, 1) - EPOCH).days
SEX = Column("sex", Kind.CATEGORY, of_person=True, values=("female", "male"))
BORN = Column("born", Kind.INTEGER, of_person=True, nullable=True, low=1990, high=1994)
VISITS = {
    "day": Column("day", Kind.DATE, nullable=True, low=FIRST, high=LAST),
    "code": Column("code", Kind.CATEGORY, nullable=True, values=("a", "b", "c")),
    "cost": Column("cost", Kind.NUMBER, nullable=True, low=-8, high=40, step=Decimal("0.5")),
    "urgent": Column("urgent", Kind.BOOLEAN, nullable=True, low=0, high=1),
}
DRUGS = {
    "given": Column("given", Kind.DATE, nullable=True, low=FIRST + 3, high=LAST + 9),
    "drug": Column("drug", Kind.CATEGORY, nullable=True, values=("x", "y")),
    "pack": Column("pack", Kind.INTEGER, low=1, high=9),
}
OWN = {"sex": SEX, "born": BORN}
REGISTRY = Dataset(
    "registry",
    "A registry",
    Decimal(10),
    Decimal(0),
    persons_max=1000,
    tables=frozen(
        {
            PERSONS: Table(PERSONS, frozen(OWN)),
            "visits": Table("visits", frozen({**OWN, **VISITS})),
            "drugs": Table("drugs", frozen({**OWN, **DRUGS})),
        }
    ),
)


@dataclass(frozen=True)
class Person:
    """A person's codes: their own, and those of each of their events in the order of the table's columns."""

    own: tuple[int, int]
    visits: tuple[tuple[int, ...], ...]
    drugs: tuple[tuple[int, ...], ...]


def random_people(random: np.random.Generator, persons: int, most: int) -> list[Person]:
    """Return persons with random events, many of them on one day, of one code, or null."""

    def events(columns: dict[str, Column]) -> tuple[tuple[int, ...], ...]:
        return tuple(
            tuple(
                int(random.integers(0, column.size + 1)) if random.random() < 0.7 else int(random.integers(0, 3))
                for column in columns.values()
            )
            for _ in range(int(random.integers(0, most + 1)))
        )

    return [
        Person((int(random.integers(1, 3)), int(random.integers(0, 6))), events(VISITS), events(DRUGS))
        for _ in range(persons)
    ]


def write(path: Path, people: Sequence[Person | None]) -> Path:
    """Write a store as an import leaves it; None is a person who never was."""
    with duckdb.connect(str(path)) as connection:
        tables: dict[str, Callable[[Person], Sequence[tuple[int, ...]]]] = {
            PERSONS: lambda _: [()],
            "visits": lambda one: one.visits,
            "drugs": lambda one: one.drugs,
        }
        for name, rows_of in tables.items():
            columns = REGISTRY.tables[name].columns
            chosen = ", ".join(
                f'"{column.name}"::{code_type(column)} AS "{column.name}"' for column in columns.values()
            )
            rows = [(n, *one.own, *row) for n, one in enumerate(people) if one for row in rows_of(one)]
            coded = np.array(rows, dtype=np.int64).reshape(-1, len(columns) + 1)
            connection.register("coded", pa.table(list(coded.T), names=[PERSON, *columns]))
            connection.execute(f'CREATE TABLE "{name}" AS SELECT {PERSON}::INTEGER AS {PERSON}, {chosen} FROM coded')
            connection.unregister("coded")
        for name in ("visits", "drugs"):
            column = numbered(name)
            connection.execute(f'ALTER TABLE {PERSONS} ADD COLUMN "{column}" {NUMBER_TYPE}')
            own = f'SELECT count(*) FROM "{name}" e WHERE e.{PERSON} = {PERSONS}.{PERSON}'
            connection.execute(f'UPDATE {PERSONS} SET "{column}" = ({own})')
    return path


def planned(query: nodes.Query, epsilon_nano: int = NANO) -> Plan:
    """Return a query's plan, dates filled in as the server does."""
    return planner.plan(dates.fill_in(query, REGISTRY.tables), REGISTRY, nodes.Privacy(epsilon_nano), 100_000)


def exact(store: Path, plans: Sequence[Plan], *, cut: int | None = None) -> list[list[Any]]:
    """Return the exact cells of some plans; with `cut`, over two ranges of persons."""
    engine = Store(store, memory_limit="300MB", threads=2, query_seconds=60)
    ranges = [range(2**31)] if cut is None else [range(cut), range(cut, 2**31)]
    try:
        return [kernel.bound_in_parts(one, ranges, engine.stream) for one in plans]
    finally:
        engine.close()


# What it should be, as plainly as Python says it. A row is a dict of what people read; None is null.


def rows(person: Person, table: str) -> list[dict[str, Any]]:
    """Return a person's events with the values behind their codes."""
    columns = REGISTRY.tables[table].columns
    coded = {"visits": person.visits, "drugs": person.drugs, PERSONS: ((),)}[table]
    return [
        {
            name: None if code == 0 else column.label(code)
            for (name, column), code in zip(columns.items(), (*person.own, *row), strict=True)
        }
        for row in coded
    ]


def day(text: str) -> int:
    """Return the day of a date."""
    return dt.date.fromisoformat(text).toordinal()


def related(person: Person, wanted: nodes.Related) -> list[int]:
    """Return the days of a person's other events."""
    date = {"visits": "day", "drugs": "given"}[wanted.table]
    return [day(row[date]) for row in rows(person, wanted.table) if row[date] and holds(wanted.where, row)]


def holds(predicate: nodes.Predicate | None, row: dict[str, Any]) -> bool:
    """Say whether a row fulfils a comparison, or several."""
    match predicate:
        case None:
            return True
        case nodes.All(parts):
            return all(holds(part, row) for part in parts)
        case nodes.Comparison(name, "is_null"):
            return row[name] is None
        case nodes.Comparison(name, op, value):
            found = row[name]
            if found is None:
                return False
            if op == "in":
                assert isinstance(value, tuple)
                return found in value
            return bool(found == value if op == "=" else found > value)
    raise AssertionError(predicate)


def member(person: Person, cohort: nodes.Cohort) -> bool:
    """Say whether a person belongs to a cohort, going through all pairs of events."""
    date = {"visits": "day", "drugs": "given"}[cohort.table]
    count = 0
    for row in rows(person, cohort.table):
        if not holds(cohort.where, row):
            continue
        if cohort.after or cohort.without:
            if row[date] is None and cohort.after:
                continue
            on = day(row[date]) if row[date] else -1
            if cohort.after:
                within = cohort.after.within_days
                gaps = [on - other for other in related(person, cohort.after) if on >= other]
                if not any(within is None or gap <= within for gap in gaps):
                    continue
            if cohort.without:
                within = cohort.without.within_days
                gaps = [on - other for other in related(person, cohort.without) if on > other]
                if any(within is None or gap <= within for gap in gaps):
                    continue
        count += 1
    return count >= cohort.at_least


def value(person: Person, table: str, where: nodes.Predicate | None, wanted: nodes.Value) -> Any:
    """Return a person's value before it is clamped, or None."""
    mine = [row for row in rows(person, table) if holds(where, row)]
    date = {"visits": "day", "drugs": "given"}[table]
    if wanted.word == "days_to":
        assert wanted.to is not None
        starts = [day(row[date]) for row in mine if row[date]]
        if not starts:
            return None
        gaps = [other - min(starts) for other in related(person, wanted.to) if other >= min(starts)]
        within = wanted.to.within_days
        return min((gap for gap in gaps if within is None or gap <= within), default=None)
    mine = [row for row in mine if holds(wanted.where, row)]
    if wanted.word == "exists":
        return bool(mine)
    if wanted.word == "count":
        return len(mine)
    name = wanted.column
    assert name is not None
    columns = REGISTRY.tables[table].columns
    present = [row for row in mine if row[name] is not None]
    if wanted.word in ("first", "last"):
        present = [row for row in present if row[date] is not None]
    if not present:
        return None
    found = [row[name] for row in present]
    column = columns[name]
    match wanted.word:
        case "sum":
            return sum(found)
        case "mean":
            cents = round(sum(found) / float(column.step)) * 100
            return int(cents / len(found)) * float(column.step) / 100  # cut towards zero
        case "min":
            return min(found)
        case "max":
            return max(found)
        case word:
            order = column.values.index if column.values else lambda one: one
            pick = min if word == "first" else max
            return pick(present, key=lambda row: (row[date], order(row[name])))[name]
