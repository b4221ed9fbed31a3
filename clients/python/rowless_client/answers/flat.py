"""An answer as one flat table: keys and numbers, each number with the ends of its interval.

A statistic stands in an answer as one number, or as a list of them (bins, most frequent values, quantiles, the points
of a curve). What this version does not know, it leaves out: an answer that was paid for is always readable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# member of a result -> (member that names each part, whether the parts are ranked, what the names are)
LISTS = {
    "bins": ("bin", False, "bin"),
    "top": ("key", True, "value"),
    "quantiles": ("at", False, "at"),
    "survival": ("until", False, "until day"),
    "differences": ("until", False, "until day"),
}
RAW = ("raw_value", "raw_low", "raw_high")
Label = Any  # a text, a number, a boolean or None


@dataclass(frozen=True)
class Number:
    """One number of an answer. `label` is the value that it counts, in a ranked list. `raw` is what was released.

    A `hidden` number is not shown, because its cell is small.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    label: Label = None
    raw: tuple[float | None, float | None, float | None] = (None, None, None)
    hidden: bool = False

    @property
    def is_whole(self) -> bool:
        """Return whether value and interval are known."""
        return self.value is not None and self.low is not None and self.high is not None

    @property
    def margin(self) -> float:
        """Return the longer side of the interval, 0 where it is not known."""
        if self.value is None or self.low is None or self.high is None:
            return 0.0
        return max(self.high - self.value, self.value - self.low)

    @property
    def drowns(self) -> bool:
        """Return whether the margin is more than half of the value: the rule of an answer's notes."""
        return self.value is not None and self.is_whole and self.margin > abs(self.value) / 2


@dataclass(frozen=True)
class Series:
    """A column of numbers: a statistic, or one part of a statistic that is a list.

    `listed` is the member of the list, `part` what names the part: a bin, a share, a number of days, a rank.
    """

    statistic: str
    listed: str | None = None
    part: Label = None
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_ranked(self) -> bool:
        """Return whether the parts differ from row to row and have their labels in the rows."""
        return self.listed is not None and LISTS[self.listed][1]

    @property
    def name(self) -> str:
        """Return the name of its column: that of the CSV."""
        if self.listed is None:
            return self.statistic
        part = str(self.part).lower() if isinstance(self.part, bool) else str(self.part)
        return f"{self.statistic}_{part}" if self.is_ranked else f"{self.statistic}[{part}]"


@dataclass(frozen=True)
class Flat:
    """Names of the keys, columns of numbers, and for each row its labels and its numbers.

    `value_labels` has, for keys and statistics, what values stand for in words.
    """

    keys: tuple[str, ...]
    series: tuple[Series, ...]
    labels: tuple[tuple[Label, ...], ...]
    numbers: tuple[tuple[Number, ...], ...]
    post: tuple[str, ...] = ()
    value_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def worded(self) -> Flat:
        """Return the same with the words that values stand for behind them, to be read by people."""
        if not self.value_labels:
            return self
        of = [one.statistic for one in self.series]
        return replace(
            self,
            series=tuple(replace(one, part=self._told(one.statistic, one.part)) for one in self.series),
            labels=tuple(
                tuple(self._told(key, label) for key, label in zip(self.keys, labels, strict=True))
                for labels in self.labels
            ),
            numbers=tuple(
                tuple(replace(one, label=self._told(name, one.label)) for name, one in zip(of, numbers, strict=True))
                for numbers in self.numbers
            ),
            value_labels={},
        )

    def _words(self, name: str, value: Label) -> str | None:
        return self.value_labels.get(name, {}).get(value) if isinstance(value, str) else None

    def _told(self, name: str, value: Label) -> Label:
        words = self._words(name, value)
        return value if words is None else f"{value} ({words})"

    @property
    def statistics(self) -> tuple[str, ...]:
        """Return the names of the statistics in the order of the question."""
        return tuple(dict.fromkeys(one.statistic for one in self.series))

    def of(self, statistic: str) -> list[int]:
        """Return the places of a statistic's columns."""
        return [place for place, one in enumerate(self.series) if one.statistic == statistic]

    def columns(self) -> dict[str, list[Any]]:
        """Return the table by columns, with the names that the CSV has: NAME, NAME_low, NAME_high, and KEY_label."""
        chosen = {*self.keys, *(one.statistic for one in self.series if one.listed is None)}
        made = {name: [labels[place] for labels in self.labels] for place, name in enumerate(self.keys)}
        for place, one in enumerate(self.series):
            column = [row[place] for row in self.numbers]
            for ending, taken in self._endings(one).items():
                derived = f"{one.name}{ending}"
                name = derived if derived == one.statistic and one.listed is None else _free(derived, chosen)
                made[name] = [taken(number) for number in column]
        for place, key in enumerate(self.keys):
            if key in self.value_labels:
                made[_free(f"{key}_label", chosen)] = [self._words(key, labels[place]) for labels in self.labels]
        return made

    def lines(self, statistic: str) -> list[dict[str, Any]]:
        """Return one statistic with a line for each number: keys, `part` (in a list), `value`, `low`, `high`."""
        found = []
        for labels, numbers in zip(self.labels, self.numbers, strict=True):
            for place in self.of(statistic):
                one, number = self.series[place], numbers[place]
                line: dict[str, Any] = dict(zip(self.keys, labels, strict=True))
                if one.is_ranked:
                    line |= {"rank": one.part, "key": number.label}
                elif one.listed is not None:
                    line[LISTS[one.listed][0]] = one.part
                found.append({**line, "value": number.value, "low": number.low, "high": number.high})
        return found

    def _endings(self, one: Series) -> dict[str, Any]:
        made: dict[str, Any] = {
            "_value" if one.is_ranked else "": lambda number: number.value,
            "_low": lambda number: number.low,
            "_high": lambda number: number.high,
        }
        if one.is_ranked:
            made = {"_key": lambda number: number.label, **made}
        if self.post:
            made |= {
                "_raw_value": lambda number: number.raw[0],
                "_raw_low": lambda number: number.raw[1],
                "_raw_high": lambda number: number.raw[2],
            }
        if any(word.startswith("hide_below:") for word in self.post):
            made["_hidden"] = lambda number: number.hidden
        return made


