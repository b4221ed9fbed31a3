"""The events that a plan needs of a range of persons, from the engine's batches and from what is decided here.

First the persons of each cohort are found, then the table is read. A cohort of events alone is found by reading its
events as well, and counting those of each person; one that compares days is left to the engine's SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from queries.binding.predicates import ALWAYS, columns
from queries.errors import EngineFailed
from queries.execution import deciding
from queries.execution import scan as scans
from queries.execution.deciding import Decider, kept
from queries.plan import condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from sqlglot import exp

    from queries.binding.predicates import Member
    from queries.catalog.schema import Table
    from queries.execution.deciding import Held
    from queries.execution.passes import Codes
    from queries.execution.sql_writer import LookUp
    from queries.plan import Plan

    Arrays = list[Any]  # the persons, then the codes of each column
    Batches = Callable[[exp.Select], Iterator[Arrays]]


class Reader:
    """Reads a range of persons for a plan. `within` is what was asked for, `persons` are those of it that there are.

    `batches` runs a SELECT and yields its columns, batch by batch.
    """

    def __init__(
        self, tables: Mapping[str, Table], persons: range, within: range | None, look_up: LookUp, batches: Batches
    ) -> None:
        self._tables = tables
        self._persons = persons
        self._within = within
        self._look_up = look_up
        self._batches = batches

    def stream(self, plan: Plan, number: str | None = None) -> Iterator[tuple[NDArray[np.int32], Mapping[str, Codes]]]:
        """Yield the events of a plan in person order, as (person numbers, codes of each column).

        With `number`, yield each person once, with that column (`event_numbers.py`).
        """
        ours = scans.decided_here(plan)
        decider = self._decider(plan.table)
        held = {condition(place): decider.decision(one) for place, one in ours.conditions.items()}
        stays = None if ours.where == ALWAYS else decider.decision(ours.where)
        more = () if number is None else (number,)
        names, wanted = (*scans.fetched(plan), *more), (*scans.columns(plan), *more)
        for person, *arrays in self._batches(scans.scan(plan, self._look_up, self._within, number)):
            codes: dict[str, Codes] = dict(zip(names, arrays, strict=True))
            codes |= {name: decide(person, codes).view(np.uint8) for name, decide in held.items()}
            if stays is not None:
                which = stays(person, codes)
                person, codes = kept(person, which), {name: kept(codes[name], which) for name in wanted}
            yield person, codes

    def _decider(self, table: Table) -> Decider:
        return Decider(table, self._persons, self._look_up, self._members)

    def _members(self, cohort: Member) -> Held:
        """Return for each person of the range whether they have the events of a cohort."""
        count = np.zeros(len(self._persons), dtype=np.int32)
        if not scans.is_of_events_alone(cohort):
            for (person,) in self._batches(scans.members(cohort, self._look_up, self._within)):
                self._add(person, np.ones(len(person), dtype=np.bool_), count)
            return count > 0
        events = cohort.events
        engines, ours = deciding.divided(events.where)
        decide = self._decider(self._tables[events.table]).decision(ours)
        names = sorted(columns(ours))
        for person, *arrays in self._batches(scans.events(events.table, engines, names, self._look_up, self._within)):
            self._add(person, decide(person, dict(zip(names, arrays, strict=True))), count)
        return count >= cohort.at_least

    def _add(self, person: NDArray[np.int32], held: Held, count: NDArray[np.int32]) -> None:
        if not _count(person, held, self._persons.start, count):
            raise EngineFailed("the engine failed") from IndexError("the store has events of persons whom it has not")


@numba.njit(nogil=True, cache=True)
def _count(person: NDArray[np.int32], held: Held, first: int, count: NDArray[np.int32]) -> bool:
    """Add one to the number of each event's person, where a condition holds. Return False if a person has no number."""
    for i in range(len(person)):
        place = np.int64(person[i]) - first
        if place < 0 or place >= len(count):
            return False
        count[place] += held[i]
    return True


def warm() -> None:
    """Compile the loops (or load them from Numba's cache), so that no query waits for them."""
    deciding.warm()
    _count(np.zeros(1, dtype=np.int32), np.ones(1, dtype=np.bool_), 0, np.zeros(1, dtype=np.int32))
