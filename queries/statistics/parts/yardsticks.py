"""The public yardsticks by which margins of different statistics are compared.

The true values are not known before an answer, so a statistic's margin is measured by a yardstick: the size that the
statistic would have for a *reference group* of n persons. All yardsticks grow with n alike, so that comparisons do not
depend on n.

The reference group. Each of its persons has m = sqrt(events_per_cell) events that count: between 1 and
events_per_cell, and wrong by the same factor if either end is the truth. The values lie, in their mean, halfway between
the middle of their bounds and one of them, as `margins_at` supposes too; their variance is that of an even spread
over the range, h^2 / 3 with half the range h; two columns are correlated by a half.

| statistic | yardstick |
|---|---|
| count | n persons, or n * m events |
| histogram, most frequent values | n * m events: their bins are read as shares of the group |
| sum | n * m times the middle between the least and the greatest magnitude within the bounds |
| mean | h, half the range |
| proportion | 1/2, half the range of shares |
| quantile | n * m / 2 events further up or down: in values spread evenly these are h |
| interquartile range | h, that of values spread evenly |
| survival curve | n * m events: its numbers are read as shares of the group |
| variance, covariance | h^2 / 3, h_x * h_y / 3 |
| standard deviation | h / sqrt(3) |
| correlation | 1 |
| slope | h_y / h_x, from one corner of the ranges to the other |
| incidence rate | that of half of n persons with the event, all at risk for half of the days |

Let a be how far the noise of a measure moves the result, relative to the yardstick, when the noise has the scale
`largest` (one person's part of a cell): to first order, c * largest / (yardstick * n * m), with c the factor that the
measure's noise has in `intervals.py`, `moments.py` and `quantiles.py`. The cells that a person may touch multiply all
scales alike and drop out. A statistic's `influences` are the squares of a * n for `largest` = 1, as exact fractions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.plan import Draft, Factor

HALF = Fraction(1, 2)


def of_events(events: int) -> Fraction:
    """Return the square of 1 / m: what a yardstick of n * m events is divided by."""
    return Fraction(1, events)


def half_range(draft: Draft, place: int) -> Fraction:
    """Return h, half of the range of a factor, in units."""
    factor = draft.factors[place]
    return Fraction(factor.high - factor.low, 2)


def typical(factor: Factor) -> Fraction:
    """Return the middle between the least and the greatest magnitude that a value can have, in units."""
    ends = (abs(factor.low), abs(factor.high))
    least = 0 if factor.low <= 0 <= factor.high else min(ends)
    return Fraction(least + max(ends), 2)


def two_means(hx: Fraction, hy: Fraction) -> tuple[tuple[Fraction, Fraction], ...]:
    """Return where the means of two columns may lie: on the same side of their middles or not."""
    return ((hx / 2, hy / 2), (hx / 2, -hy / 2))


def mean_square(numbers: Sequence[Fraction]) -> Fraction:
    """Return the mean of the squares."""
    return sum((number**2 for number in numbers), Fraction(0)) / len(numbers)
