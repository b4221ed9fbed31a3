"""`where`, bound to a table: the canonical predicate that the engine runs and the replay compares.

Binding pushes every `not` down to the comparisons (with SQL's rule that neither a comparison nor its negation
holds for a null) and turns each comparison into ranges of codes, or into texts where a column's values are not
declared. `simplify` then joins what is said of one column, drops what decides nothing and sorts the rest: however a
filter was spelled, it comes out in one form.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from queries import codes, nodes
from queries.catalog import Kind
from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from queries.catalog import Column, Table
    from queries.codes import Ranges

DEPTH_MAX = 32


@dataclass(frozen=True)
class Among:
    """The column's code lies in one of the ranges. No ranges: never."""

    column: str
    ranges: Ranges


@dataclass(frozen=True)
class Spelled:
    """An undeclared category holds one of these texts, or (`negated`) holds another text than these.

    The texts are looked up in the store only after the charge; they never reach the engine as text.
    """

    column: str
    texts: tuple[str, ...]
    negated: bool


@dataclass(frozen=True)
class Both:
    """Every part holds; with no parts, always."""

    parts: tuple[Bound, ...]


@dataclass(frozen=True)
class Either:
    """Some part holds; with no parts, never."""

    parts: tuple[Bound, ...]


@dataclass(frozen=True)
class Events:
    """The events of a table that fulfil a condition.

    Where their day matters, `date` is the column that holds it, and the day of its code 1 is `first_day`.
    """

    table: str
    where: Bound
    date: str | None = None
    first_day: int = 0
    within_days: int | None = None


@dataclass(frozen=True)
class Member:
    """The person has (or, `negated`, has not) so many of these events, `after` or `without` others (`nodes.Cohort`)."""

    events: Events
    at_least: int
    after: Events | None
    without: Events | None
    negated: bool


Bound = Among | Spelled | Both | Either | Member

ALWAYS = Both(())
NEVER = Either(())
NO_TABLES: Mapping[str, Table] = MappingProxyType({})


def bind(
    predicate: nodes.Predicate | None, table: Table, pointer: str, tables: Mapping[str, Table] = NO_TABLES
) -> Bound:
    """Return the canonical form of a predicate over a table; `tables` are those that cohorts may be made of.

    Raises InvalidQuery with the place.
    """
    if predicate is None:
        return ALWAYS
    return simplify(_bind(predicate, table, pointer, tables, negated=False, depth=0))


def _bind(
    predicate: nodes.Predicate,
    table: Table,
    pointer: str,
    tables: Mapping[str, Table],
    *,
    negated: bool,
    depth: int,
) -> Bound:
    if depth > DEPTH_MAX:
        raise InvalidQuery(pointer, f"nests deeper than {DEPTH_MAX} levels")
    match predicate:
        case nodes.Not(part):
            return _bind(part, table, f"{pointer}/not", tables, negated=not negated, depth=depth + 1)
        case nodes.Cohort():
            return _bind_cohort(predicate, tables, f"{pointer}/value", negated=negated)
        case nodes.All(parts) | nodes.Any(parts):
            word = "all" if isinstance(predicate, nodes.All) else "any"
            bound = tuple(
                _bind(part, table, f"{pointer}/{word}/{index}", tables, negated=negated, depth=depth + 1)
                for index, part in enumerate(parts)
            )
            return Both(bound) if isinstance(predicate, nodes.All) != negated else Either(bound)
        case nodes.Comparison():
            return _bind_comparison(predicate, table, pointer, negated=negated)


