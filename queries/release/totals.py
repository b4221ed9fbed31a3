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
from queries.statistics.parts.lists import parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.plan import Counted, Output
    from queries.release.hiding import Hiding
    from queries.statistics.parts.intervals import Floats

    Row = Mapping[str, Any]
    Values = dict[str, dict[int, list[float]]]  # by statistic and the place of a row: the values of its parts


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


def adjust(
    rows: Sequence[Row],
    about: Mapping[str, Mapping[str, Any]],
    columns: Mapping[str, Mapping[str, Any]],
    *,
    clamp: bool,
    whole: bool,
    hiding: Hiding | None = None,
) -> tuple[Values, list[str]]:
    """Return consistent values of the statistics that share a total with another, and what a reader should know.

    A row with a hidden number has none: with the total and the other parts, anybody could compute it. The hidden
    numbers then take no part in anything here.
    """
    sharing: dict[int, list[str]] = {}
    for name, known in about.items():
        if "total" in known:
            sharing.setdefault(known["total"], []).append(name)
    values: Values = {}
    notes = []
    for names in sharing.values():
        if len(names) == 1 or not rows:
            continue
        kept = [place for place in range(len(rows)) if hiding is None or not hiding.hides(place, names)]
        notes += _kept_notes(names, len(rows) - len(kept))
        if not kept:
            continue
        parts = [np.array([_numbers(rows[place][name]) for place in kept], dtype=np.float64) for name in names]
        noise = [_variance(columns[name]["mechanism"], columns[name]["scale"]) for name in names]
        found = _consistent(parts, noise, clamp=clamp, whole=whole)
        if found is None:
            notes.append(
                f"{', '.join(names)}: differ by more than the noise explains (there may be events without a value), "
                "so they were not made consistent"
            )
            continue
        below = -math.inf if hiding is None else hiding.below
        stays = np.all([(fitted >= below).all(axis=1) for fitted in found], axis=0)
        for name, fitted in zip(names, found, strict=True):
            adjusted = zip(kept, stays, _as_values(rows[0][name], fitted), strict=True)
            values[name] = {place: row for place, large, row in adjusted if large}
    if not values and not notes:
        notes.append("no two statistics of this query have the same total, so nothing had to be made consistent")
    return values, notes


def _kept_notes(names: Sequence[str], rows: int) -> list[str]:
    """Return a note on rows that keep their released numbers because one is hidden."""
    if not rows:
        return []
    named = ", ".join(names)
    return [f"{named}: not made consistent in {rows} of the rows: the others would give away the number that is hidden"]


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
