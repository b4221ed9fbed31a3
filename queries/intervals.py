"""The interval of a mean: a noisy sum over a noisy count.

For the true mean m, S - m * C is noise alone: X - m * Y, with X the noise of the sum S and Y that of the count C. So
the values m for which |S - m * C| stays within the 95% quantile of |X - m * Y| are a 95% interval (Fieller's, for the
noise that was added). It holds for groups of any size; for a group too small to say anything it is the whole range.

Floats are fine here: everything that comes in was released already.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HALVINGS = 50
GRID = 513


@dataclass(frozen=True)
class MeanNoise:
    """Discrete Laplace noise of scale `sum_scale` on a sum and `count_scale` on its count, in units."""

    sum_scale: float
    count_scale: float

    def quantile(self, means: Floats, confidence: float) -> Floats:
        """Return q with P(|X - m * Y| <= q) = confidence for each m.

        For Laplace variables of scales a > b, P(|X + Y| > t) = (a^2 e^(-t/a) - b^2 e^(-t/b)) / (a^2 - b^2); for a = b
        it is (1 + t / (2a)) e^(-t/a). (By convolution of the densities.) The noise is discrete with the same scales.
        """
        own = np.full_like(means, self.sum_scale)
        other = np.abs(means) * self.count_scale
        a, b = np.maximum(own, other), np.minimum(own, other)
        # The formula divides by a - b: nearly equal scales are treated as equal, vanishing ones as next to nothing.
        near = a - b < 1e-4 * a
        b = np.where(near, a * (1 - 1e-4), np.maximum(b, a * 1e-12))

        def beyond(t: Floats) -> Floats:
            return np.asarray((a * a * np.exp(-t / a) - b * b * np.exp(-t / b)) / (a * a - b * b))

        return _boundary(lambda t: beyond(t) > 1 - confidence, np.zeros_like(a), 40 * a)

    def intervals(
        self, sums: Floats, counts: Floats, lowest: float, highest: float, confidence: float
    ) -> tuple[Floats, Floats, Floats]:
        """Return each cell's mean and the two ends of its interval, within the clamping bounds of the values."""
        means = np.clip(sums / np.maximum(counts, 1), lowest, highest)
        # The quantile is convex in m, so interpolating between grid points errs (by a hair) to the wide side.
        grid = np.linspace(lowest, highest, GRID)
        quantiles = self.quantile(grid, confidence)

        def inside(candidates: Floats) -> NDArray[np.bool_]:
            return np.asarray(np.abs(sums - candidates * counts) <= np.interp(candidates, grid, quantiles))

        ends = [np.full_like(means, end) for end in (lowest, highest)]
        low, high = (np.where(inside(end), end, _boundary(inside, means, end)) for end in ends)
        unknown = counts <= 0
        return means, np.where(unknown, lowest, low), np.where(unknown, highest, high)


@dataclass(frozen=True)
class GaussianMeanNoise(MeanNoise):
    """Discrete Gaussian noise of scale `sum_scale` on a sum and `count_scale` on its count, in units."""

    def quantile(self, means: Floats, confidence: float) -> Floats:
        """Return q with P(|X - m * Y| <= q) >= confidence for each m.

        X - m * Y has the variance of both together. A discrete Gaussian is at most half a unit further from 0 than
        a continuous one, which matters where the noise is small.
        """
        deviation = np.hypot(self.sum_scale, means * self.count_scale)
        return np.asarray(NormalDist().inv_cdf((1 + confidence) / 2) * deviation + (1 + np.abs(means)) / 2)


def _boundary(holds: Callable[[Floats], NDArray[np.bool_]], inside: Floats, outside: Floats) -> Floats:
    """Return where `holds` turns false between two ends; `inside` itself where it holds nowhere."""
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        held = holds(middle)
        inside = np.where(held, middle, inside)
        outside = np.where(held, outside, middle)
    return inside
