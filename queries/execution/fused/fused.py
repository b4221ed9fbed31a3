"""The kernel's loops for the shapes that most plans have: the same cells in a fraction of the time.

`passes.py` has the general loops, which define what is counted: one simple pass after another over each batch. Here an
event is placed by look-up tables without branches, and then one loop (`loops.py`) admits it, counts it and adds it up.
Which loop it is depends on what the plan measures (`shapes.py`). A test holds the two ways to the same cells on random
plans and streams.

Plans that are left to the general loops: those with a key of too many codes for a table, and those that count persons
with a condition beside anything else (`fits`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from queries.contribution.person_order import EVERYBODY, PersonOrder
from queries.execution.fused import loops, shapes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.execution.fused.loops import Ints, Numbers
    from queries.execution.passes import Codes
    from queries.plan import Plan


def fits(plan: Plan) -> bool:
    """Return whether the loops here can answer a plan."""
    return has_tables(plan) and plan.events_per_cell < 2**loops.SHIFT and shapes.fits(plan)


def has_tables(plan: Plan) -> bool:
    """Return whether look-up tables can find the cell of each row."""
    return all(key.has_table for key in plan.keys) and plan.cells <= _absent(plan)


class Accumulator:
    """The cells of one plan that `fits`, as `passes.Accumulator` adds them up. Not for several threads at once.

    With `number`, the stream has one row for each person, and that column has the number of their events.
    """

    def __init__(self, plan: Plan, persons: range = EVERYBODY, number: str | None = None) -> None:
        self._plan = plan
        self._order = PersonOrder(persons, once=number is not None)
        self._tables = _tables(plan)
        self._cell = np.empty(0, dtype=np.int32)
        self._shape = shapes.of(plan, persons, number)

    def take(self, person: Numbers, batch: Mapping[str, Codes]) -> None:
        """Add a batch of rows. Raises EngineFailed if the stream is out of order or has other persons."""
        self._order.require(person)
        cells = self._cells(len(person), batch) if self._shape.needs_cells else self._cell
        self._shape.take(shapes.Batch(person, cells, batch))

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
            (loops.place_further if place else loops.place)(batch[name], table, cell)
        return cell


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


warm = loops.warm
