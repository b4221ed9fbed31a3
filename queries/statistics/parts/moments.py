"""Variance, covariance and correlation from noisy sums, with their intervals.

All sums are over the events that count, of values less a centre: XY of the products, X and Y of the values, N of ones.
For the true means a and b and the true sample covariance K,

    XY - a * Y - b * X + a * b * N - K * (N - 1)

would be 0 without noise. With noise it is a sum of four noises with known factors. Written with the means X / N and Y /
N it is XY - X * Y / N - K * (N - 1) plus N times the product of the means' errors, which is of second order and at most
N * h * k, for the half widths h and k of the means' own intervals. Therefore the values K for which this can be within
the noise's 95% quantile are the interval. A variance is the covariance of a column with itself: there the errors'
product is a square, so only the upper end moves. Each interval holds for groups of any size; a group that is too small
has the whole range.

Floats are allowed here, because everything that comes in was already released.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from queries.statistics.parts.intervals import boundary, reach

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from queries.statistics.parts.intervals import Floats

    Interval = tuple[Floats, Floats, Floats]  # value, low, high


@dataclass(frozen=True)
class Noise:
    """The scales of the noise on sums, and whether it is Gaussian (or Laplace)."""

    n: float
    x: float
    y: float = 0
    xy: float = 0
    xx: float = 0
    yy: float = 0
    gaussian: bool = False
    confidence: float = 0.95

    def quantile(self, first: float, *others: tuple[Floats, float]) -> Floats:
        """Return the quantile of a sum of noises: one of scale `first`, and others by their factors and scales.

        The first is mostly much wider than the steps of the others, and smooths them.
        """
        parts = [np.full(1, first), *(factor * scale for factor, scale in others)]
        second, fourth = (sum((part**power for part in parts), np.zeros(1)) for power in (2, 4))
        step = np.ones(1)
        for factor, _ in others:
            step = np.maximum(step, np.where(np.abs(factor) > first, np.abs(factor), 1))
        return reach(second, fourth, self.confidence, gaussian=self.gaussian, step=step)

    def mean(self, scale: float, sums: Floats, n: Floats, largest: float) -> tuple[Floats, Floats]:
        """Return a mean, at most `largest` either way, and about half the width of its interval."""
        mean = np.clip(sums / np.maximum(n, 1), -largest, largest)
        half = self.quantile(scale, (mean, self.n)) / np.maximum(n, 1)
        return mean, np.minimum(half, 2 * largest)

    def unknown(self, n: Floats) -> NDArray[np.bool_]:
        """Return for which cells the number of events is not clearly more than one."""
        return np.asarray(n <= 1 + self.quantile(self.n))


def covariance(xy: Floats, x: Floats, y: Floats, n: Floats, noise: Noise, largest: tuple[float, float]) -> Interval:
    """Return each cell's sample covariance; `largest` is how far a value can be from its centre, either way."""
    limit = 2 * largest[0] * largest[1]
    a, h = noise.mean(noise.x, x, n, largest[0])
    b, k = noise.mean(noise.y, y, n, largest[1])
    slack = np.maximum(n, 1) * h * k

    def quantile(candidate: Floats) -> Floats:
        return noise.quantile(noise.xy, (b, noise.x), (a, noise.y), (a * b - candidate, noise.n))

    return _solve(xy - a * y - b * x + a * b * n, n, quantile, (-limit, limit), (slack, slack), noise)


def variance(xx: Floats, x: Floats, n: Floats, noise: Noise, largest: float, middle: float) -> Interval:
    """Return each cell's sample variance; `middle` was taken off each square in `xx`."""
    a, h = noise.mean(noise.x, x, n, largest)
    slack = np.maximum(n, 1) * h**2

    def quantile(candidate: Floats) -> Floats:
        return noise.quantile(noise.xx, (2 * a, noise.x), (a * a + middle - candidate, noise.n))

    centred = xx + middle * n - 2 * a * x + a * a * n
    return _solve(centred, n, quantile, (0.0, 2 * largest**2), (np.zeros_like(slack), slack), noise)


