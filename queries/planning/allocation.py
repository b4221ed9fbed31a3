"""How what a query may spend is shared: between its statistics, and within a statistic between its measures.

Everything here follows from the query and the catalog. The true values are not known, so a statistic's margin is
measured by a public yardstick: the size that the statistic would have for a *reference group* of n persons. All
yardsticks grow with n alike, so that the shares do not depend on n.

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
| variance, covariance | h^2 / 3, h_x * h_y / 3 |
| standard deviation | h / sqrt(3) |
| correlation | 1 |

Let a be how far the noise of a measure moves the result, relative to the yardstick, when the noise has the scale
`largest` (one person's part of a cell): to first order, c * largest / (yardstick * n * m), with c the factor that the
measure's noise has in `intervals.py`, `moments.py` and `quantiles.py`. The cells that a person may touch multiply all
scales alike and drop out. Then

- Within a statistic that may spend epsilon, noise of scale largest / epsilon_j on each measure makes a relative
  variance of 2 * sum (a_j / epsilon_j)^2. By Lagrange it is least, for a given sum, where epsilon_j is proportional to
  the cube root of a_j^2; its square root is then proportional to A / epsilon with A = (sum of the cube roots)^(3/2).
- With rho the scales are in proportion to largest / sqrt(rho_j), be the noise Gaussian or Laplace: the variance is
  least where rho_j is proportional to a_j, and its square root is proportional to A / sqrt(rho) with A = sum a_j.
- Between statistics, equal relative margins A_i / epsilon_i need epsilon_i in proportion to A_i, and equal
  A_i / sqrt(rho_i) need rho_i in proportion to A_i^2.

All of it in exact integers, so that the same question has the same shares on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from queries.language import nodes
from queries.statistics.intervals import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.plan import Draft, Factor, Measure

FINE = 2**64  # the roots below are taken to this part
HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Weight:
    """How a statistic's share relates to those of others, and how its measures share it. Whole numbers."""

    whole: int
    parts: tuple[int, ...]


def weigh(statistic: nodes.Statistic, drafts: Sequence[Draft], events: int, word: str) -> Weight:
    """Return the weights of a statistic and of its measures in what is spent, `word`: epsilon or rho."""
    squares = [
        square * draft.largest**2 for square, draft in zip(influences(statistic, drafts, events), drafts, strict=True)
    ]
    # Of a search the last round tells, with its part of the charge.
    for place, draft in enumerate(drafts):
        if draft.search is not None:
            squares[place] *= Fraction(10, draft.search.tenths[-1]) ** (2 if word == "epsilon" else 1)
    # A measure without any influence in the reference group has some in others.
    least = max(squares) / 10_000
    squares = [max(square, least) for square in squares]
    if word == "epsilon":
        parts = tuple(root(square, 3) for square in squares)
        return Weight(math.isqrt(sum(parts) ** 3), parts)
    parts = tuple(root(square, 2) for square in squares)
    return Weight(sum(parts) ** 2, parts)


def split(total: int, weights: Sequence[int], least: Sequence[int]) -> list[int]:
    """Split a whole number in proportion to the weights, to within one, with so much at least for each.

    What the least leave over is shared, each share rounded down, and the rest given to the largest remainders, of equal
    ones to the first. The sum is exactly the total, which is no less than that of the least.
    """
    assert total >= sum(least)
    over, whole = total - sum(least), sum(weights)
    shares = [over * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -(over * weights[place] % whole))
    for place in by_remainder[: over - sum(shares)]:
        shares[place] += 1
    return [share + some for share, some in zip(shares, least, strict=True)]


def relative_margin(statistic: nodes.Statistic, measures: Sequence[Measure], events: int, confidence: float) -> float:
    """Return a statistic's margin over its yardstick, times the number of persons in the group."""
    factors = [math.sqrt(square) for square in influences(statistic, measures, events)]
    margins = [measure.mechanism.margin(confidence) for measure in measures]
    if len(margins) == 1 or not any(margins):
        return factors[0] * margins[0]
    # In units of the first measure, which are whole.
    scales = np.array(
        [factor / factors[0] * one.mechanism.scale for factor, one in zip(factors, measures, strict=True)]
    )
    gaussian = measures[0].mechanism.gaussian
    return factors[0] * float(reach((scales**2).sum(), (scales**4).sum(), confidence, gaussian=gaussian))


