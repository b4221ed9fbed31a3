"""Splitting a charge: between the statistics of a query, and within a statistic between its measures.

Everything here follows from the query and the catalog. The true values are not known, so a statistic's margin is
measured by a public yardstick (`queries/statistics/parts/yardsticks.py`).

Let a be how far the noise of a measure moves the result, relative to the yardstick, when the noise has the scale
`largest` (one person's part of a cell). Then

- Within a statistic that may spend epsilon, noise of scale largest / epsilon_j on each measure makes a relative
  variance of 2 * sum (a_j / epsilon_j)^2. By Lagrange it is least, for a given sum, where epsilon_j is proportional to
  the cube root of a_j^2; its square root is then proportional to A / epsilon with A = (sum of the cube roots)^(3/2).
- With rho the scales are in proportion to largest / sqrt(rho_j), for Gaussian and for Laplace noise: the variance is
  least where rho_j is proportional to a_j, and its square root is proportional to A / sqrt(rho) with A = sum a_j.
- Between statistics, equal relative margins A_i / epsilon_i need epsilon_i in proportion to A_i, and equal
  A_i / sqrt(rho_i) need rho_i in proportion to A_i^2.

Everything is computed in exact integers, so that the same question has the same shares on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from queries.statistics import registry
from queries.statistics.parts.intervals import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.language import nodes
    from queries.plan import Draft, Measure

FINE = 2**64  # the roots below are taken to this part


@dataclass(frozen=True)
class Weight:
    """How a statistic's share relates to those of others, and how its measures share it. Whole numbers."""

    whole: int
    parts: tuple[int, ...]


def weigh(statistic: nodes.Statistic, drafts: Sequence[Draft], events: int, word: str) -> Weight:
    """Return the weights of a statistic and of its measures in what is spent, `word`: epsilon or rho."""
    moved = registry.of(statistic).influences(statistic, drafts, events)
    squares = [square * draft.largest**2 for square, draft in zip(moved, drafts, strict=True)]
    # Only a search's last round is read: scale by that round's share of the charge.
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

    Give each part its minimum, then split the remainder by weight (largest-remainder method, ties to the first). The
    sum is exactly the total, which is no less than the sum of the minimums.
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
    factors = [math.sqrt(square) for square in registry.of(statistic).influences(statistic, measures, events)]
    margins = [measure.mechanism.margin(confidence) for measure in measures]
    if len(margins) == 1 or not any(margins):
        return factors[0] * margins[0]
    # In units of the first measure, which are whole.
    scales = np.array(
        [factor / factors[0] * one.mechanism.scale for factor, one in zip(factors, measures, strict=True)]
    )
    gaussian = measures[0].mechanism.gaussian
    return factors[0] * float(reach((scales**2).sum(), (scales**4).sum(), confidence, gaussian=gaussian))


def root(value: Fraction, degree: int) -> int:
    """Return the root of a number above 0 in parts of `FINE`, rounded down; at least 1."""
    whole = value.numerator * FINE**degree // value.denominator
    low, high = 1, 1 << (whole.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= whole else (low, middle - 1)
    return low
