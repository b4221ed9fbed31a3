"""A heat map: two keys with many cells. The colour carries the value, and each cell's title has its margin.

Colour is the accent, stronger for larger numbers; below zero it is the page's ink. A cell whose margin is more than
half of its number has a stroke through it. Numbers stand in the cells where both they and their margins fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.charts import frame, scales, svg, texts, words
from server.charts.frame import GAP, LINE, Drawing, Figure
from server.charts.grid import Order, is_drawn
from server.charts.svg import ACCENT, FAINT, INK, SMALL
from server.views.table import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.charts.grid import Grid
    from server.charts.scales import Scale

CELLS_MAX = 600  # in one map; more would be neither legible nor light. Half of it on a telephone
COLUMN_MIN = 6.0  # how wide a column is at least
ROW = 22.0
WEAKEST, STRONGEST = 0.06, 0.85  # opacities
SHADES = 6  # in the legend
LABEL_MAX = 0.34  # of the width, for the labels of rows


def drawing(figure: Figure) -> Drawing:
    """Return the map. Rows and columns beyond the limit are left out: of rows without an order the smallest."""
    labels = [words.at(figure.words, figure.grid.along, place) for place in range(len(figure.grid.along))]
    room = figure.width * LABEL_MAX
    left = min(max(map(texts.width, labels)), room) + GAP
    most = CELLS_MAX if figure.width > frame.NARROW else CELLS_MAX // 2
    grid, largest = _cut(figure.grid, int((figure.width - left) // COLUMN_MIN), most)
    cut = replace(figure, grid=grid)
    column = (figure.width - left) / len(grid.by)
    said = [[_lines(words.value(cut.words, cell)) for cell in row] for row in grid.cells]
    has_text = all(texts.width(line, SMALL) < column - 6 for row in said for lines in row for line in lines)
    height = 2 * LINE if has_text else ROW
    scale = _strengths(grid)
    top = 2 * LINE
    boxes = [
        [(left + column * by, top + height * along, column, height) for by in range(len(grid.by))]
        for along in range(len(grid.along))
    ]
    body = [_legend(cut, scale)]
    for along, row in enumerate(boxes):
        label = texts.fitted(words.at(cut.words, grid.along, along), room, SMALL)
        body.append(svg.text(left - GAP, row[0][1] + height / 2 + 4, label, anchor="end", size=SMALL))
        cells = list(zip(grid.cells[along], row, strict=True))
        drawn = [_cell(cut, (along, by, cell), box, scale) for by, (cell, box) in enumerate(cells)]
        body += [svg.element("g", *drawn, fill=ACCENT), _strokes(cells)]
        if has_text:
            body += [text for lines, box in zip(said[along], row, strict=True) for text in _inside(lines, box)]
    bottom = top + height * len(grid.along)
    centres = [left + column * (place + 0.5) for place in range(len(grid.by))]
    body += [
        frame.below(cut, grid.by, centres, bottom + 16, right=cut.width),
        frame.axis_name(cut, grid.by, left, bottom + 16 + LINE),
    ]
    return Drawing(bottom + 16 + LINE + GAP, "".join(body), grid, largest=largest)


def _cut(grid: Grid, columns_max: int, cells_max: int) -> tuple[Grid, bool]:
    """Return at most as many cells as a map can have, and whether the rows are those with the largest numbers."""
    columns = min(len(grid.by), columns_max)
    rows = max(cells_max // columns, 1)
    if len(grid.by) > columns:
        grid = grid.turned().only(range(columns)).turned()
    if len(grid.along) <= rows:
        return grid, False
    if grid.along.order is not Order.NONE:
        return grid.only(range(rows)), False
    return grid.only(grid.by_size()[:rows]), True


def _strengths(grid: Grid) -> Scale:
    """Return the axis that the strength of the colour stands for: from zero, or from the least if all are alike."""
    values = [Cell(cell.value, cell.value, cell.value) for *_, cell in grid]
    low, high = scales.reach(values, zero=False)
    return scales.nice(max(low, scales.ZERO) if high > 0 else low, high, WEAKEST, STRONGEST, 4)


def _cell(figure: Figure, number: tuple[int, int, Cell], box: tuple[float, float, float, float], scale: Scale) -> str:
    along, by, cell = number
    x, y, width, height = box
    d = f"M{svg.number(x)} {svg.number(y)}h{svg.number(width - 1)}v{svg.number(height - 1)}H{svg.number(x)}z"
    if not is_drawn(cell) or cell.value is None:
        return svg.element("path", d=d, fill="none", stroke=INK, stroke_opacity=FAINT)
    colour, opacity = _colour(scale, cell.value)
    said = frame.tip(figure, along, by, cell)
    return svg.element("path", said, d=d, fill=None if colour == ACCENT else colour, fill_opacity=opacity)


def _strokes(cells: Sequence[tuple[Cell, tuple[float, float, float, float]]]) -> str:
    """Return a stroke through each cell that is drowned."""
    through = [box for cell, box in cells if is_drawn(cell) and scales.drowns(cell)]
    d = "".join(svg.path([(x + 2, y + high - 3), (x + wide - 3, y + 2)]) for x, y, wide, high in through)
    return svg.element("path", d=d, stroke=INK, stroke_opacity=0.35, pointer_events="none") if d else ""


def _colour(scale: Scale, value: float) -> tuple[str, str]:
    """Return colour and opacity of a value. Values below zero are as strong as those above it that are as large."""
    below = value < 0 <= scale.low
    return INK if below else ACCENT, f"{scale.at(-value if below else value):.2f}"


def _lines(said: str) -> list[str]:
    """Return a number and its margin as the two lines that stand in a cell."""
    value, sign, margin = said.partition(" ± ")
    return [value, f"± {margin}"] if sign else [said]


def _inside(lines: Sequence[str], box: tuple[float, float, float, float]) -> list[str]:
    x, y, width, height = box
    first = y + height / 2 + 4 - 6.5 * (len(lines) - 1)
    return [
        svg.text(x + width / 2, first + 13 * place, line, anchor="middle", size=SMALL)
        for place, line in enumerate(lines)
    ]


def _legend(figure: Figure, scale: Scale) -> str:
    """Return what the colours stand for, from the least to the greatest."""
    ends = [frame.tick_text(figure, end) for end in (scale.low, scale.high)]
    x = texts.width(ends[0], SMALL) + GAP
    drawn = [svg.text(0, 16, ends[0], size=SMALL, muted=True)]
    for place in range(SHADES):
        share = WEAKEST + (STRONGEST - WEAKEST) * place / (SHADES - 1)
        drawn.append(
            svg.element("rect", x=x + 18 * place, y=6, width=18, height=12, fill=ACCENT, fill_opacity=f"{share:.2f}")
        )
    end = x + 18 * SHADES + GAP
    drawn.append(svg.text(end, 16, ends[1], size=SMALL, muted=True))
    if any((cell.value or 0) < 0 for *_, cell in figure.grid):
        end += texts.width(ends[1], SMALL) + 2 * GAP
        drawn.append(svg.element("rect", x=end, y=6, width=18, height=12, fill=INK, fill_opacity=0.4))
        drawn.append(svg.text(end + 18 + GAP, 16, words.below_zero(figure.words), size=SMALL, muted=True))
    return "".join(drawn)
