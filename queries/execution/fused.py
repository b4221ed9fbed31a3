"""The kernel's loops for the shapes that most plans have: the same cells in a fraction of the time.

`passes.py` has the general loops, which define what is counted: one simple pass after another over each batch. Here an
event is placed by look-up tables without branches, and then one loop admits it, counts it and adds it up. A test holds
the two to the same cells on random plans and streams.

What a person counted in a cell is kept in one number, the cell's stamp: the person in the upper 32 bits, the number of
their events that counted there in the lower ones. A stamp below that of (person, 0) is of somebody before, because
persons come in order; so comparing, resetting and counting are one subtraction. There is one branch for each event, on
whether it counts, and nearly all events of a stream have the same answer. A branch on whether a person is new in a cell
would be guessed wrong half of the time, and each wrong guess costs as much as ten events.

Plans that are left to the general loops: those with a condition on a count of persons, and those with a key of too many
codes for a table (`fits`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np

from queries.contribution.person_order import EVERYBODY, PersonOrder
from queries.execution import passes
from queries.plan import Counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.execution.passes import Codes

    Ints = NDArray[np.int64]
    Numbers = NDArray[np.int32]
    from queries.plan import Measure, Plan

_SHIFT = 32


@numba.njit(nogil=True, cache=True)
def _place(codes: Codes, table: Numbers, cell: Numbers) -> None:
    """Set the cell of each event by its code. The table's last entry is for all codes beyond it."""
    last = len(table) - 1
    for i in range(len(codes)):
        code = np.int64(codes[i])
        cell[i] = table[code if code < last else last]


@numba.njit(nogil=True, cache=True)
def _place_further(codes: Codes, table: Numbers, cell: Numbers) -> None:
    """Add a further key's part to the cell of each event."""
    last = len(table) - 1
    for i in range(len(codes)):
        code = np.int64(codes[i])
        cell[i] += table[code if code < last else last]