def _bind_cohort(cohort: nodes.Cohort, tables: Mapping[str, Table], pointer: str, *, negated: bool) -> Bound:
    if not tables:
        raise InvalidQuery(pointer, "a cohort stands in the outer filter, not within another cohort or a built table")
    table = table_of(tables, cohort.table, f"{pointer}/persons")
    where = bind(cohort.where, table, f"{pointer}/where")
    by_day = cohort.after is not None or cohort.without is not None
    date, first_day = None, 0
    if by_day or cohort.date is not None:
        column = date_of(table, cohort.date, f"{pointer}/date")
        if by_day:
            date, first_day = column.name, column.low
    after, without = (
        None if related is None else bind_related(related, tables, f"{pointer}/{word}")
        for word, related in (("after", cohort.after), ("without", cohort.without))
    )
    events = Events(table.name, where, date, first_day)
    return Member(events, cohort.at_least, after, without, negated)


def bind_related(related: nodes.Related, tables: Mapping[str, Table], pointer: str) -> Events:
    """Return other events of a person, with their day. Raises InvalidQuery with the place."""
    table = table_of(tables, related.table, f"{pointer}/of")
    date = date_of(table, related.date, f"{pointer}/date")
    where = bind(related.where, table, f"{pointer}/where")
    return Events(table.name, where, date.name, date.low, related.within_days)


def table_of(tables: Mapping[str, Table], name: str, pointer: str) -> Table:
    """Return a table. Raises InvalidQuery, naming the nearest."""
    table = tables.get(name)
    if table is None:
        raise InvalidQuery(pointer, f"there is no such table{codes.nearest(name, tables)}")
    return table


def date_of(table: Table, name: str | None, pointer: str) -> Column:
    """Return the column that says on which day an event was: the one that is named, or the table's only one."""
    dates = {column.name: column for column in table.columns.values() if column.kind is Kind.DATE}
    if not dates:
        raise InvalidQuery(pointer, f"table {table.name} has no date")
    if name is None and len(dates) > 1:
        raise InvalidQuery(pointer, f"table {table.name} has the dates {', '.join(dates)}; name one")
    if name is not None and name not in dates:
        raise InvalidQuery(pointer, f"{name} is no date of table {table.name}{codes.nearest(name, dates)}")
    return dates[name] if name is not None else next(iter(dates.values()))


def _bind_comparison(comparison: nodes.Comparison, table: Table, pointer: str, *, negated: bool) -> Bound:
    if comparison.column == nodes.PERSON:
        raise InvalidQuery(f"{pointer}/column", "persons are not compared with values; ask for a cohort of them")
    column = column_of(table, comparison.column, f"{pointer}/column")
    if comparison.op == "is_null":
        # Codes of an undeclared column have no public end; every one of them is at least 1.
        last = column.size if column.declared else codes.UNDECLARED_LAST
        return Among(column.name, ((1, last),) if negated else ((0, 0),))
    place = f"{pointer}/value"
    if not column.declared:
        return _bind_spelled(column, comparison, place, pointer, negated=negated)
    ranges = _ranges(column, comparison, place, pointer)
    return Among(column.name, codes.complement(ranges, 1, column.size) if negated else ranges)


def _ranges(column: Column, comparison: nodes.Comparison, place: str, pointer: str) -> Ranges:
    value = comparison.value
    if comparison.op in ("in", "between"):
        values = value if isinstance(value, tuple) else ()
        if comparison.op == "in":
            return codes.union([r for i, v in enumerate(values) for r in codes.equal(column, v, f"{place}/{i}")])
        if len(values) != 2:
            raise InvalidQuery(place, "between takes a list of two, [lowest, highest]")
        _require_order(column, comparison.op, pointer)
        low, high = (codes.units_of(column, v, f"{place}/{i}") for i, v in enumerate(values))
        if low > high:
            raise InvalidQuery(place, "must ascend")
        return codes.between(column, low, high)
    if value is None or isinstance(value, tuple):
        raise InvalidQuery(place, f"{comparison.op} takes one value")
    if comparison.op == "=":
        return codes.equal(column, value, place)
    if comparison.op == "!=":
        return codes.complement(codes.equal(column, value, place), 1, column.size)
    _require_order(column, comparison.op, pointer)
    units = codes.units_of(column, value, place)
    if comparison.op in ("<", "<="):
        return codes.between(column, None, units, high_open=comparison.op == "<")
    return codes.between(column, units, None, low_open=comparison.op == ">")


