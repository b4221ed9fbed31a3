"""A chart of the measured numbers: a line for each question, a mark for each tool, on a scale of powers of ten.

Marks and not bars, because a bar on such a scale has no true length. Each mark has its own shape and colour, so that
it is told apart without either.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from server.charts import svg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

WIDTH, LEFT, RIGHT, ROW, TOP = 860.0, 245.0, 40.0, 34.0, 56.0
LETTER = 7.3  # the width of a letter, about
RADIUS = 6.0
INK, PAPER = "#1b1f24", "#ffffff"
COLOURS = (svg.ACCENT, svg.ACCENT, INK, "#c4560a", "#3b5bdb", "#a61e8c", "#7a6a00", "#c92a2a")
CROSS = (
    *((-1.2, -0.4), (-0.4, -0.4), (-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4)),
    *((1.2, 0.4), (0.4, 0.4), (0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4)),
)
SHAPES: tuple[tuple[tuple[float, float], ...] | None, ...] = (
    None,  # a disc
    None,  # a ring
    ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
    ((0, 1.2), (1.2, -0.9), (-1.2, -0.9)),
    CROSS,
    ((-1.2, 0), (-0.6, -1.1), (0.6, -1.1), (1.2, 0), (0.6, 1.1), (-0.6, 1.1)),
)
RING = 1  # the place of the mark that is not filled


def chart(
    title: str,
    tools: Sequence[str],
    numbers: Mapping[str, Mapping[str, float]],
    say: Callable[[float], str],
    over: float | None = None,
) -> str:
    """Return an SVG of numbers by question and tool, all above 0. Those of `over` and more stand at its line."""
    shown = [tool for tool in tools if any(tool in by for by in numbers.values())]
    found = [number for by in numbers.values() for number in by.values()]
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    legend, top = _legend(tools, shown)
    bottom = top + ROW * len(numbers)

    def place(number: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(number) - low) / (high - low)

    drawn = [
        svg.element("rect", width="100%", height="100%", fill=PAPER),
        svg.text(20, 24, title, size=14, bold=True),
        legend,
    ]
    for power in range(low, high + 1):
        x = place(10.0**power)
        drawn.append(svg.line(x, top, x, bottom, stroke_opacity=svg.FAINT))
        drawn.append(svg.text(x, bottom + 18, say(10.0**power), anchor="middle", size=svg.SMALL, muted=True))
    if over is not None and any(number >= over for number in found):
        drawn.append(svg.line(place(over), top, place(over), bottom, stroke_dasharray="3 3", stroke_opacity=0.6))
        drawn.append(svg.text(place(over), top - 4, f"over {say(over)}", anchor="middle", size=svg.SMALL, muted=True))
    for row, (question, by) in enumerate(numbers.items()):
        y = top + ROW * (row + 0.5)
        drawn.append(svg.text(LEFT - 14, y + 4, question, anchor="end"))
        drawn.append(svg.line(LEFT, y, WIDTH - RIGHT, y, stroke_opacity=svg.FAINT))
        for tool in reversed(shown):  # ours on top of the others
            if tool in by:
                told = svg.title(f"{tool}, {question}: {_told(by[tool], say, over)}")
                drawn.append(svg.element("g", told, _mark(tools.index(tool), place(by[tool]), y)))
    lines = [f"{question}: {_series(by, say, over)}" for question, by in numbers.items()]
    return svg.document(
        "peers",
        (title, f"A mark for each tool, on a scale of powers of ten. {'. '.join(lines)}."),
        "".join(drawn),
        viewBox=f"0 0 {svg.number(WIDTH)} {svg.number(bottom + 30)}",
        width=WIDTH,
        height=bottom + 30,
        color=INK,
    )


def _legend(tools: Sequence[str], shown: Sequence[str]) -> tuple[str, float]:
    """Return the marks with their names, and where the chart begins below them."""
    drawn, x, y = [], 26.0, TOP - 6
    for tool in shown:
        wide = 30 + LETTER * len(tool)
        if x + wide > WIDTH - 20:
            x, y = 26.0, y + 20
        drawn += [_mark(tools.index(tool), x, y - 4), svg.text(x + 12, y, tool)]
        x += wide
    return "".join(drawn), y + 34


def _mark(number: int, x: float, y: float) -> str:
    colour, shape = COLOURS[number % len(COLOURS)], SHAPES[number % len(SHAPES)]
    filled = {"fill": PAPER, "stroke": colour, "stroke_width": 2.2} if number == RING else {"fill": colour}
    if shape is None:
        return svg.element("circle", cx=x, cy=y, r=RADIUS, **filled)
    points = [(x + RADIUS * across, y + RADIUS * down) for across, down in shape]
    return svg.element("path", d=svg.path(points, closed=True), **filled)


def _told(number: float, say: Callable[[float], str], over: float | None) -> str:
    return f"over {say(over)}" if over is not None and number >= over else say(number)


def _series(by: Mapping[str, float], say: Callable[[float], str], over: float | None) -> str:
    return ", ".join(f"{tool} {_told(number, say, over)}" for tool, number in by.items())
