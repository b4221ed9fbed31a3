"""Does noise look like discrete Laplace noise of a scale? Chi-squared on the exact probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from queries.mechanisms import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_ALARM = 1e-9  # how often a right mechanism fails one check by chance: there are hundreds, and they run often
EXPECTED_MIN = 20  # draws in each class of the chi-squared test
CLASSES_MAX = 200


def probability_beyond(scale: float, magnitude: int) -> float:
    """Return P(z >= magnitude) for a magnitude of at least 1: a^m / (1 + a) with a = exp(-1 / scale)."""
    return math.exp(-magnitude / scale) / (1 + math.exp(-1 / scale))


def mean_magnitude(scale: float) -> float:
    """Return E|z| = 2a / (1 - a^2) for p(z) = (1 - a) / (1 + a) * a^|z|."""
    a = math.exp(-1 / scale)
    return 2 * a / -math.expm1(-2 / scale)


def fewest(releases: int, probability: float = 0.95) -> float:
    """Return the share of so many releases below which a share of this probability falls once in 10^9 times."""
    return float(stats.binom.ppf(FALSE_ALARM, releases, probability)) / releases


def most(releases: int, probability: float = 0.95) -> float:
    """Return the share of so many releases above which a share of this probability rises once in 10^9 times."""
    return float(stats.binom.isf(FALSE_ALARM, releases, probability)) / releases


def fits(draws: NDArray[np.int64], scale: float) -> bool:
    """Say whether a chi-squared test finds the draws compatible with discrete Laplace noise of this scale."""
    reach = 1
    while probability_beyond(scale, reach) * len(draws) >= EXPECTED_MIN:
        reach += max(1, round(2 * scale * 10 / CLASSES_MAX))
    width = max(1, math.ceil(2 * reach / CLASSES_MAX))
    # Classes: (-inf, -reach], then steps of `width`, then [above, inf).
    starts = np.arange(-reach + 1, reach + width, width)
    observed = np.bincount(np.searchsorted(starts, draws, side="right"), minlength=len(starts) + 1)
    below = [cumulative(scale, int(start) - 1) for start in starts]  # P(z < start)
    expected = np.diff([0.0, *below, 1.0]) * len(draws)
    return bool(stats.chisquare(observed, expected).pvalue > FALSE_ALARM)


def cumulative(scale: float, z: int) -> float:
    """Return P(Z <= z)."""
    return probability_beyond(scale, -z) if z < 0 else 1 - probability_beyond(scale, z + 1)


def of_each(mechanism: Any, change: Callable[[Any], Any]) -> Any:
    """Return a mechanism changed, or each round of it."""
    return Rounds(tuple(map(change, mechanism.each))) if isinstance(mechanism, Rounds) else change(mechanism)
