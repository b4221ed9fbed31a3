"""Small cells: numbers of a released answer that are not shown, because the cell they are of is small.

`hide_below:11` is post-processing like all of `postprocessing.py`: a function of noisy numbers alone. Whether a cell is
small is read from its noisy counts as they were released, so however an answer is rounded or made consistent, the same
numbers are hidden. It makes nothing more private, because every number was released with noise; it is for custodians
whose rules know cells and no noise.

**What is hidden.** A count, a bin or one of the most frequent values below the threshold, the latter with its key and
what that stands for, because their order comes from their numbers. A result that was computed from a count below it: a
mean from few values, a share of which either side is small. A survival curve from its first interval with few events
on. And every result of a row that has a count below it, of persons or of events, with the same filter as the result or
with none. With a value its interval goes. A sum or a quantile shows no count of its own: without a count beside it,
nobody knows whether its cell is small. Where hiding is a must (`forget`), it is hidden then.

**What a hidden number cannot be computed from**, where hiding is a must. Its released value, and the noisy numbers that
a result was made of, are left out. A row in which a number is hidden keeps its released numbers and is not made
consistent: a part that adds up with the others is their total less the others. A curve shows nothing after its first
hidden point, because later points and their bands are made of all earlier numbers; the points before it know of later
numbers only their sum. The sentences on numbers that drown are made from what is shown. What remains is a total with
noise of its own: its difference to the parts that are shown is an estimate of the hidden one, with more noise than the
hidden number has, and such an estimate is within what the answer was charged for. How many were followed only up to an
interval is no cell of an answer: it is not shown where it is small, though the digits of a curve's bands depend on it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.statistics import registry
from queries.statistics.parts import lists
from queries.statistics.parts.lists import LISTS, parts_of
from queries.statistics.parts.numbers import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Result = Mapping[str, Any]
    Small = Mapping[str, frozenset[int]]  # by statistic: the places of its parts that are hidden in a row

WORD = "hide_below"
LEAST, MOST = 2, 10**9  # of a threshold
FORM = re.compile(rf"{WORD}:([1-9][0-9]{{0,9}})", re.ASCII)
EVERYTHING = "null"  # the filter of a statistic that has none, as JSON


def word(below: int) -> str:
    """Return the word of post-processing that hides what is below a threshold."""
    return f"{WORD}:{below}"


def read(text: str) -> int | None:
    """Return the threshold in a word of post-processing, or None if it is not such a word."""
    found = FORM.fullmatch(text)
    return int(found[1]) if found and LEAST <= int(found[1]) <= MOST else None


@dataclass(frozen=True)
class Hiding:
    """What is hidden of an answer: for each row the places of hidden parts, by statistic.

    `unsized` are the statistics of whose cells nobody knows how many they have. With `forget`, what is hidden is not
    shown in any form.
    """

    below: int
    names: Sequence[str]  # of all statistics
    rows: Sequence[Small]
    unsized: tuple[str, ...]
    forget: bool

    def hides(self, place: int, names: Sequence[str]) -> bool:
        """Return whether anything of some statistics is hidden in a row."""
        return any(self.rows[place][name] for name in names)

    @property
    def hides_anything(self) -> bool:
        """Return whether any number of the answer is hidden."""
        return any(places for row in self.rows for places in row.values())

    def shown(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of the answer without what is hidden in them."""
        return [
            {name: self._shown(result, small[name]) if name in small else result for name, result in row.items()}
            for row, small in zip(rows, self.rows, strict=True)
        ]

    def _shown(self, result: Result, small: frozenset[int]) -> Result:
        parts = [
            _blank(part, forget=self.forget) if place in small else part for place, part in enumerate(parts_of(result))
        ]
        found = next(({**result, member: parts} for member in LISTS if member in result), parts[0])
        return _without_raw(found) if self.forget and (small or self._has_small_raw(found)) else found

    def _has_small_raw(self, result: Result) -> bool:
        """Return whether one of the numbers that a curve was computed from is below the threshold."""
        if lists.SURVIVAL.member not in result:
            return False
        parts = (result, *result[lists.SURVIVAL.member])
        return any(number < self.below for part in parts for number in part.get("raw", {}).values())

    def labels(self, labels: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what the answer's values stand for, without values that are not shown: those of ranked lists."""
        return {name: self._labels(name, known, rows) for name, known in labels.items()}

    def _labels(self, name: str, known: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        if not self.forget or not any(lists.TOP.member in row[name] for row in rows if isinstance(row[name], dict)):
            return known
        named = {part[lists.TOP.label] for row in rows for part in row[name][lists.TOP.member]}
        return {value: label for value, label in known.items() if value in named}

    @property
    def notes(self) -> list[str]:
        """Return what a reader should know."""
        said = [
            f"numbers of cells below {self.below} are hidden, as the study's protocol demands"
            if self.forget
            else f"numbers of cells below {self.below} are hidden; beside them stands what was released"
        ]
        if self.unsized and self.forget:
            said.append(
                f"{', '.join(self.unsized)}: hidden, because no count with the same filter tells how many it is of"
            )
        elif self.unsized:
            said.append(
                f"{', '.join(self.unsized)}: not hidden anywhere, because no count with the same filter tells how many "
                "it is of"
            )
        return said


def find(body: Mapping[str, Any], below: int, *, forget: bool) -> Hiding:
    """Return what is below a threshold in a stored release."""
    names = [column["name"] for column in body["columns"] if column["kind"] == "statistic"]
    asked = {name: body["query"]["select"][name] for name in names}
    words = {name: next((one for one in registry.WORDS if one in query), None) for name, query in asked.items()}
    filters = {name: json.dumps(query.get("where"), sort_keys=True) for name, query in asked.items()}
    counts = [name for name in names if words[name] == "count"]
    sized = {filters[name] for name in counts}
    members = {name: () if said is None else registry.called(said).size_members for name, said in words.items()}
    unsized = tuple(name for name in names if not members[name] and filters[name] not in sized)
    rows = []
    for row in body["rows"]:
        small_cells = {filters[name] for name in counts if row[name]["value"] < below}
        rows.append(
            {
                name: _places(
                    row[name],
                    members[name],
                    below,
                    whole=(forget and name in unsized) or not small_cells.isdisjoint((filters[name], EVERYTHING)),
                )
                for name in names
            }
        )
    return Hiding(below, names, rows, unsized, forget)


def _places(result: Result, members: Sequence[str], below: int, *, whole: bool) -> frozenset[int]:
    """Return the places of the parts of a result that are hidden: all of them, or those that are small."""
    parts = parts_of(result)
    small = [place for place, part in enumerate(parts) if whole or _is_small(part, members, below)]
    if small and lists.SURVIVAL.member in result:
        return frozenset(range(small[0], len(parts)))
    return frozenset(small)


def _is_small(part: Result, members: Sequence[str], below: int) -> bool:
    """Return whether one of the counts that a number rests on is below the threshold."""
    numbers = {**part.get("raw", {}), "value": part["value"]}
    return any(numbers[member] < below for member in members if member in numbers)


def _blank(part: Result, *, forget: bool) -> dict[str, Any]:
    """Return a part that is hidden: with its label, but that of a ranked list. Without `forget`, with its numbers."""
    found: dict[str, Any] = {**part, **dict.fromkeys(MEMBERS), "hidden": True}
    if forget:
        ranked = {listed.label for listed in LISTS.values() if listed.ranked}
        gone = {"raw", *(f"raw_{end}" for end in MEMBERS)}
        return {name: None if name in ranked else value for name, value in found.items() if name not in gone}
    return found | {f"raw_{end}": part.get(f"raw_{end}", part[end]) for end in MEMBERS}


def _without_raw(result: Result) -> dict[str, Any]:
    """Return a result without the noisy numbers that it, and each part of it, was computed from."""
    found = {name: value for name, value in result.items() if name != "raw"}
    for member in LISTS:
        if member in found:
            found[member] = [{name: value for name, value in part.items() if name != "raw"} for part in found[member]]
    return found
