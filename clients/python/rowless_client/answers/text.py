"""Answers as plain text, for programs that print them: each number with its margin, lists with a line for each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowless_client.answers.flat import LISTS
from rowless_client.answers.numbers import counted, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowless_client.answers.flat import Flat

ROWS_MAX = 60


def answer(flat: Flat) -> str:
    """Return an answer's numbers: one table for what is a number in each row, one for each statistic that is a list."""
    alone = [place for place, one in enumerate(flat.series) if one.listed is None]
    parts = []
    if alone:
        head = [*flat.keys, *(flat.series[place].name for place in alone)]
        rows = [
            [*map(label, labels), *(written(numbers[place]) for place in alone)]
            for labels, numbers in zip(flat.labels, flat.numbers, strict=True)
        ]
        parts.append(_first(head, rows, len(flat.keys)))
    parts += [f"{name}\n{_listed(flat, name)}" for name in flat.statistics if flat.series[flat.of(name)[0]].listed]
    return "\n\n".join(parts)


def _listed(flat: Flat, name: str) -> str:
    places = flat.of(name)
    first = flat.series[places[0]]
    head = [*flat.keys, LISTS[first.listed or "bins"][2], "number"]
    rows = []
    for labels, numbers in zip(flat.labels, flat.numbers, strict=True):
        for place in places:
            one, number = flat.series[place], numbers[place]
            part = number.label if one.is_ranked else one.part
            name = "hidden" if one.is_ranked and number.hidden and part is None else label(part)
            rows.append([*map(label, labels), name, written(number)])
    return _first(head, rows, len(head) - 1)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], keys: int) -> str:
    """Return lines of equal width, without blanks at their ends. The first `keys` columns are written to the left."""
    widths = [max(map(len, column)) for column in zip(*([head, *rows]), strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < keys else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def _first(head: Sequence[str], rows: Sequence[Sequence[str]], keys: int) -> str:
    """Return the table of the first rows, and how many more there are."""
    left = len(rows) - ROWS_MAX
    more = f"\n... and {counted(left, 'more row')}: `rows` and the frames have all" if left > 0 else ""
    return table(head, rows[:ROWS_MAX], keys) + more


def label(value: Any) -> str:
    """Return a key as text on one line: values that nobody declared may have characters that a terminal obeys."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in str(value))
