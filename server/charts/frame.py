"""What all charts share: the figure that is asked for, the drawing that comes of it, axes, intervals and the legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.charts import scales, svg, texts, words
from server.charts.svg import ACCENT, FAINT, INK, SMALL
from server.views import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from decimal import Decimal

    from server.charts.grid import Axis, Grid
    from server.charts.scales import Scale
    from server.charts.words import Words
    from server.views.table import Cell

WIDE, NARROW = 680, 340  # widths of a drawing in its units, which are pixels where there is room
HEIGHT = 240.0  # of the area in which upright charts draw
GAP = 8.0  # between things that must not touch
LINE = 17.0  # from one line of text to the next
TICK_GAP = 10.0  # between the labels of two ticks, at least
# How series differ without colours, so that they do in print too: the colour and the opacity of bars, the dashes of
# lines. One accent and the page's own ink.
FILLS = ((ACCENT, 0.85), (INK, 0.35), (ACCENT, 0.4), (INK, 0.15))
STROKES = ((ACCENT, None), (INK, "6 4"), (ACCENT, "2 3"), (INK, "10 3 2 3"))


@dataclass(frozen=True)
class Figure:
    """What is to be drawn: the numbers, how wide, with which prefix of ids, in which words."""

    grid: Grid
    width: int
    prefix: str
    words: Words


@dataclass(frozen=True)
class Drawing:
    """What was drawn, from y = 0 down to `height`.

    `grid` has what is in it; where that is not all, `largest` says that it is the largest numbers and not the first.
    `clipped` counts intervals that do not fit on the axis, and `begins` is where the axis
    begins if a reader could expect zero there.
    """

    height: float
    body: str
    grid: Grid
    largest: bool = False
    clipped: int = 0
    begins: str | None = None


def tick_text(figure: Figure, tick: Decimal) -> str:
    """Return the label of a tick."""
    return numbers.short(tick, figure.words.marks)


def begins(figure: Figure, scale: Scale) -> str | None:
    """Return where an axis begins, or None if zero is on it."""
    return None if scale.low <= 0 <= scale.high else tick_text(figure, scale.low)


def upright(cells: Iterable[Cell], *, zero: bool, top: float, bottom: float) -> Scale:
    """Return the value axis of an upright chart."""
    low, high = scales.reach(cells, zero=zero)
    return scales.nice(low, high, bottom, top, 5)


def level(figure: Figure, cells: Iterable[Cell], *, zero: bool, left: float, right: float) -> Scale:
    """Return the value axis of a chart that grows to the right, with as many ticks as their labels leave room for."""
    low, high = scales.reach(cells, zero=zero)
    found = scales.nice(low, high, left, right, 1)
    for ticks in range(2, 8):
        tried = scales.nice(low, high, left, right, ticks)
        if not _is_roomy(figure, tried):
            break
        found = tried
    return found


def _is_roomy(figure: Figure, scale: Scale) -> bool:
    ticks = scale.ticks
    widest = max(texts.width(tick_text(figure, tick), SMALL) for tick in ticks)
    return (scale.end - scale.start) / max(len(ticks) - 1, 1) > widest * 1.5 + TICK_GAP


def gutter(figure: Figure, scale: Scale) -> float:
    """Return the room that the labels of an upright axis take to its left."""
    return max(texts.width(tick_text(figure, tick), SMALL) for tick in scale.ticks) + GAP


def upright_axis(figure: Figure, scale: Scale, left: float, right: float) -> str:
    """Return the lines and labels of an upright axis."""
    drawn = []
    for tick in scale.ticks:
        y = scale.at(tick)
        drawn.append(svg.line(left, y, right, y, stroke_opacity=0.6 if tick == 0 else FAINT))
        drawn.append(svg.text(left - GAP, y + 4, tick_text(figure, tick), anchor="end", size=SMALL, muted=True))
    return "".join(drawn)


def level_axis(figure: Figure, scale: Scale, spans: Sequence[tuple[float, float]], bottom: float) -> str:
    """Return the lines and labels of an axis to the right: lines within the spans of y, labels below `bottom`."""
    drawn = []
    for tick in scale.ticks:
        x, said = scale.at(tick), tick_text(figure, tick)
        d = "".join(svg.path([(x, top), (x, end)]) for top, end in spans)
        drawn.append(svg.element("path", d=d, stroke=INK, stroke_opacity=0.6 if tick == 0 else FAINT))
        half = texts.width(said, SMALL) / 2
        x = min(max(x, half), figure.width - half)
        drawn.append(svg.text(x, bottom + 15, said, anchor="middle", size=SMALL, muted=True))
    return "".join(drawn)


def interval(scale: Scale, cell: Cell, place: float, cap: float, *, is_upright: bool) -> str:
    """Return the line of an interval with its caps; an arrow instead of a cap where it reaches beyond the axis."""
    assert cell.low is not None
    assert cell.high is not None
    low, high = scale.at(cell.low), scale.at(cell.high)
    strokes = [((low, place), (high, place))]
    for end, at, other in ((cell.low, low, high), (cell.high, high, low)):
        if scale.reaches(end):
            strokes.append(((at, place - cap), (at, place + cap)))
        else:
            back = at + (4 if other > at else -4)
            strokes += [((at, place), (back, place - 3)), ((at, place), (back, place + 3))]
    turned = [tuple((y, x) for x, y in stroke) for stroke in strokes] if is_upright else strokes
    return svg.element("path", d="".join(map(svg.path, turned)), stroke=INK, stroke_width=1.4, fill="none")


def clipped(scale: Scale, cells: Iterable[Cell]) -> int:
    """Return how many intervals reach beyond the axis."""
    return sum(
        not (scale.reaches(cell.low) and scale.reaches(cell.high))
        for cell in cells
        if cell.low is not None and cell.high is not None
    )


def tip(figure: Figure, along: int, by: int, cell: Cell) -> str:
    """Return the title of a mark: which cell it is of, and its number with the margin."""
    return svg.title(f"{words.where(figure.words, figure.grid, along, by)}: {words.value(figure.words, cell)}")


def spread(labels: Sequence[str], step: float, size: float = SMALL) -> int:
    """Return every how many labels one is drawn, so that they do not touch when they are `step` apart."""
    widest = max((texts.width(label, size) for label in labels), default=0.0)
    return max(1, -int(-(widest + TICK_GAP) // step))


def below(figure: Figure, axis: Axis, centres: Sequence[float], y: float, *, right: float) -> str:
    """Return the labels of an ordered axis below it: all of them, or each second, fifth and so on if they are many."""
    labels = [words.at(figure.words, axis, place) for place in range(len(axis))]
    step = abs(centres[1] - centres[0]) if len(centres) > 1 else figure.width
    skip = _even(spread([texts.fitted(label, 90, SMALL) for label in labels], step), labels)
    drawn = []
    for place in range(0, len(labels), skip):
        said = texts.fitted(labels[place], 90, SMALL)
        half = texts.width(said, SMALL) / 2
        x = min(max(centres[place], half), right - half)
        drawn.append(svg.text(x, y, said, anchor="middle", size=SMALL, muted=True))
    return "".join(drawn)


def axis_name(figure: Figure, axis: Axis, x: float, y: float) -> str:
    """Return the name of an axis."""
    said = texts.fitted(words.axis_name(figure.words, axis), figure.width - x, SMALL)
    return svg.text(x, y, said, size=SMALL, muted=True)


def _even(skip: int, labels: Sequence[str]) -> int:
    """Return a number of labels to skip that people expect: whole years of months and quarters, else 1, 2, 5, 10."""
    steps: Sequence[int] = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    if labels and len(labels[0]) == 7 and labels[0][4] == "-":
        steps = (1, 2, 4, 8, 20, 40) if "Q" in labels[0] else (1, 2, 3, 6, 12, 24, 60, 120, 240)
    return next((step for step in steps if step >= skip), skip)


def legend(figure: Figure, swatch: Callable[[int, float, float], str]) -> tuple[str, float]:
    """Return the names of the series, each behind its swatch, and how high they are. Nothing for one series."""
    axis = figure.grid.by
    if not axis.keys:
        return "", 0.0
    x, y, drawn = 0.0, 12.0, []
    for place in range(len(axis)):
        said = texts.fitted(words.at(figure.words, axis, place), figure.width * 0.6)
        wide = 30 + texts.width(said) + 2 * GAP
        if x and x + wide > figure.width:
            x, y = 0.0, y + LINE
        drawn += [swatch(place, x, y - 4), svg.text(x + 30, y, said)]
        x += wide
    return "".join(drawn), y + GAP


def hatches(prefix: str, drawn: str) -> str:
    """Return the patterns that a drawing uses for what is drowned: stripes in the colour of each series."""
    found = [
        svg.element(
            "pattern",
            svg.element(
                "path", d="M0 6L6 0M-1 1L1 -1M5 7L7 5", stroke=colour, stroke_opacity=opacity, stroke_width=1.4
            ),
            id=hatch(prefix, place),
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for place, (colour, opacity) in enumerate(FILLS)
        if f"#{hatch(prefix, place)})" in drawn
    ]
    return svg.element("defs", *found) if found else ""


def hatch(prefix: str, by: int) -> str:
    """Return the id of the pattern of a series."""
    return f"{prefix}-hatch-{by}"
