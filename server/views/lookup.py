"""Codes by their names: what the catalog declares of values, labels, hierarchies and vocabularies, to be searched.

Nothing of the data has a part in it. A category without declared values has the codes of its vocabulary and its
hierarchy here, and never its texts.

Upper and lower case are alike, and letters with accents are those without. What is searched is one long text with a
line for each code, because a vocabulary may have a million of them: finding a word in it takes milliseconds.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from budgets.errors import Invalid, NotFound
from queries.catalog.schema import PERSONS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from queries.catalog.schema import Column, Dataset

SEARCH_MIN, SEARCH_MAX = 2, 100  # characters
FOUND, FOUND_MAX = 20, 100
LINES_MAX = 20_000  # codes that are looked at in one column: of a search that more have, the best may be missing
COLUMNS_KEPT = 32  # whose texts stay in memory

# Letters that Unicode takes for letters of their own.
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})


def folded(text: str) -> str:
    """Return a text in lower case and without accents, on one line. One of accents alone is empty."""
    text = " ".join(text.split()).casefold()
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    bare = "".join(one for one in plain if not unicodedata.combining(one))
    return " ".join(bare.split())  # because an accent that stands alone is taken apart into a blank and the accent


@dataclass(frozen=True)
class Found:
    """A code that was found. `under` is how many codes are under it, None where no table says what is."""

    code: str
    label: str | None
    under: int | None
    rank: tuple[int, int, int] = field(compare=False)


@dataclass(frozen=True)
class Names:
    """The codes of a column, with what is searched: a line for each code, which begins at its place in `starts`."""

    column: Column
    codes: tuple[str, ...]
    text: str
    starts: tuple[int, ...]

    @classmethod
    def of(cls, column: Column) -> Names:
        """Return the names of a column's declared codes."""
        codes = tuple(_codes(column))
        lines = [folded(f"{code} {column.value_labels.get(code, '')}") + "\n" for code in codes]
        starts = tuple(itertools.accumulate((len(line) for line in lines), initial=0))[:-1]
        return cls(column, codes, "".join(lines), starts)

    def search(self, words: str, most: int) -> tuple[list[Found], bool]:
        """Return the best codes whose code or label has all words, and whether there are more."""
        wanted = folded(words).split()
        ranked: list[tuple[tuple[int, int, int], int]] = []
        more = False
        for looked, number in enumerate(self._lines_with(max(wanted, key=len))):
            if looked == LINES_MAX:
                more = True
                break
            line = self._line(number)
            if all(word in line for word in wanted):
                ranked.append((self._rank(number, line, " ".join(wanted), wanted), number))
        best = heapq.nsmallest(most, ranked)
        return [self._found(number, rank) for rank, number in best], more or len(ranked) > most

    def _lines_with(self, word: str) -> Iterator[int]:
        at = self.text.find(word)
        while at >= 0:
            number = bisect.bisect_right(self.starts, at) - 1
            yield number
            end = self.starts[number + 1] if number + 1 < len(self.starts) else len(self.text)
            at = self.text.find(word, end)

    def _line(self, number: int) -> str:
        return self.text[self.starts[number] : self.text.index("\n", self.starts[number])]

    def _rank(self, number: int, line: str, search: str, words: list[str]) -> tuple[int, int, int]:
        """Return a number that is smaller for a better match: the code itself, then how the label begins."""
        label = folded(self.column.value_labels.get(self.codes[number], ""))
        spaced = f" {line}"
        if folded(self.codes[number]) == search:
            kind = 0
        elif label.startswith(search):
            kind = 1
        else:
            kind = 2 if all(f" {word}" in spaced for word in words) else 3
        return kind, len(line), number

    def _found(self, number: int, rank: tuple[int, int, int]) -> Found:
        code, hierarchy = self.codes[number], self.column.hierarchy
        under = None if hierarchy is None or hierarchy.by_prefix else len(hierarchy.descendants(code)) - 1
        return Found(code, self.column.value_labels.get(code), under, rank)


def _codes(column: Column) -> Iterable[str]:
    """Return the declared codes of a column that a filter may name, each once."""
    parents: Mapping[str, tuple[str, ...]] = {}
    if column.hierarchy is not None and column.hierarchy.parents is not None:
        parents = column.hierarchy.parents
    if column.values is None:
        above = itertools.chain.from_iterable(parents.values())
        return dict.fromkeys(itertools.chain(column.value_labels, parents, above))
    found = dict.fromkeys(column.values)
    waiting = list(found)
    while waiting:  # of a vocabulary only what is above the values
        for one in parents.get(waiting.pop(), ()):
            if one not in found:
                found[one] = None
                waiting.append(one)
    return found


@dataclass(frozen=True)
class _Key:
    """A column of an edition, whose folder no other edition has."""

    folder: str
    table: str
    name: str
    column: Column = field(compare=False)


@lru_cache(COLUMNS_KEPT)
def _names(key: _Key) -> Names:
    return Names.of(key.column)


def search(dataset: Dataset, folder: str, words: str, wanted: str | None, most: int) -> dict[str, Any]:
    """Return the codes that a search finds, as JSON values, the best first, each with the columns that have it.

    `wanted` is a column of a table, as in "visits.diagnosis"; all if it is None. `folder` is that of the edition.
    Raises NotFound (no such column), Invalid (it has no codes, or the search has no word).
    """
    if not folded(words):
        raise Invalid("search", "must have a word")
    columns = _columns(dataset, wanted)
    found: dict[tuple[str, str | None, int | None], tuple[tuple[int, int, int], list[str]]] = {}
    more = False
    for (table, name), column in columns.items():
        best, further = _names(_Key(folder, table, name, column)).search(words, most)
        more |= further
        for one in best:
            _, named = found.setdefault((one.code, one.label, one.under), (one.rank, []))
            named.append(f"{table}.{name}")
    ranked = sorted(found.items(), key=lambda one: (one[1][0][:2], one[0][0]))
    items = [
        {"code": code, "label": label, "under": under, "columns": named}
        for (code, label, under), (_, named) in ranked[:most]
    ]
    return {"items": items, "more": more or len(ranked) > most}


def _columns(dataset: Dataset, wanted: str | None) -> dict[tuple[str, str], Column]:
    """Return the categories of a dataset, or one of them. A person's attribute stands once, though all tables do."""
    every = {
        (PERSONS if column.of_person else table.name, name): column
        for table in dataset.tables.values()
        for name, column in table.columns.items()
    }
    if wanted is None:
        return {of: column for of, column in every.items() if column.kind is Kind.CATEGORY}
    table, _, name = wanted.partition(".")
    known = dataset.tables[table].columns if table in dataset.tables else {}
    if name not in known:
        raise NotFound(f"there is no column {wanted}")
    if known[name].kind is not Kind.CATEGORY:
        raise Invalid("column", f"{wanted} is no category")
    return {(PERSONS if known[name].of_person else table, name): known[name]}