def correlation(
    products: tuple[Floats, Floats, Floats],
    sums: tuple[Floats, Floats],
    n: Floats,
    noise: Noise,
    largest: tuple[float, float],
    middles: tuple[float, float],
) -> Interval:
    """Return each cell's correlation from the sums of the products xy, xx and yy.

    With t the ratio of the deviations of y and x, r is what makes XY - r / 2 * (t * XX + YY / t) vanish, all centred on
    the means: a sum of noises again. An error in t changes it in second order, as errors in the means do.
    """
    (xy, xx, yy), (x, y) = products, sums
    a, h = noise.mean(noise.x, x, n, largest[0])
    b, k = noise.mean(noise.y, y, n, largest[1])
    of_x = xx + middles[0] * n - 2 * a * x + a * a * n
    of_y = yy + middles[1] * n - 2 * b * y + b * b * n
    error_x = noise.quantile(noise.xx, (2 * a, noise.x), (a * a + middles[0], noise.n))
    error_y = noise.quantile(noise.yy, (2 * b, noise.y), (b * b + middles[1], noise.n))
    unknown = noise.unknown(n) | (of_x <= error_x) | (of_y <= error_y)
    spread = (of_x > 0) & (of_y > 0)
    of_x, of_y = np.where(spread, of_x, 1), np.where(spread, of_y, 1)
    t = np.sqrt(of_y / of_x)
    both = np.sqrt(of_x * of_y)
    wrong_ratio = (np.where(unknown, 0, error_x / of_x + error_y / of_y) / 2) ** 2 / 2
    slack = np.maximum(n, 1) * (h * k + (t * h**2 + k**2 / t) / 2) + both * wrong_ratio

    def quantile(r: Floats) -> Floats:
        of_n = a * b - r / 2 * (t * (a * a + middles[0]) + (b * b + middles[1]) / t)
        return noise.quantile(
            noise.xy,
            (r * t / 2, noise.xx),
            (r / t / 2, noise.yy),
            (r * t * a - b, noise.x),
            (r / t * b - a, noise.y),
            (of_n, noise.n),
        )

    centred = np.where(spread, xy - a * y - b * x + a * b * n, 0)
    return _solve(centred, both + 1, quantile, (-1.0, 1.0), (slack, slack), noise, unknown)


def slope(
    products: tuple[Floats, Floats],
    sums: tuple[Floats, Floats],
    n: Floats,
    noise: Noise,
    largest: tuple[float, float],
    middle: float,
) -> Interval:
    """Return each cell's slope of y over x from the sums of the products xy and xx; `largest` is that of x, then y.

    The slope b makes XY - b * XX vanish, both centred on the means a of x and m of y: for a given b a sum of noises,
    as in a quotient of two (Fieller). Errors h and k of the means add at most n h k to XY and n h^2 to XX. No slope is
    steeper than from the lowest y to the highest within one step of x, because a slope is a mean of those of pairs.
    """
    (xy, xx), (x, y) = products, sums
    a, h = noise.mean(noise.x, x, n, largest[0])
    m, k = noise.mean(noise.y, y, n, largest[1])
    limit = np.full_like(xy, 2 * largest[1])
    of_x = xx + middle * n - 2 * a * x + a * a * n
    of_xy = xy - a * y - m * x + a * m * n
    error = noise.quantile(noise.xx, (2 * a, noise.x), (a * a + middle, noise.n)) + np.maximum(n, 1) * h**2
    unknown = noise.unknown(n) | (of_x <= error)
    size, spread = np.maximum(n, 1), np.where(of_x > 0, of_x, 1.0)
    value = np.where(of_x > 0, np.clip(of_xy / spread, -limit, limit), 0.0)

    def quantile(b: Floats) -> Floats:
        of_n = a * m - b * (a * a + middle)
        return noise.quantile(noise.xy, (b, noise.xx), (2 * a * b - m, noise.x), (a, noise.y), (of_n, noise.n))

    def not_below(b: Floats) -> NDArray[np.bool_]:
        slack = size * (h * k + np.maximum(-b, 0) * h**2)
        return np.asarray(of_xy - b * of_x <= quantile(b) + slack)

    def not_above(b: Floats) -> NDArray[np.bool_]:
        slack = size * (h * k + np.maximum(b, 0) * h**2)
        return np.asarray(of_xy - b * of_x >= -quantile(b) - slack)

    low = np.where(not_below(-limit), -limit, boundary(not_below, value, -limit))
    high = np.where(not_above(limit), limit, boundary(not_above, value, limit))
    return value, np.where(unknown, -limit, low), np.where(unknown, limit, high)


def _solve(
    total: Floats,
    n: Floats,
    quantile: Callable[[Floats], Floats],
    limits: tuple[float, float],
    slack: tuple[Floats, Floats],
    noise: Noise,
    unknown: NDArray[np.bool_] | None = None,
) -> Interval:
    """Return K = total / (n - 1) and the K for which total - K * (n - 1) can be within the noise's quantile."""
    if unknown is None:
        unknown = noise.unknown(n)
    value = np.clip(total / np.maximum(n - 1, 1), *limits)
    lowest, highest = (np.full_like(value, limit) for limit in limits)

    def not_below(candidate: Floats) -> NDArray[np.bool_]:
        return np.asarray(total - slack[0] - candidate * (n - 1) <= quantile(candidate))

    def not_above(candidate: Floats) -> NDArray[np.bool_]:
        return np.asarray(total + slack[1] - candidate * (n - 1) >= -quantile(candidate))

    low = np.where(not_below(lowest), lowest, boundary(not_below, value, lowest))
    high = np.where(not_above(highest), highest, boundary(not_above, value, highest))
    return value, np.where(unknown, lowest, low), np.where(unknown, highest, high)
