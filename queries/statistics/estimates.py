"""Noisy measures -> the values of one statistic, each with its interval. `assembly.py` puts them into rows.

A result is {"value", "low", "high"}: with 95% the value over the bounded data lies between low and high. What is
computed from several noisy numbers shows them as `raw`, as they were released. A histogram, the most frequent keys and
a list of quantiles are lists of such results. The object of a statistic makes its results (`registry.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.statistics import registry
from queries.statistics.parts.exactness import FixedMargin, GroupMargin, RankMargin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from queries.plan import Output
    from queries.statistics.statistic import Result, Vectors


def values(output: Output, vectors: Vectors, confidence: float) -> Sequence[Result]:
    """Return a statistic's result for each cell."""
    return registry.of(output.statistic).values(output, vectors, confidence)


def margin(output: Output, confidence: float) -> Result:
    """Return how exact a statistic will be, as far as it is known before any data are touched.

    Where it depends on the number of events of a value, `margins_at` has it for some numbers of them. A quantile is
    exact up to a number of events: it lies between the values that are so many events further down and up.
    """
    return registry.of(output.statistic).foretold(output, confidence)


def fixed_margin(output: Output, confidence: float) -> Fraction:
    """Return the margin of a statistic for which it is the same whatever is released, exactly."""
    statistic = registry.of(output.statistic)
    assert isinstance(statistic, FixedMargin)
    return statistic.fixed_margin(output, confidence)


def margin_at(output: Output, count: int, confidence: float) -> float:
    """Return the margin of a statistic for which it depends on the size of the group."""
    statistic = registry.of(output.statistic)
    assert isinstance(statistic, GroupMargin)
    return statistic.margin_at(output, count, confidence)


def rank_margin(output: Output, confidence: float) -> float:
    """Return by how many events a statistic of rank may be off."""
    statistic = registry.of(output.statistic)
    assert isinstance(statistic, RankMargin)
    return statistic.rank_margin(output, confidence)
