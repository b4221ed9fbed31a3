"""What a contribution profile holds about a table: noisy histograms of how much single persons contribute.

Types only: `profile.py` plans and releases them. They are part of the public catalog.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@functools.cache
def bin_starts(most: int) -> tuple[int, ...]:
    """Return where bins begin up to a number: 0, and the powers of the square root of 2, as whole numbers."""
    powers = (round(2 ** (power / 2)) for power in itertools.count())
    return (0, *dict.fromkeys(itertools.takewhile(lambda start: start <= most, powers)))


@dataclass(frozen=True)
class Histogram:
    """Noisy numbers of persons for each bin of a number of theirs. `scale` is that of the noise on each bin."""

    most: int
    persons: tuple[int, ...]
    scale: float

    def bins(self) -> Iterator[tuple[int, int, int]]:
        """Yield (first number, last number, persons) of each bin."""
        first = bin_starts(self.most)
        yield from zip(first, (*(start - 1 for start in first[1:]), self.most), self.persons, strict=True)


@dataclass(frozen=True)
class ColumnProfile:
    """The two histograms of a column; `by` is the period of a date that counts as a value."""

    values: Histogram
    repeats: Histogram
    by: str | None = None


@dataclass(frozen=True)
class TableProfile:
    """The histograms of a table. Part of the public catalog."""

    events: Histogram
    columns: Mapping[str, ColumnProfile]
