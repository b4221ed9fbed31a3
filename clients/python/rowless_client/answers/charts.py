"""Charts of an answer with Altair: a chart for each statistic, and a margin on every number.

Which kind follows from the question: periods are lines with a band, survival curves steps, quantiles dots, all else
bars with their interval as a thin line. Numbers that are mostly noise are pale. A number without an interval is not
drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rowless_client.answers.flat import LISTS
from rowless_client.answers.frames import needed
from rowless_client.errors import Misused

if TYPE_CHECKING:
    import altair as alt

    from rowless_client.answers.flat import Flat, Label, Number

CATEGORIES_MAX = 40  # bars of one chart
COLOURS_MAX = 8  # series beside each other: more become small charts
BARS_MAX = 20  # cells in an order: more are a line
POINTS_MAX = 4000
CHARTS_MAX = 12  # small charts of one statistic
WIDTH, HEIGHT, STEP, STEP_BESIDE = 460, 260, 26, 14
PALE = 0.35
PALETTE = ["#2a6f97", "#d1711f", "#3a8a5f", "#8a5a9e", "#b23a48", "#7a7a2e", "#4a4a4a", "#c48fb0"]


@dataclass(frozen=True)
class Point:
    """One number with the labels that say where it belongs: along the axis, by colour, and by small chart."""

    along: Label
    by: str | None
    within: str | None
    number: Number


STEPS = {"survival": "steps", "differences": "apart"}  # lists of points over days, and how they are drawn


@dataclass(frozen=True)
class Figure:
    """A statistic's numbers, and how they are to be drawn."""

    title: str
    along: str
    by: str | None
    within: str | None
    kind: str  # bars, line, steps, apart (steps of a difference) or dots
    points: list[Point]
    said: list[str] = field(default_factory=list)
    is_ranked: bool = False


def plot(flat: Flat, query: Mapping[str, Any], said: list[str], statistic: str | None) -> alt.TopLevelMixin:
    """Return the chart of one statistic, or of all below each other. Raises Misused, MissingPackage."""
    altair = needed("altair", "plot")
    if statistic is not None and statistic not in flat.statistics:
        raise Misused(f"the answer has no statistic {statistic}; it has {', '.join(flat.statistics)}")
    chosen = flat.statistics if statistic is None else (statistic,)
    figures = [figure(flat, query, name, said) for name in chosen]
    drawn = [_drawn(altair, one) for one in figures if one.points]
    if not drawn:
        raise Misused("the answer has no number with an interval, so there is nothing to draw")
    whole = drawn[0] if len(drawn) == 1 else altair.vconcat(*drawn).resolve_scale(color="independent")
    chart: alt.TopLevelMixin = whole.configure_view(strokeOpacity=0).configure_axis(grid=False, domainColor="#888")
    return chart


def figure(flat: Flat, query: Mapping[str, Any], statistic: str, said: list[str]) -> Figure:
    """Return what is to be drawn of a statistic."""
    first = flat.series[flat.of(statistic)[0]]
    names, found = _found(flat, statistic)
    by, within = _others(names, found, is_ranked=first.is_ranked)
    points = [
        Point(
            labels[0],
            None if by is None else text(labels[by]),
            ", ".join(text(labels[place]) for place in within) if within else None,
            number,
        )
        for labels, number in found
    ]
    kind = _kind(first.listed, names[0], query, points)
    hidden = sum(numbers[place].hidden for numbers in flat.numbers for place in flat.of(statistic))
    notes = _notes(first.about, points, said) + (
        [f"numbers of small cells that are hidden: {hidden}"] if hidden else []
    )
    for dimension, most in (("along", CATEGORIES_MAX if kind == "bars" else POINTS_MAX), ("within", CHARTS_MAX)):
        points, of = _largest(points, dimension, most)
        if of:
            notes.append(f"the {most} with the largest numbers of {of} are shown")
    return Figure(
        statistic,
        names[0],
        None if by is None else names[by],
        ", ".join(names[place] for place in within) or None,
        kind,
        points[:POINTS_MAX],
        notes,
        is_ranked=first.is_ranked,
    )


Found = list[tuple[list[Any], "Number"]]


