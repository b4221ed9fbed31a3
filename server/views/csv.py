"""Releases and audit entries as CSV.

**Formulas.** Spreadsheets run a cell that begins like a formula. A text that begins with one of `= + - @`, a full-width
form of these, a tab or a line end therefore gets an apostrophe before it, as OWASP advises ("CSV injection"). A text
that begins with apostrophes followed by one of these gets one more, so that removing one gives the text back. Numbers
stay numbers, also negative ones. JSON leaves every text as it is.

**Comments.** A release begins with lines that start with `#`: what was asked, what it cost, and all its notes.
`pandas.read_csv(file, comment="#")` and R's `read.csv(file, comment.char="#")` skip them. A text that contains a `#` is
quoted, and both readers keep it whole (pandas with its default engine; its slow engine ignores quotes here).
"""

from __future__ import annotations

import io
import itertools
import re
from typing import TYPE_CHECKING, Any

from server.views import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TextIO

    from flask import Request

    from budgets.audit.log import Entry
    from server.views.table import Cell, Column, Table

ENTRY_COLUMNS = ("index", "time", "actor_name", "role", "action", "subject", "study", "summary", "leaf_hash")

_STARTS = "=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(f"'*[{_STARTS}]")
_QUOTED = re.compile(r'[,;"#\r\n\t]|^\s|\s$')
# Where a spreadsheet, which does not skip comments, would begin a cell inside one.
_CELL_IN_COMMENT = re.compile(f"(?<=[,;\t])(\\s*)(?='*[{_STARTS}])")


def wanted(request: Request, *others: str) -> str:
    """Return the media type that a client prefers among JSON and some others."""
    return request.accept_mimetypes.best_match(["application/json", *others], default="application/json")


def release_csv(shown: Mapping[str, Any]) -> str:
    """Return a release: comments, then a line for each row, with its keys and all numbers. Never raises.

    A statistic has the columns NAME, NAME_low and NAME_high. A statistic that is a list has three for each part of it:
    NAME[bin], NAME[bin]_low and so on (likewise NAME[share] and NAME[days]). The most frequent values have four each:
    NAME_1_key, NAME_1_value, NAME_1_low, NAME_1_high. After post-processing, the three released numbers follow as
    raw_value, raw_low and raw_high; with hide_below also hidden, which is true or false. NAME_truncation follows, if
    the release describes what its bounds cut off. Last come columns KEY_label, for keys whose values have labels;
    those of a list's values are comments. All names are different: a derived name that is taken gets an underscore at
    its end.
    """
    flat = table.flatten(shown)
    text = io.StringIO()
    text.writelines(f"# {_comment(line)}\n" for line in _about(shown, flat))
    layout, post = _layout(flat), bool(flat.post)
    labelled = [(place, key) for place, key in enumerate(flat.keys) if key in flat.value_labels]
    lines = (
        [
            *row.labels,
            *_numbers(layout, row.cells, post=post, hides=flat.hides),
            *(flat.words(key, row.labels[place]) for place, key in labelled),
        ]
        for row in flat.rows
    )
    _write(text, _header(flat), lines)
    return text.getvalue()


def _header(flat: Table) -> list[str]:
    chosen = {*flat.keys, *(column.statistic for column in flat.columns if column.listed is None)}
    found = list(flat.keys)
    for name in flat.statistics:
        for place in flat.columns_of(name):
            column = flat.columns[place]
            for ending in _endings(flat, column):
                derived = f"{_name(column)}{ending}"
                found.append(derived if derived == name and column.listed is None else _free(derived, chosen))
        if flat.columns[flat.columns_of(name)[0]].truncation is not None:
            found.append(_free(f"{name}_truncation", chosen))
    return found + [_free(f"{key}_label", chosen) for key in flat.keys if key in flat.value_labels]


def _name(column: Column) -> str:
    if column.listed is None:
        return column.statistic
    part = _plain(column.part)
    return f"{column.statistic}_{part}" if column.listed.ranked else f"{column.statistic}[{part}]"


def _endings(flat: Table, column: Column) -> list[str]:
    raw = [f"_{end}" for end in (*table.RAW, *(["hidden"] if flat.hides else []))] if flat.post else []
    if _is_ranked(column):
        return ["_key", "_value", "_low", "_high", *raw]
    return ["", "_low", "_high", *raw]


