"""Releases and audit entries as CSV."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from flask import Request

    from budgets.audit import Entry

ENTRY_COLUMNS = ("index", "time", "actor_name", "role", "action", "subject", "study", "summary", "leaf_hash")
ENDS = ("value", "low", "high")


def wanted(request: Request, *others: str) -> str:
    """Return the media type a client prefers among JSON and some others."""
    return request.accept_mimetypes.best_match(["application/json", *others], default="application/json")


def release(shown: dict[str, Any]) -> str:
    """Return a release's rows: its keys, and value, low and high of each statistic.

    What is a list (a histogram, quantiles, the most frequent values) has such three for each of its parts. After
    post-processing the three that were released follow.
    """
    ends = (*ENDS, *(("raw_value", "raw_low", "raw_high") if shown["post"] else ()))
    keys = [column["name"] for column in shown["columns"] if column["kind"] == "key"]
    statistics = [column["name"] for column in shown["columns"] if column["kind"] == "statistic"]
    # Every row has the same parts, and the first names them all. Only where all keys had to pass a threshold and none
    # did, there is none; then each statistic has its three.
    nothing: dict[str, Any] = dict.fromkeys(statistics, dict.fromkeys(ENDS))
    named = [part for name in statistics for part, _ in _flat(name, [*shown["rows"], nothing][0][name], ends)]
    rows = (
        [row[key] for key in keys] + [number for name in statistics for _, number in _flat(name, row[name], ends)]
        for row in shown["rows"]
    )
    return _csv(keys + named, rows)


def _flat(name: str, result: dict[str, Any], ends: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Return the columns of one statistic: NAME, NAME_low, NAME_high; of a list NAME[bin] or NAME_1 and so on."""
    if "top" in result:
        return [
            (f"{name}_{place}_{end}", _end(part, end))
            for place, part in enumerate(result["top"], start=1)
            for end in ("key", *ends)
        ]
    for several, tag in (("bins", "bin"), ("quantiles", "at"), ("survival", "until")):
        if several in result:
            return [
                (f"{name}[{part[tag]}]{'' if end == 'value' else f'_{end}'}", _end(part, end))
                for part in result[several]
                for end in ends
            ]
    return [(f"{name}{'' if end == 'value' else f'_{end}'}", _end(result, end)) for end in ends]


def _end(part: dict[str, Any], end: str) -> Any:
    """Return a number of a result; what post-processing did not change is as it was released."""
    return part[end] if end in part else part[end.removeprefix("raw_")]


def entries(found: Iterable[Entry]) -> str:
    """Return audit entries, one a line, without their facts."""
    text = io.StringIO()
    write_entries(text, found)
    return text.getvalue()


def write_entries(file: TextIO, found: Iterable[Entry]) -> None:
    """Write audit entries, one a line, without their facts, in little memory."""
    shown = (entry.to_json() for entry in found)
    _write(file, list(ENTRY_COLUMNS), ([entry[name] for name in ENTRY_COLUMNS] for entry in shown))


def _csv(header: list[str], rows: Iterable[list[Any]]) -> str:
    text = io.StringIO()
    _write(text, header, rows)
    return text.getvalue()


def _write(file: TextIO, header: list[str], rows: Iterable[list[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
