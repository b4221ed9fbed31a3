"""Noisy cells -> the rows of an answer, with a margin on every number.

Everything here is post-processing of what the mechanisms released: no exact cell comes in.

A margin at 95% means: in 95 of 100 releases the value over the bounded data lies between `low` and `high`. It speaks
of the noise. What the bounds cut off is not in it: each statistic's `truncation` says how much is known of that
(`truncation.py`). A request may name another confidence than 95%.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

from queries.contribution import truncation
from queries.mechanisms import Rounds
from queries.release.derived.parts import NOISE
from queries.release.rows import Labels, Rows
from queries.statistics import estimates, quantiles, registry
from queries.statistics.parts import noisy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from queries.mechanisms import Drawn
    from queries.plan import Measure, Output, Plan


def draw_noise(plan: Plan) -> list[Drawn | None]:
    """Return the noise of each measure. None where rounds follow each other: what one adds up depends on the last."""
    return [
        None if isinstance(one.mechanism, Rounds) else one.mechanism.draw(plan.cells * one.width)
        for one in plan.measures
    ]


def add_noise(
    plan: Plan, cells: Sequence[NDArray[np.int64]], noise: Sequence[Drawn | None] | None = None
) -> list[NDArray[np.int64]]:
    """Return each measure's cells with the noise of its mechanism: from here on nothing is secret.

    `noise` was drawn for this plan, and for nothing else (`draw_noise`); without it, noise is drawn now.
    """
    drawn = draw_noise(plan) if noise is None else noise
    return [_release(*one) for one in zip(plan.measures, cells, drawn, strict=True)]


def _release(measure: Measure, exact: NDArray[np.int64], noise: Drawn | None) -> NDArray[np.int64]:
    if noise is not None:
        return noise.hide(exact)
    assert isinstance(measure.mechanism, Rounds)
    assert measure.search is not None
    return quantiles.release(exact.reshape(-1, measure.width), measure.search, measure.mechanism.each)


def columns(plan: Plan) -> list[dict[str, object]]:
    """Return what each column of the answer is; known before any data is touched."""
    shown: list[dict[str, object]] = [{"name": key.name, "kind": "key"} for key in plan.keys]
    if plan.listing is not None:
        named = plan.listing.mechanism
        shown[plan.listing.key] |= {"mechanism": named.name, "scale": named.scale, "threshold": named.threshold}
    for output in plan.outputs:
        first = output.measures[0]
        shown.append(
            {
                "name": output.name,
                "kind": "statistic",
                "mechanism": first.mechanism.name,
                "scale": first.mechanism.scale * noisy.unit(first),
                **estimates.margin(output, plan.confidence),
                "confidence": plan.confidence,
                **_noise(output),
                **truncation.of(plan, output).to_json(),
            }
        )
    return shown


def _noise(output: Output) -> dict[str, object]:
    """Return the noise of the numbers that a statistic is made of, where more is computed from them (`derived/`)."""
    found = registry.of(output.statistic).noise(output)
    return {NOISE: found} if found else {}


def labels(plan: Plan) -> list[Labels]:
    """Return the column of each key: all combinations of labels, the last key's first; known before any data."""
    sizes = [key.size for key in plan.keys]
    return [
        Labels(key.every_label(), math.prod(sizes[place + 1 :]), math.prod(sizes[:place]))
        for place, key in enumerate(plan.keys)
    ]


def rows(
    plan: Plan, noisy: Sequence[NDArray[np.int64]], named: Sequence[Labels] | None = None
) -> Sequence[dict[str, Any]]:
    """Return one row for each cell in the order of the keys: its labels, and what was found by statistic.

    `named` are the plan's `labels`, if the caller has them.
    """
    if not plan.cells:  # no value of an undeclared key was named
        return []
    remaining = iter(noisy)
    values = [
        estimates.values(output, list(itertools.islice(remaining, len(output.measures))), plan.confidence)
        for output in plan.outputs
    ]
    names = [key.name for key in plan.keys] + [output.name for output in plan.outputs]
    return Rows(dict(zip(names, [*(labels(plan) if named is None else named), *values], strict=True)))