def _is_ranked(column: Column) -> bool:
    """Return whether a column is of a list whose labels differ from row to row, and stand in a column of their own."""
    return column.listed is not None and column.listed.ranked


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _layout(flat: Table) -> list[tuple[bool, str | None]]:
    """Return for each column whether it belongs to a ranked list, and the truncation that is written after it."""
    lasts = {flat.columns_of(name)[-1] for name in flat.statistics}
    return [
        (_is_ranked(column), column.truncation if place in lasts else None) for place, column in enumerate(flat.columns)
    ]


def _numbers(
    layout: Iterable[tuple[bool, str | None]], cells: Iterable[Cell], *, post: bool, hides: bool
) -> Iterator[Any]:
    """Yield the fields of a row's numbers, in the order of `_header`."""
    for (ranked, truncation), cell in zip(layout, cells, strict=True):
        if ranked:
            yield cell.label
        yield cell.value
        yield cell.low
        yield cell.high
        if post:
            yield from cell.raw
        if hides:
            yield cell.hidden
        if truncation is not None:
            yield truncation


def _about(shown: Mapping[str, Any], flat: Table) -> Iterator[str]:
    """Yield the lines that describe a release to its reader."""
    if shown.get("rehearsal"):
        yield "rehearsal: the data were made up, so the numbers mean nothing"
    places = [f"{name} {shown[name]}" for name in ("study", "dataset", "edition") if shown.get(name) is not None]
    if shown.get("id") is not None:
        places.insert(0, f"release {shown['id']}")
    if places:
        yield ", ".join(places)
    if isinstance(shown.get("sql"), str):
        yield f"asked: {shown['sql']}"
    for name in ("cost", "bounds"):
        if isinstance(shown.get(name), dict):
            parts = (f"{part} {_plain(number)}" for part, number in shown[name].items() if number is not None)
            yield f"{name}: {', '.join(parts)}"
    for name in flat.statistics:
        column = flat.columns[flat.columns_of(name)[0]]
        yield f"{name}: {_column_text(column)}"
        if name in flat.caveats:
            yield f"{name}: truncation {column.truncation}: {flat.caveats[name]}"
        for value, label in flat.value_labels.get(name, {}).items():
            yield f"{name}: {value} is {label}"
    if flat.post:
        yield f"post: {', '.join(flat.post)}"
    notes = shown.get("notes")
    if isinstance(notes, list):
        yield from (f"note: {note}" for note in notes)


def _column_text(column: Column) -> str:
    of = " events up or down" if column.margin_of == "events" else ""
    margin = "low and high" if column.margin is None else f"± {column.margin:g}{of}"
    confidence = "" if column.confidence is None else f" at {100 * column.confidence:g}%"
    return f"{column.mechanism or 'noise'}, {margin}{confidence}"


def entries_csv(found: Iterable[Entry]) -> str:
    """Return audit entries as CSV, one in each line, without their facts."""
    text = io.StringIO()
    write_entries_csv(text, found)
    return text.getvalue()


def write_entries_csv(file: TextIO, found: Iterable[Entry]) -> None:
    """Write audit entries as CSV, one in each line, without their facts. It needs little memory."""
    write_shown_entries_csv(file, (entry.to_json() for entry in found))


def write_shown_entries_csv(file: TextIO, shown: Iterable[Mapping[str, Any]]) -> None:
    """Write entries in JSON, as they are shown, as CSV."""
    _write(file, list(ENTRY_COLUMNS), ([entry[name] for name in ENTRY_COLUMNS] for entry in shown))


def _write(file: TextIO, header: list[str], rows: Iterable[list[Any]]) -> None:
    file.writelines(f"{_line(row)}\n" for row in itertools.chain([header], rows))


def _line(row: Iterable[Any]) -> str:
    return ",".join(map(field, row)) or '""'  # because readers skip an empty line


def field(value: Any) -> str:
    """Return a value as a field of CSV: numbers as in JSON, null as nothing, texts so that no spreadsheet runs them."""
    if type(value) is int or type(value) is float:  # first, because large answers hold mostly numbers
        return repr(value)
    if not isinstance(value, str):
        return "" if value is None else _plain(value)
    text = f"'{value}" if _FORMULA.match(value) else value
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(text) else text


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _comment(text: str) -> str:
    """Return a text as one line of a comment in which no spreadsheet finds a formula or an opening quote."""
    line = " ".join(text.replace('"', "'").split())
    return _CELL_IN_COMMENT.sub(r"\1'", line)
