"""Bars with the interval of each across its end: upright where the labels fit below them, otherwise to the right.

A bar begins at zero, also if noise made the value negative. A number whose margin is more than half of it has a hatched
bar.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from server.charts import frame, scales, svg, texts, words
from server.charts.frame import FILLS, GAP, LINE, Drawing, Figure
from server.charts.grid import Order
from server.charts.kinds import rows
from server.charts.svg import SMALL

if TYPE_CHECKING:
    from server.charts.scales import Scale
    from server.views.table import Cell

UPRIGHT_MAX = 12  # labels without an order that stand beside each other
CAP = 4.0


def drawing(figure: Figure) -> Drawing:
    """Return upright bars where all labels fit, otherwise bars to the right."""
    return _upright(figure) if _fits_upright(figure) else rows.drawing(figure, bar, swatch)


def _fits_upright(figure: Figure) -> bool:
    grid = figure.grid
    if grid.along.order is not Order.NONE:
        return figure.width / grid.size >= 5
    if len(grid.along) > UPRIGHT_MAX:
        return False
    room = (figure.width - 60) / len(grid.along) - GAP
    labels = (words.at(figure.words, grid.along, place) for place in range(len(grid.along)))
    return all(texts.width(label) <= room for label in labels) and room / len(grid.by) >= 12


def _upright(figure: Figure) -> Drawing:
    grid = figure.grid
    cells = [cell for *_, cell in grid]
    names, top = frame.legend(figure, swatch)
    top += GAP
    scale = frame.upright(cells, zero=True, top=top, bottom=top + frame.HEIGHT)
    left = frame.gutter(figure, scale)
    slot = (figure.width - left) / len(grid.along)
    lines = [] if grid.by.keys else _lines_above(figure, slot)
    if lines:  # they need room above the highest interval
        room = LINE + 13 * (max(map(len, lines)) - 1)
        highest = min(scale.at(cell.high) for cell in cells if cell.high is not None)
        top += max(0.0, room - (highest - top))
        scale = replace(scale, start=top + frame.HEIGHT, end=top)
    bottom = scale.start
    filled = slot - min(2.0, slot / 5) if _touches(figure) else slot * 0.72
    wide = filled / len(grid.by)
    body = [names, frame.upright_axis(figure, scale, left, figure.width)]
    for along, by, cell in grid:
        x = left + slot * along + (slot - filled) / 2 + wide * by
        body.append(bar(figure, scale, (along, by, cell), (x, wide), is_upright=True))
    body.append(_above(figure, scale, lines, (left, slot)))
    centres = [left + slot * (place + 0.5) for place in range(len(grid.along))]
    body += [
        frame.below(figure, grid.along, centres, bottom + 18, right=figure.width),
        frame.axis_name(figure, grid.along, left, bottom + 18 + LINE),
    ]
    return Drawing(bottom + 18 + LINE + GAP, "".join(body), grid, clipped=frame.clipped(scale, cells))


def _touches(figure: Figure) -> bool:
    """Return whether bars stand close, because what they are of goes on from one to the next."""
    return figure.grid.along.order in (Order.NUMBERS, Order.BINS) and not figure.grid.by.keys


def bar(
    figure: Figure, scale: Scale, number: tuple[int, int, Cell], place: tuple[float, float], *, is_upright: bool = False
) -> str:
    """Return a bar with its interval. `place` is where it begins beside its neighbours, and how thick it is."""
    along, by, cell = number
    assert cell.value is not None
    begin, thick = place
    zero, end = scale.at(scales.ZERO), scale.at(cell.value)
    near, far = min(zero, end), max(zero, end)
    box = (
        {"x": begin, "y": near, "width": thick, "height": far - near}
        if is_upright
        else {"x": near, "y": begin, "width": far - near, "height": thick}
    )
    return svg.element(
        "g",
        frame.tip(figure, along, by, cell),
        *_filled(figure, by, box, drowned=scales.drowns(cell)),
        frame.interval(scale, cell, begin + thick / 2, min(CAP, thick / 3), is_upright=is_upright),
    )


def _filled(figure: Figure, by: int, box: dict[str, float], *, drowned: bool) -> list[str]:
    fill, opacity = FILLS[by % len(FILLS)]
    if not drowned:
        return [svg.element("rect", fill=fill, fill_opacity=opacity, **box)]
    return [
        svg.element(
            "rect",
            fill=f"url(#{frame.hatch(figure.prefix, by % len(FILLS))})",
            stroke=fill,
            stroke_opacity=opacity,
            **box,
        ),
    ]


def swatch(by: int, x: float, y: float) -> str:
    """Return a piece of a series' colour for the legend."""
    fill, opacity = FILLS[by % len(FILLS)]
    return svg.element("rect", x=x, y=y - 6, width=22, height=12, fill=fill, fill_opacity=opacity)


def _lines_above(figure: Figure, slot: float) -> list[list[str]]:
    """Return for each bar the lines with its number that stand above it: one or two, or none if not all fit."""
    said = [words.value(figure.words, cell) for *_, cell in figure.grid]
    if all(texts.width(text, SMALL) < slot - 4 for text in said):
        return [[text] for text in said]
    parts = [text.split(" ± ") for text in said]
    if all(len(one) == 2 and max(texts.width(f"± {part}", SMALL) for part in one) < slot - 4 for one in parts):
        return [[value, f"± {margin}"] for value, margin in parts]
    return []


def _above(figure: Figure, scale: Scale, lines: list[list[str]], place: tuple[float, float]) -> str:
    left, slot = place
    drawn = []
    for (along, _, cell), found in zip(figure.grid, lines, strict=bool(lines)):
        assert cell.high is not None
        y = min(scale.at(cell.high), scale.at(scales.ZERO)) - 6 - 13 * (len(found) - 1)
        x = left + slot * (along + 0.5)
        drawn += [
            svg.text(x, y + 13 * line, text, anchor="middle", size=SMALL, muted=line > 0)
            for line, text in enumerate(found)
        ]
    return "".join(drawn)
