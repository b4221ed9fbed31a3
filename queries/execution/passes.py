"""The kernel's general loops: one simple pass after another over each batch, for every plan.

They define what is counted. `fused.py` has faster loops for the shapes that most plans have; a test holds the two to
the same cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from queries.contribution.person_order import EVERYBODY, PersonOrder
from queries.plan import Counted, condition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.binding.predicates import Bound
    from queries.plan import Measure, Plan

    Table = NDArray[np.int32] | None  # the cell of each code; None if the key's edges are searched instead

Codes = Any  # NDArray of uint8, uint16, uint32 or int64

CODE_TYPES = (np.uint8, np.uint16, np.uint32, np.int64)


@numba.njit(nogil=True, cache=True)
def _cells_by_table(codes: Codes, table: NDArray[np.int32], size: int, cell: NDArray[np.int32]) -> None:
    """Extend the cell of each event by one key: cell = cell * size + table[code], or -1 for no cell.

    A code beyond the table has no cell.
    """
    for i in range(len(codes)):
        if cell[i] >= 0:
            index = table[codes[i]] if codes[i] < len(table) else -1
            cell[i] = cell[i] * size + index if index >= 0 else -1


@numba.njit(nogil=True, cache=True)
def _cells_by_edges(codes: Codes, edges: NDArray[np.int64], null: int, size: int, cell: NDArray[np.int32]) -> None:
    """Do the same for a key with too many codes for a table, by its ascending edges. `null` is the cell of code 0."""
    for i in range(len(codes)):
        if cell[i] >= 0:
            code = np.int64(codes[i])
            index = np.int64(null)
            if code != 0:
                index = np.searchsorted(edges, code, side="right") - 1
                if index >= len(edges) - 1:
                    index = np.int64(-1)
            cell[i] = cell[i] * size + index if index >= 0 else -1


@numba.njit(nogil=True, cache=True)
def _admit(
    person: NDArray[np.int32],
    cell: NDArray[np.int32],
    counted: NDArray[np.int32],
    current: NDArray[np.int64],
    last_person: NDArray[np.int32],
    events: NDArray[np.int64],
    cells_per_person: int,
    events_per_cell: int,
    persons: NDArray[np.int64],
) -> None:
    """Set the cell of every event beyond the contribution bounds to -1, and count persons in their cells.

    `cell` keeps the events of the first cells, and `counted`, which comes as a copy of it, the first of these.
    `current` holds the person the stream is at and how many cells they are active in. `last_person[c]` is the last
    person active in cell c and `events[c]` how many of their events were counted there. The persons are in order.
    """
    here, active = current[0], current[1]
    for i in range(len(person)):
        p = person[i]
        if p != here:
            here = p
            active = 0
        c = cell[i]
        if c < 0:
            continue
        if last_person[c] != p:
            if active == cells_per_person:
                cell[i] = -1
                counted[i] = -1
                continue
            active += 1
            last_person[c] = p
            events[c] = 0
            persons[c] += 1
        if events[c] == events_per_cell:
            counted[i] = -1
            continue
        events[c] += 1
    current[0] = here
    current[1] = active


@numba.njit(nogil=True, cache=True)
def _count(cell: NDArray[np.int32], total: NDArray[np.int64]) -> None:
    """Add one to the cell of each admitted event."""
    for i in range(len(cell)):
        if cell[i] >= 0:
            total[cell[i]] += 1


@numba.njit(nogil=True, cache=True)
def _count_persons(
    person: NDArray[np.int32],
    cell: NDArray[np.int32],
    holds: Codes,
    last_person: NDArray[np.int32],
    total: NDArray[np.int64],
) -> None:
    """Add one to each cell for each person with an event there for which the condition holds (is not 0)."""
    for i in range(len(cell)):
        c = cell[i]
        if c >= 0 and holds[i] != 0 and last_person[c] != person[i]:
            last_person[c] = person[i]
            total[c] += 1


@numba.njit(nogil=True, cache=True)
def _drop_nulls(codes: Codes, cell: NDArray[np.int32]) -> None:
    """Set the cell to -1 for every event whose code is null (0), or for which a condition does not hold (0)."""
    for i in range(len(cell)):
        if codes[i] == 0:
            cell[i] = -1


@numba.njit(nogil=True, cache=True)
def _centred(codes: Codes, shift: int, low: int, high: int, centre: int, values: NDArray[np.int64]) -> None:
    """Multiply each value by clamp(code + shift, low, high) - centre."""
    for i in range(len(codes)):
        units = np.int64(codes[i]) + shift
        if units < low:
            units = np.int64(low)
        elif units > high:
            units = np.int64(high)
        values[i] *= units - centre


@numba.njit(nogil=True, cache=True)
def _add(values: NDArray[np.int64], cell: NDArray[np.int32], middle: int, total: NDArray[np.int64]) -> None:
    """Add the value of each admitted event, less the middle, to the event's cell."""
    for i in range(len(cell)):
        if cell[i] >= 0:
            total[cell[i]] += values[i] - middle


