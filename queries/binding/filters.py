"""A filter bound to a table: from the predicate as it was written to its canonical form (`predicates.py`).

Binding moves every `not` down to the comparisons (as in SQL, neither a comparison nor its negation holds for a null).
It turns each comparison into ranges of codes, or into texts if the column's values are not declared. What does not fit
the table is refused with its place.
"""

from __future__ import annotations

from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, assert_never

from queries.binding import names
from queries.binding.predicates import (
    ALWAYS,
    Among,
    Beginning,
    Both,
    Compared,
    Either,
    Events,
    Member,
    Spelled,
    simplify,
)
from queries.catalog import codes
from queries.catalog.schema import Kind
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import DEPTH_MAX, PREFIX_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding.predicates import Bound
    from queries.catalog.codes import Ranges
    from queries.catalog.hierarchies import Hierarchy
    from queries.catalog.schema import Column, Table

UNITS_MAX = 2**62  # of what is compared: whole numbers of 64 bits
NO_TABLES: Mapping[str, Table] = MappingProxyType({})


def bind(
    predicate: nodes.Predicate | None, table: Table, pointer: str, tables: Mapping[str, Table] = NO_TABLES
) -> Bound:
    """Return the canonical form of a predicate over a table. `tables` are those that cohorts may be made of.

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
        case _:
            assert_never(predicate)


def _bind_cohort(cohort: nodes.Cohort, tables: Mapping[str, Table], pointer: str, *, negated: bool) -> Bound:
    if not tables:
        raise InvalidQuery(pointer, "a cohort stands in the outer filter, not within another cohort or a built table")
    table = names.table_of(tables, cohort.table, f"{pointer}/persons")
    where = bind(cohort.where, table, f"{pointer}/where")
    by_day = cohort.after is not None or cohort.without is not None
    date, first_day = None, 0
    if by_day or cohort.date is not None:
        column = names.date_of(table, cohort.date, f"{pointer}/date")
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
    table = names.table_of(tables, related.table, f"{pointer}/of")
    date = names.date_of(table, related.date, f"{pointer}/date")
    where = bind(related.where, table, f"{pointer}/where")
    return Events(table.name, where, date.name, date.low, related.within_days)


def _bind_comparison(comparison: nodes.Comparison, table: Table, pointer: str, *, negated: bool) -> Bound:
    if comparison.column == nodes.PERSON:
        raise InvalidQuery(f"{pointer}/column", "persons are not compared with values; ask for a cohort of them")
    column = names.column_of(table, comparison.column, f"{pointer}/column")
    if comparison.op == "is_null":
        # Nobody knows the last code of an undeclared column. The first is 1.
        last = column.size if column.declared else codes.UNDECLARED_LAST
        return Among(column.name, ((1, last),) if negated else ((0, 0),))
    place = f"{pointer}/value"
    if isinstance(comparison.value, nodes.CodeList):
        raise InvalidQuery(place, "there is no study whose protocol could have this code list")
    if isinstance(comparison.value, nodes.OtherColumn):
        other = names.column_of(table, comparison.value.name, f"{place}/column")
        return _bind_compared(column, comparison.op, other, f"{place}/column", negated=negated)
    if comparison.op in ("under", "begins"):
        return _bind_under(column, comparison, place, pointer, negated=negated)
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
    if value is None or isinstance(value, tuple | nodes.CodeList | nodes.OtherColumn):
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


def _bind_under(column: Column, comparison: nodes.Comparison, place: str, pointer: str, *, negated: bool) -> Bound:
    if column.kind is not Kind.CATEGORY:
        raise InvalidQuery(
            f"{pointer}/op", f"{column.name} is a {column.kind.value}; {comparison.op} is for categories"
        )
    prefix = comparison.value
    if comparison.op == "under" and column.hierarchy is not None and not column.hierarchy.by_prefix:
        return _bind_descendants(column, column.hierarchy, prefix, place, negated=negated)
    if not isinstance(prefix, str) or not 1 <= len(prefix) <= PREFIX_MAX:
        raise InvalidQuery(
            place, f"{comparison.op} takes the beginning of a code: a text of 1 to {PREFIX_MAX} characters"
        )
    if column.values is None:
        return Beginning(column.name, (prefix,), negated)
    ranges = codes.union([(code, code) for code, value in enumerate(column.values, 1) if value.startswith(prefix)])
    if not ranges:
        raise InvalidQuery(
            place, f"{column.name} has no declared value that begins so{codes.nearest(prefix, column.values)}"
        )
    return Among(column.name, codes.complement(ranges, 1, column.size) if negated else ranges)


def _bind_descendants(column: Column, hierarchy: Hierarchy, code: object, place: str, *, negated: bool) -> Bound:
    """Return whether a code is another one, or under it. The hierarchy is public, so this is a list like any other."""
    known = column.values or ()
    if not isinstance(code, str):
        raise InvalidQuery(place, f"{column.name} holds categories; give them as text")
    if not hierarchy.knows(code, known):
        raise InvalidQuery(place, f"{code} is not in the hierarchy of {column.name}")
    if column.values is None:
        return Spelled(column.name, tuple(sorted(hierarchy.descendants(code))), negated)
    under = set(hierarchy.under(code, known))
    ranges = codes.union([(number, number) for number, value in enumerate(known, 1) if value in under])
    return Among(column.name, codes.complement(ranges, 1, column.size) if negated else ranges)


OPPOSITE = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def _bind_compared(column: Column, op: str, other: Column, place: str, *, negated: bool) -> Bound:
    """Return how two columns of a row compare: numbers in whole multiples of what both steps are multiples of."""
    for one in (column, other):
        if not one.ordered:
            raise InvalidQuery(place, f"{one.name} has no order; numbers and dates are compared with each other")
    if (column.kind is Kind.DATE) != (other.kind is Kind.DATE):
        raise InvalidQuery(place, f"{column.name} and {other.name} are not compared: one is a date, the other a number")
    ratio = Fraction(column.step) / Fraction(other.step)
    op = OPPOSITE[op] if negated else op
    left, right = (column, ratio.numerator), (other, ratio.denominator)
    if op in (">", ">=") or (op in ("=", "!=") and column.name > other.name):
        left, right, op = right, left, {">": "<", ">=": "<="}.get(op, op)
    for one, factor in (left, right):
        if max(abs(one.low), abs(one.high)) * factor >= UNITS_MAX:
            raise InvalidQuery(place, f"{column.name} and {other.name} have steps too different to be compared")
    (one, a), (two, b) = left, right
    return Compared((one.name, two.name), op, (one.low, two.low), (a, b))


def _bind_spelled(column: Column, comparison: nodes.Comparison, place: str, pointer: str, *, negated: bool) -> Bound:
    value = comparison.value
    texts = value if isinstance(value, tuple) else (value,)
    if comparison.op not in ("=", "!=", "in"):
        raise InvalidQuery(
            f"{pointer}/op", f"{column.name} has no declared values; use =, !=, in, under, begins or is_null"
        )
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
