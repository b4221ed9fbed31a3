"""Direct standardisation: the rate that a group would have if its strata were as frequent as in a declared population.

A function of the answer as it is shown and of the weights that the request declares, so it reveals nothing and costs
nothing. It is made of the noisy numbers in `raw`. What is hidden has none, and then neither has the standardised value.
`ratios.py` has the margin.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from queries.errors import InvalidQuery
from queries.mechanisms import DiscreteGaussian
from queries.release.derived import ratios
from queries.release.derived.parts import HIDDEN, NO_NUMBER, NOISE, Derived, text_of, without
from queries.statistics.parts import lists
from queries.statistics.parts.numbers import MEMBERS
from queries.statistics.rates import YEAR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.language.showing import Standardise

    Row = Mapping[str, Any]

POINTER = "/show/standardise"
NAME = "{statistic}_standardised"
BY = "{statistic}_by_{by}"
# For each statistic that can be: the members of `raw` that are numerator and denominator, and whether the first is one
# side of the second.
RATIOS = {
    "rate": ("events", "person_days", False),
    "mean": ("centred_sum", "count", False),
    "proportion": ("holding", "others", True),
}


def require_weights(asked: Standardise, labels: Sequence[object]) -> None:
    """Raise InvalidQuery, with the place, unless each stratum has one weight; that of nulls may be left out."""
    pointer = f"{POINTER}/weights"
    known = [text_of(label) for label in labels]
    given = dict(asked.weights)
    if wrong := [name for name in given if name not in known]:
        raise InvalidQuery(pointer, f"{asked.by} has no value {wrong[0]}; it has {_some(known)}")
    if missing := [text_of(label) for label in labels if label is not None and text_of(label) not in given]:
        raise InvalidQuery(
            pointer,
            f"{_some(missing)}: without a weight. Give each value of {asked.by} one, or 0 to leave it out",
        )


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def derive(shown: Mapping[str, Any], asked: Standardise, word: str, taken: Sequence[str]) -> Derived:
    """Return the standardised values by the other keys, and beside them those of the strata, as they were released."""
    columns = {column["name"]: column for column in shown["columns"]}
    keys = [column["name"] for column in shown["columns"] if column["kind"] == "key" and column["name"] != asked.by]
    column = columns[asked.statistic]
    weights = dict(asked.weights)
    total = sum(weights.values())
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in shown["rows"]:
        groups.setdefault(tuple((type(row[key]), row[key]) for key in keys), []).append(row)
    name, by = taken
    rows: list[dict[str, Any]] = []
    unclear: dict[tuple[str, ...], int] = {}
    hidden = 0
    for rows_of in groups.values():
        shares = np.array([weights.get(text_of(row[asked.by]), 0.0) / total for row in rows_of])
        found, noisy = _standardised([row[asked.statistic] for row in rows_of], shares, word, column)
        hidden += found is HIDDEN
        if noisy is not None and noisy.any():
            names = tuple(text_of(row[asked.by]) for row in itertools.compress(rows_of, noisy))
            unclear[names] = unclear.get(names, 0) + 1
        strata = [{lists.BINS.label: row[asked.by], **row[asked.statistic]} for row in rows_of]
        rows.append({**{key: rows_of[0][key] for key in keys}, name: found, by: {lists.BINS.member: strata}})
    about = {"of": asked.statistic, "by": asked.by, "weights": weights}
    described = [
        *(columns[key] for key in keys),
        {**without(column, "scale", "margins_at", NOISE), "name": name, "standardised": about},
        {**column, "name": by},
    ]
    return Derived(described, rows, _notes(name, len(rows), unclear, hidden))


def _standardised(
    results: Sequence[Row], shares: Any, word: str, column: Mapping[str, Any]
) -> tuple[dict[str, Any], Any]:
    """Return the standardised value of one group, and which of its strata are mostly noise."""
    counted = [one for one, share in zip(results, shares, strict=True) if share > 0]
    if any(one.get("hidden") or "raw" not in one for one in counted):
        return HIDDEN, None
    one_side, other, share = RATIOS[word]
    above = np.array([one.get("raw", {}).get(one_side, 0) for one in results], dtype=np.float64)
    below = np.array([one.get("raw", {}).get(other, 0) for one in results], dtype=np.float64)
    about = column[NOISE]
    # In units of the numerator's noise, which is of whole numbers.
    scales, unit, middle = about["scales"], about["unit"], about["middle"]
    gaussian = column["mechanism"] == DiscreteGaussian.name
    noise = ratios.RatioNoise(scales[one_side] / unit, scales[other], gaussian=gaussian, share=share)
    low, high = ((end - middle) / unit for end in about["limits"])
    if share:
        below = above + below
    found = ratios.standardised(above / unit, below, shares, noise, column["confidence"], (low, high))
    if found.unclear.any():
        return NO_NUMBER, found.unclear
    times = YEAR if word == "rate" else 1.0
    return {end: (getattr(found, end) * unit + middle) * times for end in MEMBERS}, None


def _notes(name: str, rows: int, unclear: Mapping[tuple[str, ...], int], hidden: int) -> list[str]:
    notes = []
    if unclear:
        strata = list(dict.fromkeys(itertools.chain.from_iterable(unclear)))
        notes.append(
            f"{name}: in {sum(unclear.values())} of {rows} rows there is no value, because denominators are hardly "
            f"more than their noise: {_some(strata)}. Join these strata with others, or give them the weight 0"
        )
    if hidden:
        notes.append(f"{name}: in {hidden} of {rows} rows it is hidden, because a stratum is")
    return notes
