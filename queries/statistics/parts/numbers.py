"""A column of an answer with one number in each row: three lists, and a dictionary only for whoever asks for one.

An answer may have a million rows. As a dictionary for each number it takes seconds to make, to look through and to
write; by column it takes a fraction of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Number = int | float
    Result = dict[str, object]

MEMBERS = ("value", "low", "high")
EXACT = 2**53  # whole numbers below it are exact as floats
# Between these, two ways to write a float agree: Python's own and orjson's. Beyond, one writes 1e-05, the other 1e-5.
PLAIN_LEAST, PLAIN_MOST = 1e-4, 1e16


@dataclass(frozen=True)
class Numbers(Sequence["Result"]):
    """A result {"value", "low", "high"} for each cell. With `truncation`, each has that member too."""

    value: Sequence[Number]
    low: Sequence[Number]
    high: Sequence[Number]
    truncation: str | None = None

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.value)

    @overload
    def __getitem__(self, place: int) -> Result: ...

    @overload
    def __getitem__(self, place: slice) -> list[Result]: ...

    def __getitem__(self, place: int | slice) -> Result | list[Result]:
        """Return the result of a cell, or those of several."""
        if isinstance(place, slice):
            return list(Numbers(self.value[place], self.low[place], self.high[place], self.truncation))
        return {"value": self.value[place], "low": self.low[place], "high": self.high[place], **self.more}

    def __iter__(self) -> Iterator[Result]:
        """Yield each result."""
        each = zip(self.value, self.low, self.high, strict=True)
        if self.truncation is None:
            return ({"value": value, "low": low, "high": high} for value, low, high in each)
        more = self.more
        return ({"value": value, "low": low, "high": high, **more} for value, low, high in each)

    @property
    def more(self) -> dict[str, Any]:
        """Return what each result has beside its numbers."""
        return {} if self.truncation is None else {"truncation": self.truncation}

    def drowned(self) -> int | None:
        """Return in how many cells the margin is more than half of the value; None if floats cannot tell exactly."""
        value, low, high = (np.asarray(getattr(self, member)) for member in MEMBERS)
        if any(one.dtype.kind not in "if" or np.abs(one).max(initial=0) >= EXACT for one in (value, low, high)):
            return None
        return int(np.count_nonzero(np.maximum(high - value, value - low) > np.abs(value) / 2))

    @cached_property
    def written(self) -> dict[str, list[bytes]] | None:
        """Return each member's numbers in JSON; None if not every JSON writer would write them alike."""
        found = {member: written(getattr(self, member)) for member in MEMBERS}
        known = {member: texts for member, texts in found.items() if texts is not None}
        return known if len(known) == len(found) else None


def written(numbers: Sequence[Number]) -> list[bytes] | None:
    """Return numbers in JSON, as Python and orjson both write them; None if one of them differs or has no JSON."""
    if not numbers:
        return []
    try:
        text = orjson.dumps(numbers)
    except TypeError:  # beyond 64 bits
        return None
    if any(mark in text for mark in (b".", b"e", b"n")) and not _are_plain(np.asarray(numbers, dtype=np.float64)):
        return None
    return text[1:-1].split(b",")


def _are_plain(numbers: NDArray[np.float64]) -> bool:
    sizes = np.abs(numbers)
    return bool(np.all((sizes == 0) | ((sizes >= PLAIN_LEAST) & (sizes < PLAIN_MOST))))  # false for NaN and infinities
