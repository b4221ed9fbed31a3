"""What a statistic is made of: vectors of integers over the cells, and how far one person can move a cell of each.

The kernel lets at most `events` of a person's events count in a cell. Each of them

- adds one to a count, or to one bin of the cell's histogram;
- adds its clamped value less a centre to a sum, so at most the larger distance from the centre to a bound;
- adds the product of two such values less a middle to a sum of products;
- or nothing, where its statistic's own filter does not hold.

So one person moves the numbers of one cell by at most `largest` = events * the most that one event adds, all bins of
the cell together. A count of persons moves by 1, also when it is split: each person is on one side. `plan.py` makes
the sensitivity of the whole vector of it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from queries.binding import filters, keys
from queries.catalog import codes
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.plan import Counted, Draft, Factor
from queries.statistics import quantiles, survival

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding.keys import CellKey
    from queries.catalog.schema import Column, Table

Bounds = tuple[float, float] | None


def drafts(
    statistic: nodes.Statistic, table: Table, tables: Mapping[str, Table], events: int, room: int, pointer: str
) -> tuple[Draft, ...]:
    """Return the measures a statistic is made of, each cell with at most `room` numbers. Raises InvalidQuery."""
    if isinstance(statistic, nodes.Proportion):
        _require_room(2, room, f"{pointer}/proportion")
        split = filters.bind(statistic.holds, table, f"{pointer}/proportion", tables)
        counted, largest = (Counted.PERSONS, 1) if statistic.of == "persons" else (Counted.EVENTS, events)
        return (Draft(counted, largest, split=split),)
    found = _drafts(statistic, table, events, room, pointer)
    if statistic.where is None:
        return found
    where = filters.bind(statistic.where, table, f"{pointer}/where", tables)
    return tuple(replace(draft, where=where) for draft in found)


def _drafts(statistic: nodes.Function, table: Table, events: int, room: int, pointer: str) -> tuple[Draft, ...]:
    match statistic:
        case nodes.Count("persons"):
            return (Draft(Counted.PERSONS, 1),)
        case nodes.Count():
            return (_events(events),)
        case nodes.Sum(name, bounds):
            column, low, high = _value_bounds(table, name, bounds, f"{pointer}/sum", f"{pointer}/bounds")
            return (_values(events, (Factor(column, low, high),), (column,)),)
        case nodes.Mean(name, bounds):
            x = _factor(table, name, bounds, f"{pointer}/mean", f"{pointer}/bounds")
            return _values(events, (x,), (x.column,)), _events(events, (x.column,))
        case nodes.Variance(name, bounds) | nodes.Stddev(name, bounds):
            x = _factor(table, name, bounds, f"{pointer}/{nodes.word_of(statistic)}", f"{pointer}/bounds")
            present = (x.column,)
            return _values(events, (x, x), present), _values(events, (x,), present), _events(events, present)
        case nodes.Covariance() | nodes.Correlation():
            return _of_pair(statistic, table, events, pointer)
        case nodes.Quantile(name, at, bounds, _):
            column, low, high = _value_bounds(table, name, bounds, f"{pointer}/quantile", f"{pointer}/bounds")
            _require_room(min(quantiles.BINS, high - low + 1), room, f"{pointer}/quantile")
            leaves = quantiles.leaves(column, low, high, room)
            search = quantiles.search(at, leaves.size)
            return (Draft(Counted.EVENTS, events, (Factor(column, low, high),), within=leaves, search=search),)
        case nodes.Histogram(name, edges):
            key = nodes.ByValue(name) if edges is None else nodes.ByBins(name, edges)
            named = f"{pointer}/histogram"
            within = keys.bind(key, table, named if edges is None else pointer, named)
            _require_room(within.size, room, named if edges is None else f"{pointer}/bins")
            return (_events(events, (), within),)
        case nodes.Survival():
            outcome = table.columns.get(survival.column_name(pointer.rpartition("/")[2]))
            if outcome is None:
                raise InvalidQuery(
                    f"{pointer}/survival", "a curve is of a per-person table with a value built with days_to"
                )
            _require_room(outcome.size, room, f"{pointer}/bins")
            return (_events(events, (), keys.CellKey(outcome.name, outcome, null=False)),)
        case nodes.Top(name, k):
            within = keys.bind(nodes.ByValue(name), table, f"{pointer}/top")
            if k > within.size:
                raise InvalidQuery(f"{pointer}/k", f"{name} has only {within.size} values")
            _require_room(within.size, room, f"{pointer}/top")
            return (_events(events, (), within),)


def _of_pair(
    statistic: nodes.Covariance | nodes.Correlation, table: Table, events: int, pointer: str
) -> tuple[Draft, ...]:
    """Return the sums of products, the sums and the number of the events where neither value is null."""
    word = nodes.word_of(statistic)
    pair = statistic.bounds or (None, None)
    x, y = (
        _factor(table, name, bounds, f"{pointer}/{word}/{place}", f"{pointer}/bounds/{place}")
        for place, (name, bounds) in enumerate(zip(statistic.columns, pair, strict=True))
    )
    if x.column == y.column:
        raise InvalidQuery(f"{pointer}/{word}/1", f"a {word} is of two columns")
    products = [(x, y)] if word == "covariance" else [(x, y), (x, x), (y, y)]
    present = (x.column, y.column)
    sums = (_values(events, factors, present) for factors in (*products, (x,), (y,)))
    return (*sums, _events(events, present))


def _events(events: int, present: tuple[Column, ...] = (), within: CellKey | None = None) -> Draft:
    return Draft(Counted.EVENTS, events, present=present, within=within)


def _values(events: int, factors: tuple[Factor, ...], present: tuple[Column, ...]) -> Draft:
    most = math.prod(factor.largest for factor in factors)
    # A square is never negative: less the middle of what it can be, it moves the sum by half as much.
    middle = most // 2 if len(factors) == 2 and factors[0] == factors[1] else 0
    return Draft(Counted.VALUES, events * max(most - middle, middle), factors, middle, present)


def _factor(table: Table, name: str, bounds: Bounds, pointer: str, bounds_pointer: str) -> Factor:
    """Return a column's value centred on the middle of its range: it moves a sum by half as much."""
    column, low, high = _value_bounds(table, name, bounds, pointer, bounds_pointer)
    return Factor(column, low, high, (low + high) // 2)


def _value_bounds(
    table: Table, name: str, bounds: Bounds, pointer: str, bounds_pointer: str
) -> tuple[Column, int, int]:
    """Return a numeric column and the clamping bounds in its units."""
    column = filters.column_of(table, name, pointer)
    if not column.numeric:
        word = pointer.removesuffix("/0").removesuffix("/1").rpartition("/")[2]
        raise InvalidQuery(pointer, f"{name} is a {column.kind.value}; a {word} needs numbers")
    if bounds is None:
        return column, column.low, column.high
    units = []
    for place, bound in enumerate(bounds):
        unit = codes.units_of(column, bound, f"{bounds_pointer}/{place}")
        if unit.denominator != 1 or not column.low <= unit <= column.high:
            raise InvalidQuery(
                f"{bounds_pointer}/{place}",
                f"must be a multiple of {name}'s step {column.step} "
                f"from {column.value(column.low)} to {column.value(column.high)}",
            )
        units.append(int(unit))
    low, high = units
    if low >= high:
        raise InvalidQuery(bounds_pointer, "must ascend")
    return column, low, high


def _require_room(width: int, room: int, pointer: str) -> None:
    if width > room:
        raise InvalidQuery(
            pointer, f"{width} numbers in each cell are more than an answer may have: take fewer bins, or fewer cells"
        )
