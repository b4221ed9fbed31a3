"""Bars or dots to the right: a row for each label, with its number beside it.

Where there is room, labels, marks and numbers are three columns. Otherwise labels stand above their bars, with the
number at the end of their line or in a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from server.charts import frame, svg, texts, words
from server.charts.choosing import ROWS_MAX
from server.charts.frame import GAP, LINE, Drawing, Figure
from server.charts.grid import Order, is_drawn
from server.charts.svg import ACCENT, INK, SMALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.charts.grid import Grid
    from server.charts.scales import Scale
    from server.views.table import Cell

CAP = 4.0
THICK, THIN = 14.0, 11.0  # of a bar, and of one of several in a row
APART, CLOSE = 10.0, 3.0  # between rows, and between the bars of one row
PLOT_MIN = 0.45  # of the width that marks take at least; else labels stand above them


class Mark(Protocol):
    """Draws one number."""

    def __call__(
        self, figure: Figure, scale: Scale, number: tuple[int, int, Cell], place: tuple[float, float], /
    ) -> str:
        """Return the mark of a number (its places in the grid, and its cell) from y on, so thick."""
        ...


@dataclass(frozen=True)
class _Layout:
    """Where things stand in a row: whether labels are above the marks, and whether numbers are too (`over`)."""

    above: bool
    over: bool
    own_line: bool
    left: float
    right: float
    label_room: float
    thick: float
    series: int

    @property
    def first(self) -> float:
        """Return how far below the begin of a row its first mark or number is."""
        return LINE if self.above else 0.0

    @property
    def pitch(self) -> float:
        """Return how far it is from one mark of a row to the next."""
        return self.thick + (LINE if self.own_line else CLOSE if self.series > 1 else 0.0)

    @property
    def height(self) -> float:
        """Return how far it is from one row to the next."""
        return self.first + self.pitch * self.series + APART


def drawing(figure: Figure, mark: Mark, swatch: Callable[[int, float, float], str]) -> Drawing:
    """Return bars to the right. Of more rows than the limit, those with the largest numbers are shown, by size."""
    names, top = frame.legend(figure, swatch)
    return _drawn(figure, mark, (names, top + GAP), zero=True)


def dots(figure: Figure) -> Drawing:
    """Return dots with intervals, below the name of what they are of. Their axis need not begin at zero."""
    flat = replace(figure, grid=figure.grid.flat())
    name = frame.axis_name(figure, flat.grid.along, 0, 12)
    return _drawn(flat, _dot, (name, LINE + GAP), zero=False)


def _drawn(figure: Figure, mark: Mark, head: tuple[str, float], *, zero: bool) -> Drawing:
    grid, largest = _shown(figure.grid)
    part = replace(figure, grid=grid)
    cells = [cell for *_, cell in grid]
    layout = _layout(part)
    scale = frame.level(part, cells, zero=zero, left=layout.left, right=layout.right)
    names, top = head
    tops = [top + layout.height * place for place in range(len(grid.along))]
    bottom = top + layout.height * len(tops)
    # Lines of the axis do not cross labels that stand above the marks.
    spans = [(y + layout.first, y + layout.height - APART) for y in tops] if layout.above else [(top, bottom)]
    body = [names, frame.level_axis(part, scale, spans, bottom)]
    body += [_row(part, mark, (layout, scale), along, y) for along, y in enumerate(tops)]
    return Drawing(bottom + 15 + GAP, "".join(body), grid, largest=largest, clipped=frame.clipped(scale, cells))


def _shown(grid: Grid) -> tuple[Grid, bool]:
    """Return the rows that are shown, and whether they are the largest of all."""
    most = max(ROWS_MAX // len(grid.by), 1)
    if len(grid.along) <= most:
        return grid, False
    if grid.along.order is not Order.NONE:
        return grid.only(range(most)), False
    return grid.only(grid.by_size()[:most]), True


def _layout(figure: Figure) -> _Layout:
    grid, width = figure.grid, figure.width
    labels = [words.at(figure.words, grid.along, place) for place in range(len(grid.along))]
    said = [words.value(figure.words, cell) for row in grid.cells for cell in row]
    label = max(map(texts.width, labels), default=0.0)
    column = width - max((texts.width(text, SMALL) for text in said), default=0.0) - GAP  # where numbers begin
    several = len(grid.by) > 1
    above = several or column - label - 2 * GAP < width * PLOT_MIN
    over = above and column < width * (0.5 if several else 0.7)
    own_line = over and (several or column < width * 0.4)
    return _Layout(
        above,
        over,
        own_line,
        left=CAP if above else label + GAP,
        right=width - CAP if over else column - GAP,
        label_room=column - GAP if over and not own_line else width,
        thick=THIN if several else THICK,
        series=len(grid.by),
    )


def _row(figure: Figure, mark: Mark, where: tuple[_Layout, Scale], along: int, top: float) -> str:
    layout, scale = where
    label = words.at(figure.words, figure.grid.along, along)
    if layout.above:
        drawn = [svg.text(0, top + 11, texts.fitted(label, layout.label_room))]
    else:
        drawn = [svg.text(layout.left - GAP, top + layout.thick / 2 + 4, label, anchor="end")]
    for by, cell in enumerate(figure.grid.cells[along]):
        y = top + layout.first + layout.pitch * by + (LINE if layout.own_line else 0)
        said = words.value(figure.words, cell)
        drawn.append(
            svg.text(figure.width, y - 6 if layout.over else y + layout.thick / 2 + 4, said, anchor="end", size=SMALL)
        )
        if is_drawn(cell):
            drawn.append(mark(figure, scale, (along, by, cell), (y, layout.thick)))
    return "".join(drawn)


def _dot(figure: Figure, scale: Scale, number: tuple[int, int, Cell], place: tuple[float, float]) -> str:
    along, by, cell = number
    assert cell.value is not None
    middle = place[0] + place[1] / 2
    return svg.element(
        "g",
        frame.tip(figure, along, by, cell),
        frame.interval(scale, cell, middle, CAP, is_upright=False),
        svg.element("circle", cx=scale.at(cell.value), cy=middle, r=4.5, fill=ACCENT, stroke=INK, stroke_width=0.5),
    )
