"""The kernel: a person-ordered stream of events -> bounded integer cells.

It walks the stream once and knows one person at a time. For the current person it counts the cells they are active
in and the events counted in each cell, and drops every event beyond the contribution bounds. The first events count.
They are a fair sample, because the store keeps a person's events in random order. A person's contribution depends on
that person's events alone, and the planner's sensitivities rest on this.

The stream must be ordered by person, and hold only the persons of its range. A stream that does not is refused before
it is added up (`queries/contribution/person_order.py`). All sums are exact 64-bit integers; they do not depend on
batches, threads or the order of persons. Therefore ranges of persons may be streamed at once, and their cells added.

The loops are compiled by Numba and release the GIL. Each is specialised for the integer types of the store. Most plans
have a shape for which `fused.py` has a fast loop; `passes.py` has the general ones, which define what is counted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from queries.contribution import person_order
from queries.contribution.person_order import EVERYBODY
from queries.execution import passes, reading
from queries.execution.fused import fused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.execution.passes import Codes
    from queries.plan import Plan

    Stream = Iterable[tuple[NDArray[np.int32], Mapping[str, Codes]]]


def accumulator(
    plan: Plan, persons: range = EVERYBODY, number: str | None = None
) -> passes.Accumulator | fused.Accumulator:
    """Return what adds up the stream of a range of persons."""
    if number is not None or fused.fits(plan):
        return fused.Accumulator(plan, persons, number)
    return passes.Accumulator(plan, persons)


def bound(plan: Plan, stream: Stream, persons: range = EVERYBODY, number: str | None = None) -> list[NDArray[np.int64]]:
    """Return the exact, bounded cells of each measure over the stream of a range of persons.

    With `number`, the stream has one row for each person, and that column has the number of their events. This is for
    plans for which these numbers suffice (`event_numbers.py`).
    """
    found = accumulator(plan, persons, number)
    for person, batch in stream:
        found.take(person, batch)
    return found.cells()


def bound_in_parts(
    plan: Plan, ranges: Sequence[range], stream_of: Callable[[Plan, range], Stream], number: str | None = None
) -> list[NDArray[np.int64]]:
    """Do the same over disjoint ranges of persons at once, the first in this thread and each other one in its own.

    A person is in one range, so the cells of the parts add up to those of the whole, exactly.
    """

    def of_range(persons: range) -> list[NDArray[np.int64]]:
        return bound(plan, stream_of(plan, persons), persons, number)

    first, *others = ranges
    if not others:
        return of_range(first)
    with ThreadPoolExecutor(len(others)) as threads:
        beside = threads.map(of_range, others)
        parts = [of_range(first), *beside]
    return [np.sum(vectors, axis=0, dtype=np.int64) for vectors in zip(*parts, strict=True)]


def warm() -> None:
    """Compile every specialisation (or load it from Numba's cache), so that no query waits for it."""
    person_order.warm()
    passes.warm()
    fused.warm()
    reading.warm()
