"""Noisy cells -> the rows of an answer, with a margin on every number.

Everything here is post-processing of what the mechanisms released: no exact cell comes in.

A margin at 95% means: in 95 of 100 releases the value over the bounded data lies between `low` and `high`. It speaks
of the noise. What the contribution bounds cut off is not in it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from queries import nodes
from queries.intervals import GaussianMeanNoise, MeanNoise
from queries.mechanisms import DiscreteGaussian
from queries.plan import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from queries.keys import Label
    from queries.plan import Measure, Output, Plan


def add_noise(plan: Plan, cells: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return each measure's cells with the noise of its mechanism: from here on nothing is secret."""
    return [measure.mechanism.release(exact) for measure, exact in zip(plan.measures, cells, strict=True)]


def columns(plan: Plan) -> list[dict[str, object]]:
    """Return what each column of the answer is; known before any data is touched.

    A mean's margin depends on how many events it is over: `margins_at` gives it for a few noisy counts.
    """
    shown: list[dict[str, object]] = [{"name": key.name, "kind": "key"} for key in plan.keys]
    for output in plan.outputs:
        first = output.measures[0]
        column: dict[str, object] = {
            "name": output.name,
            "kind": "statistic",
            "mechanism": first.mechanism.name,
            "scale": first.mechanism.scale * _step(first),
            "margin": None,
            "confidence": CONFIDENCE,
        }
        if isinstance(output.statistic, nodes.Mean):
            column["margins_at"] = {str(n): _mean_margin_at(output, n) for n in (100, 1_000, 10_000, 100_000)}
        else:
            column["margin"] = first.mechanism.margin(CONFIDENCE) * _step(first)
        shown.append(column)
    return shown


def rows(plan: Plan, noisy: Sequence[NDArray[np.int64]]) -> list[dict[str, object]]:
    """Return one row for each cell in the order of the keys: its labels and {"value", "low", "high"} by statistic."""
    values: list[list[dict[str, object]]] = []
    remaining = iter(noisy)
    for output in plan.outputs:
        vectors = [vector.tolist() for vector in itertools.islice(remaining, len(output.measures))]
        values.append(_mean_values(output, *vectors) if len(vectors) == 2 else _plain_values(output, *vectors))
    names = [key.name for key in plan.keys] + [output.name for output in plan.outputs]
    return [
        dict(zip(names, labels + cell, strict=True))
        for labels, cell in zip(_labels(plan), zip(*values, strict=True), strict=True)
    ]


def _labels(plan: Plan) -> Iterator[tuple[Label, ...]]:
    return itertools.product(*(key.every_label() for key in plan.keys))


def _step(measure: Measure) -> float:
    return 1 if measure.column is None else float(measure.column.step)


def _plain_values(output: Output, vector: list[int]) -> list[dict[str, object]]:
    """Return a count or a sum: the noisy number itself, unbiased, negative where the noise made it so."""
    (measure,) = output.measures
    margin = measure.mechanism.margin(CONFIDENCE)
    in_units = (vector, [n - margin for n in vector], [n + margin for n in vector])
    numbers = list if measure.column is None else measure.column.numbers
    shown = (numbers(units) for units in in_units)
    return [{"value": value, "low": low, "high": high} for value, low, high in zip(*shown, strict=True)]


def _mean_noise(output: Output) -> MeanNoise:
    total, count = output.measures
    kind = GaussianMeanNoise if isinstance(total.mechanism, DiscreteGaussian) else MeanNoise
    return kind(total.mechanism.scale, count.mechanism.scale)


def _mean_values(output: Output, sums: list[int], counts: list[int]) -> list[dict[str, object]]:
    """Return a mean: the noisy centred sum over the noisy count, with both beside it as they were released."""
    measure = output.measures[0]
    assert measure.column is not None
    means, lows, highs = _mean_noise(output).intervals(
        np.array(sums, dtype=np.float64),
        np.array(counts, dtype=np.float64),
        measure.low - measure.centre,
        measure.high - measure.centre,
        CONFIDENCE,
    )
    step = float(measure.column.step)
    shifted = [((units + measure.centre) * step).tolist() for units in (means, lows, highs)]
    return [
        {"value": mean, "low": low, "high": high, "raw": {"centred_sum": measure.column.value(total), "count": count}}
        for mean, low, high, total, count in zip(*shifted, sums, counts, strict=True)
    ]


def _mean_margin_at(output: Output, count: int) -> float:
    """Return about half the width of a mean's interval over `count` events, for a mean halfway to a bound."""
    measure = output.measures[0]
    halfway = np.array([(measure.high - measure.centre) / 2])
    return float(_mean_noise(output).quantile(halfway, CONFIDENCE)[0]) / count * _step(measure)