def _found(flat: Flat, statistic: str) -> tuple[list[str], Found]:
    """Return the names of a statistic's dimensions, and its numbers with their labels. The first is along the axis.

    For a list it is its parts. Otherwise it is the first key, unless the second one has so many values that they need
    the axis.
    """
    places = flat.of(statistic)
    listed = flat.series[places[0]].listed
    names = [*((LISTS[listed][2],) if listed else ()), *flat.keys] or [""]
    found: Found = []
    for labels, numbers in zip(flat.labels, flat.numbers, strict=True):
        for place in places:
            number, one = numbers[place], flat.series[place]
            if number.is_whole:
                part = (number.label if one.is_ranked else one.part,) if listed else ()
                found.append(([*part, *labels] or [""], number))
    if not listed and len(names) > 1 and _count(found, 0) <= COLOURS_MAX < _count(found, 1):
        names = [names[1], names[0], *names[2:]]
        found = [([labels[1], labels[0], *labels[2:]], number) for labels, number in found]
    return names, found


def _others(names: list[str], found: Found, *, is_ranked: bool) -> tuple[int | None, list[int]]:
    """Return which dimension is shown by colour, and which by small charts. Ranked lists share no axis."""
    rest = list(range(1, len(names)))
    if not rest or is_ranked or _count(found, 1) > COLOURS_MAX:
        return None, rest
    return 1, rest[1:]


def _count(found: Found, place: int) -> int:
    return len({text(labels[place]) for labels, _ in found})


def text(value: Label) -> str:
    """Return a label as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def _kind(listed: str | None, key: str, query: Mapping[str, Any], points: list[Point]) -> str:
    if listed in STEPS:
        return STEPS[listed]
    if listed == "quantiles":
        return "dots"
    if listed is None:
        cells = len({point.along for point in points})
        if _cut(query, key, "period") is not None and cells > 1:
            return "line"
        if cells > BARS_MAX and all(isinstance(point.along, (int, float)) for point in points):
            return "line"
    return "bars"


def _cut(query: Mapping[str, Any], key: str, word: str) -> Any:
    """Return how a key's column is cut, if it is cut by this word."""
    for one in query.get("group_by") or []:
        if isinstance(one, dict) and one.get("as", one.get("column")) == key:
            return one.get(word)
    return None


def _largest(points: list[Point], dimension: str, most: int) -> tuple[list[Point], int]:
    """Return the points of the largest categories where there are too many, and of how many those are, else 0."""
    sums: dict[str, float] = {}
    for point in points:
        name = text(getattr(point, dimension))
        sums[name] = sums.get(name, 0.0) + abs(point.number.value or 0)
    if len(sums) <= most:
        return points, 0
    kept = set(sorted(sums, key=lambda name: -sums[name])[:most])
    return [point for point in points if text(getattr(point, dimension)) in kept], len(sums)


def _notes(about: Mapping[str, Any], points: list[Point], said: list[str]) -> list[str]:
    confidence = about.get("confidence")
    notes = list(said)
    if isinstance(confidence, (int, float)):
        notes.append(f"with margins at {100 * confidence:g}%")
    pale = sum(point.number.drowns for point in points)
    if pale:
        notes.append(f"{pale} of {len(points)} numbers are mostly noise (pale)")
    if about.get("truncation") == "unknown":
        notes.append("an unknown part was cut off by bounds")
    return notes


def _drawn(altair: Any, one: Figure) -> Any:
    base = altair.Chart(altair.Data(values=_records(one)))
    layers = {"bars": _bars, "line": _line, "steps": _steps, "apart": _steps, "dots": _dots}[one.kind](
        altair, base, one
    )
    title = altair.TitleParams(one.title, subtitle=one.said, anchor="start", subtitleColor="#777")
    if one.within is None:
        return layers.properties(title=title)
    header = altair.Header(title=one.within, labelOrient="top", labelAnchor="start")
    charts = layers.properties(width=WIDTH // 2).facet(
        facet=altair.Facet("within:N", sort=_order(one, "within"), header=header), columns=2, title=title
    )
    return charts.resolve_scale(y="independent") if one.is_ranked else charts


def _records(one: Figure) -> list[dict[str, Any]]:
    """Return the points as data. On day 0 nobody has had the event yet: a curve begins at 1, and a difference at 0."""
    found = []
    start = dict.fromkeys(("value", "low", "high"), 1 if one.kind == STEPS["survival"] else 0)
    starts = {(point.by, point.within) for point in one.points} if one.kind in STEPS.values() else set()
    for by, within in sorted(starts, key=str):
        found.append({"along": 0, "by": by, "within": within, **start, "pale": False})
    for point in one.points:
        number = point.number
        along = point.along if one.kind in STEPS.values() else text(point.along)
        ends: dict[str, Any] = {"value": number.value, "low": number.low, "high": number.high, "pale": number.drowns}
        found.append({**ends, "along": along, "by": point.by, "within": point.within})
    return found


def _order(one: Figure, dimension: str) -> list[str]:
    return list(dict.fromkeys(text(getattr(point, dimension)) for point in one.points))


