"""A key without declared values: a release of its own decides which of the values are named.

Which texts a category holds is as private as anything else in the data. Therefore an answer names a text only if many
persons have it. The loop below counts, for each text, the persons with an event that has it; each person counts for at
most `values_per_person` texts. OpenDP adds noise and drops the texts whose number stays under a threshold. The texts
that passed are public from then on, and the query continues as if the custodian had declared them: `name_values`
returns the plan with them, and the store is scanned again. docs/privacy.md ("Keys without declared values") has the
argument.

Texts are codes here, in a random order without meaning. Only time and memory depend on how many there are.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numba
import numpy as np

from queries.contribution.person_order import EVERYBODY, PersonOrder
from queries.execution import passes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.catalog.schema import Column, Table
    from queries.execution.kernel import Stream
    from queries.execution.passes import Codes
    from queries.plan import Plan

    # (table, column, codes) -> the text behind each code
    LookUp = Callable[[Table, Column, Sequence[int]], Mapping[int, str]]
    Scored = tuple[NDArray[np.int64], NDArray[np.int64]]  # codes, and their exact numbers of persons


def name_values(plan: Plan, scores_of: Callable[[Plan], Scored], look_up: LookUp) -> Plan:
    """Return the plan with the values of its undeclared key that are named. A plan without such a key does not change.

    `scores_of` returns the codes of the key that somebody has, and their exact numbers of persons.

    This is differentially private at the listing's charge: only the outcome of one draw of its mechanism depends on
    data. If more values pass than fit, those with the largest noisy numbers of persons stay.
    """
    listing = plan.listing
    if listing is None:
        return plan
    key = plan.keys[listing.key]
    passed = listing.mechanism.release(*scores_of(plan))
    # From here on nothing is secret. Codes decide nothing, not even ties.
    texts = look_up(plan.table, key.column, list(passed))
    largest = sorted(passed, key=lambda code: (-passed[code], texts[code]))[: listing.values_max]
    shown = sorted(largest, key=lambda code: texts[code])
    named = replace(key, named=tuple(shown), labels=tuple(texts[code] for code in shown))
    keys = (*plan.keys[: listing.key], named, *plan.keys[listing.key + 1 :])
    notes = plan.notes
    if len(shown) < len(passed):
        said = (
            f"{len(passed)} values of {key.name} passed the threshold, more than an answer has room for: the "
            f"{len(shown)} with the largest noisy numbers of persons are named"
        )
        notes = (*notes, said)
    return replace(plan, keys=keys, cells=math.prod(one.size for one in keys), notes=notes)


def scored(persons: NDArray[np.int64]) -> Scored:
    """Return the codes that somebody has, and their numbers of persons, from the number of persons of every code."""
    codes = np.flatnonzero(persons)
    return codes, persons[codes]


def persons_by_code(
    plan: Plan, ranges: Sequence[range], stream_of: Callable[[Plan, range], Stream]
) -> NDArray[np.int64]:
    """Return the exact number of persons of each code from 0 on, over disjoint ranges of persons at once.

    A person is in one range, so the numbers of the ranges add up to those of the whole, exactly.
    """
    bare = replace(plan, outputs=())  # only the columns of the keys are needed

    def of_range(persons: range) -> NDArray[np.int32]:
        part = Scores(plan, persons)
        for person, batch in stream_of(bare, persons):
            part.take(person, batch)
        return part.persons

    with ThreadPoolExecutor(len(ranges)) as threads:
        parts = list(threads.map(of_range, ranges))
    total = np.zeros(max(map(len, parts)), dtype=np.int64)
    for part in parts:
        total[: len(part)] += part
    return total


class Scores:
    """The number of persons by code while the stream of a range of persons goes by. Not for several threads at once."""

    def __init__(self, plan: Plan, persons: range = EVERYBODY) -> None:
        assert plan.listing is not None
        self._values_per_person = plan.listing.values_per_person
        self._column = plan.keys[plan.listing.key].column.name
        self._others = [(key, key.table()) for key in plan.keys if key.named is None]
        self._order = PersonOrder(persons)
        self._current = np.array([persons.start - 1, 0], dtype=np.int64)
        self._last_person = np.empty(0, dtype=np.int32)
        self.persons = np.empty(0, dtype=np.int32)  # by code; at most 2^31 persons are numbered

    def take(self, person: NDArray[np.int32], batch: Mapping[str, Codes]) -> None:
        """Add a batch of events. Raises EngineFailed if the stream is out of order or has other persons."""
        self._order.require(person)
        cell = np.zeros(len(person), dtype=np.int32)
        for key, table in self._others:
            passes.extend(cell, key, table, batch[key.column.name])
        codes = batch[self._column]
        self._make_room(int(codes.max(initial=0)) + 1)
        _count_values(person, cell, codes, self._current, self._last_person, self._values_per_person, self.persons)

    def _make_room(self, codes: int) -> None:
        """Make room for so many codes: at least twice as much as before."""
        more = max(codes, 2 * len(self.persons)) - len(self.persons)
        if codes > len(self.persons):
            self.persons = np.append(self.persons, np.zeros(more, dtype=np.int32))
            self._last_person = np.append(self._last_person, np.full(more, -1, dtype=np.int32))


@numba.njit(nogil=True, cache=True)
def _count_values(
    person: NDArray[np.int32],
    cell: NDArray[np.int32],
    codes: Codes,
    current: NDArray[np.int64],
    last_person: NDArray[np.int32],
    values_per_person: int,
    persons: NDArray[np.int32],
) -> None:
    """Count each person once for each of the first values of their events in a cell. Null is no value.

    `current` holds the person the stream is at and how many values they counted for, `last_person[c]` the last person
    who counted for code c. The persons are in order.
    """
    here, counted = current[0], current[1]
    for i in range(len(person)):
        p = person[i]
        if p != here:
            here = p
            counted = 0
        code = codes[i]
        if cell[i] < 0 or code == 0 or last_person[code] == p or counted == values_per_person:
            continue
        counted += 1
        last_person[code] = p
        persons[code] += 1
    current[0] = here
    current[1] = counted


def warm() -> None:
    """Compile the loop (or load it from Numba's cache), so that no query waits for it."""
    nobody = np.empty(0, dtype=np.int32)
    _count_values(nobody, nobody, np.empty(0, dtype=np.uint32), np.array([-1, 0]), nobody, 1, nobody)
