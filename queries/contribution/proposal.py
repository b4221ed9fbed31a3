"""Contribution bounds with the least total error, from the public contribution profile.

Wider bounds lose less of what persons contribute, and need more noise. For bounds of C cells per person and M events in
each, the expected error of a mean cell, relative to its size, is

    lost(C) + lost(M) + cells * noise(C, M) / total

where lost(c) = sum of max(0, number - c) over persons / sum of their numbers, `noise` is the mean absolute value of the
noise on a count of what is counted, and `total` the sum of all cells, so that total / cells is a mean cell. All of
it comes from noisy histograms that were paid for and from the query. No data are touched, so the result is public.

A person's number of cells is not always in the profile, but an upper bound of it is:

- keys of one column: the number of different values of it (bins of values are no more than the values);
- any keys: the number of events, and for each column its number of values times the cells that the other keys make.

The bound with the least sum is used. Likewise the events in one cell are at most all events, and at most the most
events with one value of a column whose values each have their own cells.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.contribution.profile import EVENTS_MAX, key_of, likely
from queries.mechanisms import NANO
from queries.statistics import registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.binding.bound import BoundQuery
    from queries.binding.keys import CellKey
    from queries.catalog.histograms import Histogram, TableProfile
    from queries.catalog.schema import Table
    from queries.language import nodes


@dataclass(frozen=True)
class Numbers:
    """How many persons have a number from low to high, for each bin of a histogram that is not empty."""

    bins: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, histogram: Histogram, times: int = 1, most: int | None = None) -> Numbers:
        """Return a histogram's numbers without likely noise, each times a factor and at most `most`."""
        ends = ((low * times, high * times, persons) for low, high, persons in likely(histogram).bins())
        if most is not None:
            ends = ((min(low, most), min(high, most), persons) for low, high, persons in ends)
        return cls(tuple((low, high, persons) for low, high, persons in ends if high and persons))

    @property
    def total(self) -> float:
        """Return the sum of all persons' numbers, assumed to be spread evenly within each bin."""
        return sum(persons * (low + high) / 2 for low, high, persons in self.bins)

    def lost(self, cap: int) -> float:
        """Return the share of the total that lies beyond a cap on each person's number."""
        return sum(persons * _excess(low, high, cap) for low, high, persons in self.bins) / self.total

    def caps(self) -> list[int]:
        """Return the candidate caps: the ends of the bins."""
        return sorted({end for low, high, _ in self.bins for end in (low, high) if end >= 1})


def _excess(low: int, high: int, cap: int) -> float:
    """Return the mean of max(0, number - cap) over the whole numbers from low to high."""
    if cap <= low:
        return (low + high) / 2 - cap
    above = max(0, high - cap)
    return above * (above + 1) / 2 / (high - low + 1)


@dataclass(frozen=True)
class Proposal:
    """Bounds that a query left open (None for those it named), with notes about them."""

    cells_per_person: int | None = None
    events_per_cell: int | None = None
    notes: tuple[str, ...] = ()


def propose(query: BoundQuery, privacy: nodes.Privacy, measures: int, *, events_max: int = EVENTS_MAX) -> Proposal:
    """Return the bounds that a query leaves open; no bounds without a profile that shows anybody.

    `measures` is the number of equal parts into which the charge is split. At most `events_max` events in a cell are
    proposed.
    """
    table, keys = query.table, query.keys
    if table.profile is None:
        return Proposal()
    reachable = math.prod(key.size for key in keys if not key.column.of_person)
    of_persons = counts_persons(query)
    asks_cells = reachable > 1 and query.bounds.cells_per_person is None
    asks_events = not of_persons and query.bounds.events_per_cell is None
    cells, events = _cells(table, table.profile, keys, reachable), _events(table, table.profile, keys)
    if not (asks_cells or asks_events) or not (cells.bins and events.bins):
        return Proposal()
    whole = cells.total if of_persons else Numbers.of(table.profile.events).total
    size = whole / math.prod(key.size for key in keys)
    cells_lost = {cap: cells.lost(cap) for cap in cells.caps()}
    events_lost = {cap: events.lost(cap) for cap in sorted({min(cap, events_max) for cap in events.caps()})}
    if not asks_cells:  # a bound that is given loses the same with every choice of the other
        cells_lost = {min(reachable, query.bounds.cells_per_person or 1): 0.0}
    if not asks_events:
        events_lost = {1 if of_persons else query.bounds.events_per_cell or 1: 0.0}
    noise = _noise(privacy, measures)

    def error(choice: tuple[int, int]) -> float:
        return cells_lost[choice[0]] + events_lost[choice[1]] + noise(*choice) / size

    best = min(itertools.product(cells_lost, events_lost), key=error)
    words = []
    if asks_cells:
        what = "what persons contribute" if of_persons else "persons' cells"
        words.append(f"cells_per_person {best[0]}, beyond which {percent(cells_lost[best[0]])} of {what} is lost")
    if asks_events:
        words.append(f"events_per_cell {best[1]}, beyond which {percent(events_lost[best[1]])} of the events is lost")
    note = (
        f"chosen from the dataset's profile: {'; '.join(words)}; the noise on a count is then about "
        f"{percent(noise(*best) / size)} of a mean cell (before any filter: it leaves smaller cells)"
    )
    return Proposal(best[0] if asks_cells else None, best[1] if asks_events else None, (note,))