def _colour(altair: Any, one: Figure) -> Any:
    if one.by is None:
        return altair.value(PALETTE[0])
    order = _order(one, "by")
    scale = altair.Scale(domain=order, range=PALETTE[: len(order)])
    return altair.Color("by:N", title=one.by, scale=scale, sort=order)


def _opacity(altair: Any) -> Any:
    return altair.condition("datum.pale", altair.value(PALE), altair.value(0.9))


def _tip(altair: Any, one: Figure) -> list[Any]:
    kind = "Q" if one.kind in STEPS.values() else "N"
    named = [("along", kind, one.along or "all"), ("by", "N", one.by), ("within", "N", one.within)]
    tips = [altair.Tooltip(f"{name}:{kind}", title=title) for name, kind, title in named if title]
    return tips + [altair.Tooltip(f"{name}:Q", title=name) for name in ("value", "low", "high")]


def _quantity(altair: Any, one: Figure, channel: str, *, zero: bool) -> Any:
    axis = altair.Axis(grid=True, gridOpacity=0.4, tickCount=6)
    return getattr(altair, channel)("value:Q", title=one.title, scale=altair.Scale(zero=zero), axis=axis)


def _bars(altair: Any, base: Any, one: Figure) -> Any:
    across, offset, height = _across(altair, one)
    ends = altair.X("low:Q", title=one.title)
    bars = base.mark_bar().encode(
        x=_quantity(altair, one, "X", zero=True),
        y=across,
        color=_colour(altair, one),
        opacity=_opacity(altair),
        tooltip=_tip(altair, one),
        **offset,
    )
    rule = base.mark_rule(color="#222", strokeWidth=1.5).encode(x=ends, x2="high:Q", y=across, **offset)
    return altair.layer(bars, rule).properties(width=WIDTH, height=height)


def _dots(altair: Any, base: Any, one: Figure) -> Any:
    across, offset, height = _across(altair, one)
    ends = altair.X("low:Q", title=one.title, scale=altair.Scale(zero=False))
    alike = {"y": across, "color": _colour(altair, one), "opacity": _opacity(altair), **offset}
    rule = base.mark_rule(strokeWidth=2).encode(x=ends, x2="high:Q", **alike)
    dots = base.mark_point(filled=True, size=60).encode(
        x=_quantity(altair, one, "X", zero=False), tooltip=_tip(altair, one), **alike
    )
    return altair.layer(rule, dots).properties(width=WIDTH, height=height)


def _across(altair: Any, one: Figure) -> tuple[Any, dict[str, Any], Any]:
    """Return the axis of the categories, what sets colours beside each other on it, and the height of the chart."""
    sort: Any = "-x" if one.is_ranked else _order(one, "along")
    scale = altair.Scale(paddingInner=0.25, paddingOuter=0.2)
    across = altair.Y("along:N", title=one.along or None, sort=sort, scale=scale)
    if one.by is None:
        return across, {}, altair.Step(STEP)
    offset = altair.YOffset("by:N", sort=_order(one, "by"))
    return across, {"yOffset": offset}, altair.Step(STEP_BESIDE, **{"for": "offset"})


def _line(altair: Any, base: Any, one: Figure) -> Any:
    axis = altair.Axis(labelOverlap=True, labelAngle=-45)
    along = altair.X("along:O", title=one.along, sort=_order(one, "along"), axis=axis)
    return _banded(altair, base, one, along, altair.Scale(zero=False), {})


def _steps(altair: Any, base: Any, one: Figure) -> Any:
    is_share = one.kind == STEPS["survival"]
    scale = altair.Scale(domain=[0, 1], clamp=True) if is_share else altair.Scale()
    along = altair.X("along:Q", title="days", scale=altair.Scale(nice=False), axis=altair.Axis(tickCount=8))
    return _banded(altair, base, one, along, scale, {"interpolate": "step-after"})


def _banded(altair: Any, base: Any, one: Figure, along: Any, scale: Any, marks: dict[str, Any]) -> Any:
    """Return lines with the band between the ends of their intervals."""
    axis = altair.Axis(grid=True, gridOpacity=0.4)
    ends = altair.Y("low:Q", title=one.title, scale=scale)
    value = altair.Y("value:Q", title=one.title, scale=scale, axis=axis)
    colour = _colour(altair, one)
    band = base.mark_area(opacity=0.2, **marks).encode(x=along, y=ends, y2="high:Q", color=colour)
    line = base.mark_line(point=True, **marks).encode(x=along, y=value, color=colour, tooltip=_tip(altair, one))
    return altair.layer(band, line).properties(width=WIDTH, height=HEIGHT)
