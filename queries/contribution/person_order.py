"""The one guard of a stream's order: person numbers never decrease, and all are of the range that was asked for.

Whatever walks a stream (the kernel, the count behind an undeclared key, the contribution profile) knows one person at a
time and forgets the one before. An event of a person who was passed would escape the contribution bounds, and a person
in two streams would count twice. The guard refuses a batch before any of it is added up, which makes the bounds a fact
and not a hope.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from queries.errors import EngineFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVERYBODY = range(2**31)


@numba.njit(nogil=True, cache=True)
def is_ordered(person: NDArray[np.int32], first: int, step: int = 0) -> bool:
    """Return whether the numbers never decrease, and none is less than `first`. With a `step` of 1 each comes once.

    Without a way out before the end, because the compiler then compares many numbers at once.
    """
    falls = len(person) > 0 and person[0] < first
    for i in range(1, len(person)):
        falls |= person[i] < np.int64(person[i - 1]) + step
    return not falls


class PersonOrder:
    """Holds the stream of a range of persons to its order while it goes by. Not for several threads at once.

    With `once`, the stream has one row for each person.
    """

    def __init__(self, persons: range = EVERYBODY, *, once: bool = False) -> None:
        self._stop = persons.stop
        self._least = persons.start
        self._step = int(once)

    def require(self, person: NDArray[np.int32]) -> None:
        """Take the person numbers of the next batch. Raises EngineFailed when they are out of order or of others."""
        if not len(person):
            return
        # In order, the last number is the largest.
        if not is_ordered(person, self._least, self._step) or person[-1] >= self._stop:
            raise EngineFailed("the store's stream is not ordered by person; import the dataset again")
        self._least = int(person[-1]) + self._step


def warm() -> None:
    """Compile the check (or load it from Numba's cache), so that no query waits for it."""
    is_ordered(np.zeros(1, dtype=np.int32), 0)
    is_ordered(np.zeros(1, dtype=np.int32), 0, 1)