def losses(
    table: Table, keys: Sequence[CellKey], cells_per_person: int, events_per_cell: int
) -> tuple[float | None, float | None]:
    """Return the shares of persons' cells, and of their events in a cell, that lie beyond given bounds.

    None where no profile shows anybody.
    """
    if table.profile is None:
        return None, None
    own = [key for key in keys if not key.column.of_person]
    # The number of cells of a key without declared values is not known. A person has at most one per event.
    unbounded = any(key.named is not None for key in own)
    reachable = EVENTS_MAX if unbounded else math.prod(key.size for key in own)
    cells, events = _cells(table, table.profile, keys, reachable), _events(table, table.profile, keys)
    if not (cells.bins and events.bins):
        return None, None
    return cells.lost(cells_per_person), events.lost(events_per_cell)


def counted(
    table: Table, keys: Sequence[CellKey], cells_per_person: int, events_per_cell: int
) -> tuple[float, float] | None:
    """Return how many cells all persons together touch within the bounds, and with how many events.

    None if no profile shows anybody. The number of cells is an upper bound, because only bounds are known.
    """
    cells_lost, events_lost = losses(table, keys, cells_per_person, events_per_cell)
    if table.profile is None or cells_lost is None or events_lost is None:
        return None
    own = [key for key in keys if not key.column.of_person]
    cells = _cells(table, table.profile, keys, math.prod(key.size for key in own))
    whole = Numbers.of(table.profile.events).total
    return cells.total * (1 - cells_lost), whole * (1 - cells_lost) * (1 - events_lost)


def events_lost(table: Table, most: int) -> float | None:
    """Return the share of a table's events that lies beyond a cap on each person's number; None without a profile."""
    numbers = None if table.profile is None else Numbers.of(table.profile.events)
    return None if numbers is None or not numbers.bins else numbers.lost(most)


def counts_persons(query: BoundQuery) -> bool:
    """Return True if a query counts only persons, so that events per cell do not matter."""
    return all(registry.of(one.node).of_persons(one.node) for one in query.select)


def _cells(table: Table, profile: TableProfile, keys: Sequence[CellKey], reachable: int) -> Numbers:
    """Return upper bounds of persons' numbers of cells: those with the least sum among the known ones."""
    known = [Numbers.of(profile.events, most=reachable)]
    for name, column in profile.columns.items():
        own = [key for key in keys if key.column.name == name]
        if own and all(_merges_values(key, table) for key in own):
            others = reachable // math.prod(key.size for key in own)
            known.append(Numbers.of(column.values, others, reachable))
    return min(known, key=lambda numbers: numbers.total)


def _events(table: Table, profile: TableProfile, keys: Sequence[CellKey]) -> Numbers:
    """Return upper bounds of persons' events in one cell: those with the least sum among the known ones."""
    names = [key.column.name for key in keys if _parts_values(key, table)]
    known = [Numbers.of(profile.columns[name].repeats) for name in names if name in profile.columns]
    return min([Numbers.of(profile.events), *known], key=lambda numbers: numbers.total)


def _merges_values(key: CellKey, table: Table) -> bool:
    """Return True if all events with one value of a profiled column fall into one cell of the key, or into none."""
    profiled = key_of(key.column, table)
    if profiled is not None and key.part is not None:  # a date's months are profiled
        return key.part in ("year", "quarter", "month")
    if profiled is None or profiled.edges is None:
        return profiled is not None
    return key.edges is not None and set(key.edges) <= {*profiled.edges, 0}


def _parts_values(key: CellKey, table: Table) -> bool:
    """Return True if all events in one cell of the key have the same value of a profiled column."""
    profiled = key_of(key.column, table)
    if profiled is None or key.part is not None:  # a part of a date repeats in many periods
        return False
    if key.edges is None:
        return True
    return profiled.edges is not None and set(profiled.edges) <= set(key.edges)


def _noise(privacy: nodes.Privacy, measures: int) -> Callable[[int, int], float]:
    """Return the mean absolute noise on a count by its bounds: Laplace's scale, or sqrt(2 / pi) of Gaussian's."""
    if privacy.rho_nano is None:
        # The cost of margins is not known yet: bounds are chosen as for an epsilon of 1.
        epsilon = (privacy.epsilon_nano or NANO) / NANO / measures
        return lambda cells, events: cells * events / epsilon
    root = math.sqrt(2 * privacy.rho_nano / NANO / measures)
    # The planner takes the smaller one.
    return lambda cells, events: events / root * min(cells, math.sqrt(cells * 2 / math.pi))


def percent(share: float) -> str:
    """Return a share in words of about two digits."""
    return f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
