"""The compiled loops of `fused.py`: one for each thing that is added up for the events that count.

What a person counted in a cell is kept in one number, the cell's stamp: the person in the upper 32 bits, the number of
their events that counted there in the lower ones. A stamp below that of (person, 0) is of somebody before, because
persons come in order; so comparing, resetting and counting are one subtraction. There is one branch for each event, on
whether it counts, and nearly all events of a stream have the same answer. A branch on whether a person is new in a cell
would be guessed wrong half of the time, and each wrong guess costs as much as ten events.

`current` holds the person the stream is at, and a number that a loop keeps of them. An argument may be None where a
plan needs nothing of it: Numba compiles the loop for that case without the lines that use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np

from queries.execution import passes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from queries.execution.passes import Codes

    Ints = NDArray[np.int64]
    Numbers = NDArray[np.int32]
    Holds = NDArray[np.uint8] | None  # 1 for each event for which a condition holds, 0 for others

SHIFT = 32  # the bits of a stamp that count events


@numba.njit(nogil=True, cache=True)
def place(codes: Codes, table: Numbers, cell: Numbers) -> None:
    """Set the cell of each event by its code. The table's last entry is for all codes beyond it."""
    last = len(table) - 1
    for i in range(len(codes)):
        code = np.int64(codes[i])
        cell[i] = table[code if code < last else last]


@numba.njit(nogil=True, cache=True)
def place_further(codes: Codes, table: Numbers, cell: Numbers) -> None:
    """Add a further key's part to the cell of each event."""
    last = len(table) - 1
    for i in range(len(codes)):
        code = np.int64(codes[i])
        cell[i] += table[code if code < last else last]


@numba.njit(nogil=True, cache=True)
def count_persons(
    person: Numbers, cell: Numbers, current: Ints, last_person: Numbers, cells_per_person: int, total: Ints
) -> None:
    """Count each person once in each of their first cells. An event below cell 0 is in none.

    A person who comes to a cell beyond their bound is marked there too: they count in it neither now nor later.
    """
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = person[i]
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = np.int64((last_person[c] != p) & (active < cells_per_person))
        last_person[c] = p
        active += counts
        total[c] += counts
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def count_persons_if(
    person: Numbers,
    cell: Numbers,
    holds: NDArray[np.uint8],
    current: Ints,
    mark: Ints,
    cells_per_person: int,
    everybody: Ints,
    holding: Ints,
) -> None:
    """Count the same persons in `everybody`, and in `holding` those with an event there for which the condition holds.

    A cell's mark is 2 * person while the person is in it without such an event so far, and one more when they have had
    one, or when the cell is beyond their bound. A lower mark is of somebody before.
    """
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        new = np.int64(mark[c] < 2 * p)
        admitted = np.int64(active < cells_per_person)
        counts = new & admitted
        may = counts | np.int64(mark[c] == 2 * p)
        holding_now = may & np.int64(holds[i] != 0)
        active += counts
        everybody[c] += counts
        holding[c] += holding_now
        mark[c] = 2 * p + (holding_now | (1 - may))
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def admit(
    p: np.int64, c: np.uint64, active: int | np.int64, stamp: Ints, cells_per_person: int, events_per_cell: int
) -> np.int64:
    """Return 1 if an event of person p in cell c counts, 2 if it is also their first one there, and 0 if it does not.

    `active` is the number of cells that the person is active in so far. The stamp is kept.
    """
    counted = stamp[c] - (p << SHIFT)
    new = np.int64(counted < 0)
    counted = max(counted, 0)
    if (counted < events_per_cell) & (active + new <= cells_per_person):
        stamp[c] = (p << SHIFT) + counted + 1
        return 1 + new
    return np.int64(0)


