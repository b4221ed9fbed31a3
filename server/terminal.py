"""An answer as a table for a terminal."""

from __future__ import annotations

from typing import Any


def as_table(shown: dict[str, Any]) -> str:
    """Return a release's rows as aligned text: keys, then each statistic with its margin at 95%."""
    keys = [column["name"] for column in shown["columns"] if column["kind"] == "key"]
    statistics = [column["name"] for column in shown["columns"] if column["kind"] == "statistic"]
    cells = [
        [*map(_label, (row[key] for key in keys)), *(_cell(row[name]) for name in statistics)] for row in shown["rows"]
    ]
    lines = [[*keys, *statistics], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(_aligned(line, widths, len(keys)) for line in lines)


def _aligned(line: list[str], widths: list[int], keys: int) -> str:
    cells = (
        text.ljust(width) if place < keys else text.rjust(width)
        for place, (text, width) in enumerate(zip(line, widths, strict=True))
    )
    return "  " + "   ".join(cells).rstrip()


def _label(value: Any) -> str:
    if value is None:
        return "(unknown)"
    # Undeclared values come from the data: none of their characters may move the terminal's cursor.
    return str(value) if str(value).isprintable() else repr(value)


def _cell(cell: dict[str, Any]) -> str:
    """Return one result; of what is a list, each of its parts by its name."""
    for several, name in (("bins", "bin"), ("top", "key"), ("quantiles", "at")):
        if several in cell:
            return "; ".join(f"{_label(part[name])}: {_cell(part)}" for part in cell[several])
    value, low, high = cell["value"], cell["low"], cell["high"]
    if isinstance(value, int) and isinstance(low, int) and isinstance(high, int):
        return f"{value:,} ± {high - value:,}"
    margin = max(high - value, value - low)
    return f"{value:,.2f} ± {margin:,.2f}"
