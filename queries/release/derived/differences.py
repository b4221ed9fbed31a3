"""Differences of two noisy survival curves, and of the areas under them, with their margins.

The margins speak of the noise alone: between them lies the difference of the curves that the file gives without noise.
How far these may be from those of other persons (the sampling error) is in no margin here.

**The band.** Two groups of one answer have no person in common, so the noise of their curves is independent. Each curve
has a band around its product, of k deviations of its logarithm (`queries/statistics/survival.py`), and the offsets of
both are added as independent errors are: from D - sqrt((S1 - l1)^2 + (u2 - S2)^2) to D + sqrt((u1 - S1)^2 + (S2 -
l2)^2) (the method of variance estimates recovery, Zou and Donner 2008). k is the quantile of the weighted sum of all
noises over its deviation (`intervals.reach`). Where one curve is unknown, the difference may be anything from -1 to 1.

**Bands that hold at once.** A pointwise band holds at each day in 95 of 100 releases. A simultaneous one holds at all J
days in 95 of 100: each day's band is at 1 - 0.05 / J (Bonferroni).

**Restricted mean survival time** (RMST). The area under the curve up to its last edge, in days. If events lie evenly on
the w days of an interval, as ends of follow-up do, the interval adds S_j (w + 1) / 2 + S_(j-1) (w - 1) / 2: with
intervals of a day, the area under Kaplan and Meier's steps. To first order it is linear in the noisy numbers, and its
margin follows from the derivatives (`_gradient`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from queries.statistics import survival
from queries.statistics.parts.intervals import HALF, reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.statistics.parts.intervals import Floats

BEYOND = 0.999  # from here on a sum of Laplace noises is taken to reach as far as one of the same deviation
Interval = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True)
class Noise:
    """The scale of the noise on each number, of which kind it is, and the confidence of intervals."""

    scale: float
    gaussian: bool
    confidence: float


@dataclass(frozen=True)
class Band:
    """By interval: a difference, the ends of its band, and where it is unknown."""

    value: Floats
    low: Floats
    high: Floats
    unknown: NDArray[np.bool_]


def difference(one: Floats, other: Floats, edges: Sequence[int], noise: Noise, *, simultaneous: bool) -> Band:
    """Return the first curve less the second, from the noisy numbers of both, as `survival.curve` takes them."""
    several = (len(edges) - 1) if simultaneous else 1
    confidence = 1 - (1 - noise.confidence) / several
    first, second = (
        survival.curve(counts[None, :], edges, noise.scale, confidence, gaussian=noise.gaussian)
        for counts in (one, other)
    )
    s, t = first.product[0], second.product[0]
    deviations = [np.sqrt(curve.second[0]) * noise.scale for curve in (first, second)]
    squares = (s * deviations[0]) ** 2 + (t * deviations[1]) ** 2
    fourths = (s**4 * first.fourth[0] + t**4 * second.fourth[0]) * noise.scale**4
    k = _reach(squares, fourths, confidence, gaussian=noise.gaussian) / np.sqrt(
        np.maximum(squares, np.finfo(float).tiny)
    )
    offs = [np.minimum(k * deviation, survival.OFF_MAX / 2) for deviation in deviations]
    # A step of the noise, which is of whole numbers.
    step = HALF * np.maximum(s * first.largest[0], t * second.largest[0])
    down = np.hypot(s * -np.expm1(-offs[0]), t * np.expm1(offs[1])) + step
    up = np.hypot(s * np.expm1(offs[0]), t * -np.expm1(-offs[1])) + step
    unknown = first.unknown[0] | second.unknown[0]
    value = first.value[0] - second.value[0]
    low, high = np.where(unknown, -1.0, s - t - down), np.where(unknown, 1.0, s - t + up)
    return Band(value, np.clip(np.minimum(low, value), -1, 1), np.clip(np.maximum(high, value), -1, 1), unknown)


def _reach(second: Floats, fourth: Floats, confidence: float, *, gaussian: bool) -> Floats:
    """Return how far a weighted sum of noises reaches, also at confidences for which `reach` was not made."""
    return reach(second, second**2 if confidence > BEYOND else fourth, confidence, gaussian=gaussian, step=0)


def days(counts: Floats, edges: Sequence[int], noise: Noise) -> Interval | None:
    """Return the restricted mean survival time up to the last edge, or None where the curve ends before."""
    return _area([(1.0, counts)], edges, noise, least=0.0)


def days_difference(one: Floats, other: Floats, edges: Sequence[int], noise: Noise) -> Interval | None:
    """Return by how many days the first restricted mean survival time is longer, or None where a curve ends before."""
    return _area([(1.0, one), (-1.0, other)], edges, noise, least=-float(edges[-1]))


def _area(
    signed: Sequence[tuple[float, Floats]], edges: Sequence[int], noise: Noise, *, least: float
) -> Interval | None:
    value = centre = 0.0
    gradients = []
    for sign, counts in signed:
        found = survival.curve(counts[None, :], edges, noise.scale, noise.confidence, gaussian=noise.gaussian)
        if found.unknown.any():
            return None
        value += sign * _under(found.value[0], edges)
        centre += sign * _under(found.product[0], edges)
        gradients.append(_gradient(counts, edges, found.product[0]))
    gradient = np.concatenate(gradients)
    off = float(
        reach(
            np.asarray((gradient**2).sum() * noise.scale**2),
            np.asarray((gradient**4).sum() * noise.scale**4),
            noise.confidence,
            gaussian=noise.gaussian,
            step=float(np.abs(gradient).max()),
        )
    )
    most = float(edges[-1])
    value = min(max(value, least), most)
    return value, max(min(centre - off, value), least), min(max(centre + off, value), most)


def _weights(edges: Sequence[int]) -> tuple[float, Floats]:
    """Return the area before any event, and by how many days each point of the curve counts."""
    widths = np.diff(np.array(edges, dtype=np.float64))
    weights = (widths + 1) / 2
    weights[:-1] += (widths[1:] - 1) / 2
    return float(widths[0] - 1) / 2, weights


def _under(curve: Floats, edges: Sequence[int]) -> float:
    first, weights = _weights(edges)
    return first + float((weights * curve).sum())


def _gradient(counts: Floats, edges: Sequence[int], product: Floats) -> Floats:
    """Return the derivative of the area by each noisy number: events, ends of follow-up, and beyond.

    The logarithm of S_j changes by a_i = 1 / (m_i - d_i) - 1 / m_i for each interval i up to j that a number is at risk
    in, by -1 / m_k more for an event in its own interval k, and by (1 - f_k) a_k there for an end of follow-up.
    """
    group = survival.grouped(counts[None, :], edges)
    events, at_risk, left_out = group.events[0], group.at_risk[0], group.left_out
    each = 1 / (at_risk - events) - 1 / at_risk
    through = np.cumsum(each)
    before = through - each
    parts = _weights(edges)[1] * product
    earlier = np.cumsum(parts * through) - parts * through
    later = np.cumsum(parts[::-1])[::-1]
    own = np.column_stack([before - 1 / at_risk, before + each * (1 - left_out)])
    return np.append((earlier[:, None] + later[:, None] * own).ravel(), (parts * through).sum())
