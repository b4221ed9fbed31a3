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
from typing import TYPE_CHECKING, assert_never

from queries.binding.bound import BoundStatistic, Operand
from queries.binding.keys import CellKey
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.plan import Counted, Draft, Factor
from queries.statistics import quantiles, survival

if TYPE_CHECKING:
    from queries.binding.scope import Scope
    from queries.catalog.schema import Column


def bind(name: str, statistic: nodes.Statistic, scope: Scope) -> BoundStatistic:
    """Return a statistic with its columns and bins, but for its filter. Raises InvalidQuery with the place."""
    pointer = f"/query/select/{name}"
    place = f"{pointer}/{nodes.word_of(statistic)}"
    bound = BoundStatistic(name, statistic)
    match statistic:
        case nodes.Count():
            return bound
        case nodes.Proportion():
            scope.require_room(2, place)
            return replace(bound, split=scope.filter(statistic.holds, place))
        case nodes.Sum() | nodes.Mean() | nodes.Variance() | nodes.Stddev():
            return replace(bound, operands=(_operand(statistic, scope, pointer),))
        case nodes.Covariance() | nodes.Correlation():
            return replace(bound, operands=_pair(statistic, scope, pointer))
        case nodes.Quantile():
            x = _operand(statistic, scope, pointer)
            scope.require_room(min(quantiles.BINS, x.high - x.low + 1), place)
            return replace(bound, operands=(x,), within=quantiles.leaves(x.column, x.low, x.high, scope.room))
        case nodes.Histogram(column, edges):
            key = nodes.ByValue(column) if edges is None else nodes.ByBins(column, edges)
            within = scope.key(key, place if edges is None else pointer, place)
            scope.require_room(within.size, place if edges is None else f"{pointer}/bins")
            return replace(bound, within=within)
        case nodes.Survival():
            return _bind_survival(bound, statistic, scope, pointer)
        case nodes.Top(column, k):
            within = scope.key(nodes.ByValue(column), place)
            if k > within.size:
                raise InvalidQuery(f"{pointer}/k", f"{column} has only {within.size} values")
            scope.require_room(within.size, place)
            return replace(bound, within=within)
        case _:
            assert_never(statistic)


def _operand(
    statistic: nodes.Sum | nodes.Mean | nodes.Variance | nodes.Stddev | nodes.Quantile, scope: Scope, pointer: str
) -> Operand:
    word = nodes.word_of(statistic)
    return scope.clamped(statistic.column, statistic.bounds, word, f"{pointer}/{word}", f"{pointer}/bounds")


def _pair(statistic: nodes.Covariance | nodes.Correlation, scope: Scope, pointer: str) -> tuple[Operand, Operand]:
    word = nodes.word_of(statistic)
    pair = statistic.bounds or (None, None)
    x, y = (
        scope.clamped(name, bounds, word, f"{pointer}/{word}/{place}", f"{pointer}/bounds/{place}")
        for place, (name, bounds) in enumerate(zip(statistic.columns, pair, strict=True))
    )
    if x.column == y.column:
        raise InvalidQuery(f"{pointer}/{word}/1", f"a {word} is of two columns")
    return x, y


def _bind_survival(bound: BoundStatistic, statistic: nodes.Survival, scope: Scope, pointer: str) -> BoundStatistic:
    if scope.built is None:
        raise InvalidQuery(f"{pointer}/survival", "a curve is of a per-person table with a value built with days_to")
    outcome, notes = survival.outcome(bound.name, statistic, scope.built, scope.tables, pointer)
    scope.require_room(outcome.column.size, f"{pointer}/bins")
    within = CellKey(outcome.column.name, outcome.column, null=False)
    return replace(bound, within=within, outcome=outcome, notes=notes)


def drafts(bound: BoundStatistic, events: int) -> tuple[Draft, ...]:
    """Return the measures a statistic is made of, where so many events of a person count in a cell."""
    found = _drafts(bound, events)
    return found if bound.where is None else tuple(replace(draft, where=bound.where) for draft in found)


def _drafts(bound: BoundStatistic, events: int) -> tuple[Draft, ...]:
    statistic = bound.node
    present = tuple(x.column for x in bound.operands)
    match statistic:
        case nodes.Count("persons"):
            return (Draft(Counted.PERSONS, 1),)
        case nodes.Count():
            return (_events(events),)
        case nodes.Proportion(of="persons"):
            return (Draft(Counted.PERSONS, 1, split=bound.split),)
        case nodes.Proportion():
            return (Draft(Counted.EVENTS, events, split=bound.split),)
        case nodes.Sum():
            (x,) = bound.operands
            return (_values(events, (Factor(x.column, x.low, x.high),), present),)
        case nodes.Mean():
            (value,) = map(_centred, bound.operands)
            return _values(events, (value,), present), _events(events, present)
        case nodes.Variance() | nodes.Stddev():
            (value,) = map(_centred, bound.operands)
            squares = _values(events, (value, value), present)
            return squares, _values(events, (value,), present), _events(events, present)
        case nodes.Covariance() | nodes.Correlation():
            left, right = map(_centred, bound.operands)
            products = [(left, right)]
            if isinstance(statistic, nodes.Correlation):
                products += [(left, left), (right, right)]
            sums = (_values(events, factors, present) for factors in (*products, (left,), (right,)))
            return (*sums, _events(events, present))
        case nodes.Quantile(at=at):
            (x,) = bound.operands
            assert bound.within is not None
            search = quantiles.search(at, bound.within.size)
            factor = Factor(x.column, x.low, x.high)
            return (Draft(Counted.EVENTS, events, (factor,), within=bound.within, search=search),)
        case nodes.Histogram() | nodes.Top() | nodes.Survival():
            return (_events(events, (), bound.within),)
        case _:
            assert_never(statistic)


def _events(events: int, present: tuple[Column, ...] = (), within: CellKey | None = None) -> Draft:
    return Draft(Counted.EVENTS, events, present=present, within=within)


def _values(events: int, factors: tuple[Factor, ...], present: tuple[Column, ...]) -> Draft:
    most = math.prod(factor.largest for factor in factors)
    # A square is never negative: less the middle of what it can be, it moves the sum by half as much.
    middle = most // 2 if len(factors) == 2 and factors[0] == factors[1] else 0
    return Draft(Counted.VALUES, events * max(most - middle, middle), factors, middle, present)


def _centred(x: Operand) -> Factor:
    """Return a column's value centred on the middle of its range: it moves a sum by half as much."""
    return Factor(x.column, x.low, x.high, (x.low + x.high) // 2)
