"""Lines with bands, for numbers in the order of time, and the steps of survival curves.

The band is the margin. The line breaks where a number is missing. What has no place on the axis (an unknown date) is a
dot at the right, with its interval.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from queries.statistics.parts import lists
from server.charts import frame, scales, svg, words
from server.charts.frame import GAP, LINE, STROKES, Drawing, Figure
from server.charts.grid import is_drawn
from server.charts.svg import ACCENT, SMALL
from server.views.numbers import exact
from server.views.table import Cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.charts.scales import Scale

POINTS_MAX = 4000  # of all lines together; more are left out
TIPS_MAX = 240  # points that show their number when the pointer rests on them
BAND = 0.16  # opacity
APART = 34.0  # from the end of the lines to what is unknown
Point = tuple[float, Cell]
START = Cell(1, 1, 1)  # nobody has had the event before the first day
ALIKE = Cell(0, 0, 0)  # and two curves do not differ


def lines(figure: Figure) -> Drawing:
    """Return a line for each series, with its band."""
    most = max(POINTS_MAX // len(figure.grid.by), 2)
    shown = range(min(len(figure.grid.along), most))
    return _drawn(replace(figure, grid=figure.grid.only(shown)), _evenly)


def steps(figure: Figure) -> Drawing:
    """Return survival curves, or their differences: each takes the value of an interval at its end.

    A curve begins at 1 and a difference at 0.
    """
    return _drawn(figure, _by_days, start=START if figure.grid.listed is lists.SURVIVAL else ALIKE)


Places = tuple[list[float], str]  # where each label stands, and what is written below the axis


def _drawn(figure: Figure, placed: Callable[[Figure, float, float], Places], start: Cell | None = None) -> Drawing:
    grid = figure.grid
    cells = [cell for *_, cell in grid]
    names, top = frame.legend(figure, _swatch)
    top += GAP
    bottom = top + frame.HEIGHT
    scale = frame.upright(cells if start is None else [*cells, start], zero=False, top=top, bottom=bottom)
    left = frame.gutter(figure, scale)
    centres, below = placed(figure, left, bottom)
    body = [names, frame.upright_axis(figure, scale, left, figure.width), below]
    for by in range(len(grid.by)):
        column = [row[by] for row in grid.cells]
        points = list(zip(centres, column, strict=True))
        known = points[: len(points) - ((None,) in grid.along.labels)]  # what is unknown comes last
        runs = _runs(known if start is None else [(left, start), *known])
        body += [_line(scale, run if start is None else _stairs(run, figure.width), by) for run in runs]
        body += [_lone(scale, point) for point in points[len(known) :] if is_drawn(point[1])]
    body += _tips(figure, centres, (top, bottom))
    body.append(frame.axis_name(figure, grid.along, left, bottom + 18 + LINE))
    return Drawing(
        bottom + 18 + LINE + GAP,
        "".join(body),
        grid,
        clipped=frame.clipped(scale, cells),
        begins=frame.begins(figure, scale),
    )


def _evenly(figure: Figure, left: float, bottom: float) -> Places:
    """Place labels evenly, and one that is unknown apart from them."""
    axis = figure.grid.along
    known = len(axis) - ((None,) in axis.labels)
    end = figure.width - 6 - (APART if known < len(axis) else 0)
    step = (end - left - 6) / max(known - 1, 1)
    centres = [left + 6 + step * place for place in range(known)]
    if known < len(axis):
        centres.append(figure.width - 8)
    return centres, frame.below(figure, axis, centres, bottom + 18, right=figure.width)


def _by_days(figure: Figure, left: float, bottom: float) -> Places:
    """Place the ends of intervals by their days, with ticks at nice numbers of days."""
    days = [label[0] for label in figure.grid.along.labels]
    numbers = [exact(day) for day in days if isinstance(day, (int, float))]
    last = max(numbers, default=scales.ZERO)
    right = figure.width - 12.0
    rough = scales.nice(scales.ZERO, last, left, right, 6 if figure.width > frame.NARROW else 4)
    scale = scales.Scale(scales.ZERO, max(last, rough.step), rough.step, left, right)
    ticks = [
        svg.text(scale.at(tick), bottom + 18, frame.tick_text(figure, tick), anchor="middle", size=SMALL, muted=True)
        for tick in scale.ticks
    ]
    return [scale.at(day) if isinstance(day, (int, float)) else right for day in days], "".join(ticks)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Return the stretches without a missing number."""
    grouped = itertools.groupby(points, key=lambda point: is_drawn(point[1]))
    return [list(run) for drawn, run in grouped if drawn]


def _stairs(run: Sequence[Point], end: float) -> list[Point]:
    """Return the corners of steps: each value holds from its place to the next, the last one to the end."""
    corners = [run[0]]
    for (_, before), (x, cell) in itertools.pairwise([*run, (end, run[-1][1])]):
        corners += [(x, before), (x, cell)]
    return corners


def _line(scale: Scale, run: Sequence[Point], by: int) -> str:
    colour, dashes = STROKES[by % len(STROKES)]
    lows = [(x, scale.at(cell.low)) for x, cell in run if cell.low is not None]
    highs = [(x, scale.at(cell.high)) for x, cell in run if cell.high is not None]
    middle = [(x, scale.at(cell.value)) for x, cell in run if cell.value is not None]
    if len(run) == 1:
        return _lone(scale, run[0])
    return svg.element("path", d=svg.path([*highs, *reversed(lows)], closed=True), fill=colour, fill_opacity=BAND) + (
        svg.element(
            "path",
            d=svg.path(middle),
            fill="none",
            stroke=colour,
            stroke_width=2,
            stroke_dasharray=dashes,
            stroke_linejoin="round",
        )
    )


def _lone(scale: Scale, point: Point) -> str:
    """Return a number that no line leads to."""
    x, cell = point
    assert cell.value is not None
    return frame.interval(scale, cell, x, 4, is_upright=True) + svg.element(
        "circle", cx=x, cy=scale.at(cell.value), r=4, fill=ACCENT
    )


def _swatch(by: int, x: float, y: float) -> str:
    colour, dashes = STROKES[by % len(STROKES)]
    return svg.element(
        "path", d=svg.path([(x, y), (x + 24, y)]), stroke=colour, stroke_width=2, stroke_dasharray=dashes
    )


def _tips(figure: Figure, centres: Sequence[float], ends: tuple[float, float]) -> list[str]:
    """Return invisible stripes that show the numbers of a place when the pointer rests there."""
    grid, (top, bottom) = figure.grid, ends
    skip = -(-len(centres) // max(TIPS_MAX // len(grid.by), 1))
    places = [place for place in range(0, len(centres), skip) if any(map(is_drawn, grid.cells[place]))]
    half = (centres[-1] - centres[0]) / max(len(centres) - 1, 1) * skip / 2 if len(centres) > 1 else 8.0
    return [
        svg.element(
            "rect",
            svg.title(
                "\n".join(
                    f"{words.where(figure.words, grid, place, by)}: {words.value(figure.words, cell)}"
                    for by, cell in enumerate(grid.cells[place])
                    if is_drawn(cell)
                )
            ),
            x=centres[place] - half,
            y=top,
            width=2 * half,
            height=bottom - top,
            fill="none",
            pointer_events="all",
        )
        for place in places
    ]
