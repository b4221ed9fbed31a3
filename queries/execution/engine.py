"""What a query needs of an engine, and the engine of one machine.

An engine answers questions about an edition: the exact cells of a plan, how many persons have each value of an
undeclared key, the exact histograms of a contribution profile, and the texts behind codes. Nothing else of it is used,
so that the journey of a query does not know where its edition lies.

Each question is answered part by part (`queries/catalog/parts.py`), and the parts' integers are added. A person is in
one part, and the numbers are 64-bit integers that the planner has proved not to overflow. Therefore the sums are those
of one large part, bit for bit, in whatever order the parts come and however many there are. `of_part` answers each
question for one part; every engine uses it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from queries.contribution import tallying
from queries.execution import event_numbers, kernel, partition_selection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.catalog.schema import Column, Table
    from queries.contribution import profile
    from queries.execution.duckdb import Store
    from queries.execution.partition_selection import Scored
    from queries.execution.stopping import Stop
    from queries.plan import Plan

    Vectors = list[NDArray[np.int64]]


@dataclass(frozen=True)
class CellsOf:
    """The question for the cells of a plan."""

    plan: Plan


@dataclass(frozen=True)
class ScoresOf:
    """The question for the numbers of persons of each code of a plan's undeclared key, from code 0 on."""

    plan: Plan


@dataclass(frozen=True)
class HistogramsOf:
    """The question for the histograms of a contribution profile."""

    planned: profile.Plan


Question = CellsOf | ScoresOf | HistogramsOf


def of_part(question: Question, store: Store, stop: Stop | None = None) -> Vectors:
    """Return what one part adds to the answer. Raises EngineFailed."""
    stream = partial(store.stream, stop=stop)
    match question:
        case CellsOf(plan):
            number = store.number_for(plan)
            ranges = store.ranges() if number is None else store.ranges(event_numbers.PERSONS_PER_STREAM)
            return kernel.bound_in_parts(plan, ranges, partial(stream, number=number), number)
        case ScoresOf(plan):
            return [partition_selection.persons_by_code(plan, store.ranges(), stream)]
        case HistogramsOf(planned):
            return tallying.tally(planned, store)


def added(one: Vectors, other: Vectors) -> Vectors:
    """Return the sums of two parts' vectors. Where vectors are by code, the shorter one has zeros at its end."""
    return [_added(*vectors) for vectors in zip(one, other, strict=True)]


def _added(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(one) < len(other):
        one, other = other, one
    total = one.copy()
    total[: len(other)] += other
    return total


class Engine(ABC):
    """An edition, open for queries. Any number of threads may call it. Each method raises EngineFailed."""

    @abstractmethod
    def open(self) -> None:
        """Open the edition unless it is open. No event is read."""

    @abstractmethod
    def close(self) -> None:
        """Release what is open."""

    @property
    @abstractmethod
    def parts(self) -> int:
        """Return the number of parts."""

    @abstractmethod
    def texts(self, table: Table, column: Column, codes: Sequence[int]) -> Mapping[int, str]:
        """Return the texts of an undeclared category behind some codes."""

    @abstractmethod
    def sums(self, question: Question, stop: Stop | None = None) -> Vectors:
        """Return the sums over all parts of what each adds to the answer (`of_part`)."""

    def cells(self, plan: Plan, stop: Stop | None = None) -> Vectors:
        """Return one vector of exact, bounded integers for each measure of a plan."""
        return self.sums(CellsOf(plan), stop)

    def scores(self, plan: Plan, stop: Stop | None = None) -> Scored:
        """Return the codes of a plan's undeclared key that somebody has, and their exact numbers of persons."""
        (scores,) = self.sums(ScoresOf(plan), stop)
        return partition_selection.scored(scores)

    def histograms(self, planned: profile.Plan) -> Vectors:
        """Return one vector of exact numbers of persons for each histogram of a contribution profile."""
        return self.sums(HistogramsOf(planned))


class LocalEngine(Engine):
    """The parts of an edition on this machine, in DuckDB, one after the other. Each part uses all cores."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = tuple(stores)

    def open(self) -> None:
        """Open every part."""
        for store in self._stores:
            store.open()

    def close(self) -> None:
        """Release every part's file."""
        for store in self._stores:
            store.close()

    @property
    def parts(self) -> int:
        """Return the number of parts."""
        return len(self._stores)

    def texts(self, table: Table, column: Column, codes: Sequence[int]) -> Mapping[int, str]:
        """Return the texts behind some codes. Every part has all of them."""
        return self._stores[0].texts(table, column, codes)

    def sums(self, question: Question, stop: Stop | None = None) -> Vectors:
        """Return the sums over all parts, of which there is at least one."""
        return functools.reduce(added, (of_part(question, store, stop) for store in self._stores))
