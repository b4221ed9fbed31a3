"""Survival curves of several groups beside that of a reference group: differences, and days of survival.

A function of the answer as it is shown, so it reveals nothing and costs nothing. It is made of the noisy numbers in
`raw`. What is hidden has none, and then neither has what would be computed from it. `differences.py` has the margins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from queries.errors import InvalidQuery
from queries.mechanisms import DiscreteGaussian
from queries.release.derived import differences
from queries.release.derived.parts import HIDDEN, NO_NUMBER, NOISE, Derived, text_of, without
from queries.statistics.parts import lists
from queries.statistics.parts.numbers import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.language.showing import Difference
    from queries.release.derived.differences import Interval

    Row = Mapping[str, Any]

POINTER = "/show/difference"
NAMES = ("{statistic}_difference", "{statistic}_days", "{statistic}_days_difference")


def require_reference(asked: Difference, labels: Sequence[object]) -> None:
    """Raise InvalidQuery, with the place, unless the reference is one of the groups."""
    known = [text_of(label) for label in labels]
    if asked.reference not in known:
        raise InvalidQuery(
            f"{POINTER}/reference", f"{asked.by} has no value {asked.reference}; it has {', '.join(known[:8])}"
        )


def derive(shown: Mapping[str, Any], asked: Difference, taken: Sequence[str]) -> Derived:
    """Return the curves as they were released, and beside each its difference to that of the reference group."""
    columns = {column["name"]: column for column in shown["columns"]}
    keys = [column["name"] for column in shown["columns"] if column["kind"] == "key"]
    column = columns[asked.statistic]
    noise = differences.Noise(
        column["scale"], gaussian=column["mechanism"] == DiscreteGaussian.name, confidence=column["confidence"]
    )
    others = [key for key in keys if key != asked.by]
    references = {
        _place(row, others): row[asked.statistic] for row in shown["rows"] if text_of(row[asked.by]) == asked.reference
    }
    name, own, apart = taken
    rows, wide, short, hidden = [], 0, 0, 0
    for row in shown["rows"]:
        curve, reference = row[asked.statistic], references[_place(row, others)]
        is_reference = text_of(row[asked.by]) == asked.reference
        found = _compared(curve, reference, noise, asked, is_reference=is_reference)
        wide, short, hidden = wide + found.wide, short + (found.days == NO_NUMBER), hidden + found.is_hidden
        rows.append(
            {
                **{key: row[key] for key in keys},
                asked.statistic: curve,
                name: {lists.DIFFERENCES.member: found.parts},
                own: found.days,
                apart: found.days_apart,
            }
        )
    about = {"of": asked.statistic, "by": asked.by, "reference": asked.reference, "band": asked.band}
    plain = without(column, "scale", "margins_at", NOISE)
    described = [
        *(columns[key] for key in keys),
        column,
        *({**plain, "name": one, "difference": about} for one in taken),
    ]
    return Derived(described, rows, _notes(taken, len(rows), (wide, short, hidden)))


def _place(row: Row, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple((type(row[key]), row[key]) for key in keys)


@dataclass(frozen=True)
class _Compared:
    """What is shown of one group: its difference by interval, its days of survival, and how many more they are."""

    parts: list[dict[str, Any]]
    days: dict[str, Any]
    days_apart: dict[str, Any]
    wide: bool = False  # the band is wide open somewhere

    @property
    def is_hidden(self) -> bool:
        return self.days is HIDDEN


def _compared(
    curve: Row, reference: Row, noise: differences.Noise, asked: Difference, *, is_reference: bool
) -> _Compared:
    untils = [part[lists.SURVIVAL.label] for part in curve[lists.SURVIVAL.member]]
    if any(_is_hidden(one) for one in (curve, reference)):
        return _Compared([{lists.DIFFERENCES.label: until, **HIDDEN} for until in untils], HIDDEN, HIDDEN)
    edges, counts = [0, *untils], _counts(curve)
    days = _told(differences.days(counts, edges, noise))
    if is_reference:  # nothing is unknown of the difference to itself
        same = dict.fromkeys(MEMBERS, 0.0)
        return _Compared([{lists.DIFFERENCES.label: until, **same} for until in untils], days, same)
    other = _counts(reference)
    band = differences.difference(counts, other, edges, noise, simultaneous=asked.band == "simultaneous")
    columns = (band.value.tolist(), band.low.tolist(), band.high.tolist())
    parts = [
        {lists.DIFFERENCES.label: until, **dict(zip(MEMBERS, ends, strict=True))}
        for until, *ends in zip(untils, *columns, strict=True)
    ]
    apart = _told(differences.days_difference(counts, other, edges, noise))
    return _Compared(parts, days, apart, bool(band.unknown.any()))


def _is_hidden(result: Row) -> bool:
    parts = result[lists.SURVIVAL.member]
    return "raw" not in result or any(part.get("hidden") or "raw" not in part for part in parts)


def _counts(result: Row) -> Any:
    """Return the noisy numbers that a curve was computed from, in the order of `survival.curve`."""
    parts = result[lists.SURVIVAL.member]
    numbers = [part["raw"][member] for part in parts for member in ("events", "followed")]
    return np.array([*numbers, result["raw"]["beyond"]], dtype=np.float64)


def _told(found: Interval | None) -> dict[str, Any]:
    return NO_NUMBER if found is None else dict(zip(MEMBERS, found, strict=True))


def _notes(names: Sequence[str], rows: int, counts: tuple[int, int, int]) -> list[str]:
    wide, short, hidden = counts
    notes = []
    if wide:
        notes.append(
            f"{names[0]}: in {wide} of {rows} rows one of the curves ends in noise, and from there on nothing is known "
            "of the difference"
        )
    if short:
        notes.append(
            f"{names[1]}: in {short} of {rows} rows there are no days of survival, because the curve ends in noise: "
            "choose an earlier last day"
        )
    if hidden:
        notes.append(f"{names[0]}: in {hidden} of {rows} rows it is hidden, because a part of one of the curves is")
    return notes
