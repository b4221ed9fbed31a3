"""Answers, estimates and lists as HTML for notebooks: no script, nothing from elsewhere, every text escaped.

It takes the colours of the page that it stands in, so that it can be read on dark pages too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from rowless_client.answers.flat import LISTS
from rowless_client.answers.numbers import counted, written

if TYPE_CHECKING:
    from rowless_client.answers.caveats import Found
    from rowless_client.answers.flat import Flat, Number, Series

ROWS_MAX = 60
COLUMNS_MAX = 24  # numbers in a row: more are in the frames
GLYPH, HEIGHT = 90.0, 12.0
STYLE = (
    "<style>.rowless{font-size:.95em;line-height:1.4}.rowless table{border-collapse:collapse;margin:.4em 0}"
    ".rowless th,.rowless td{padding:.15em .7em;text-align:left;border:0;border-bottom:1px solid rgba(128,128,128,.3)}"
    ".rowless th{font-weight:600}.rowless td.n,.rowless th.n{text-align:right;white-space:nowrap;"
    "font-variant-numeric:tabular-nums}.rowless .pale{opacity:.5}.rowless .small{font-size:.9em;opacity:.8}"
    ".rowless .care{border-left:3px solid #c2570c;padding:.1em .6em;margin:.3em 0}.rowless svg{vertical-align:middle}"
    ".rowless code{white-space:pre-wrap}.rowless ul{margin:.2em 0;padding-left:1.4em}</style>"
)


def block(*parts: str) -> str:
    """Return parts as one block with its style."""
    return f'{STYLE}<div class="rowless">{"".join(parts)}</div>'


def line(text: str, kind: str = "") -> str:
    """Return a text as a paragraph."""
    return f'<div class="{kind}">{escape(text)}</div>' if kind else f"<div>{escape(text)}</div>"


def care(found: Iterable[Found]) -> str:
    """Return what a reader must know, marked."""
    return "".join(line(one.text, "care") for one in found)


def folded(title: str, items: Sequence[str]) -> str:
    """Return a list that opens when it is clicked, nothing for an empty one."""
    if not items:
        return ""
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<details class="small"><summary>{escape(title)}</summary><ul>{listed}</ul></details>'


def loss(cost: Mapping[str, Any]) -> str:
    """Return what something costs in words, without what it does not cost."""
    known = ((name, cost.get(name)) for name in ("epsilon", "rho", "delta"))
    return ", ".join(f"{name} {value:g}" for name, value in known if isinstance(value, (int, float)) and value)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], numeric: frozenset[int] = frozenset()) -> str:
    """Return a plain table. `numeric` are the places of the columns that are written to the right."""
    kinds = [' class="n"' if place in numeric else "" for place in range(len(header))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, header, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(shown(value))}</td>' for kind, value in zip(kinds, row, strict=True))}</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def shown(value: Any) -> str:
    """Return a value of JSON as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(part)}" for name, part in value.items() if part is not None)
    if isinstance(value, list):
        return ("; " if any(isinstance(part, dict) for part in value) else ", ").join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def answer(flat: Flat) -> str:
    """Return an answer's numbers: one table for what is a number in each row, one for each statistic that is a list."""
    alone = [place for place, one in enumerate(flat.series) if one.listed is None]
    parts = [_numbers(flat, alone)] if alone else []
    for name in flat.statistics:
        places = flat.of(name)
        if flat.series[places[0]].listed is not None:
            parts.append(f"<div><b>{escape(name)}</b></div>{_listed(flat, places)}")
    return "".join(parts)


def _numbers(flat: Flat, places: list[int]) -> str:
    shown_places = places[:COLUMNS_MAX]
    ranges = [_range([row[place] for row in flat.numbers]) for place in shown_places]
    head = [f"<th>{escape(name)}</th>" for name in flat.keys]
    head += [f'<th class="n">{escape(flat.series[place].name)}</th><th></th>' for place in shown_places]
    lines = []
    for labels, numbers in zip(flat.labels[:ROWS_MAX], flat.numbers, strict=False):
        cells = "".join(f"<td>{escape(_label(label))}</td>" for label in labels)
        cells += "".join(_cell(numbers[place], span) for place, span in zip(shown_places, ranges, strict=True))
        lines.append(f"<tr>{cells}</tr>")
    return _whole(head, lines, len(flat.labels), len(places) - len(shown_places))


def _listed(flat: Flat, places: list[int]) -> str:
    """Return a statistic that is a list, with a line for each of its parts."""
    first = flat.series[places[0]]
    span = _range([row[place] for row in flat.numbers for place in places])
    head = [f"<th>{escape(name)}</th>" for name in (*flat.keys, LISTS[first.listed or "bins"][2])]
    head.append('<th class="n">number</th><th></th>')
    lines = []
    for labels, numbers in zip(flat.labels, flat.numbers, strict=True):
        for place in places:
            cells = "".join(
                f"<td>{escape(_label(label))}</td>" for label in (*labels, _part(flat, place, numbers[place]))
            )
            lines.append(f"<tr>{cells}{_cell(numbers[place], span)}</tr>")
    return _whole(head, lines[:ROWS_MAX], len(lines), 0)


def _part(flat: Flat, place: int, number: Number) -> Any:
    one: Series = flat.series[place]
    return number.label if one.is_ranked else one.part


def _whole(head: list[str], lines: list[str], rows: int, columns: int) -> str:
    left = []
    if rows > len(lines):
        left.append(counted(rows - len(lines), "more row"))
    if columns:
        left.append(counted(columns, "more column"))
    more = (
        line(f"... and {' and '.join(left)}: to_pandas(), to_polars() and to_arrow() have all", "small") if left else ""
    )
    return f"<table><thead><tr>{''.join(head)}</tr></thead><tbody>{''.join(lines)}</tbody></table>{more}"


def _cell(number: Number, span: tuple[float, float]) -> str:
    pale = ' pale" title="mostly noise: the margin is more than half of the number' if number.drowns else ""
    return f'<td class="n{pale}">{escape(written(number))}</td><td>{_glyph(number, span)}</td>'


def _range(numbers: Sequence[Number]) -> tuple[float, float]:
    """Return what the small pictures of a column span: every interval, and zero."""
    ends = [end for one in numbers if one.is_whole for end in (one.low, one.high) if end is not None]
    return min([0.0, *ends]), max([0.0, *ends])


def _glyph(number: Number, span: tuple[float, float]) -> str:
    """Return the number as a dot on its interval, all numbers of a column on one scale that begins at zero."""
    low, high = span
    if number.value is None or number.low is None or number.high is None or high <= low:
        return ""

    def at(value: float) -> str:
        return f"{4 + (GLYPH - 8) * (value - low) / (high - low):.1f}"

    opacity = ".45" if number.drowns else "1"
    return (
        f'<svg width="{GLYPH:g}" height="{HEIGHT:g}" aria-hidden="true">'
        f'<line x1="{at(0)}" x2="{at(0)}" y1="0" y2="{HEIGHT:g}" stroke="currentColor" stroke-opacity=".25"/>'
        f'<line x1="{at(number.low)}" x2="{at(number.high)}" y1="6" y2="6" stroke="#2a6f97" stroke-width="2"'
        f' stroke-opacity="{opacity}"/>'
        f'<circle cx="{at(number.value)}" cy="6" r="3" fill="#2a6f97" fill-opacity="{opacity}"/></svg>'
    )


def _label(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def described(pairs: Mapping[str, Any]) -> str:
    """Return named values, one in each line."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(shown(value))}</td></tr>" for name, value in pairs.items())
    return f"<table><tbody>{rows}</tbody></table>"
