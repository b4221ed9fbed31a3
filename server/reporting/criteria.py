"""What the law and its authorities ask, from one file: `criteria.toml`, with the source and the date of each point.

The report, its version to publish, the methods and the page for persons have these texts from here. None is written
anywhere else, so that an update is one edit of that file (a test looks for others). Each source also says what was
read of it, because a controller has to know which statements to check.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import tomllib
from importlib import metadata, resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "criteria.toml"
LISTS = ("criteria", "readers", "parties", "law", "guarantee")
ELSEWHERE = ("statements", "articles")  # statements with a place of their own in a report
WORDS = ("place", "title", "who")
FRENCH = "fr"
HIGH = re.compile(r" (?=[:;?!»%])|(?<=«) ")  # where the French put a narrow space that does not break


@functools.cache
def _document() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("server.reporting").joinpath(FILE).read_text(encoding="utf-8"))


def parties() -> tuple[str, ...]:
    """Return the ids of the relevant parties, in their order."""
    return tuple(one["id"] for one in _document()["parties"])


def stated(code: str, identity_days: int) -> dict[str, Any]:
    """Return all that is asked and how it stands, in a language, as JSON values."""
    document = _document()
    checked: dt.date = document["checked"]
    filled = {"{days}": str(identity_days), "{opendp}": metadata.version("opendp")}
    return {
        "checked": checked.isoformat(),
        "next": _later(checked, document["months"]).isoformat(),
        **{name: [_point(one, code, filled) for one in document[name]] for name in LISTS},
        "sources": {name: source(name, code) for name in document["sources"]},
    }


def elsewhere(code: str) -> dict[str, dict[str, Any]]:
    """Return the statements that have a place of their own in a report, by id. Some have holes, as `{day}`."""
    points = [_point(one, code, {}) for name in ELSEWHERE for one in _document()[name]]
    return {one["id"]: one for one in points}


def source(name: str, code: str) -> dict[str, Any]:
    """Return a source of statements on law: its title, its date, its address, and what was read of it."""
    one = _document()["sources"][name]
    return {
        "title": _set(one[code], code),
        "short": _set(one["short"][code], code),
        "date": str(one["date"]),
        "where": one.get("where", ""),
        "read": _set(one["read"][code], code),
        "original": one["original"],
    }


def _point(one: Mapping[str, Any], code: str, filled: Mapping[str, str]) -> dict[str, Any]:
    text = _set(one[code], code)
    for hole, value in filled.items():
        text = text.replace(hole, value)
    found = {"id": one["id"], "text": text}
    found |= {name: _set(one[name][code], code) for name in WORDS if name in one}
    return found | {name: one[name] for name in ("source", "bounds") if name in one}


def _set(text: str, code: str) -> str:
    """Return a text as it is set in its language."""
    return (
        HIGH.sub("\N{NARROW NO-BREAK SPACE}", text.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}"))
        if code == FRENCH
        else text
    )


def _later(day: dt.date, months: int) -> dt.date:
    years, month = divmod(day.month - 1 + months, 12)
    return dt.date(day.year + years, month + 1, min(day.day, 28))
