"""The exact histograms of a contribution profile: one pass over each person-ordered table.

Like the kernel of queries (`kernel.py`) it reads the stream and keeps one person at a time. A person who came twice
would be counted twice, so each stream is held to its order (`person_order.py`). No sum depends on the order of events
within a person or on batches. Ranges of persons are streamed in parallel and their bins are added, exactly.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numba
import numpy as np

from queries.contribution.person_order import PersonOrder
from queries.contribution.profile import Counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.catalog.schema import Table
    from queries.contribution.profile import Draft, Plan

    Stream = Iterable[tuple[NDArray[np.int32], Mapping[str, Any]]]

NOBODY = -1


class Store(Protocol):
    """What the profile needs of a store (`queries/execution/duckdb.py`)."""

    def ranges(self) -> list[range]:
        """Return ranges of persons that together hold everybody."""

    def everybody(self) -> int:
        """Return the number of persons."""

    def columns(self, table: Table, names: Sequence[str], persons: range) -> Stream:
        """Yield a range of persons' events in person order, as (person numbers, codes of each column)."""


@numba.njit(nogil=True, cache=True)
def _bin(starts: NDArray[np.int64], number: int) -> int:
    return int(np.searchsorted(starts, number, side="right")) - 1


@numba.njit(nogil=True, cache=True)
def _tally(
    person: NDArray[np.int32],
    cell: NDArray[np.int32],
    current: NDArray[np.int64],
    last_person: NDArray[np.int32],
    events: NDArray[np.int64],
    value_starts: NDArray[np.int64],
    values: NDArray[np.int64],
    repeat_starts: NDArray[np.int64],
    repeats: NDArray[np.int64],
) -> None:
    """Put each finished person into one bin of `values` and one of `repeats`.

    `current` holds the person the stream is at, in how many cells they are so far and the most events in one of them;
    `events[c]` counts the events in cell c of its last person. An event of cell -1 is in none. Persons are in order.
    """
    here, active, most = current[0], current[1], current[2]
    for i in range(len(person)):
        p = person[i]
        if p != here:
            if here != NOBODY:
                values[_bin(value_starts, active)] += 1
                repeats[_bin(repeat_starts, most)] += 1
            here = p
            active = 0
            most = 0
        c = cell[i]
        if c < 0:
            continue
        if last_person[c] != p:
            last_person[c] = p
            events[c] = 0
            active += 1
        events[c] += 1
        most = max(most, events[c])
    current[0] = here
    current[1] = active
    current[2] = most


class _Tally:
    """The two histograms of one key (or, without a key, the one of all events) while a stream is read."""

    def __init__(self, drafts: Sequence[Draft]) -> None:
        self._key = drafts[0].key
        self._table = None if self._key is None else self._key.table()
        cells = 1 if self._key is None else self._key.size
        self._current = np.array([NOBODY, 0, 0], dtype=np.int64)
        self._last_person = np.full(cells, NOBODY, dtype=np.int32)
        self._events = np.zeros(cells, dtype=np.int64)
        starts = {draft.counted: np.array(draft.starts, dtype=np.int64) for draft in drafts}
        self._value_starts = starts.get(Counted.VALUES, np.zeros(1, dtype=np.int64))
        # All events are in one cell, so their number is the most events in a cell.
        self._repeat_starts = starts[Counted.EVENTS if self._key is None else Counted.REPEATS]
        self._values = np.zeros(len(self._value_starts), dtype=np.int64)
        self._repeats = np.zeros(len(self._repeat_starts), dtype=np.int64)

    def take(self, person: NDArray[np.int32], batch: Mapping[str, Any]) -> None:
        """Add a batch of events, which is in order."""
        if self._key is None:
            cell = np.zeros(len(person), dtype=np.int32)
        else:
            assert self._table is not None
            cell = self._table[batch[self._key.column.name]]
        _tally(
            person,
            cell,
            self._current,
            self._last_person,
            self._events,
            self._value_starts,
            self._values,
            self._repeat_starts,
            self._repeats,
        )

    def persons(self) -> dict[Counted, NDArray[np.int64]]:
        """Return the histograms, including the last person. Call once, at the end."""
        here, active, most = (int(number) for number in self._current)
        if here != NOBODY:
            self._values[_bin(self._value_starts, active)] += 1
            self._repeats[_bin(self._repeat_starts, most)] += 1
        return {Counted.EVENTS: self._repeats, Counted.VALUES: self._values, Counted.REPEATS: self._repeats}


def tally(plan: Plan, store: Store) -> list[NDArray[np.int64]]:
    """Return one vector of exact numbers of persons for each histogram of the plan, of a store. Raises EngineFailed."""
    everybody = store.everybody()
    found: list[NDArray[np.int64]] = []
    for _, group in itertools.groupby(plan.drafts, key=lambda draft: draft.table.name):
        drafts = list(group)
        ranges = store.ranges()
        with ThreadPoolExecutor(len(ranges)) as threads:
            parts = list(threads.map(lambda persons, drafts=drafts: _part(drafts, store, persons), ranges))
        for vectors in zip(*parts, strict=True):
            persons = np.add.reduce(vectors, dtype=np.int64)
            # Persons without events are in no stream; their numbers are 0.
            persons[0] += everybody - int(persons.sum())
            found.append(persons)
    return found


def _part(drafts: Sequence[Draft], store: Store, persons: range) -> list[NDArray[np.int64]]:
    """Return the numbers of persons of a range who have events, for each histogram of one table."""
    groups = [list(group) for _, group in itertools.groupby(drafts, key=lambda draft: draft.key)]
    tallies = [_Tally(group) for group in groups]
    names = [group[0].key.column.name for group in groups if group[0].key is not None]
    order = PersonOrder(persons)
    for person, batch in store.columns(drafts[0].table, names, persons):
        order.require(person)
        for one in tallies:
            one.take(person, batch)
    counted = [one.persons() for one in tallies]
    return [one[draft.counted] for one, group in zip(counted, groups, strict=True) for draft in group]
