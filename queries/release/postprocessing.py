"""Post-processing on request: rounding, clamping and consistency of an answer that is already released.

A pure function of noisy numbers and of what is public about them, so it reveals nothing more and costs nothing
(post-processing, Dwork and Roth 2014, proposition 2.1). A release is stored as it was drawn; it is processed when it is
shown, so that one release can be seen in any of these ways. What changed has its released number beside it, as
`raw_value`, `raw_low` and `raw_high`.

- `consistent`: statistics of the answer that add up to the same total are made to do so (`totals.py`).
- `round`: to what can be (whole counts, multiples of the column's step); what is computed from several numbers (a mean,
  a proportion) to as many digits as its interval supports: two of its half width. Ends are rounded outwards.
- `clamp`: what cannot be is moved to the nearest that can: a count below zero, a value beyond its bounds.
- `hide_below:11`: numbers of cells below 11 are not shown (`hiding.py`). A study's protocol may demand it. Then their
  released numbers are not shown either, and no request can turn it off.

Clamping and rounding outwards keep an interval's confidence: the number without noise is within the limits anyway.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from queries.contribution.truncation import Truncation
from queries.release import hiding, totals, value_labels
from queries.release.rows import Rows, with_mark
from queries.statistics import registry
from queries.statistics.parts.lists import LISTS, parts_of
from queries.statistics.parts.numbers import MEMBERS, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queries.plan import Plan
    from queries.release.hiding import Hiding

    Row = Mapping[str, Any]
    Part = Mapping[str, Any]
    Ends = tuple[float, float, float]  # value, low, high

WARNING = "the margin is more than half of the value"  # how sentences of `warnings` end
WORDS = ("consistent", "round", "clamp")  # in the order in which they are applied; then what is hidden
DROWNED = "the margin is more than half of the value"  # ends what `warnings` says
ABOUT = "statistics"  # the member of a stored release that holds what `describe` says; it is not shown
SALT = "salt"  # the member that makes the hash of a stored release one that nobody can guess; it is not shown either
UNSHOWN = frozenset({ABOUT, SALT})


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


def warnings(names: Iterable[str], rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each statistic of which some values drown in the noise, seen from noisy numbers alone."""
    found = []
    for name in names:
        column = rows.columns[name] if isinstance(rows, Rows) else None
        wide, numbers = (column.drowned() if isinstance(column, Numbers) else None), len(rows)
        if wide is None:
            parts = [part for row in rows for part in parts_of(row[name]) if part["value"] is not None]
            numbers = len(parts)
            wide = sum(
                max(part["high"] - part["value"], part["value"] - part["low"]) > abs(part["value"]) / 2
                for part in parts
            )
        if wide:
            what = next((one.parts for member, one in LISTS.items() if member in rows[0][name]), "rows")
            found.append(f"{name}: in {wide} of {numbers} {what} the margin is more than half of the value")
    return found


def without_warnings(notes: Iterable[str]) -> list[str]:
    """Return notes without those of `warnings`, which count numbers that may be hidden."""
    return [note for note in notes if not note.endswith(WARNING)]


def apply(body: Mapping[str, Any], post: Sequence[str], must: int | None = None) -> dict[str, Any]:
    """Return a stored release as it is shown, with what was asked for applied, in the order of `WORDS`.

    Cells below `must` are hidden whatever was asked for, and what is hidden is in none of the members.
    """
    shown = {name: member for name, member in body.items() if name not in UNSHOWN}
    below = max((one for one in (must, *map(hiding.read, post)) if one is not None), default=None)
    hidden = None if below is None else hiding.find(body, below, forget=must is not None)
    _process(shown, body, post, hidden)
    if hidden is not None:
        shown["post"].append(hiding.word(hidden.below))
        shown["rows"] = hidden.shown(shown["rows"])
        if value_labels.MEMBER in shown:
            shown[value_labels.MEMBER] = hidden.labels(shown[value_labels.MEMBER], shown["rows"])
        drowned = warnings(hidden.names, hidden.shown(body["rows"]))
        kept = [note for note in shown["notes"] if not note.endswith(DROWNED)]
        shown["notes"] = [*kept, *drowned, *hidden.notes]
    return _marked(shown)


def _process(shown: dict[str, Any], body: Mapping[str, Any], post: Sequence[str], hidden: Hiding | None) -> None:
    """Apply the words of `WORDS` to an answer as it is shown."""
    applied = [word for word in WORDS if word in post]
    if applied and ABOUT not in body:
        applied = []
        shown["notes"] = [*body["notes"], "this release is of an earlier version, which kept too little to process it"]
    shown["post"] = applied
    if not applied:
        return
    about, rows = body[ABOUT], body["rows"]
    adjusted: totals.Values = {}
    if "consistent" in applied:
        scales = {column["name"]: column for column in body["columns"] if column["kind"] == "statistic"}
        adjusted, notes = totals.adjust(
            rows, about, scales, clamp="clamp" in applied, whole="round" in applied, hiding=hidden
        )
        shown["notes"] = [*body["notes"], *notes]
    shown["rows"] = [
        {
            **row,
            **{
                name: _shown(row[name], adjusted.get(name, {}).get(place), known, applied)
                for name, known in about.items()
            },
        }
        for place, row in enumerate(rows)
    ]


def _marked(shown: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with a mark on each number if nobody knows what was cut off: it may be read alone.

    It is said where numbers are shown, and not in what is stored: there the statistic's column says it once.
    """
    unknown = {column["name"] for column in shown["columns"] if column.get("truncation") == Truncation.UNKNOWN}
    if not unknown:
        return shown
    rows = shown["rows"]
    if isinstance(rows, Rows):
        return {**shown, "rows": rows.marked(unknown, Truncation.UNKNOWN.value)}
    found = [{name: marked(result) if name in unknown else result for name, result in row.items()} for row in rows]
    return {**shown, "rows": found}


def marked(result: Mapping[str, Any]) -> Part:
    """Return a result with the mark that nobody knows what was cut off."""
    return with_mark(result, {"truncation": Truncation.UNKNOWN.value})


def _shown(
    result: Mapping[str, Any], values: Sequence[float] | None, about: Mapping[str, Any], applied: Sequence[str]
) -> Part:
    """Return a statistic's result in one row after processing; `values` are its consistent ones, if there are."""
    parts = parts_of(result)
    done = [
        processed(part, part["value"] if values is None else values[i], about, applied) for i, part in enumerate(parts)
    ]
    return next(({**result, member: done} for member in LISTS if member in result), done[0])


def processed(part: Part, value: float, about: Mapping[str, Any], applied: Sequence[str]) -> Part:
    """Return a number with its interval as it is shown: `value` rounded and clamped, as the words say."""
    released = part["value"], part["low"], part["high"]
    shown = value, part["low"], part["high"]
    if "round" in applied:
        shown = _rounded(shown, about["step"])
    if "clamp" in applied:
        shown = _clamped(shown, about["low"], about["high"])
    if shown == released:
        return part
    found = dict(part)
    for end, number, before in zip(MEMBERS, shown, released, strict=True):
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
