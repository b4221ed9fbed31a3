"""Noisy measures -> the values of one statistic, each with its interval. `assembly.py` puts them into rows.

A result is {"value", "low", "high"}: with 95% the value over the bounded data lies between low and high. What is
computed from several noisy numbers shows them as `raw`, as they were released. A histogram, the most frequent keys and
a list of quantiles are lists of such results.
"""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from queries.language import nodes
from queries.plan import Search
from queries.statistics import moments, quantiles, survival
from queries.statistics.intervals import GaussianMeanNoise, MeanNoise, proportion

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.plan import Measure, Output
    from queries.statistics.intervals import Floats

    Vectors = Sequence[NDArray[np.int64]]
    Result = dict[str, object]

GROUPS = (100, 1_000, 10_000, 100_000)  # numbers of events for which a margin is foretold


def unit(measure: Measure) -> float:
    """Return what one unit of a measure's numbers is worth to people."""
    if measure.within is not None:
        return 1.0
    return float(np.prod([float(factor.column.step) for factor in measure.factors]))


def values(output: Output, vectors: Vectors, confidence: float) -> list[Result]:
    """Return a statistic's result for each cell."""
    match output.statistic:
        case nodes.Count() | nodes.Sum():
            return _numbers(output.measures[0], vectors[0], confidence)
        case nodes.Mean():
            return _means(output, vectors, confidence)
        case nodes.Proportion():
            return _proportions(output.measures[0], vectors[0], confidence)
        case nodes.Quantile():
            return _quantiles(output.measures[0], output.statistic, vectors[0], confidence)
        case nodes.Histogram():
            return _histograms(output.measures[0], vectors[0], confidence)
        case nodes.Top(_, k):
            return _tops(output.measures[0], vectors[0], k, confidence)
        case nodes.Survival(_, edges):
            return _curves(output.measures[0], edges, vectors[0], confidence)
        case nodes.Variance() | nodes.Stddev() | nodes.Covariance() | nodes.Correlation():
            return _moments(output, vectors, confidence)


def margin(output: Output, confidence: float) -> Result:
    """Return how exact a statistic will be, as far as it is known before any data are touched.

    Where it depends on how many events a value is over, `margins_at` tells it for some numbers of them. A quantile is
    exact up to so many events: it is between the values that many events further down and up.
    """
    if isinstance(output.statistic, FIXED):
        return {"margin": float(fixed_margin(output, confidence))}
    if isinstance(output.statistic, nodes.Quantile):
        return {"margin": None, "margin_events": rank_margin(output, confidence)}
    groups = sorted({*GROUPS, *([] if output.at is None else [output.at])})
    return {"margin": None, "margins_at": {str(n): margin_at(output, n, confidence) for n in groups}}


FIXED = (nodes.Count, nodes.Sum, nodes.Histogram, nodes.Top)  # the margin is the same whatever is released


def fixed_margin(output: Output, confidence: float) -> Fraction:
    """Return the margin of one of the `FIXED`, exactly."""
    first = output.measures[0]
    if isinstance(output.statistic, nodes.Top):
        return Fraction(first.mechanism.margin(_each(confidence, first.width)))
    steps = (Fraction(factor.column.step) for factor in first.factors)
    return math.prod(steps, start=Fraction(first.mechanism.margin(confidence)))


def rank_margin(output: Output, confidence: float) -> float:
    """Return by how many events a quantile may be off."""
    assert isinstance(output.statistic, nodes.Quantile)
    (measure,) = output.measures
    bins = _search(measure).bins
    worst = (quantiles.rank_noise(bins, share, measure.mechanism, confidence).max() for share in output.statistic.at)
    return float(max(worst))


def margin_at(output: Output, count: int, confidence: float) -> float:
    """Return the margin of any other statistic over a group of so many events, or persons if it is of those."""
    match output.statistic:
        case nodes.Survival():
            return _curve_margin_at(output.measures[0], count, confidence)
        case nodes.Proportion():
            return _proportion_margin_at(output.measures[0], count, confidence)
        case nodes.Mean():
            return _mean_margin_at(output, count, confidence)
        case _:
            return _moment_margin_at(output, count, confidence)


# Counts and sums, alone and in histograms


def _numbers(measure: Measure, vector: NDArray[np.int64], confidence: float) -> list[Result]:
    """Return the noisy numbers themselves, unbiased, negative where the noise made them so."""
    off = measure.mechanism.margin(confidence)
    units = vector.tolist()
    in_units = (units, [n - off for n in units], [n + off for n in units])
    numbers = measure.factors[0].column.numbers if measure.factors else list
    return [
        {"value": value, "low": low, "high": high} for value, low, high in zip(*map(numbers, in_units), strict=True)
    ]


