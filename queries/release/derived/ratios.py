"""Weighted means of ratios of noisy numbers, with their margins: directly standardised rates.

A stratum has a noisy numerator E + X and a noisy denominator T + Y. Its ratio is r = E / T, and the standardised one is
the sum of w * r over the strata, for weights that add up to 1. It is made of the noisy numbers as they were released,
also where they are negative: clamped ones would be too large on average, and in a sum of many strata that adds up.

**One stratum.** For the true r, (E + X) - r * (T + Y) is noise alone, of variance v(r) = var(X) - 2 r cov(X, Y) +
r^2 var(Y). The r for which its size stays within k * sqrt(v(r)) are Fieller's interval, from l to u.

**All of them.** The offsets to either side are added as independent errors are: the interval goes from
R - sqrt(sum of (w * (r - l))^2) to R + sqrt(sum of (w * (u - r))^2) (the method of variance estimates recovery, Zou and
Donner 2008). For one stratum it is Fieller's interval. k is the quantile of the weighted sum of all noises over its
standard deviation (`intervals.reach`): between those of one Laplace noise and of a normal deviate.

**What noise does to denominators.** E / T is too large on average, to second order by (r var(Y) - cov(X, Y)) / T^2,
and in a sum of many strata that adds up. The interval lies around the mean less this much.

**Strata that say nothing.** Where a denominator is not more than `CLEAR` times as large as its own noise reaches, the
ratio can be anything, and so can the weighted mean: there is no number. A stratum of weight 0 does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from queries.statistics.parts.intervals import HALF, reach

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from queries.statistics.parts.intervals import Floats

CLEAR = 1.5
CLEAR_CONFIDENCE = 0.95  # at least: how far noise reaches with less says little


@dataclass(frozen=True)
class RatioNoise:
    """The noise of numerators and denominators, in their units.

    A ratio has a numerator with noise of scale `above`, and a denominator with independent noise of scale `below`. In a
    `share` the numerator is one side of the denominator, and both sides have independent noise of scale `above`.
    """

    above: float
    below: float
    gaussian: bool
    share: bool = False

    @property
    def covariances(self) -> tuple[float, float, float]:
        """Return var(X), cov(X, Y) and var(Y), in squares of scales: Laplace noise has twice that variance."""
        if self.share:
            return self.above**2, self.above**2, 2 * self.above**2
        return self.above**2, 0.0, self.below**2

    def reach_below(self, confidence: float) -> float:
        """Return how far the noise of a denominator reaches."""
        scales = np.array([self.above, self.above] if self.share else [self.below])
        return float(reach((scales**2).sum(), (scales**4).sum(), confidence, gaussian=self.gaussian))

    def sizes(self, ratios: Floats) -> tuple[Floats, Floats]:
        """Return the scales of the two independent noises in X - r * Y."""
        if self.share:
            return self.above * np.abs(1 - ratios), self.above * np.abs(ratios)
        return np.full_like(ratios, self.above), self.below * np.abs(ratios)


@dataclass(frozen=True)
class Standardised:
    """A weighted mean of ratios with its interval, and which strata have too small a denominator for one."""

    value: float
    low: float
    high: float
    unclear: NDArray[np.bool_]


def standardised(
    above: Floats, below: Floats, weights: Floats, noise: RatioNoise, confidence: float, limits: tuple[float, float]
) -> Standardised:
    """Return the weighted mean of `above` / `below` over strata, within `limits`. The weights add up to 1."""
    unclear = (weights > 0) & (below <= CLEAR * noise.reach_below(max(confidence, CLEAR_CONFIDENCE)))
    if unclear.any():
        return Standardised(np.nan, np.nan, np.nan, unclear)
    counted = weights > 0
    above, below, weights = above[counted], below[counted], weights[counted]
    ratios = above / below
    each = [weights / below * one for one in noise.sizes(ratios)]
    second, fourth = (np.asarray(sum((one**power).sum() for one in each)) for power in (2, 4))
    k = float(reach(second, fourth, confidence, gaussian=noise.gaussian, step=0)) / float(np.sqrt(second))
    low, high = _fieller(above, below, ratios, noise, k)
    # A step of the noise, which is of whole numbers.
    step = HALF * float((weights / below * np.maximum(1, np.abs(ratios))).max())
    down, up = (float(np.sqrt(((weights * off) ** 2).sum())) + step for off in (ratios - low, high - ratios))
    value = float((weights * ratios).sum())
    _, cov, var_below = noise.covariances
    centre = value - float((weights * (ratios * var_below - cov) / below**2).sum()) * (1 if noise.gaussian else 2)
    least, most = limits
    value = min(max(value, least), most)
    ends = (min(max(end, least), most) for end in (centre - down, centre + up))
    return Standardised(value, min(next(ends), value), max(next(ends), value), unclear)


def _fieller(above: Floats, below: Floats, ratios: Floats, noise: RatioNoise, k: float) -> tuple[Floats, Floats]:
    """Return for each stratum the ends of the r with ((E + X) - r (T + Y))^2 = k^2 v(r), a quadratic in r.

    Its leading coefficient is above 0, because the denominators are clear of their noise.
    """
    var_above, cov, var_below = noise.covariances
    leading = below**2 - k**2 * var_below
    middle = above * below - k**2 * cov
    root = np.sqrt(np.maximum(middle**2 - leading * (above**2 - k**2 * var_above), 0))
    return np.minimum((middle - root) / leading, ratios), np.maximum((middle + root) / leading, ratios)