@numba.njit(nogil=True, cache=True)
def _count_persons(
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
def _admit(
    p: np.int64, c: np.uint64, active: int | np.int64, stamp: Ints, cells_per_person: int, events_per_cell: int
) -> np.int64:
    """Return 1 if an event of person p in cell c counts, 2 if it is also their first one there, and 0 if it does not.

    `active` is the number of cells that the person is active in so far. The stamp is kept.
    """
    counted = stamp[c] - (p << _SHIFT)
    new = np.int64(counted < 0)
    counted = max(counted, 0)
    if (counted < events_per_cell) & (active + new <= cells_per_person):
        stamp[c] = (p << _SHIFT) + counted + 1
        return 1 + new
    return np.int64(0)


@numba.njit(nogil=True, cache=True)
def _count_events(
    person: Numbers, cell: Numbers, current: Ints, stamp: Ints, cells_per_person: int, events_per_cell: int, total: Ints
) -> None:
    """Count each person's first events in each of their first cells."""
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = _admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            total[c] += 1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def _add_values(
    person: Numbers,
    cell: Numbers,
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
) -> None:
    """Add clamp(code + shift, low, high) - off for each event that counts, and count these events in `present`.

    An event whose code is null (0) counts against the bounds and adds nothing.
    """
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = np.int64(person[i])
        active = active if p == here else 0
        here = p
        if cell[i] < 0:
            continue
        c = np.uint64(cell[i])
        counts = _admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            code = np.int64(codes[i])
            there = np.int64(code != 0)
            units = code + shift
            if units < low:
                units = np.int64(low)
            elif units > high:
                units = np.int64(high)
            total[c] += there * (units - off)
            present[c] += there
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def _drop_others(
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
        counts = _admit(p, c, active, stamp, cells_per_person, events_per_cell)
        if counts:
            active += counts - 1
            persons[c] += counts - 1
        else:
            cell[i] = -1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def _count_alone(person: Numbers, current: Ints, events_per_cell: int, total: Ints) -> None:
    """Count each person's first events where there is one cell, which all events are in."""
    here, counted, found = current[0], current[1], np.int64(0)
    for i in range(len(person)):
        counted = counted if person[i] == here else 0
        here = person[i]
        found += counted < events_per_cell
        counted += 1
    current[0] = here
    current[1] = counted
    total[0] += found


def fits(plan: Plan) -> bool:
    """Return whether the loops here can answer a plan."""
    conditional = any(measure.counted is Counted.PERSONS and _is_conditional(measure) for measure in plan.measures)
    tables = all(key.has_table for key in plan.keys)
    return tables and not conditional and plan.cells <= _absent(plan) and plan.events_per_cell < 2**_SHIFT


class Accumulator:
    """The cells of one plan that `fits`, as `passes.Accumulator` adds them up. Not for several threads at once."""

    def __init__(self, plan: Plan, persons: range = EVERYBODY) -> None:
        self._plan = plan
        self._order = PersonOrder(persons)
        self._tables = _tables(plan)
        self._cell = np.empty(0, dtype=np.int32)
        self._shape = _shape(plan, persons)

    def take(self, person: Numbers, batch: Mapping[str, Codes]) -> None:
        """Add a batch of events. Raises EngineFailed if the stream is out of order or has other persons."""
        self._order.require(person)
        self._shape.take(_Batch(person, self._cells(len(person), batch), batch))

    def cells(self) -> list[Ints]:
        """Return one vector of exact integers for each measure of the plan."""
        return self._shape.numbers()

    def _cells(self, events: int, batch: Mapping[str, Codes]) -> Numbers:
        """Return the cell of each event; one below 0 is none."""
        if len(self._cell) < events:
            self._cell = np.empty(events, dtype=np.int32)
        cell = self._cell[:events]
        if not self._tables:
            cell[:] = 0
        for place, (name, table) in enumerate(self._tables):
            (_place_further if place else _place)(batch[name], table, cell)
        return cell


def _is_conditional(measure: Measure) -> bool:
    return measure.where is not None or measure.split is not None


def _is_plain(measure: Measure) -> bool:
    """Return whether every event that is admitted counts."""
    return not (_is_conditional(measure) or measure.present or measure.within)


def _absent(plan: Plan) -> int:
    """Return what is taken off an event's cell for each key that has no cell for it.

    What is left is below 0 however many other keys have one, and fits into 32 bits however many have none.
    """
    return (2**31 - 1) // max(1, len(plan.keys))


def _tables(plan: Plan) -> list[tuple[str, Numbers]]:
    """Return, for each key, its column and what each code adds to the cell. The last entry is for all codes beyond."""
    made = []
    for place, key in enumerate(plan.keys):
        table = key.table()
        assert table is not None, "only a plan that fits comes here"
        step = math.prod(one.size for one in plan.keys[place + 1 :])
        added = np.where(table < 0, -_absent(plan), table.astype(np.int64) * step)
        made.append((key.column.name, np.append(added, -_absent(plan)).astype(np.int32)))
    return made


# Shapes: what is added up for the events that count


class _Batch(NamedTuple):
    """Events, in order: the person of each, its cell (below 0 is none), and the codes of each column."""

    person: Numbers
    cell: Numbers
    codes: Mapping[str, Codes]


class _Shape:
    """What adds up the batches. `_current` is the person the stream is at, and what a loop keeps of them."""

    def __init__(self, plan: Plan, persons: range) -> None:
        self._plan = plan
        self._bounds = plan.cells_per_person, plan.events_per_cell
        self._current = np.array([persons.start - 1, 0], dtype=np.int64)
        self._stamp = np.full(plan.cells, -1, dtype=np.int64)
        self._total = np.zeros(plan.cells, dtype=np.int64)

    def take(self, batch: _Batch) -> None:
        """Add a batch."""
        raise NotImplementedError

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [self._total] * len(self._plan.measures)


def _shape(plan: Plan, persons: range) -> _Shape:
    counted = {measure.counted for measure in plan.measures}
    if counted == {Counted.PERSONS}:
        return _Persons(plan, persons)
    if counted == {Counted.EVENTS} and all(map(_is_plain, plan.measures)):
        return _Events(plan, persons)
    if _is_of_one_column(plan.measures):
        return _Values(plan, persons)
    return _Several(plan, persons)


def _is_of_one_column(measures: Sequence[Measure]) -> bool:
    """Return whether it is one sum of a column's values, or with it the number of these values: a sum or a mean."""
    sums = [one for one in measures if one.counted is Counted.VALUES]
    if len(sums) != 1 or len(sums[0].factors) != 1:
        return False
    needed = (sums[0].factors[0].column,)
    return not any(
        one.counted is Counted.PERSONS or _is_conditional(one) or one.within or one.present != needed
        for one in measures
    )


class _Persons(_Shape):
    """Persons: each counts once in each of their cells."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._last_person = np.full(plan.cells, -1, dtype=np.int32)

    def take(self, batch: _Batch) -> None:
        """Add a batch."""
        cells_per_person, _ = self._bounds
        _count_persons(batch.person, batch.cell, self._current, self._last_person, cells_per_person, self._total)


class _Events(_Shape):
    """Events."""

    def take(self, batch: _Batch) -> None:
        """Add a batch."""
        if self._plan.keys:
            _count_events(batch.person, batch.cell, self._current, self._stamp, *self._bounds, self._total)
        else:
            _count_alone(batch.person, self._current, self._plan.events_per_cell, self._total)


class _Values(_Shape):
    """The sum of one column's values, and how many there are."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        (self._sum,) = (one for one in plan.measures if one.counted is Counted.VALUES)
        self._present = np.zeros(plan.cells, dtype=np.int64)

    def take(self, batch: _Batch) -> None:
        """Add a batch."""
        (factor,) = self._sum.factors
        _add_values(
            batch.person,
            batch.cell,
            self._current,
            self._stamp,
            *self._bounds,
            batch.codes[factor.column.name],
            factor.column.low - 1,
            factor.low,
            factor.high,
            factor.centre + self._sum.middle,
            self._total,
            self._present,
        )

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure."""
        return [self._total if one is self._sum else self._present for one in self._plan.measures]


class _Several(_Shape):
    """Anything else: the events that count are found by one loop, and each measure goes over them by itself."""

    def __init__(self, plan: Plan, persons: range) -> None:
        super().__init__(plan, persons)
        self._sums = passes.sums(plan)

    def take(self, batch: _Batch) -> None:
        """Add a batch."""
        person, cell, codes = batch
        _drop_others(person, cell, self._current, self._stamp, *self._bounds, self._total)
        for one in self._sums:
            one.take(person, cell, cell, codes)

    def numbers(self) -> list[Ints]:
        """Return one vector for each measure. The total here is the number of persons of each cell."""
        return [one.numbers(self._total) for one in self._sums]


def warm() -> None:
    """Compile every specialisation (or load it from Numba's cache), so that no query waits for it."""
    person = cell = np.zeros(1, dtype=np.int32)
    current, total = np.array([-1, 0]), np.zeros(1, dtype=np.int64)
    _count_persons(person, cell, current, cell - 1, 1, total)
    _count_events(person, cell, current, total - 1, 1, 1, total)
    _drop_others(person, cell.copy(), current, total - 1, 1, 1, total)
    _count_alone(person, current, 1, total)
    for code_type in passes.CODE_TYPES:
        codes = np.zeros(1, dtype=code_type)
        _place(codes, cell, cell.copy())
        _place_further(codes, cell, cell.copy())
        _add_values(person, cell, current, total - 1, 1, 1, codes, 0, 0, 1, 0, total, total.copy())