def _histograms(measure: Measure, vector: NDArray[np.int64], confidence: float) -> list[Result]:
    """Return for each cell its bins, each with its label."""
    labels = _within(measure).every_label()
    counts = _numbers(measure, vector, confidence)
    bins = [{"bin": label, **count} for label, count in zip(itertools.cycle(labels), counts, strict=False)]
    return [{"bins": list(part)} for part in _chunks(bins, len(labels))]


def _tops(measure: Measure, vector: NDArray[np.int64], k: int, confidence: float) -> list[Result]:
    """Return for each cell the keys with the largest noisy counts.

    Of many noisy counts the largest are more likely too large. So the margins hold for all counts of a cell at once:
    each alone holds with the confidence that leaves them together the one that is stated (Bonferroni).
    """
    labels = _within(measure).every_label()
    counts = _numbers(measure, vector, _each(confidence, len(labels)))
    order = np.argsort(-vector.reshape(-1, len(labels)), axis=1, kind="stable")[:, :k].tolist()
    cells = _chunks(counts, len(labels))
    return [
        {"top": [{"key": labels[place], **cell[place]} for place in places]}
        for places, cell in zip(order, cells, strict=True)
    ]


def _each(confidence: float, numbers: int) -> float:
    return 1 - (1 - confidence) / numbers


def _within(measure: Measure) -> CellKey:
    assert measure.within is not None
    return measure.within


def _chunks(parts: list[Result], size: int) -> Iterable[list[Result]]:
    return (parts[start : start + size] for start in range(0, len(parts), size))


# Quantiles


def _quantiles(
    measure: Measure, statistic: nodes.Quantile, vector: NDArray[np.int64], confidence: float
) -> list[Result]:
    """Return each cell's quantiles: whole steps of the column, for they are values that somebody could have."""
    (values,) = measure.factors
    numbers = values.column.numbers
    starts = np.array(quantiles.starts(_within(measure), values.low, values.high))
    found = []
    for share in statistic.at:
        place, first, last = quantiles.read(vector, _search(measure), share, measure.mechanism, confidence)
        low, high = starts[first], starts[last + 1] - 1
        leaf = np.minimum(place.astype(np.int64), measure.width - 1)
        inside = ((place - leaf) * (starts[leaf + 1] - starts[leaf])).astype(np.int64)
        value = np.clip(starts[leaf] + inside, low, high)
        shown = zip(*(numbers(units.tolist()) for units in (value, low, high)), strict=True)
        found.append([{"value": value, "low": low, "high": high} for value, low, high in shown])
    if not statistic.listed:
        return list(found[0])
    return [
        {"quantiles": [{"at": share, **result} for share, result in zip(statistic.at, cell, strict=True)]}
        for cell in zip(*found, strict=True)
    ]


def _search(measure: Measure) -> Search:
    assert measure.search is not None
    return measure.search


# Survival


def _curves(
    measure: Measure, edges: tuple[nodes.Scalar, ...], vector: NDArray[np.int64], confidence: float
) -> list[Result]:
    """Return for each cell the curve at the end of each interval, and the noisy numbers it was computed from."""
    counts = vector.reshape(-1, measure.width)
    scale, gaussian = measure.mechanism.scale, _gaussian(measure)
    found = survival.curve(counts.astype(np.float64), scale, confidence, gaussian=gaussian)
    parts = (part.tolist() for part in (found.value, found.low, found.high, counts))
    return [
        {
            "survival": [
                {
                    "until": until,
                    "value": value,
                    "low": low,
                    "high": high,
                    "raw": {"events": numbers[2 * place], "followed": numbers[2 * place + 1]},
                }
                for place, (until, value, low, high) in enumerate(zip(edges[1:], values, lows, highs, strict=True))
            ],
            "raw": {"beyond": numbers[-1]},
        }
        for values, lows, highs, numbers in zip(*parts, strict=True)
    ]


def _curve_margin_at(measure: Measure, count: int, confidence: float) -> float:
    """Return half the width of the band at the end, for a half of `count` persons with the event, evenly over time."""
    intervals = measure.width // 2
    even = np.zeros((1, measure.width))
    even[0, :-1:2], even[0, -1] = count / 2 / intervals, count / 2
    scale, gaussian = measure.mechanism.scale, _gaussian(measure)
    found = survival.curve(even, scale, confidence, gaussian=gaussian)
    return float((found.high - found.low)[0, -1]) / 2


# Means and moments


def _gaussian(measure: Measure) -> bool:
    return measure.mechanism.gaussian


def _floats(vectors: Vectors) -> list[Floats]:
    return [vector.astype(np.float64) for vector in vectors]


def _mean_noise(output: Output) -> MeanNoise:
    total, count = output.measures
    kind = GaussianMeanNoise if _gaussian(total) else MeanNoise
    return kind(total.mechanism.scale, count.mechanism.scale)