def _require_order(column: Column, op: str, pointer: str) -> None:
    if not column.ordered:
        raise InvalidQuery(f"{pointer}/op", f"{column.name} has no order; use =, != or in, not {op}")


def _bind_spelled(column: Column, comparison: nodes.Comparison, place: str, pointer: str, *, negated: bool) -> Bound:
    value = comparison.value
    texts = value if isinstance(value, tuple) else (value,)
    if comparison.op not in ("=", "!=", "in"):
        raise InvalidQuery(f"{pointer}/op", f"{column.name} has no declared values; use =, !=, in or is_null")
    if (comparison.op == "in") != isinstance(value, tuple):
        raise InvalidQuery(place, f"{comparison.op} takes {'a list' if comparison.op == 'in' else 'one value'}")
    checked = []
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidQuery(
                f"{place}/{index}" if isinstance(value, tuple) else place,
                f"{column.name} holds categories; give them as text",
            )
        checked.append(text)
    return Spelled(column.name, tuple(sorted(set(checked))), negated != (comparison.op == "!="))


def column_of(table: Table, name: str, pointer: str) -> Column:
    """Return a column of a table. Raises InvalidQuery, naming the nearest column."""
    column = table.columns.get(name)
    if column is None:
        raise InvalidQuery(pointer, f"table {table.name} has no such column{codes.nearest(name, table.columns)}")
    return column


def simplify(predicate: Bound) -> Bound:
    """Return the canonical form of a bound predicate."""
    match predicate:
        case Among(_, ()):
            return NEVER
        case Among(_, ((0, codes.UNDECLARED_LAST),)):
            return ALWAYS
        case Spelled(name, (), negated):
            return Among(name, NOT_NULL) if negated else NEVER
        case Both(parts):
            return _merge(parts, Both, NEVER)
        case Either(parts):
            return _merge(parts, Either, ALWAYS)
        case _:
            return predicate


def _merge(parts: tuple[Bound, ...], group: type[Both] | type[Either], decisive: Bound) -> Bound:
    """Flatten a group, combine what it says of each column, and sort it.

    `decisive` is the part that settles the whole group: NEVER among parts that must all hold, ALWAYS otherwise.
    """
    flat: list[Bound] = []
    for part in map(simplify, parts):
        flat.extend(part.parts if isinstance(part, group) else [part])
    spelled = {values.column for part in flat if (values := _values(part)) is not None}
    ranges: dict[str, list[Ranges]] = {}
    values_of: dict[str, list[_Values]] = {}
    others: list[Bound] = []
    for part in flat:
        if (values := _values(part, spelled)) is not None:
            values_of.setdefault(values.column, []).append(values)
        elif isinstance(part, Among):
            ranges.setdefault(part.column, []).append(part.ranges)
        else:
            others.append(part)
    all_must_hold = group is Both
    combine = codes.intersection if all_must_hold else _either_ranges
    together = _Values.both if all_must_hold else _Values.either
    merged = [simplify(Among(name, functools.reduce(combine, several))) for name, several in ranges.items()]
    merged += [functools.reduce(together, several).bound() for several in values_of.values()]
    # One more flattening: what was combined may be of the group's own kind.
    settled = [inner for part in [*merged, *others] for inner in (part.parts if isinstance(part, group) else [part])]
    kept = sorted(set(settled), key=canonical)
    if decisive in kept:
        return decisive
    return kept[0] if len(kept) == 1 else group(tuple(kept))


def _either_ranges(left: Ranges, right: Ranges) -> Ranges:
    return codes.union([*left, *right])


NULL: Ranges = ((0, 0),)
NOT_NULL: Ranges = ((1, codes.UNDECLARED_LAST),)


