"""One number: large, and below it a dot on an axis with its interval. Also what stands where there is no number."""

from __future__ import annotations

import math

from server.charts import frame, svg, texts, words
from server.charts.frame import GAP, LINE, Drawing, Figure
from server.charts.grid import is_drawn
from server.charts.svg import ACCENT, INK

LARGE = 26.0
WHOLE = 420.0  # how wide the axis of one number is at most


def drawing(figure: Figure) -> Drawing:
    """Return the number with its interval. Its axis is as wide as a few intervals, and need not begin at zero."""
    cell = figure.grid.cells[0][0]
    if not is_drawn(cell):
        return message(figure, words.value(figure.words, cell))
    assert cell.value is not None
    said = words.value(figure.words, cell)
    size = min(LARGE, LARGE * figure.width / max(texts.width(said, LARGE), 1))
    middle = 62.0
    scale = frame.level(figure, [cell], zero=False, left=24, right=min(figure.width - 24, WHOLE))
    body = [
        svg.text(0, 30, said, size=math.floor(10 * size) / 10, bold=True),
        frame.level_axis(figure, scale, [(middle - 14, middle + 14)], middle + 14),
        svg.element(
            "g",
            frame.tip(figure, 0, 0, cell),
            frame.interval(scale, cell, middle, 6, is_upright=False),
            svg.element("circle", cx=scale.at(cell.value), cy=middle, r=6, fill=ACCENT, stroke=INK, stroke_width=0.5),
        ),
    ]
    return Drawing(middle + 14 + 15 + GAP, "".join(body), figure.grid)


def message(figure: Figure, said: str) -> Drawing:
    """Return a sentence in the place of a chart."""
    lines = texts.wrapped(said, figure.width)
    drawn = [svg.text(0, 16 + LINE * place, line, muted=True) for place, line in enumerate(lines)]
    return Drawing(LINE * len(lines) + GAP, "".join(drawn), figure.grid)
