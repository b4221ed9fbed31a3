"""Post-processing on request: rounding, clamping and consistency of an answer that is already released.

A pure function of noisy numbers and of what is public about them, so it reveals nothing more and costs nothing
(post-processing, Dwork and Roth 2014, proposition 2.1). A release is stored as it was drawn; it is processed when it is
shown, so that one release can be seen in any of these ways. What changed has its released number beside it, as
`raw_value`, `raw_low` and `raw_high`.

- `consistent`: statistics of the answer that add up to the same total are made to do so (`totals.py`).
- `round`: to what can be (whole counts, multiples of the column's step); what is computed from several numbers (a mean,
  a proportion) to as many digits as its interval supports: two of its half width. Ends are rounded outwards.
- `clamp`: what cannot be is moved to the nearest that can: a count below zero, a value beyond its bounds.

Clamping and rounding outwards keep an interval's confidence: the number without noise is within the limits anyway.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from queries.contribution.truncation import Truncation
from queries.release import totals
from queries.release.totals import parts_of
from queries.statistics import registry
from queries.statistics.parts.lists import LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queries.plan import Plan

    Row = Mapping[str, Any]
    Part = Mapping[str, Any]
    Ends = tuple[float, float, float]  # value, low, high

WORDS = ("consistent", "round", "clamp")  # in the order in which they are applied
ENDS = ("value", "low", "high")
ABOUT = "statistics"  # the member of a stored release that holds what `describe` says; it is not shown


def describe(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return what is publicly known of each statistic's values: least and greatest, step, and the total of its parts.

    It is stored with a release, which may outlive the catalog that it was made under.
    """
    about: dict[str, dict[str, Any]] = {}
    known: list[totals.Total] = []
    for output in plan.outputs:
        low, high, step = registry.of(output.statistic).limits(output)
        about[output.name] = {"low": low, "high": high, "step": step}
        total = totals.total_of(output)
        if total is not None:
            if total not in known:
                known.append(total)
            about[output.name]["total"] = known.index(total)
    return about


def warnings(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each statistic of which some values drown in the noise, seen from noisy numbers alone."""
    found = []
    for output in plan.outputs:
        parts = [part for row in rows for part in parts_of(row[output.name])]
        wide = sum(
            max(part["high"] - part["value"], part["value"] - part["low"]) > abs(part["value"]) / 2 for part in parts
        )
        if wide:
            what = next((one.parts for member, one in LISTS.items() if member in rows[0][output.name]), "rows")
            found.append(f"{output.name}: in {wide} of {len(parts)} {what} the margin is more than half of the value")
    return found


def apply(body: Mapping[str, Any], post: Sequence[str]) -> dict[str, Any]:
    """Return a stored release as it is shown, with what was asked for applied, in the order of `WORDS`."""
    shown = {name: member for name, member in body.items() if name != ABOUT}
    applied = [word for word in WORDS if word in post]
    if applied and ABOUT not in body:
        applied = []
        shown["notes"] = [*body["notes"], "this release is of an earlier version, which kept too little to process it"]
    shown["post"] = applied
    if not applied:
        return _marked(shown)
    about, rows = body[ABOUT], body["rows"]
    adjusted: Mapping[str, Sequence[Sequence[float]]] = {}
    if "consistent" in applied:
        scales = {column["name"]: column for column in body["columns"] if column["kind"] == "statistic"}
        adjusted, notes = totals.adjust(rows, about, scales, clamp="clamp" in applied, whole="round" in applied)
        shown["notes"] = [*body["notes"], *notes]
    shown["rows"] = [
        {
            **row,
            **{
                name: _shown(row[name], adjusted[name][place] if name in adjusted else None, known, applied)
                for name, known in about.items()
            },
        }
        for place, row in enumerate(rows)
    ]
    return _marked(shown)


def _marked(shown: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with a mark on each number if nobody knows what was cut off: it may be read alone.

    It is said where numbers are shown, and not in what is stored: there the statistic's column says it once.
    """
    unknown = {column["name"] for column in shown["columns"] if column.get("truncation") == Truncation.UNKNOWN}
    if not unknown:
        return shown
    rows = [
        {name: _mark(result) if name in unknown else result for name, result in row.items()} for row in shown["rows"]
    ]
    return {**shown, "rows": rows}


def _mark(result: Mapping[str, Any]) -> Part:
    mark = {"truncation": Truncation.UNKNOWN.value}
    for member in LISTS:
        if member in result:
            return {**result, member: [{**part, **mark} for part in result[member]]}
    return {**result, **mark}


def _shown(
    result: Mapping[str, Any], values: Sequence[float] | None, about: Mapping[str, Any], applied: Sequence[str]
) -> Part:
    """Return a statistic's result in one row after processing; `values` are its consistent ones, if there are."""
    parts = parts_of(result)
    done = [
        _processed(part, part["value"] if values is None else values[i], about, applied) for i, part in enumerate(parts)
    ]
    return next(({**result, member: done} for member in LISTS if member in result), done[0])


def _processed(part: Part, value: float, about: Mapping[str, Any], applied: Sequence[str]) -> Part:
    released = part["value"], part["low"], part["high"]
    shown = value, part["low"], part["high"]
    if "round" in applied:
        shown = _rounded(shown, about["step"])
    if "clamp" in applied:
        shown = _clamped(shown, about["low"], about["high"])
    if shown == released:
        return part
    found = dict(part)
    for end, number, before in zip(ENDS, shown, released, strict=True):
        if number != before:
            found[end], found[f"raw_{end}"] = number, before
    return found


def _clamped(ends: Ends, low: float | None, high: float | None) -> Ends:
    value, least, greatest = ends
    if low is not None:
        value, least, greatest = max(value, low), max(least, low), max(greatest, low)
    if high is not None:
        value, least, greatest = min(value, high), min(least, high), min(greatest, high)
    return value, least, greatest


def _rounded(ends: Ends, step: str | None) -> Ends:
    """Return a value rounded to the nearest multiple of a step, and its ends rounded outwards."""
    value, low, high = ends
    if step is not None:
        if step == "1" and isinstance(value, int) and isinstance(low, int) and isinstance(high, int):
            return ends
        unit = Decimal(step)
    else:
        half = (high - low) / 2
        if half <= 0:
            return ends
        unit = Decimal(1).scaleb(math.floor(math.log10(half)) - 1)  # one in the second digit of the half width
    return (
        _multiple(value, unit, ROUND_HALF_UP),
        _multiple(low, unit, ROUND_FLOOR),
        _multiple(high, unit, ROUND_CEILING),
    )


def _multiple(number: float, unit: Decimal, rounding: str) -> float:
    """Return a multiple of a unit; an integer if it is one. As a decimal, 20.15 is a multiple of 0.01."""
    exact = (Decimal(repr(number)) / unit).to_integral_value(rounding) * unit
    return int(exact) if exact == exact.to_integral_value() else float(exact)
