"""The least loss that gives the margins asked for.

A request may name margins instead of what it may spend. The loss that each statistic needs is found by bisection, on
the margins of the real mechanisms, in whole billionths: one billionth less would be too little. Everything follows from
the query and the catalog, so the same request finds the same loss.

A statistic that the request does not name is made as exact as the least exact of the named ones, relative to the
yardsticks (`queries/statistics/parts/yardsticks.py`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from queries.catalog import codes
from queries.errors import InvalidQuery
from queries.mechanisms import NANO
from queries.statistics import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.binding.bound import BoundStatistic
    from queries.language import nodes
    from queries.plan import Output

EPSILON_MAX = 10**4  # the largest loss that a request may name, too
TARGETS_MAX = 32  # each takes some tenths of a second to plan
MOST_NANO = {"epsilon": EPSILON_MAX * NANO, "rho": EPSILON_MAX**2 // 2 * NANO}


def targets(select: Sequence[BoundStatistic], margins: nodes.Margins) -> dict[str, nodes.Target]:
    """Return what is asked of the statistics by name. Raises InvalidQuery where one cannot have such a margin."""
    statistics = {one.name: one.node for one in select}
    if len(margins.targets) > TARGETS_MAX:
        raise InvalidQuery("/privacy/margin", f"names {len(margins.targets)} statistics; at most {TARGETS_MAX} may be")
    for name, target in margins.targets:
        pointer = f"/privacy/margin/{name}"
        if name not in statistics:
            raise InvalidQuery(pointer, f"select has no statistic of this name{codes.nearest(name, statistics)}")
        registry.of(statistics[name]).require_fitting(statistics[name], target, pointer)
    return dict(margins.targets)


def met(output: Output, target: nodes.Target, confidence: float) -> bool:
    """Return whether a statistic as it is planned has the margin asked for."""
    return registry.of(output.statistic).meets(output, target, confidence)


def least(enough: Callable[[int], bool], lowest: int, most: int) -> int | None:
    """Return a whole number from `lowest` to `most` that is enough where one less is not; None if `most` is not."""
    if not enough(most):
        return None
    low, high = lowest - 1, most  # low is not enough (or out of range), high is
    while high - low > 1:
        # Between powers first: what is enough may be many orders of magnitude below the most.
        middle = 1 << (low.bit_length() + high.bit_length()) // 2 if high > 4 * max(low, 1) else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def as_exact(weights: Sequence[int], found: Sequence[int | None], least: Sequence[int]) -> list[int]:
    """Return every share: what was found, and for statistics without a target what makes them as exact as the rest."""
    per_weight = min(Fraction(share, weight) for share, weight in zip(found, weights, strict=True) if share is not None)
    return [
        max(-(-weight * per_weight.numerator // per_weight.denominator), some) if share is None else share
        for share, weight, some in zip(found, weights, least, strict=True)
    ]
