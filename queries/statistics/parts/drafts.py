"""What statistics are made of: vectors of integers over the cells, and how far one person can move a cell of each.

Every statistic composes its measures of the functions below, and `largest` is set here alone. The argument:

The kernel lets at most `most` of a person's events count in a cell. Each of them

- adds one to a count, or to one bin of the cell's histogram, or to one side of a condition;
- adds its clamped value less a centre to a sum, so at most the larger distance from the centre to a bound;
- adds the product of two such values less a middle to a sum of products;
- or nothing, where its statistic's own filter does not hold or a value is null.

Therefore one person moves the numbers of one cell by at most `largest` = most * the most that one event adds, all bins
of the cell together. A search joins the bins of a cell to fewer ones: their sums move by no more together. A count of
persons moves by 1, also when it is split, because each person is on one side. `queries/planning/noise.py` derives the
sensitivity of the whole vector from it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from queries.plan import Counted, Draft, Factor
from queries.statistics import quantiles

if TYPE_CHECKING:
    from queries.binding.bound import Operand
    from queries.binding.keys import CellKey
    from queries.binding.predicates import Bound
    from queries.catalog.schema import Column


def persons(split: Bound | None = None) -> Draft:
    """Return how many persons have an event in each cell; on each side of a condition if one is given."""
    return Draft(Counted.PERSONS, 1, split=split)


def events(
    most: int, *, present: tuple[Column, ...] = (), within: CellKey | None = None, split: Bound | None = None
) -> Draft:
    """Return how many events each cell has: in each of its bins, or on each side of a condition, if these are given.

    Only events in which no column of `present` is null count.
    """
    return Draft(Counted.EVENTS, most, present=present, within=within, split=split)


def products(most: int, factors: tuple[Factor, ...], present: tuple[Column, ...]) -> Draft:
    """Return the sum over a cell's events of the product of one or two values, each less its centre."""
    one_event = math.prod(factor.largest for factor in factors)
    # A square is never negative: less the middle of what it can be, it moves the sum by half as much.
    middle = one_event // 2 if len(factors) == 2 and factors[0] == factors[1] else 0
    return Draft(Counted.VALUES, most * max(one_event - middle, middle), factors, middle, present)


def search(most: int, values: Operand, leaves: CellKey, shares: tuple[float, ...]) -> Draft:
    """Return how many events each leaf of a cell has, to be joined to few bins in a search for quantiles."""
    rounds = quantiles.search(shares, leaves.size)
    return Draft(Counted.EVENTS, most, (plain(values),), within=leaves, search=rounds)


def plain(values: Operand) -> Factor:
    """Return a column's value as it is, clamped."""
    return Factor(values.column, values.low, values.high)


def centred(values: Operand) -> Factor:
    """Return a column's value less the middle of its range: it moves a sum by half as much."""
    return Factor(values.column, values.low, values.high, (values.low + values.high) // 2)
