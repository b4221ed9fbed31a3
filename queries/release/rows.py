"""The rows of an answer by column. Whoever wants rows gets dictionaries; whoever writes JSON needs none.

The text of many rows is put together from the texts of their columns: each distinct label is written once, and each
column of numbers in one go. It is the same, byte for byte, as that of the dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import orjson

from queries.statistics.parts.lists import LISTS
from queries.statistics.parts.numbers import MEMBERS, Numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from queries.binding.keys import Label

    Row = dict[str, Any]

CHUNK = 2_000  # rows whose text is put together at once: few enough for the processor's cache


@dataclass(frozen=True)
class Labels(Sequence["Label"]):
    """The column of a key: each of its labels `each` times, and all of that `times` times."""

    distinct: Sequence[Label]
    each: int
    times: int

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.distinct) * self.each * self.times

    @overload
    def __getitem__(self, place: int) -> Label: ...

    @overload
    def __getitem__(self, place: slice) -> list[Label]: ...

    def __getitem__(self, place: int | slice) -> Label | list[Label]:
        """Return the label of a row, or those of several."""
        if isinstance(place, slice):
            return self.spread(self.distinct)[place]
        return self.distinct[range(len(self))[place] // self.each % len(self.distinct)]

    def __iter__(self) -> Iterator[Label]:
        """Yield the label of each row."""
        return iter(self.spread(self.distinct))

    def spread(self, distinct: Sequence[Any]) -> list[Any]:
        """Return a list with something of each label at its rows."""
        return [one for one in distinct for _ in range(self.each)] * self.times

    @cached_property
    def written(self) -> list[bytes] | None:
        """Return each distinct label in JSON; None if not every JSON writer would write them alike."""
        try:
            pairs = [
                (orjson.dumps(one), json.dumps(one, ensure_ascii=False, allow_nan=False).encode())
                for one in self.distinct
            ]
        except (TypeError, ValueError):  # beyond 64 bits, not finite, half a surrogate pair
            return None
        return [text for text, _ in pairs] if all(text == other for text, other in pairs) else None


Column = Labels | Sequence[Mapping[str, Any]]  # of a key, or of a statistic


@dataclass(frozen=True, eq=False)
class Rows(Sequence["Row"]):
    """One row for each cell, from the columns by their names."""

    columns: Mapping[str, Column]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        """Return a row, or several."""
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        return {name: column[place] for name, column in self.columns.items()}

    def __iter__(self) -> Iterator[Row]:
        """Yield each row."""
        names = tuple(self.columns)
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True))

    def __eq__(self, other: object) -> bool:
        """Return whether there are the same rows in another sequence."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def marked(self, names: Collection[str], truncation: str) -> Rows:
        """Return the rows with the member `truncation` at each number of some statistics."""
        return Rows(
            {
                name: _marked(column, truncation) if name in names and not isinstance(column, Labels) else column
                for name, column in self.columns.items()
            }
        )

    def written(self, *, sort: bool = False) -> bytes | None:
        """Return the rows as a list in JSON, perhaps with sorted members; None if that needs the dictionaries."""
        return self._written(sort=True) if sort else self._in_order  # stored and sent, but hashed once

    @cached_property
    def _in_order(self) -> bytes | None:
        return self._written(sort=False)

    def _written(self, *, sort: bool) -> bytes | None:
        fixed, texts = [b""], []
        for place, name in enumerate(sorted(self.columns) if sort else self.columns):
            found = _written(self.columns[name], sort=sort)
            if found is None:
                return None
            before, of_column = found
            fixed[-1] += (b"," if place else b"{") + orjson.dumps(name) + b":" + before[0]
            fixed += before[1:]
            texts += of_column
        fixed[-1] += b"}"
        return _joined(fixed, texts)


def _marked(results: Sequence[Mapping[str, Any]], truncation: str) -> Sequence[Mapping[str, Any]]:
    if isinstance(results, Numbers):
        return replace(results, truncation=truncation)
    return [with_mark(result, {"truncation": truncation}) for result in results]


def with_mark(result: Mapping[str, Any], mark: Mapping[str, str]) -> dict[str, Any]:
    """Return a result with a further member at its number, or at each number of its list."""
    for member in LISTS:
        if member in result:
            return {**result, member: [{**part, **mark} for part in result[member]]}
    return {**result, **mark}


def _written(column: Column, *, sort: bool) -> tuple[list[bytes], list[list[bytes]]] | None:
    """Return what stands before, between and after the texts that a column has in a row, and these texts."""
    if isinstance(column, Labels):
        return None if column.written is None else ([b"", b""], [column.spread(column.written)])
    numbers = column.written if isinstance(column, Numbers) else None
    if not isinstance(column, Numbers) or numbers is None:
        return None
    names = (*MEMBERS, *column.more)
    fixed, texts = [b"{"], []
    for place, name in enumerate(sorted(names) if sort else names):
        fixed[-1] += (b"," if place else b"") + orjson.dumps(name) + b":"
        if name in column.more:
            fixed[-1] += orjson.dumps(column.more[name])
        else:
            fixed.append(b"")
            texts.append(numbers[name])
    fixed[-1] += b"}"
    return fixed, texts


def _joined(fixed: Sequence[bytes], texts: Sequence[Sequence[bytes]]) -> bytes:
    """Return a list in JSON of which each part has the texts of its place, with the fixed ones around them."""
    rows, width = len(texts[0]), 2 * len(texts) + 1
    chunks = []
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        parts = [b""] * (size * width)
        for place, text in enumerate(fixed):
            parts[2 * place :: width] = [text if place < len(texts) else text + b","] * size
        for place, column in enumerate(texts):
            parts[2 * place + 1 :: width] = column[start : start + size]
        chunks.append(b"".join(parts))
    return b"[" + b"".join(chunks)[:-1] + b"]"
