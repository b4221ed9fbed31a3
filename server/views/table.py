"""A release as one flat table: rows of cells, each a value with both ends of its interval.

A statistic stands in a release as one number, or as one of the lists in `queries/statistics/parts/lists.py`. The
terminal's table (`terminal.py`) and the CSV (`csv.py`) are made of what `flatten` returns, so they show the same value,
low and high.

`flatten` never raises for a stored release, whatever it holds: a release that was paid for must be readable. What is
missing or no finite number is None.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Context, Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from queries.release.rows import Rows
from queries.statistics.parts.lists import LISTS, Listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Label = str | int | float | bool | None
Numeral = int | float | None

RAW = ("raw_value", "raw_low", "raw_high")
HIDE = "hide_below"  # begins the word of post-processing that hides numbers of small cells

DAY = re.compile(r"\d{4}-\d\d-\d\d")
DATED = frozenset({"period", "bins", "width"})  # members of keys whose labels may be dates, in a query

WHOLE_MAX = 10**300  # no release has larger numbers; a float has none either

REARRANGED = frozenset({"having", "order_by", "limit"})  # members of how an answer is shown

NO_TRUNCATION = "none"
TRUNCATION = {
    "profile": "the bounds follow from the dataset's contribution profile",
    "asked": "bounds were asked for; what they cut off is in no margin",
    "unknown": "bounds were guessed; what they cut off is unknown and in no margin",
}


class Dated(str):
    """A label that is a day, a period or a range of days: the same text, which a page may write as its readers do."""

    __slots__ = ()


class Cell(NamedTuple):
    """One number of an answer: its value and the ends of its interval, each None where it is not known.

    `raw` has the three numbers as they were released; they differ from the other three only after post-processing.
    `label` is the value that is counted, in a ranked list. A `hidden` number is not shown, because its cell is small.
    """

    value: Numeral = None
    low: Numeral = None
    high: Numeral = None
    raw: tuple[Numeral, Numeral, Numeral] = (None, None, None)
    label: Label = None
    hidden: bool = False


@dataclass(frozen=True)
class Column:
    """A column of numbers: a statistic, or one part of a statistic that has several.

    `listed` is the list that the part is of, and `part` is what names it: a bin, a share, a number
    of days, and in a ranked list the rank (1, 2, ...). Both are None where the statistic is one number.
    `truncation` is what is known about what bounds cut off: none, profile, asked or unknown; None where a release of
    an earlier version does not say it. `expected_loss` is the share of the value that they are expected to cut off.
    `margin` is the half width of the interval where it is the same for all rows, in the unit `margin_of`: that of the
    value, or events (a quantile's rank may be off by so many).
    """

    statistic: str
    listed: Listed | None = None
    part: Label = None
    mechanism: str | None = None
    margin: float | None = None
    margin_of: str = "value"
    confidence: float | None = None
    truncation: str | None = None
    expected_loss: float | None = None


@dataclass(frozen=True)
class Row:
    """The labels of a cell of the question, one for each key, and its numbers, one for each column."""

    labels: tuple[Label, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """An answer: names of the keys, columns of numbers (those of one statistic stand together), rows.

    `post` is the post-processing that was applied. For an answer without rows it is not known how many parts its
    statistics have (all its keys are undeclared, and no value was named): each statistic is one column then.
    `value_labels` has, for keys and statistics, what values stand for in words.
    """

    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    post: tuple[str, ...] = ()
    rearranged: bool = False  # rows were left out or ordered anew, so their order means nothing
    value_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def words(self, name: str, value: Label) -> str | None:
        """Return what a value of a key or a statistic stands for, if it has a label."""
        return self.value_labels.get(name, {}).get(value) if isinstance(value, str) else None

    def told(self, name: str, value: Label) -> Label:
        """Return a value of a key or a statistic with its label behind it."""
        words = self.words(name, value)
        return value if words is None else f"{value} ({words})"

    @property
    def worded(self) -> Table:
        """Return the table with the labels of values in the places of the values."""
        if not self.value_labels:
            return self
        rows = (
            Row(
                tuple(self.told(key, label) for key, label in zip(self.keys, row.labels, strict=True)),
                tuple(
                    cell._replace(label=self.told(column.statistic, cell.label))
                    for column, cell in zip(self.columns, row.cells, strict=True)
                ),
            )
            for row in self.rows
        )
        columns = (replace(column, part=self.told(column.statistic, column.part)) for column in self.columns)
        return replace(self, columns=tuple(columns), rows=tuple(rows), value_labels={})

    @property
    def statistics(self) -> tuple[str, ...]:
        """Return the names of the statistics in the order of the question."""
        return tuple(dict.fromkeys(column.statistic for column in self.columns))

    def columns_of(self, statistic: str) -> list[int]:
        """Return the places of a statistic's columns."""
        return [place for place, column in enumerate(self.columns) if column.statistic == statistic]

    @property
    def hides(self) -> bool:
        """Return whether numbers of small cells are hidden."""
        return any(word.startswith(f"{HIDE}:") for word in self.post)

    @property
    def caveats(self) -> dict[str, str]:
        """Return for each statistic that its bounds may distort a sentence that says so, by its name."""
        firsts = {column.statistic: column for column in reversed(self.columns)}
        said = {name: caveat(firsts[name].truncation, firsts[name].expected_loss) for name in self.statistics}
        return {name: words for name, words in said.items() if words is not None}

    @property
    def untouched(self) -> frozenset[str]:
        """Return the statistics with a caveat that says that nothing is expected to be cut off: a fact, no warning."""
        losses = {column.statistic: column.expected_loss for column in self.columns}
        return frozenset(name for name in self.caveats if (losses[name] or 0) <= 0 and losses[name] is not None)


def caveat(truncation: str | None, expected_loss: float | None) -> str | None:
    """Return in words what bounds do to a value, or None where they do nothing or nothing is said of it."""
    if truncation is None or truncation == NO_TRUNCATION:
        return None
    words = TRUNCATION.get(truncation, f"truncation: {truncation}")
    if expected_loss is None:
        return words
    expected = f"{percent(expected_loss)} of what persons contribute is expected to be cut off"
    return f"{words}; {expected}{', and is in no margin' if truncation == 'profile' else ''}"


def percent(share: float) -> str:
    """Return a share as a percentage of two digits, rounded up."""
    if share <= 0:
        return "0%"
    hundredfold = Decimal(repr(float(share))) * 100
    unit = Decimal(1).scaleb(max(hundredfold.adjusted() - 1, -4))
    return f"{hundredfold.quantize(unit, ROUND_CEILING, Context(prec=400)).normalize(Context(prec=400)):f}%"


def flatten(release: Mapping[str, Any]) -> Table:
    """Return a release, or a rehearsal, as a table."""
    described = [column for column in _dicts(release.get("columns")) if isinstance(column.get("name"), str)]
    keys = tuple(column["name"] for column in described if column.get("kind") == "key")
    statistics = {column["name"]: column for column in described if column.get("kind") == "statistic"}
    rows, labels = list(_dicts(release.get("rows"))), _labels(release, keys)
    named = [{name: _parts(row.get(name)) for name in statistics} for row in rows]
    # In all rows a statistic has the same parts, but for what a later version may do.
    places = {name: list(dict.fromkeys(part for row in named for part in row[name])) or [_ALONE] for name in statistics}
    post, show = release.get("post"), release.get("show")
    return Table(
        keys,
        tuple(_column(about, *part[:2]) for name, about in statistics.items() for part in places[name]),
        tuple(
            Row(
                tuple(label(row.get(key)) for key, label in zip(keys, labels, strict=True)),
                tuple(parts[name].get(part, _NOTHING) for name in statistics for part in places[name]),
            )
            for row, parts in zip(rows, named, strict=True)
        ),
        tuple(word for word in post if isinstance(word, str)) if isinstance(post, list) else (),
        rearranged=isinstance(show, dict) and not REARRANGED.isdisjoint(show),
        value_labels=_value_labels(release.get("value_labels")),
    )


def _value_labels(found: Any) -> dict[str, dict[str, str]]:
    """Return the labels of values, as far as they are texts."""
    by_name = found.items() if isinstance(found, dict) else ()
    return {
        name: {value: label for value, label in labels.items() if isinstance(label, str)}
        for name, labels in by_name
        if isinstance(labels, dict)
    }


def _column(about: Mapping[str, Any], listed: Listed | None, part: Label) -> Column:
    margin, margin_of = _numeral(about.get("margin")), "value"
    if margin is None and "margin_events" in about:
        margin, margin_of = _numeral(about["margin_events"]), "events"
    return Column(
        about["name"],
        listed,
        part,
        mechanism=_text(about.get("mechanism")),
        margin=margin,
        margin_of=margin_of,
        confidence=_numeral(about.get("confidence")),
        truncation=_text(about.get("truncation")),
        expected_loss=_numeral(about.get("expected_loss")),
    )


# The type is there because 1, 1.0 and true are equal in Python.
_Part = tuple[Listed | None, Label, type]  # the list it is of, what names it, and of what type that is
_ALONE: _Part = (None, None, type(None))
_NOTHING = Cell()


def _parts(result: Any) -> dict[_Part, Cell]:
    """Return the numbers of one result."""
    if not isinstance(result, dict):
        return {}
    listed = None
    if not result.keys().isdisjoint(LISTS):
        listed = next((one for one in LISTS.values() if isinstance(result.get(one.member), list)), None)
    if listed is None:
        return {_ALONE: _cell(result, None)}
    found: dict[_Part, Cell] = {}
    for place, part in enumerate(_dicts(result[listed.member]), start=1):
        name = _label(part.get(listed.label))
        if listed.ranked:
            found[listed, place, int] = _cell(part, name)
        else:
            found[listed, name, type(name)] = _cell(part, None)
    return found


def _cell(part: Mapping[str, Any], label: Label) -> Cell:
    value, low, high = _numeral(part.get("value")), _numeral(part.get("low")), _numeral(part.get("high"))
    raw = value, low, high
    if not part.keys().isdisjoint(RAW):
        raw = (
            _numeral(part["raw_value"]) if "raw_value" in part else value,
            _numeral(part["raw_low"]) if "raw_low" in part else low,
            _numeral(part["raw_high"]) if "raw_high" in part else high,
        )
    return Cell(value, low, high, raw, label, part.get("hidden") is True)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (part for part in value if isinstance(part, dict)) if isinstance(value, list | Rows) else iter(())


def _numeral(value: Any) -> Numeral:
    kind = type(value)  # compared as it is: true is no number, and of large answers this is most of the work
    if kind is int:
        return value if -WHOLE_MAX < value < WHOLE_MAX else None
    return value if kind is float and math.isfinite(value) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _labels(release: Mapping[str, Any], keys: Sequence[str]) -> list[Callable[[Any], Label]]:
    """Return for each key how its labels are read. One by periods, bins or a width may be of dates."""
    query = release.get("query")
    asked = query.get("group_by") if isinstance(query, dict) else None
    asked = asked if isinstance(asked, list) and len(asked) == len(keys) else [None] * len(keys)
    return [_dated if isinstance(one, dict) and not DATED.isdisjoint(one) else _valued for one in asked]


def _valued(value: Any) -> Label:
    """Return the label of a key by its values, which may be days, too."""
    return Dated(value) if isinstance(value, str) and DAY.fullmatch(value) else _label(value)


def _dated(value: Any) -> Label:
    return Dated(value) if isinstance(value, str) else _label(value)


def _label(value: Any) -> Label:
    """Return a label; what is none (a list, an object) as its text."""
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
