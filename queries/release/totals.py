"""Consistency: noisy numbers of one answer that have the same total are made to add up to it.

In each cell, a count and the bins of a histogram that covers every value are noisy views of the same events; so are the
two sides of a proportion. Each comes with noise of its own, so they do not quite agree. The best unbiased estimate of
their total T is the mean of their sums weighted by 1 / variance, and the least squares solution (weighted in the same
way) shares out T - sum equally among the parts of a statistic, for their noise has the same variance (Gauss and
Markov; for noisy histograms Hay and others 2010, "Boosting the accuracy of differentially private histograms").

With clamping T is at least 0, and the parts are the nearest to the released ones that are not negative and add up to T
(the projection onto a simplex, Held and others 1974). With rounding T is whole, and the parts are rounded by the
largest remainder. Therefore all that is asked for holds at once.

All of it works on what was released already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from queries.binding import predicates
from queries.mechanisms import DiscreteGaussian
from queries.statistics import registry
from queries.statistics.parts.lists import LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.plan import Counted, Output
    from queries.statistics.intervals import Floats

    Row = Mapping[str, Any]
    Values = dict[str, list[list[float]]]  # by statistic: in each row, the values of its parts


@dataclass(frozen=True)
class Total:
    """What the parts of a statistic add up to in each cell: persons or events, all or those of a filter."""

    counted: Counted
    where: predicates.Bound


def total_of(output: Output) -> Total | None:
    """Return what the numbers of a statistic add up to, if other statistics can add up to the same."""
    if not registry.of(output.statistic).is_view_of_total(output):
        return None
    first = output.measures[0]
    return Total(first.counted, predicates.ALWAYS if first.where is None else first.where)


def parts_of(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results that a statistic has in one row: itself, or each of a list."""
    for member in LISTS:
        if member in result:
            found: list[Mapping[str, Any]] = result[member]
            return found
    return [result]


def adjust(
    rows: Sequence[Row],
    about: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Mapping[str, Any]],
    *,
    clamp: bool,
    whole: bool,
) -> tuple[Values, list[str]]:
    """Return consistent values of the statistics that share a total with another, and what a reader should know."""
    sharing: dict[int, list[str]] = {}
    for name, known in about.items():
        if "total" in known:
            sharing.setdefault(known["total"], []).append(name)
    values: Values = {}
    notes = []
    for names in sharing.values():
        if len(names) == 1 or not rows:
            continue
        parts = [np.array([_numbers(row[name]) for row in rows], dtype=np.float64) for name in names]
        noise = [_variance(columns[name]["mechanism"], columns[name]["scale"]) for name in names]
        found = _consistent(parts, noise, clamp=clamp, whole=whole)
        if found is None:
            notes.append(
                f"{', '.join(names)}: differ by more than the noise explains (there may be events without a value), "
                "so they were not made consistent"
            )
            continue
        for name, fitted in zip(names, found, strict=True):
            values[name] = _as_values(rows[0][name], fitted)
    if not values and not notes:
        notes.append("no two statistics of this query have the same total, so nothing had to be made consistent")
    return values, notes


def _numbers(result: Mapping[str, Any]) -> list[float]:
    """Return the released numbers of a statistic in one row."""
    if "holding" in result.get("raw", ()):
        return [result["raw"]["holding"], result["raw"]["others"]]
    return [part["value"] for part in parts_of(result)]


def _as_values(result: Mapping[str, Any], fitted: Floats) -> list[list[float]]:
    """Return fitted numbers as values of the results they belong to: those of a proportion are a share."""
    if "holding" not in result.get("raw", ()):
        return fitted.tolist()  # type: ignore[no-any-return]
    everybody = np.maximum(fitted.sum(axis=1), 1)
    return np.clip(fitted[:, :1] / everybody[:, None], 0, 1).tolist()  # type: ignore[no-any-return]


def _variance(mechanism: str, scale: float) -> float:
    """Return the variance of a mechanism's noise. It is above 0, because it is divided by."""
    if mechanism == DiscreteGaussian.name:
        return max(scale**2, 1e-12)
    # The variance of P(z) proportional to p^|z| is 2 p / (1 - p)^2.
    return max(2 * math.exp(-1 / scale) / math.expm1(-1 / scale) ** 2, 1e-12)


def _consistent(parts: list[Floats], noise: list[float], *, clamp: bool, whole: bool) -> list[Floats] | None:
    """Return arrays of cells x parts that add up to one total in each cell, or None if they cannot have one."""
    sums = [part.sum(axis=1) for part in parts]
    variances = [variance * part.shape[1] for part, variance in zip(parts, noise, strict=True)]
    total = np.asarray(np.average(sums, axis=0, weights=[1 / variance for variance in variances]))
    # Were it noise alone, this would be 1 on average, with at most the excess of a Laplace variable's square.
    freedom = len(total) * (len(parts) - 1)
    misfit = sum(((one - total) ** 2).sum() / variance for one, variance in zip(sums, variances, strict=True)) / freedom
    if misfit > 1 + 5 * math.sqrt(5 / freedom):
        return None
    if clamp:
        total = np.maximum(total, 0)
    if whole:
        total = np.floor(total + 0.5)
    fitted = [_nonnegative(part, total) if clamp else _shifted(part, total) for part in parts]
    return [_whole(part, total) for part in fitted] if whole else fitted


def _shifted(parts: Floats, total: Floats) -> Floats:
    """Return the nearest parts that add up to the total."""
    return np.asarray(parts + ((total - parts.sum(axis=1)) / parts.shape[1])[:, None])


def _nonnegative(parts: Floats, total: Floats) -> Floats:
    """Return the nearest parts that are not negative and add up to the total, which is not negative."""
    descending = -np.sort(-parts, axis=1)
    over = np.cumsum(descending, axis=1) - total[:, None]
    kept = np.arange(1, parts.shape[1] + 1)
    # How many of the largest stay above 0: the last place at which the part is more than its share of the excess.
    positive = np.maximum((descending - over / kept > 0).sum(axis=1), 1)
    share = np.take_along_axis(over, positive[:, None] - 1, axis=1) / positive[:, None]
    return np.asarray(np.maximum(parts - share, 0))


def _whole(parts: Floats, total: Floats) -> Floats:
    """Return whole parts that add up to the whole total: rounded down, and one more where most was cut off."""
    down: NDArray[np.float64] = np.floor(parts)
    missing = np.rint(total - down.sum(axis=1))
    order = np.argsort(down - parts, axis=1, kind="stable")
    ranks = np.argsort(order, axis=1, kind="stable")
    return np.asarray(down + (ranks < missing[:, None]))
