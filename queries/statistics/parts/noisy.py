"""Noisy numbers of a measure as people read them: what several statistics have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.statistics.parts.numbers import Numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.plan import Measure
    from queries.statistics.parts.intervals import Floats
    from queries.statistics.statistic import Result, Vectors


def unit(measure: Measure) -> float:
    """Return what one unit of a measure's numbers is worth to people."""
    if measure.within is not None:
        return 1.0
    return float(np.prod([float(factor.column.step) for factor in measure.factors]))


def numbers(measure: Measure, vector: NDArray[np.int64], confidence: float) -> Numbers:
    """Return the noisy numbers themselves, unbiased, negative where the noise made them so."""
    off = measure.mechanism.margin(confidence)
    units = vector.tolist()
    in_units = (units, [n - off for n in units], [n + off for n in units])
    if not measure.factors:
        return Numbers(*in_units)
    value, low, high = map(measure.factors[0].column.numbers, in_units)
    return Numbers(value, low, high)


def together(confidence: float, count: int) -> float:
    """Return the confidence of each of so many intervals with which all of them hold at once (Bonferroni)."""
    return 1 - (1 - confidence) / count


def bins_of(measure: Measure) -> CellKey:
    """Return the bins that each cell of a measure has."""
    assert measure.within is not None
    return measure.within


def clamped_to(measure: Measure) -> tuple[float, float, str]:
    """Return the clamping bounds and the step of the column that a measure adds up."""
    factor = measure.factors[0]
    return factor.column.value(factor.low), factor.column.value(factor.high), str(factor.column.step)


def grows_with_range(measure: Measure) -> str:
    """Return that the noise grows with the range of a measure's values."""
    low, high, _ = clamped_to(measure)
    return f"grows with the range of the values, {low:,} to {high:,}; a narrower one would lessen it."


def floats(vectors: Vectors) -> list[Floats]:
    """Return the numbers of each measure as floats."""
    return [vector.astype(np.float64) for vector in vectors]


def chunks(parts: Sequence[Result], size: int) -> Iterable[Sequence[Result]]:
    """Return the parts of each cell, of `size` parts each."""
    return (parts[start : start + size] for start in range(0, len(parts), size))
