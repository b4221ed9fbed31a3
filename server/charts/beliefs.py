"""What answers could do to a belief: curves over the unit square, from the belief before to the bound on it after.

Bounds are rounded so that a curve is never drawn below what it stands for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.charts import frame, svg, texts, words
from server.charts.budget import Picture
from server.charts.frame import GAP, LINE
from server.charts.svg import FAINT, SMALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.charts.words import Words

SIDE = 240.0
LEFT = 46.0
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Curve:
    """A guarantee: its name in the legend, and points (belief before, bound after), both from 0 to 1, ascending."""

    name: str
    points: tuple[tuple[float, float], ...]


def beliefs(curves: Sequence[Curve], description: str, prefix: str, said: Words = words.ENGLISH) -> Picture:
    """Return the curves, each of its own kind of line, with a diagonal on which nothing is learnt."""
    title, top = words.beliefs_title(said), GAP
    bottom, right = top + SIDE, LEFT + SIDE
    drawn = []
    for tick in QUARTERS:
        x, y, label = LEFT + SIDE * tick, bottom - SIDE * tick, words.percent(said, tick)
        drawn += [
            svg.line(x, top, x, bottom, stroke_opacity=FAINT),
            svg.line(LEFT, y, right, y, stroke_opacity=FAINT),
            svg.text(x, bottom + 15, label, anchor="middle", size=SMALL, muted=True),
            svg.text(LEFT - GAP, y + 4, label, anchor="end", size=SMALL, muted=True),
        ]
    before = words.belief_before(said)
    drawn.append(svg.text(LEFT + SIDE / 2, bottom + 15 + LINE, before, anchor="middle", size=SMALL, muted=True))
    drawn.append(svg.line(LEFT, bottom, right, top, stroke_opacity=0.5, stroke_dasharray="1 3"))
    names = [curve.name for curve in curves]
    for place, curve in enumerate(curves):
        colour, dashes = frame.STROKES[place % len(frame.STROKES)]
        # y grows downwards: rounded down, a point is never below its bound
        points = [(LEFT + SIDE * x, math.floor(10 * (bottom - SIDE * y)) / 10) for x, y in curve.points]
        look: dict[str, svg.Attribute] = {
            "fill": "none",
            "stroke": colour,
            "stroke_width": 2.0,
            "stroke_dasharray": dashes,
        }
        y = top + 24 + 22 * place
        drawn += [
            svg.element("path", d=svg.path(points), **look),
            svg.element("path", d=svg.path([(right + 20, y), (right + 52, y)]), **look),
        ]
    y = top + 24 + 22 * len(curves)
    drawn.append(svg.line(right + 20, y, right + 52, y, stroke_opacity=0.5, stroke_dasharray="1 3"))
    labels = [*names, words.nothing_learnt(said)]
    drawn += [svg.text(right + 60, top + 28 + 22 * place, label) for place, label in enumerate(labels)]
    width = right + 60 + max(map(texts.width, labels)) + GAP
    box = f"0 0 {svg.number(width)} {svg.number(bottom + 15 + LINE + GAP)}"
    return Picture(title, description, svg.document(prefix, (title, description), "".join(drawn), viewBox=box))
