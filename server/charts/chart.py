"""Answers as charts: the front of this room.

    charts(release)             a chart for each statistic, to stand in a page
    sheet(release)              all of them with their explanations as one SVG file

A chart is SVG that needs no script and no style: colours are attributes, text has the colour of the page. It has a
title, a description in words, and on each mark a title with the number and its margin. What is behind it is the table
that `server/views/table.py` makes; a chart shows no number that has no margin.

Nothing here raises for a stored release, whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, assert_never

from server.charts import choosing, frame, grid, scales, svg, texts, words
from server.charts.choosing import LINED, Kind
from server.charts.frame import GAP, LINE, NARROW, WIDE, Drawing, Figure
from server.charts.kinds import bars, heat, lines, rows, single
from server.charts.svg import SMALL
from server.charts.words import ENGLISH, Words
from server.views import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.charts.grid import Grid
    from server.views.table import Table

CELLS_MAX = 50_000  # of one chart: an answer with more has a table
CONTENT_TYPE = "image/svg+xml; charset=utf-8"
TITLE = 14.0  # size of a heading
EDGE = 20  # around a sheet
PAPER, DARK = "#ffffff", "#1b1f24"  # of a file, which has no page around it


@dataclass(frozen=True)
class Chart:
    """The chart of one statistic.

    `svg` is for where there is room, `narrow` the same for a telephone; a page shows one of them by its style sheet
    (`chart-wide`, `chart-narrow`). `title` and `description` are those of the SVG. `caption` is what a reader has to
    know of the picture: how to read it, and which numbers not to rely on. What bounds cut off is in the table's
    `caveats`, which a page says beside it.
    """

    statistic: str
    kind: Kind
    title: str
    description: str
    caption: str
    svg: str
    narrow: str


@dataclass(frozen=True)
class _Made:
    """A chart that was laid out for one width, of so many numbers in all."""

    figure: Figure
    kind: Kind
    drawing: Drawing
    total: int


def charts(
    release: Mapping[str, Any], prefix: str = "chart", said: Words = ENGLISH, flat: Table | None = None
) -> tuple[Chart, ...]:
    """Return a chart for each statistic of a release or a rehearsal, in the order of the question.

    `prefix` begins all ids: charts on one page need different ones. `flat` is the release as a table, if the caller has
    it already.
    """
    flat, made_up = (flat or table.flatten(release)).worded, bool(release.get("rehearsal"))
    return tuple(_chart(flat, name, f"{prefix}-{n}", said, made_up) for n, name in enumerate(flat.statistics, start=1))


def _chart(flat: Table, name: str, prefix: str, said: Words, made_up: bool) -> Chart:
    wide, narrow = _made(flat, name, WIDE, prefix, said), _made(flat, name, NARROW, f"{prefix}-n", said)
    return Chart(
        name,
        wide.kind,
        words.heading(said, wide.figure.grid),
        _description(wide, made_up=made_up),
        " ".join([*_reading(wide), *_warnings(wide)]),
        _document(wide, "chart-wide", made_up=made_up),
        _document(narrow, "chart-narrow", made_up=made_up),
    )


def _made(flat: Table, name: str, width: int, prefix: str, said: Words) -> _Made:
    total = len(flat.rows) * len(flat.columns_of(name))
    if total > CELLS_MAX:
        figure = Figure(grid.of(replace(flat, rows=()), name), width, prefix, said)
        return _Made(figure, Kind.LARGE, single.message(figure, words.too_many(said, total)), total)
    kind, turned = choosing.chosen(grid.of(flat, name))
    figure = Figure(turned, width, prefix, said)
    return _Made(figure, kind, _drawing(kind, figure), total)


def _drawing(kind: Kind, figure: Figure) -> Drawing:
    match kind:
        case Kind.NOTHING | Kind.LARGE:
            return single.message(figure, words.nothing(figure.words))
        case Kind.SINGLE:
            return single.drawing(figure)
        case Kind.BARS | Kind.HISTOGRAM:
            return bars.drawing(figure)
        case Kind.DOTS:
            return rows.dots(figure)
        case Kind.LINES:
            return lines.lines(figure)
        case Kind.STEPS | Kind.DIFFERENCES:
            return lines.steps(figure)
        case Kind.HEAT:
            return heat.drawing(figure)
        case _:
            assert_never(kind)


def _description(made: _Made, *, made_up: bool) -> str:
    """Return what a chart shows, for those who do not see it."""
    said, shown = made.figure.words, made.drawing.grid
    numbers = [(words.where(said, shown, along, by), cell) for along, by, cell in shown]
    parts = [words.rehearsal(said)] if made_up else []
    if made.kind in (Kind.NOTHING, Kind.LARGE):
        return " ".join([*parts, *_warnings(made)])
    parts.append(words.kind(said, made.kind))
    if made.kind in LINED:
        parts += _trends(shown, said)
    return " ".join([*parts, words.extremes(said, numbers), *_reading(made), *_warnings(made)])


def _trends(shown: Grid, said: Words) -> list[str]:
    """Return where each line begins and ends."""
    found = []
    for by in range(len(shown.by)):
        known = [(along, row[by]) for along, row in enumerate(shown.cells) if grid.is_drawn(row[by])]
        if len(known) > 1:
            (first, begin), (last, end) = known[0], known[-1]
            name = words.at(said, shown.by, by) if shown.by.keys else ""
            ends = (words.at(said, shown.along, first), begin), (words.at(said, shown.along, last), end)
            found.append(words.trend(said, name, *ends))
    return found


def _reading(made: _Made) -> list[str]:
    """Return how the margins of a chart are to be read."""
    if made.kind in (Kind.NOTHING, Kind.LARGE):
        return []
    return [words.reading(made.figure.words, made.figure.grid.confidence, made.kind)]


def _caveats(flat: Table, name: str, said: Words) -> list[str]:
    """Return what no margin shows."""
    return [words.caveat(said, flat.caveats[name])] if name in flat.caveats else []


def _warnings(made: _Made) -> list[str]:
    """Return what a reader must not miss: what is drowned, missing, left out or cut."""
    said, drawing, whole = made.figure.words, made.drawing, made.figure.grid
    if made.kind is Kind.NOTHING:
        return [words.nothing(said)]
    if made.kind is Kind.LARGE:
        return [words.too_many(said, made.total)]
    cells = [cell for *_, cell in drawing.grid]
    empty = [cell for row in drawing.grid.cells for cell in row if not grid.is_drawn(cell)]
    drowned, missing = sum(map(scales.drowns, cells)), sum(not cell.hidden for cell in empty)
    found = [words.drowned(said, drowned, len(cells), made.kind)] if drowned else []
    found += [words.missing(said, missing)] if missing else []
    found += [words.hidden(said, whole.hidden)] if whole.hidden else []
    if drawing.grid.size < whole.size:
        rows = len(drawing.grid.by) > 1
        found.append(words.left_out(said, drawing.grid.size, whole.size, largest=drawing.largest, rows=rows))
    found += [words.clipped(said, drawing.clipped)] if drawing.clipped else []
    return found + ([] if drawing.begins is None else [words.axis_from(said, drawing.begins)])


def _content(made: _Made, *, made_up: bool) -> tuple[str, float]:
    """Return what is drawn, with its heading, and how high it is."""
    figure = made.figure
    heads = texts.wrapped(words.heading(figure.words, figure.grid), figure.width, TITLE)
    drawn = [svg.text(0, 14 + 19 * place, line, size=TITLE, bold=True) for place, line in enumerate(heads)]
    y = 14.0 + 19 * (len(heads) - 1)
    notes = [words.rehearsal(figure.words)] if made_up else []
    if made.kind not in (Kind.NOTHING, Kind.LARGE):
        notes.append(words.margins(figure.words, figure.grid.confidence))
    for line in (line for note in notes for line in texts.wrapped(note, figure.width, SMALL)):
        y += LINE
        drawn.append(svg.text(0, y, line, size=SMALL, muted=True))
    y += GAP
    drawn.append(svg.element("g", made.drawing.body, transform=f"translate(0 {svg.number(y)})"))
    return "".join(drawn), y + made.drawing.height


def _document(made: _Made, name: str, *, made_up: bool) -> str:
    """Return a chart that can stand in a page."""
    figure = made.figure
    drawn, height = _content(made, made_up=made_up)
    return svg.document(
        figure.prefix,
        (words.heading(figure.words, figure.grid), _description(made, made_up=made_up)),
        f"{_patterns(made)}{drawn}",
        viewBox=f"0 0 {figure.width} {svg.number(height)}",
        class_=f"chart {name}",
    )


def _patterns(made: _Made) -> str:
    """Return the patterns that a chart uses."""
    return frame.hatches(made.figure.prefix, made.drawing.body)


def sheet(release: Mapping[str, Any], said: Words = ENGLISH) -> str:
    """Return all charts of a release as one SVG file, each with its caption. It brings paper and ink of its own."""
    flat, made_up = table.flatten(release).worded, bool(release.get("rehearsal"))
    title = words.source(said, release)
    y, drawn, about = float(EDGE), [], []
    for place, name in enumerate(flat.statistics, start=1):
        made = _made(flat, name, WIDE, f"chart-{place}", said)
        content, height = _content(made, made_up=made_up)
        drawn.append(svg.element("g", _patterns(made), content, transform=f"translate({EDGE} {svg.number(y)})"))
        y += height
        caption = " ".join([*_reading(made), *_caveats(flat, name, said), *_warnings(made)])
        lines_, y = _paragraph(caption, y)
        drawn.append(lines_)
        about.append(f"{words.heading(said, made.figure.grid)}. {_description(made, made_up=made_up)}")
        y += 2 * LINE
    foot, y = _paragraph(title, y)
    return svg.document(
        "sheet",
        (title, " ".join(about) or words.no_numbers(said)),
        "".join([svg.element("rect", width="100%", height="100%", fill=PAPER), *drawn, foot]),
        viewBox=f"0 0 {WIDE + 2 * EDGE} {svg.number(y + EDGE)}",
        width=WIDE + 2 * EDGE,
        height=y + EDGE,
        color=DARK,
    )


def _paragraph(said: str, y: float) -> tuple[str, float]:
    """Return lines of small text that begin below y, and where they end."""
    lines_ = texts.wrapped(said, WIDE, SMALL)
    drawn = [svg.text(EDGE, y + 14 * place, line, size=SMALL, muted=True) for place, line in enumerate(lines_, start=1)]
    return "".join(drawn), y + 14 * len(lines_)