@numba.njit(nogil=True, cache=True)
def count_events(
    person: Numbers,
    cell: Numbers,
    holds: Holds,
    current: Ints,
    stamp: Ints,
    cells_per_person: int,
    events_per_cell: int,
    total: Ints,
    holding: Ints,
    persons: Ints | None,
) -> None:
    """Count each person's first events in each of their first cells; in `holding` those for which a condition holds."""
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            total[c] += 1
            if holds is not None:
                holding[c] += holds[i]
            if persons is not None:
                persons[c] += counts - 1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def add_values(
    person: Numbers,
    cell: Numbers,
    holds: Holds,
    current: Ints,
    stamp: Ints,
    cells_per_person: int,
    events_per_cell: int,
    codes: Codes,
    shift: int,
    low: int,
    high: int,
    off: int,
    total: Ints,
    present: Ints,
    events: Ints | None,
    persons: Ints | None,
) -> None:
    """Add clamp(code + shift, low, high) - off for each event that counts, and count these events in `present`.

    An event whose code is null (0), or for which the condition does not hold, counts against the bounds and adds
    nothing. `events` and `persons` count it all the same.
    """
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            code = np.int64(codes[i])
            there = np.int64(code != 0)
            if holds is not None:
                there &= holds[i]
            units = code + shift
            if units < low:
                units = np.int64(low)
            elif units > high:
                units = np.int64(high)
            total[c] += there * (units - off)
            present[c] += there
            if events is not None:
                events[c] += 1
            if persons is not None:
                persons[c] += counts - 1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def drop_others(
    person: Numbers,
    cell: Numbers,
    current: Ints,
    stamp: Ints,
    cells_per_person: int,
    events_per_cell: int,
    persons: Ints,
) -> None:
    """Set the cell of each event that does not count to -1, and count persons in their cells."""
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            persons[c] += counts - 1
        else:
            cell[i] = -1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def count_alone(person: Numbers, current: Ints, events_per_cell: int, total: Ints) -> None:
    """Count each person's first events where there is one cell, which all events are in.

    Persons come in order. Therefore an event is beyond a person's first m exactly if the event m places before it is
    theirs too. No event waits for what was found of the one before, so the compiler compares many at once. Only for
    the person in whom the last batch ended it has to be known how many events they had.
    """
    here, before = current[0], current[1]
    events = len(person)
    found = np.int64(0)
    for i in range(min(events, events_per_cell)):
        found += (person[i] != here) | (before + i < events_per_cell)
    later = person[min(events, events_per_cell) :]  # not person[i - events_per_cell], which could be from the end
    for i in range(len(later)):
        found += later[i] != person[i]
    total[0] += found
    if events:
        last = person[events - 1]
        begins = np.searchsorted(person, last)
        current[0] = last
        current[1] = events - begins + (before if last == here else 0)


@numba.njit(nogil=True, cache=True)
def count_numbers(
    cell: Numbers, number: Codes, holds: Holds, events_per_cell: int, events: Ints, persons: Ints
) -> None:
    """Count the events of persons who are in one cell each, from how many they have; and those who have any."""
    for i in range(len(cell)):
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counted = np.int64(number[i])
        counted = counted if counted < events_per_cell else np.int64(events_per_cell)
        if holds is not None:
            counted *= holds[i]
        events[c] += counted
        persons[c] += counted > 0


def warm() -> None:
    """Compile every specialisation (or load it from Numba's cache), so that no query waits for it."""
    person = cell = np.zeros(1, dtype=np.int32)
    current, total = np.array([-1, 0]), np.zeros(1, dtype=np.int64)
    held = np.zeros(1, dtype=np.uint8)
    count_persons(person, cell, current, cell - 1, 1, total)
    count_persons_if(person, cell, held, current, total - 1, 1, total, total.copy())
    drop_others(person, cell.copy(), current, total - 1, 1, 1, total)
    count_alone(person, current, 1, total)
    for holds in (None, held):
        count_numbers(cell, np.zeros(1, dtype=np.uint32), holds, 1, total, total.copy())
        for counts in (None, total):
            count_events(person, cell, holds, current, total - 1, 1, 1, total, total, counts)
            for code_type in passes.CODE_TYPES:
                codes = np.zeros(1, dtype=code_type)
                add_values(
                    person, cell, holds, current, total - 1, 1, 1, codes, 0, 0, 1, 0, total, total, counts, counts
                )
    for code_type in passes.CODE_TYPES:
        codes = np.zeros(1, dtype=code_type)
        place(codes, cell, cell.copy())
        place_further(codes, cell, cell.copy())