def _means(output: Output, vectors: Vectors, confidence: float) -> list[Result]:
    """Return the noisy centred sums over the noisy counts."""
    (x,) = output.measures[0].factors
    sums, counts = _floats(vectors)
    means, lows, highs = _mean_noise(output).intervals(sums, counts, x.low - x.centre, x.high - x.centre, confidence)
    step = float(x.column.step)
    shifted = [((units + x.centre) * step).tolist() for units in (means, lows, highs)]
    return [
        {"value": mean, "low": low, "high": high, "raw": {"centred_sum": total, "count": count}}
        for mean, low, high, total, count in zip(
            *shifted, x.column.numbers(vectors[0].tolist()), vectors[1].tolist(), strict=True
        )
    ]


def _mean_margin_at(output: Output, count: int, confidence: float) -> float:
    """Return about half the width of a mean's interval over `count` events, for a mean halfway to a bound."""
    (x,) = output.measures[0].factors
    halfway = np.array([(x.high - x.centre) / 2])
    return float(_mean_noise(output).quantile(halfway, confidence)[0]) / count * unit(output.measures[0])


def _proportions(measure: Measure, vector: NDArray[np.int64], confidence: float) -> list[Result]:
    """Return the share of what fulfils the condition, with how many fulfil it and how many do not."""
    scale, gaussian = measure.mechanism.scale, _gaussian(measure)
    holding, others = vector[::2], vector[1::2]
    found = proportion(holding.astype(np.float64), others.astype(np.float64), scale, confidence, gaussian=gaussian)
    shown = [part.tolist() for part in (*found, holding, others)]
    return [
        {"value": share, "low": low, "high": high, "raw": {"holding": yes, "others": no}}
        for share, low, high, yes, no in zip(*shown, strict=True)
    ]


def _proportion_margin_at(measure: Measure, count: int, confidence: float) -> float:
    """Return half the width of the interval for a half of `count`."""
    half = np.array([count / 2])
    _, low, high = proportion(half, half, measure.mechanism.scale, confidence, gaussian=_gaussian(measure))
    return float((high - low)[0]) / 2


def _moments(output: Output, vectors: Vectors, confidence: float) -> list[Result]:
    raw = [
        (np.array(vector) * unit(measure)).tolist() if measure.factors else vector.tolist()
        for vector, measure in zip(vectors, output.measures, strict=True)
    ]
    names = [_raw_name(measure) for measure in output.measures]
    intervals = [part.tolist() for part in _moment_intervals(output, _floats(vectors), confidence)]
    return [
        {"value": value, "low": low, "high": high, "raw": dict(zip(names, numbers, strict=True))}
        for value, low, high, numbers in zip(*intervals, zip(*raw, strict=True), strict=True)
    ]


def _raw_name(measure: Measure) -> str:
    """Return what a released number is: `count`, or the sum of a product of values less their centres."""
    if not measure.factors:
        return "count"
    return "centred_sum_" + "_".join(factor.column.name for factor in measure.factors)


def _moment_intervals(output: Output, vectors: list[Floats], confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return the value, low and high of a variance, a standard deviation, a covariance or a correlation."""
    measures = output.measures
    scales = [measure.mechanism.scale for measure in measures]
    gaussian = _gaussian(measures[0])
    factors = measures[0].factors
    largest = (factors[0].largest, factors[1].largest)
    step = unit(measures[0])
    match output.statistic:
        case nodes.Variance() | nodes.Stddev():
            noise = moments.Noise(xx=scales[0], x=scales[1], n=scales[2], gaussian=gaussian, confidence=confidence)
            xx, x, n = vectors
            found = moments.variance(xx, x, n, noise, largest[0], measures[0].middle)
            if isinstance(output.statistic, nodes.Stddev):
                value, low, high = (np.sqrt(part * step) for part in found)
                return value, low, high
        case nodes.Covariance():
            noise = moments.Noise(
                xy=scales[0], x=scales[1], y=scales[2], n=scales[3], gaussian=gaussian, confidence=confidence
            )
            xy, x, y, n = vectors
            found = moments.covariance(xy, x, y, n, noise, largest)
        case _:
            names = ("xy", "xx", "yy", "x", "y", "n")
            noise = moments.Noise(**dict(zip(names, scales, strict=True)), gaussian=gaussian, confidence=confidence)
            middles = (measures[1].middle, measures[2].middle)
            return moments.correlation(
                (vectors[0], vectors[1], vectors[2]), (vectors[3], vectors[4]), vectors[5], noise, largest, middles
            )
    value, low, high = (part * step for part in found)
    return value, low, high


def _moment_margin_at(output: Output, count: int, confidence: float) -> float:
    """Return half the width of the interval over `count` events spread evenly between the bounds, independently."""
    sums = []
    for measure in output.measures:
        same = len(measure.factors) == 2 and measure.factors[0] == measure.factors[1]
        even = measure.factors[0].largest ** 2 / 3 - measure.middle if same else 0
        sums.append(np.array([count * even if measure.factors else count], dtype=np.float64))
    _, low, high = _moment_intervals(output, sums, confidence)
    return float((high - low)[0]) / 2