def flatten(answer: Mapping[str, Any]) -> Flat:
    """Return an answer as a table. Never raises: what is missing or no finite number is None."""
    described = [one for one in _dicts(answer.get("columns")) if isinstance(one.get("name"), str)]
    keys = tuple(one["name"] for one in described if one.get("kind") == "key")
    statistics = {one["name"]: one for one in described if one.get("kind") == "statistic"}
    rows = list(_dicts(answer.get("rows")))
    parted = [{name: _parts(row.get(name)) for name in statistics} for row in rows]
    places = {
        name: list(dict.fromkeys(part for row in parted for part in row[name])) or [_ALONE] for name in statistics
    }
    post = answer.get("post")
    return Flat(
        keys,
        tuple(Series(name, part[0], part[1], about) for name, about in statistics.items() for part in places[name]),
        tuple(tuple(_label(row.get(name)) for name in keys) for row in rows),
        tuple(tuple(row[name].get(part, Number()) for name in statistics for part in places[name]) for row in parted),
        tuple(word for word in post if isinstance(word, str)) if isinstance(post, list) else (),
        _value_labels(answer.get("value_labels")),
    )


def _value_labels(found: Any) -> dict[str, dict[str, str]]:
    by_name = found.items() if isinstance(found, dict) else ()
    return {
        name: {value: words for value, words in labels.items() if isinstance(words, str)}
        for name, labels in by_name
        if isinstance(labels, dict)
    }


# The type is there because 1, 1.0 and True are equal in Python.
_Part = tuple[Any, Any, type]
_ALONE: _Part = (None, None, type(None))


def _parts(result: Any) -> dict[_Part, Number]:
    if not isinstance(result, dict):
        return {}
    member = next((name for name in LISTS if isinstance(result.get(name), list)), None)
    if member is None:
        return {_ALONE: _number(result, None)}
    label, is_ranked, _ = LISTS[member]
    found: dict[_Part, Number] = {}
    for rank, part in enumerate(_dicts(result[member]), start=1):
        name = _label(part.get(label))
        if is_ranked:
            found[member, rank, int] = _number(part, name)
        else:
            found[member, name, type(name)] = _number(part, None)
    return found


def _number(part: Mapping[str, Any], label: Label) -> Number:
    value, low, high = _numeral(part.get("value")), _numeral(part.get("low")), _numeral(part.get("high"))
    raw = tuple(
        _numeral(part[name]) if name in part else shown for name, shown in zip(RAW, (value, low, high), strict=True)
    )
    return Number(value, low, high, label, (raw[0], raw[1], raw[2]), part.get("hidden") is True)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (part for part in value if isinstance(part, dict)) if isinstance(value, list) else iter(())


def _numeral(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _label(value: Any) -> Label:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
