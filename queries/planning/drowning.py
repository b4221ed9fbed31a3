"""What share of an answer's numbers is expected to drown in the noise: said before the charge, from public knowledge.

A number drowns when what it should be is below its margin: its sign is then a matter of chance. For a count that is a
cell with fewer persons or events than the margin; for a sum one with fewer typical values; for a mean or the like a
cell so small that the margin is as large as the yardstick of the statistic (`queries/statistics/parts/yardsticks.py`).

How many persons there are in all is known from the dataset's profile, and how many cells each of them touches. Without
a profile there are `persons_max` of them, each with as much as the bounds let count: more persons than there are and
more cells than they have, so that the share is what it is *at best*. A filter leaves fewer persons, and how many is
unknown: what is said is before any filter.

How they spread over the cells is not known, but that time goes evenly: each period of a date is taken to have as much
as any other. Over other keys every way to share out a period's total T among k cells is taken to be as likely as any
other (a flat Dirichlet distribution): then a cell has less than n with probability 1 - (1 - n / T)^(k - 1). Categories
are skewed, and this comes near to how: of the demonstration's persons by diagnosis and region 63% of the cells drown at
epsilon 1 where it expects 46%, and 92% of them at 0.1 as it expects. Spread evenly, all cells would drown, or none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.catalog.schema import PERSONS, Kind
from queries.contribution import proposal
from queries.contribution.truncation import cells_within_reach
from queries.errors import WouldDrown
from queries.plan import Counted
from queries.planning import allocation
from queries.statistics import registry
from queries.statistics.parts.exactness import FixedMargin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Dataset, Table
    from queries.plan import Output, Plan

DIGITS = 4
WORTH_SAYING = 0.05


@dataclass(frozen=True)
class Spread:
    """What is expected of all cells together: how many persons there are in them, each counted in every cell of theirs.

    `each` is how many events a person has in a cell. `estimated` is true if a profile was used; else both are bounds.
    """

    persons: float
    each: float
    estimated: bool


@dataclass(frozen=True)
class Drowning:
    """The share of its numbers that each statistic is expected to lose to the noise; None where nothing can be said."""

    by_statistic: Mapping[str, float | None]
    estimated: bool

    @property
    def share(self) -> float | None:
        """Return the largest of the shares."""
        known = [share for share in self.by_statistic.values() if share is not None]
        return max(known, default=None)


def of(plan: Plan, dataset: Dataset) -> Drowning:
    """Return what is expected to drown of a plan's answer.

    With a key without declared values the result is None for each statistic: which cells there will be is not known,
    but each passes a threshold.
    """
    if plan.listing is not None:
        return Drowning({output.name: None for output in plan.outputs}, estimated=False)
    spread = _spread(plan, dataset)
    shares = {output.name: round(_share(plan, output, spread), DIGITS) for output in plan.outputs}
    return Drowning(shares, spread.estimated)


def require(plan: Plan, dataset: Dataset, most: float | None) -> None:
    """Refuse a plan of whose numbers more are expected to drown. Raises WouldDrown."""
    share = None if most is None else of(plan, dataset).share
    if share is not None and most is not None and share > most:
        raise WouldDrown(share, most)


def sentence(plan: Plan, dataset: Dataset) -> str | None:
    """Return what a reader should know of it beforehand, if it is worth saying."""
    found = of(plan, dataset)
    worst = max(found.by_statistic, key=lambda name: found.by_statistic[name] or 0.0)
    share = found.by_statistic[worst]
    if share is None or share < WORTH_SAYING:
        return None
    by = (
        "by the dataset's profile"
        if found.estimated
        else "at best, if the dataset had all the persons that it may have"
    )
    return (
        f"About {share:.0%} of the numbers of {worst} are expected to drown in the noise, {by} and before any filter: "
        'their margin is larger than they are. Fewer cells or more epsilon would help; "require": {"drowned": 0.2} '
        "refuses such a query before the charge."
    )


def _spread(plan: Plan, dataset: Dataset) -> Spread:
    table = plan.table if plan.built is None else plan.built.events
    if plan.table.name == PERSONS and plan.built is None:
        everybody = _everybody(dataset)
        return Spread(dataset.persons_max if everybody is None else everybody, 1.0, everybody is not None)
    if plan.table.one_row_per_person:
        active = _active(table)
        return Spread(dataset.persons_max if active is None else active, 1.0, active is not None)
    reachable = cells_within_reach(plan)
    assert reachable is not None, "every key has declared values"
    cells = min(plan.cells_per_person, reachable)
    counted = proposal.counted(table, plan.keys, plan.cells_per_person, plan.events_per_cell)
    if counted is None:
        return Spread(dataset.persons_max * cells, float(plan.events_per_cell), estimated=False)
    persons, events = counted
    return Spread(persons, max(1.0, events / persons), estimated=True)


def _everybody(dataset: Dataset) -> float | None:
    """Return about how many persons there are, with those who have no events; None without a profile of it."""
    for table in dataset.tables.values():
        active = _active(table)
        if active is not None:
            assert table.profile is not None
            return active + max(0, table.profile.events.persons[0])
    return None


def _active(table: Table) -> float | None:
    """Return about how many persons have events of a table; None without a profile of it."""
    numbers = None if table.profile is None else proposal.Numbers.of(table.profile.events)
    return None if numbers is None or not numbers.bins else float(sum(persons for _, _, persons in numbers.bins))


def _share(plan: Plan, output: Output, spread: Spread) -> float:
    """Return the probability that a number is less than what it needs to be."""
    periods = math.prod(key.size for key in plan.keys if key.column.kind is Kind.DATE)
    numbers, persons = plan.cells // periods, spread.persons / periods
    statistic = registry.of(output.statistic)
    if isinstance(statistic, FixedMargin) and statistic.listed is not None:  # each of the listed counts by itself
        width = output.measures[0].width
        needed = float(statistic.fixed_margin(output, plan.confidence))
        together = max(1.0, spread.each / width)  # of a person's events, how many are in one bin
        return _less(needed / together, persons * spread.each / together, numbers * width)
    needed = allocation.relative_margin(output.statistic, output.measures, plan.events_per_cell, plan.confidence)
    if all(measure.counted is Counted.PERSONS for measure in output.measures):
        return _less(needed, persons, numbers)
    # The yardstick is that of a group in which each person has the root of `events_per_cell` events.
    return _less(needed * math.sqrt(plan.events_per_cell) / spread.each, persons, numbers)


def _less(needed: float, total: float, cells: int) -> float:
    """Return how likely a cell has less than so much of a total, if every way to share it out is as likely."""
    if needed >= total:
        return 1.0
    return 1 - (1 - needed / total) ** (cells - 1)
