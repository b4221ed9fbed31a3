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

P_VALUE = 1e-6  # a right mechanism fails one fit in a million
EXPECTED_MIN = 20  # draws in each class of the chi-squared test
CLASSES_MAX = 200


def probability_beyond(scale: float, magnitude: int) -> float:
    """Return P(z >= magnitude) for a magnitude of at least 1: a^m / (1 + a) with a = exp(-1 / scale)."""
    return math.exp(-magnitude / scale) / (1 + math.exp(-1 / scale))


def mean_magnitude(scale: float) -> float:
    """Return E|z| = 2a / (1 - a^2) for p(z) = (1 - a) / (1 + a) * a^|z|."""
    a = math.exp(-1 / scale)
    return 2 * a / -math.expm1(-2 / scale)


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
    return bool(stats.chisquare(observed, expected).pvalue > P_VALUE)


def cumulative(scale: float, z: int) -> float:
    """Return P(Z <= z)."""
    return probability_beyond(scale, -z) if z < 0 else 1 - probability_beyond(scale, z + 1)


def of_each(mechanism: Any, change: Callable[[Any], Any]) -> Any:
    """Return a mechanism changed, or each round of it."""
    return Rounds(tuple(map(change, mechanism.each))) if isinstance(mechanism, Rounds) else change(mechanism)