class Accumulator:
    """The cells of one plan while the stream of a range of persons goes by. Not for several threads at once."""

    def __init__(self, plan: Plan, persons: range = EVERYBODY) -> None:
        self._plan = plan
        self._order = PersonOrder(persons)
        self._keys = [(key, key.table()) for key in plan.keys]
        self._current = np.array([persons.start - 1, 0], dtype=np.int64)
        self._last_person = np.full(plan.cells, -1, dtype=np.int32)
        self._events = np.zeros(plan.cells, dtype=np.int64)
        self._persons = np.zeros(plan.cells, dtype=np.int64)
        self._sums = sums(plan)

    def take(self, person: NDArray[np.int32], batch: Mapping[str, Codes]) -> None:
        """Add a batch of events. Raises EngineFailed if the stream is out of order or has other persons."""
        self._order.require(person)
        cell = np.zeros(len(person), dtype=np.int32)
        for key, table in self._keys:
            extend(cell, key, table, batch[key.column.name])
        counted = cell.copy()
        _admit(
            person,
            cell,
            counted,
            self._current,
            self._last_person,
            self._events,
            self._plan.cells_per_person,
            self._plan.events_per_cell,
            self._persons,
        )
        for one in self._sums:
            one.take(person, cell, counted, batch)

    def cells(self) -> list[NDArray[np.int64]]:
        """Return one vector of exact integers for each measure of the plan."""
        return [one.numbers(self._persons) for one in self._sums]


def sums(plan: Plan) -> list[Sum]:
    """Return what adds up each measure of a plan."""
    conditions = {one: condition(place) for place, one in enumerate(plan.conditions)}
    return [Sum(measure, plan.cells, conditions) for measure in plan.measures]


class Sum:
    """One measure's numbers while the stream goes by."""

    def __init__(self, measure: Measure, cells: int, conditions: Mapping[Bound, str]) -> None:
        self._measure = measure
        self._where = None if measure.where is None else conditions[measure.where]
        self._split = None if measure.split is None else conditions[measure.split]
        self._table = None if measure.within is None else measure.within.table()
        self._total = np.zeros(cells * (1 if measure.within is None else measure.width), dtype=np.int64)
        self._holding = np.zeros(cells, dtype=np.int64)  # the numbers for which a split's condition holds
        self._last_person = np.full(cells, -1, dtype=np.int32)

    def take(
        self, person: NDArray[np.int32], cell: NDArray[np.int32], counted: NDArray[np.int32], batch: Mapping[str, Codes]
    ) -> None:
        """Add a batch. `cell` has the cells in which a person is active, `counted` those in which an event counts."""
        measure = self._measure
        if measure.counted is Counted.PERSONS:
            # Any event makes a person active in a cell. Without a condition, `_admit` has counted the persons.
            for name, total in ((self._where, self._total), (self._split, self._holding)):
                if name is not None:
                    _count_persons(person, cell, batch[name], self._last_person, total)
            return
        names = [column.name for column in measure.present] + ([] if self._where is None else [self._where])
        if names or measure.within is not None:
            counted = counted.copy()  # an event that is dropped here may count for another measure
            for name in names:
                _drop_nulls(batch[name], counted)
            if measure.within is not None:
                extend(counted, measure.within, self._table, batch[measure.within.column.name])
        if measure.counted is Counted.VALUES:
            _add(_product(measure, counted, batch), counted, measure.middle, self._total)
            return
        _count(counted, self._total)
        if self._split is not None:
            counted = counted.copy()
            _drop_nulls(batch[self._split], counted)
            _count(counted, self._holding)

    def numbers(self, persons: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the measure's numbers. `persons` is the number of persons active in each cell."""
        everybody = self._measure.counted is Counted.PERSONS and self._where is None
        total = persons if everybody else self._total
        if self._split is None:
            return total
        return np.column_stack([self._holding, total - self._holding]).ravel()


def _product(measure: Measure, counted: NDArray[np.int32], batch: Mapping[str, Codes]) -> NDArray[np.int64]:
    values = np.ones(len(counted), dtype=np.int64)
    for factor in measure.factors:
        column = factor.column
        _centred(batch[column.name], column.low - 1, factor.low, factor.high, factor.centre, values)
    return values


def extend(cell: NDArray[np.int32], key: CellKey, table: Table, codes: Codes) -> None:
    """Extend the cell of each event by one key. `table` is the key's table."""
    if table is not None:
        _cells_by_table(codes, table, key.size, cell)
    else:
        assert key.edges is not None
        _cells_by_edges(codes, np.array(key.edges, dtype=np.int64), key.index(0), key.size, cell)


def warm() -> None:
    """Compile every specialisation (or load it from Numba's cache), so that no query waits for it."""
    cell = np.zeros(1, dtype=np.int32)
    total = np.zeros(1, dtype=np.int64)
    _admit(cell, cell.copy(), cell.copy(), np.array([-1, 0]), cell - 1, total.copy(), 1, 1, total.copy())
    _count(cell, total)
    _add(total.copy(), cell, 0, total)
    for code_type in CODE_TYPES:
        codes = np.zeros(1, dtype=code_type)
        _cells_by_table(codes, np.zeros(1, dtype=np.int32), 1, cell)
        _cells_by_edges(codes, np.zeros(2, dtype=np.int64), -1, 1, cell.copy())
        _drop_nulls(codes, cell.copy())
        _count_persons(cell, cell, codes, cell - 1, total.copy())
        _centred(codes, 0, 0, 1, 0, total.copy())