def influences(statistic: nodes.Statistic, drafts: Sequence[Draft], events: int) -> list[Fraction]:
    """Return the square of how far a noise of 1 on each measure moves the result, over yardstick and persons."""
    # The square of m, the number of events of a person: see the module's text.
    of_events = Fraction(1, events)
    match statistic:
        case nodes.Count("persons"):
            return [Fraction(1)]
        case nodes.Proportion(_, of):
            # At a share of a half, half the difference of two noises, over the yardstick of a half.
            return [Fraction(2) * (1 if of == "persons" else of_events)]
        case nodes.Top():
            # Its margins hold for all counts of a cell at once, and so are the wider the more there are.
            wider = 1 + Fraction(round(16 * math.log(drafts[0].width, 20)), 16)
            return [wider**2 * of_events]
        case nodes.Sum():
            (x,) = drafts[0].factors
            return [of_events / typical(x) ** 2]
        case nodes.Mean():
            h = _half(drafts[0], 0)
            return [of_events / h**2, of_events / 4]
        case nodes.Quantile(at=at):
            # The balance of an edge is made of all bins of a round, weighted by the share on one side or the other.
            share = max(Fraction(str(q)) * (1 - Fraction(str(q))) for q in at)
            search = drafts[0].search
            assert search is not None
            return [search.bins * share * 4 * of_events]
        case nodes.Variance() | nodes.Stddev():
            return [square * of_events for square in _of_variance(statistic, drafts)]
        case nodes.Covariance():
            return [square * of_events for square in _of_covariance(drafts)]
        case nodes.Correlation():
            return [square * of_events for square in _of_correlation(drafts)]
        case _:
            return [of_events for _ in drafts]


def _of_variance(statistic: nodes.Variance | nodes.Stddev, drafts: Sequence[Draft]) -> list[Fraction]:
    """Return the squares for XX - 2 a X + (a^2 + middle - K) N, with the mean a = h / 2 and the variance K."""
    h = _half(drafts[0], 0)
    variance = h**2 / 3
    of_count = h**2 / 4 + drafts[0].middle - variance
    # A standard deviation moves by half as much, relative to itself, as a variance.
    yardstick = variance * (2 if isinstance(statistic, nodes.Stddev) else 1)
    return [(moved / yardstick) ** 2 for moved in (Fraction(1), h, of_count)]


def _of_covariance(drafts: Sequence[Draft]) -> list[Fraction]:
    """Return the squares for XY - a Y - b X + (a b - K) N, the sums in the order of the drafts: xy, x, y, count.

    The means a and b may be on the same side of their middles or not: the squares are the mean of both cases.
    """
    hx, hy = _half(drafts[0], 0), _half(drafts[0], 1)
    yardstick = hx * hy / 3
    covariance = HALF * yardstick
    of_count = [a * b - covariance for a, b in _means(hx, hy)]
    return [square / yardstick**2 for square in (Fraction(1), (hy / 2) ** 2, (hx / 2) ** 2, _mean_square(of_count))]


def _of_correlation(drafts: Sequence[Draft]) -> list[Fraction]:
    """Return the squares for the sums of xy, xx, yy, x, y and the count, put together as `moments.correlation` does."""
    hx, hy = _half(drafts[0], 0), _half(drafts[0], 1)
    r, t = HALF, hy / hx
    of_squares = t * (hx**2 / 4 + drafts[1].middle) + (hy**2 / 4 + drafts[2].middle) / t
    squared = (
        Fraction(1),
        (r * t / 2) ** 2,
        (r / t / 2) ** 2,
        _mean_square([r * t * a - b for a, b in _means(hx, hy)]),
        _mean_square([r / t * b - a for a, b in _means(hx, hy)]),
        _mean_square([a * b - r / 2 * of_squares for a, b in _means(hx, hy)]),
    )
    # All of it is divided by the product of the deviations.
    return [square / (hx * hy / 3) ** 2 for square in squared]


def _means(hx: Fraction, hy: Fraction) -> tuple[tuple[Fraction, Fraction], ...]:
    """Return where the two means of the reference group may lie: on the same side of their middles or not."""
    return ((hx / 2, hy / 2), (hx / 2, -hy / 2))


def _mean_square(numbers: Sequence[Fraction]) -> Fraction:
    return sum((number**2 for number in numbers), Fraction(0)) / len(numbers)


def _half(draft: Draft, place: int) -> Fraction:
    """Return half of the range of a factor, in units."""
    factor = draft.factors[place]
    return Fraction(factor.high - factor.low, 2)


def typical(factor: Factor) -> Fraction:
    """Return the middle between the least and the greatest magnitude that a value can have, in units."""
    ends = (abs(factor.low), abs(factor.high))
    least = 0 if factor.low <= 0 <= factor.high else min(ends)
    return Fraction(least + max(ends), 2)


def root(value: Fraction, degree: int) -> int:
    """Return the root of a number above 0 in parts of `FINE`, rounded down; at least 1."""
    whole = value.numerator * FINE**degree // value.denominator
    low, high = 1, 1 << (whole.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= whole else (low, middle - 1)
    return low
