"""Tables built for one query: a row for each person, with values made of that person's events.

Why the promise holds. A row depends on its person's events alone: every aggregate is over integers and exact, and no
other person's data can decide a tie (`aggregates.py`). A person has one row. Adding or removing a person therefore adds
or removes one row, however many events the row is made of: the statistics of such a table have the sensitivities of a
table of persons. Each value is clamped to bounds that follow from the catalog and the query. It is coded as a stored
column is: 0 for null, then the values in their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.binding import filters, names, predicates
from queries.catalog import codes
from queries.catalog.schema import Column, Kind, Table, frozen
from queries.errors import InvalidQuery
from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.binding.predicates import Bound, Events

EVENTS_MAX = 100  # the bound on a person's number of events where neither query nor catalog has one
MEAN_PARTS = 100  # a mean is kept in hundredths of its column's step
UNITS_MAX = 2**53  # of a bound: every code stays far within 64 bits


@dataclass(frozen=True)
class BuiltValue:
    """One column of the table: `column` is what it becomes, `of` the column it is made of."""

    word: str
    column: Column
    of: Column | None = None
    where: Bound = predicates.ALWAYS
    date: Column | None = None
    to: Events | None = None
    edges: tuple[int, ...] = ()  # for an outcome (survival.py): the intervals in days
    end: int = 0  # for an outcome: the last day of the follow-up
    censored: Column | None = None  # for an outcome: each person's own last day, if they have one before `end`
    bounded: bool = False  # the query gives the bounds of `column`


@dataclass(frozen=True)
class Built:
    """A bound per-person table: the events it is made of, its values, and the table that keys and statistics use."""

    events: Table
    where: Bound
    values: tuple[BuiltValue, ...]
    table: Table
    notes: tuple[str, ...]


def bind(source: nodes.PerPerson, tables: Mapping[str, Table]) -> Built:
    """Return the table a query builds. Raises InvalidQuery with the place."""
    pointer = "/query/from"
    events = names.table_of(tables, source.table, f"{pointer}/per_person")
    where = filters.bind(source.where, events, f"{pointer}/where")
    attributes = {name: column for name, column in events.columns.items() if column.of_person}
    values, notes = [], []
    for name, value in source.values:
        place = f"{pointer}/values/{name}"
        if name in attributes or name == nodes.PERSON:
            raise InvalidQuery(place, f"persons have a {name} already; give the value another name")
        built, note = _bind_value(name, value, events, tables, place)
        values.append(replace(built, bounded=value.bounds is not None))
        notes += note
    columns = attributes | {built.column.name: built.column for built in values}
    table = Table(events.name, frozen(columns), built=True)
    return Built(events, where, tuple(values), table, tuple(notes))


def extend(built: Built, values: Sequence[BuiltValue], notes: tuple[str, ...]) -> Built:
    """Return the table with more values than the query builds, and notes on them."""
    columns = dict(built.table.columns) | {value.column.name: value.column for value in values}
    table = replace(built.table, columns=frozen(columns))
    return replace(built, values=(*built.values, *values), table=table, notes=(*built.notes, *notes))


def _bind_value(
    name: str, value: nodes.Value, events: Table, tables: Mapping[str, Table], pointer: str
) -> tuple[BuiltValue, list[str]]:
    """Return a value, and notes on bounds that were chosen for it."""
    word = value.word
    where = filters.bind(value.where, events, f"{pointer}/{'exists' if word == 'exists' else 'where'}")
    match word:
        case "exists":
            return BuiltValue(word, Column(name, Kind.BOOLEAN, low=0, high=1), where=where), []
        case "count":
            column, note = _bounded(Column(name, Kind.INTEGER, low=0, high=_events_max(events)), value, pointer)
            return BuiltValue(word, column, where=where), note
        case "days_to":
            assert value.to is not None
            date = names.date_of(events, value.date, f"{pointer}/date")
            to = filters.bind_related(value.to, tables, f"{pointer}/days_to")
            high = to.within_days or _days_between(date, to, tables)
            column = Column(name, Kind.INTEGER, nullable=True, low=0, high=high)
            if value.bounds is not None:
                column, _ = _bounded(column, value, pointer)
            return BuiltValue(word, column, date, where, date, to), []
        case _:
            return _of_column(name, value, events, where, pointer)


def _of_column(
    name: str, value: nodes.Value, events: Table, where: Bound, pointer: str
) -> tuple[BuiltValue, list[str]]:
    word = value.word
    place = f"{pointer}/{word}"
    assert value.column is not None
    of = names.column_of(events, value.column, place)
    if word in ("sum", "mean") and not of.numeric:
        raise InvalidQuery(place, f"{of.name} is a {of.kind.value}; a {word} needs numbers")
    if word in ("min", "max") and not of.ordered:
        raise InvalidQuery(place, f"{of.name} has no order; use first, last or exists")
    if not of.declared:
        raise InvalidQuery(place, f"{of.name} has no declared values; use exists, or have the custodian declare them")
    column = replace(of, name=name, of_person=False, nullable=True)
    date = names.date_of(events, value.date, f"{pointer}/date") if word in ("first", "last") else None
    if word == "mean":
        scale = {"low": of.low * MEAN_PARTS, "high": of.high * MEAN_PARTS, "step": of.step / MEAN_PARTS}
        column = replace(column, kind=Kind.NUMBER, **scale)  # type: ignore[arg-type]
    if word == "sum":
        column = replace(column, low=min(0, of.low), high=max(0, of.high))
    if value.bounds is None and word != "sum":
        return BuiltValue(word, column, of, where, date), []
    if not of.numeric:
        raise InvalidQuery(f"{pointer}/bounds", f"{of.name} is a {of.kind.value}; bounds are for numbers")
    column, note = _bounded(column, value, pointer, beyond=word == "sum")
    return BuiltValue(word, column, of, where, date), note


def _events_max(events: Table) -> int:
    if events.one_row_per_person:
        return 1
    if events.cells_per_person is not None and events.events_per_cell is not None:
        return events.cells_per_person * events.events_per_cell
    return EVENTS_MAX


def _days_between(date: Column, to: Events, tables: Mapping[str, Table]) -> int:
    """Return the largest number of days between two dates that the catalog allows."""
    assert to.date is not None
    return max(1, tables[to.table].columns[to.date].high - date.low)


def _bounded(column: Column, value: nodes.Value, pointer: str, *, beyond: bool = True) -> tuple[Column, list[str]]:
    """Return a column within the bounds given; without any, the column as it is and a note on its bounds.

    With `beyond`, bounds may be wider than the column's own, because a sum can be larger than any value.
    """
    if value.bounds is None:
        highest, lowest = column.value(column.high), column.value(column.low)
        return column, [f"{column.name} was not given bounds: it is clamped to [{lowest}, {highest}]"]
    units = []
    for place, bound in enumerate(value.bounds):
        exact = codes.exact(bound, f"{pointer}/bounds/{place}") / Fraction(column.step)
        if exact.denominator != 1 or abs(exact) >= UNITS_MAX:
            raise InvalidQuery(f"{pointer}/bounds/{place}", f"must be a multiple of {column.step}, and not so large")
        if not beyond and not column.low <= exact <= column.high:
            raise InvalidQuery(
                f"{pointer}/bounds/{place}",
                f"must lie between {column.value(column.low)} and {column.value(column.high)}",
            )
        units.append(int(exact))
    low, high = units
    if low >= high:
        raise InvalidQuery(f"{pointer}/bounds", "must ascend")
    return replace(column, low=low, high=high), []


def to_json(built: Built) -> dict[str, object]:
    """Return the table as JSON values, for the fingerprint of a query."""
    return {
        "per_person": built.events.name,
        "where": predicates.to_json(built.where),
        "values": {value.column.name: _value_json(value) for value in built.values},
    }


def _value_json(value: BuiltValue) -> dict[str, object]:
    censored = {} if value.censored is None else {"censored": value.censored.name}
    return {
        **censored,
        "word": value.word,
        "of": None if value.of is None else value.of.name,
        "where": predicates.to_json(value.where),
        "bounds": [value.column.low, value.column.high],
        "date": None if value.date is None else value.date.name,
        "to": None if value.to is None else predicates.events_json(value.to),
        "edges": list(value.edges),
        "end": value.end,
    }