@dataclass(frozen=True)
class _Values:
    """What a filter takes of an undeclared category: null or not, and these texts or (`negated`) all but these."""

    column: str
    null: bool
    texts: frozenset[str]
    negated: bool

    def opposite(self) -> _Values:
        return _Values(self.column, not self.null, self.texts, not self.negated)

    def both(self, other: _Values) -> _Values:
        null, negated = self.null and other.null, self.negated and other.negated
        if negated:
            texts = self.texts | other.texts
        elif self.negated:
            texts = other.texts - self.texts
        elif other.negated:
            texts = self.texts - other.texts
        else:
            texts = self.texts & other.texts
        return _Values(self.column, null, texts, negated)

    def either(self, other: _Values) -> _Values:
        return self.opposite().both(other.opposite()).opposite()

    def bound(self) -> Bound:
        """Return the one form that this set has among bound predicates."""
        null = Among(self.column, NULL) if self.null else NEVER
        if not self.texts:
            if not self.negated:
                return null
            return ALWAYS if self.null else Among(self.column, NOT_NULL)
        spelled = Spelled(self.column, tuple(sorted(self.texts)), self.negated)
        return Either(tuple(sorted((null, spelled), key=canonical))) if self.null else spelled


def _values(part: Bound, spelled: Collection[str] = ()) -> _Values | None:
    """Return what a part takes of one undeclared category, or None where it is about something else.

    Only texts show that a column is undeclared: `spelled` names those of which a text was seen beside this part.
    """
    match part:
        case Spelled(name, texts, negated):
            return _Values(name, null=False, texts=frozenset(texts), negated=negated)
        case Among(name, ranges) if name in spelled:
            return _Values(name, null=ranges[0] == (0, 0), texts=frozenset(), negated=ranges[-1][1] > 0)
        case Either((Among(name, ((0, 0),)), Spelled(same, texts, negated))) if name == same:
            return _Values(name, null=True, texts=frozenset(texts), negated=negated)
        case Either((Spelled(same, texts, negated), Among(name, ((0, 0),)))) if name == same:
            return _Values(name, null=True, texts=frozenset(texts), negated=negated)
        case _:
            return None


def canonical(predicate: Bound) -> str:
    """Return a text that two predicates share exactly when they are the same."""
    return json.dumps(to_json(predicate), sort_keys=True, separators=(",", ":"))


def to_json(predicate: Bound) -> object:
    """Return a bound predicate as JSON values, for the canonical form of a query."""
    match predicate:
        case Among(column, ranges):
            return {"column": column, "codes": [list(pair) for pair in ranges]}
        case Spelled(column, texts, negated):
            return {"column": column, "texts": list(texts), "negated": negated}
        case Both(parts):
            return {"all": [to_json(part) for part in parts]}
        case Either(parts):
            return {"any": [to_json(part) for part in parts]}
        case Member(events, at_least, after, without, negated):
            return {
                "persons": events_json(events),
                "at_least": at_least,
                "after": None if after is None else events_json(after),
                "without": None if without is None else events_json(without),
                "negated": negated,
            }


def events_json(events: Events) -> dict[str, object]:
    """Return events as JSON values, for the canonical form of a query."""
    return {
        "table": events.table,
        "where": to_json(events.where),
        "date": events.date,
        "within_days": events.within_days,
    }


def has_cohort(predicate: Bound) -> bool:
    """Say whether a predicate asks for more of a person than the event itself."""
    match predicate:
        case Member():
            return True
        case Both(parts) | Either(parts):
            return any(map(has_cohort, parts))
        case _:
            return False


def columns(predicate: Bound) -> frozenset[str]:
    """Return the columns a predicate reads."""
    match predicate:
        case Among(column) | Spelled(column):
            return frozenset({column})
        case Both(parts) | Either(parts):
            return frozenset().union(*map(columns, parts))
        case Member():
            return frozenset()
