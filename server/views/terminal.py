"""An answer as a table for a terminal. `numbers.py` says how its numbers are written; whole ones keep all digits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.views import numbers, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from server.views.table import Cell, Label, Table

MARK = " *"  # after the name of a statistic that a line under the table explains


@dataclass(frozen=True)
class Spoken:
    """A language: how it writes numbers, its text for one of ours, and for what the API says. English by default."""

    marks: numbers.Marks = numbers.ENGLISH
    say: Callable[[str], str] = str
    phrase: Callable[[str], str] = str


ENGLISH = Spoken()


def as_table(shown: Mapping[str, Any], spoken: Spoken = ENGLISH) -> str:
    """Return a release as aligned text: its keys and numbers, then a table for each statistic that is a list.

    Lines under the table explain what the contribution bounds cut off from statistics marked with `*`. Never raises.
    """
    flat = table.flatten(shown).worded
    single = [name for name in flat.statistics if flat.columns[flat.columns_of(name)[0]].listed is None]
    blocks = [_block(flat, single, spoken)] if single or flat.keys else []
    blocks += [_list_block(flat, name, spoken) for name in flat.statistics if name not in single]
    written = spoken.say("* %(name)s: %(caveat)s")
    lines = [written % {"name": name, "caveat": spoken.phrase(words)} for name, words in flat.caveats.items()]
    return "\n\n".join([*blocks, *(["\n".join(lines)] if lines else [])])


def _block(flat: Table, names: Sequence[str], spoken: Spoken) -> str:
    """Return a table of the statistics that are single numbers, with a line for each row of the answer."""
    places = [flat.columns_of(name)[0] for name in names]
    lines = [
        [*_labels(row.labels, spoken), *(number_text(row.cells[place], spoken) for place in places)]
        if names
        else _labels(row.labels, spoken)
        for row in flat.rows
    ]
    return _aligned([*map(label_text, flat.keys), *(_heading(flat, name) for name in names)], lines, len(flat.keys))


def _list_block(flat: Table, name: str, spoken: Spoken) -> str:
    """Return a table of a statistic that is a list, with a line for each of its parts in each row of the answer."""
    places = flat.columns_of(name)
    listed = flat.columns[places[0]].listed
    assert listed is not None
    lines = [
        [
            *_labels(row.labels, spoken),
            _part_text(row.cells[place], spoken) if listed.ranked else label_text(flat.columns[place].part, spoken),
            number_text(row.cells[place], spoken),
        ]
        for row in flat.rows
        for place in places
    ]
    headings = [*map(label_text, flat.keys), listed.heading, _heading(flat, name)]
    return _aligned(headings, lines, len(headings) - 1)


def _heading(flat: Table, name: str) -> str:
    return f"{label_text(name)}{MARK if name in flat.caveats else ''}"


def _aligned(headings: list[str], lines: Iterable[list[str]], left: int) -> str:
    """Return lines with aligned columns: the first `left` columns to the left, the others to the right."""
    cells = [headings, *lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  "
        + "   ".join(
            text.ljust(width) if place < left else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )


def _labels(labels: Iterable[Label], spoken: Spoken) -> list[str]:
    return [label_text(label, spoken) for label in labels]


def _part_text(cell: Cell, spoken: Spoken) -> str:
    """Return the value that a cell of a ranked list counts; it is hidden with its number."""
    return spoken.say("(hidden)") if cell.hidden and cell.label is None else label_text(cell.label, spoken)


def label_text(label: Label, spoken: Spoken = ENGLISH) -> str:
    """Return a label for people."""
    if label is None:
        return spoken.say("(unknown)")
    if isinstance(label, bool):
        return spoken.say("true") if label else spoken.say("false")
    # Undeclared values come from the data, and none of their characters may move the terminal's cursor.
    return str(label) if str(label).isprintable() else repr(label)


def number_text(cell: Cell, spoken: Spoken = ENGLISH) -> str:
    """Return a number with its interval. The printed interval covers the whole one; ± is for equal sides only."""
    if cell.value is None:
        return spoken.say("(hidden)") if cell.hidden else spoken.say("(unknown)")
    written = numbers.with_interval(cell, whole=True, marks=spoken.marks)
    return written or numbers.grouped(numbers.exact(cell.value), spoken.marks)
