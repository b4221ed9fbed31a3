"""A planned query, as frozen values: the vectors of numbers to release, their noise, cells, bounds and cost.

Types alone. `planner.py` makes a `Plan`; the engine, the kernel and the release read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.language import nodes
from queries.mechanisms import ATTO, NANO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding import predicates
    from queries.binding.keys import CellKey
    from queries.binding.per_person import Built
    from queries.catalog.schema import Column, Table
    from queries.mechanisms import Mechanism, Threshold

CONFIDENCE = nodes.CONFIDENCE


class Counted(StrEnum):
    """What a measure adds up in each cell."""

    PERSONS = "persons"  # one for each person active in the cell
    EVENTS = "events"  # one for each event that counts
    VALUES = "values"  # the product of the factors of each such event, less the middle


@dataclass(frozen=True)
class Factor:
    """A column's value as it enters a sum: clamped to [low, high] in the column's units, less the centre."""

    column: Column
    low: int
    high: int
    centre: int = 0

    @property
    def largest(self) -> int:
        """Return the largest magnitude that it can have."""
        return max(abs(self.high - self.centre), abs(self.low - self.centre))


@dataclass(frozen=True)
class Search:
    """How quantiles are searched (`quantiles.py`): shares, bins of a round, each round's tenths of the charge."""

    shares: tuple[float, ...]
    bins: int
    tenths: tuple[int, ...]


@dataclass(frozen=True)
class Draft:
    """A vector of integers over the cells, before it has its noise.

    An event does not count if one of the `present` columns is null, or if `where` does not hold. With `split`, each
    cell has two numbers: one for the events or persons for which it holds, one for the others; then there is no
    `where`. With `within`, each cell has a number for each of that key's bins: a histogram. With `search`, the bins are
    joined to a few before they get their noise, in rounds (`quantiles.py`), and the factor has the range of the values.
    `largest` is how much one person can change the numbers of one cell, however they are joined.
    """

    counted: Counted
    largest: int
    factors: tuple[Factor, ...] = ()
    middle: int = 0
    present: tuple[Column, ...] = ()
    within: CellKey | None = None
    where: predicates.Bound | None = None
    split: predicates.Bound | None = None
    search: Search | None = None

    def __post_init__(self) -> None:
        assert self.where is None or self.split is None, "the kernel's loops have one condition for a measure"

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return the columns whose codes are needed."""
        keyed = () if self.within is None else (self.within.column,)
        return (*(factor.column for factor in self.factors), *self.present, *keyed)

    @property
    def width(self) -> int:
        """Return how many numbers each cell has."""
        if self.split is not None:
            return 2
        return 1 if self.within is None else self.within.size


@dataclass(frozen=True, kw_only=True)
class Measure(Draft):
    """A vector of integers over the cells, released with noise."""

    mechanism: Mechanism


@dataclass(frozen=True)
class Output:
    """One statistic of the answer and the measures it is made of."""

    name: str
    statistic: nodes.Statistic
    measures: tuple[Measure, ...]
    at: int | None = None  # the size of the group for which a margin was asked


@dataclass(frozen=True)
class Cost:
    """What a release reveals at most, exact: epsilon (pure DP; None if it is not finite), rho (zCDP), delta."""

    epsilon: Fraction | None
    rho: Fraction
    delta: Fraction


@dataclass(frozen=True)
class Listing:
    """How the values of an undeclared key are chosen: by a threshold on their numbers of persons.

    One person counts for at most `values_per_person` values. At most `values_max` of the values that pass are named.
    """

    key: int  # its place among the plan's keys
    values_per_person: int
    values_max: int
    mechanism: Threshold


@dataclass(frozen=True)
class Plan:
    """A query made executable.

    With a `listing`, `cells` is the number of cells of each value of the undeclared key until the values are named, and
    the number of all cells from then on.
    """

    dataset: str
    query: nodes.Query
    table: Table
    where: predicates.Bound
    keys: tuple[CellKey, ...]
    cells: int
    cells_per_person: int
    events_per_cell: int
    outputs: tuple[Output, ...]
    notes: tuple[str, ...]
    built: Built | None  # how `table` is made, if the query builds it
    tables: Mapping[str, Table]  # all tables of the dataset, for cohorts
    listing: Listing | None = None
    confidence: float = CONFIDENCE

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Return every vector to release, in the order of the outputs."""
        return tuple(measure for output in self.outputs for measure in output.measures)

    @property
    def conditions(self) -> tuple[predicates.Bound, ...]:
        """Return the filters of single statistics, each once, in a fixed order."""
        named = (condition for measure in self.measures for condition in (measure.where, measure.split))
        return tuple(dict.fromkeys(condition for condition in named if condition is not None))

    @property
    def cost(self) -> Cost:
        """Return the sum of what OpenDP charges for each measure, and for the listing."""
        charged: list[Mechanism | Threshold] = [measure.mechanism for measure in self.measures]
        delta = Fraction(0)
        if self.listing is not None:
            charged.append(self.listing.mechanism)
            delta = Fraction(self.listing.mechanism.delta_atto, ATTO)
        epsilons = [mechanism.epsilon_nano for mechanism in charged]
        finite = [epsilon for epsilon in epsilons if epsilon is not None]
        epsilon = Fraction(sum(finite), NANO) if len(finite) == len(epsilons) else None
        return Cost(epsilon, sum((mechanism.rho for mechanism in charged), Fraction(0)), delta)


def condition(place: int) -> str:
    """Return the name of the stream's column that is 1 if a plan's condition holds, else 0. No stored column has it."""
    return f"?{place}"
