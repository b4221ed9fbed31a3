"""How long a scan will take, from public figures alone.

A slot hides how long a scan took only if the scan ends within it, so the slot has to fit the question. It is chosen
from public figures: the plan; how many persons and events there may be (from the profile that was bought, or as
declared); and this machine's rates, which are measured on made-up data and never on real data. Therefore the same
question always has the same slot, whatever the data are.

The figures are rather too large than too small: counts are the upper ends of noisy bins, and an unknown figure is taken
at its declared bound. What each person's number of events answers (`event_numbers.py`) is foretold to take as long as
the longer of two ways: a row is read for each person, or each event is, because editions of before have no such numbers
and their scans must fit into the slot too.
`server/runtime/scans/slots.py` adds a factor for what no figure covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from queries.binding.predicates import Among, Beginning, Both, Compared, Either, Member, Spelled
from queries.catalog.schema import PERSONS
from queries.contribution import profile
from queries.execution import event_numbers, scan
from queries.execution.duckdb import PERSONS_PER_STREAM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding.predicates import Bound, Events
    from queries.catalog.schema import Dataset, Table
    from queries.plan import Plan

EVENTS_TYPICAL = 10  # of a person, in a table about which nothing is known
PART_GAIN = 0.5  # how much faster another core makes a scan, as a part of the best case
VALUES_TYPICAL = 20_000  # of a key without declared values, because their true number is secret


@dataclass(frozen=True)
class Rates:
    """Seconds that things take on this machine. `fixed` is what every scan takes, `part` what each further part adds.

    `column` is for one column of one event, `join` for an event that is joined or sorted, `group` for an event that
    enters a value per person, `noise` for one draw, `row` for one number of the answer.
    """

    fixed: float
    part: float
    column: float
    join: float
    group: float
    noise: float
    row: float


@dataclass(frozen=True)
class Figures:
    """How many persons there may be, and how many events in each table."""

    persons: int
    events: Mapping[str, int]

    @classmethod
    def of(cls, dataset: Dataset) -> Figures:
        """Return the public figures of a dataset, from its profile if one was bought."""
        bought = [table.profile.events for table in dataset.tables.values() if table.profile is not None]
        persons = dataset.persons_max if dataset.persons_expected is None else dataset.persons_expected
        if bought:
            persons = min(dataset.persons_max, max(sum(max(0, n) for n in one.persons) for one in bought))
        return cls(persons, {name: _events(table, persons) for name, table in dataset.tables.items()})


def _events(table: Table, persons: int) -> int:
    if table.one_row_per_person:
        return persons
    if table.profile is not None:
        return sum(high * number for _, high, number in profile.likely(table.profile.events).bins())
    if table.events_expected is not None:
        return table.events_expected
    if table.cells_per_person is not None and table.events_per_cell is not None:
        return persons * table.cells_per_person * table.events_per_cell
    return persons * EVENTS_TYPICAL


def foretell(plan: Plan, rates: Rates, figures: Figures, threads: int, parts: int = 1) -> float:
    """Return about how many seconds a plan takes, from the start of its scan to its answer.

    `threads` is how many ranges of persons, or parts, are scanned at once.
    """
    work = _Work(rates, figures)
    main = plan.table.name if plan.built is None else plan.built.events.name
    scanned, gain = work.rows(plan, main), _gain(figures.persons, threads)
    if event_numbers.suffice(plan):
        numbered = work.rows(plan, PERSONS, more=1)
        scanned = max(scanned, numbered * gain / _gain(figures.persons, threads, event_numbers.PERSONS_PER_STREAM))
    if plan.built is not None:
        scanned += work.condition(plan.built.where, main)
        for value in plan.built.values:
            scanned += figures.events[main] * rates.group + work.condition(value.where, main)
            if value.to is not None:
                scanned += figures.events[main] * rates.join + work.related(value.to)
    scanned = rates.fixed + (parts - 1) * rates.part + scanned / gain
    numbers = drawn = 0
    for measure in plan.measures:
        numbers += measure.width
        drawn += measure.width if measure.search is None else measure.search.bins * len(measure.search.tenths)
    cells, named = plan.cells, 0.0
    if plan.listing is not None:
        scanned *= 2  # once more, for the values that are named
        named = VALUES_TYPICAL * rates.noise
        cells *= min(plan.listing.values_max, VALUES_TYPICAL)
    made = cells * (drawn * rates.noise + (numbers + len(plan.keys)) * rates.row)
    return scanned + named + made


def foretell_profile(plan: profile.Plan, rates: Rates, figures: Figures, threads: int, parts: int = 1) -> float:
    """Return about how many seconds a contribution profile takes."""
    scanned = sum(figures.events[draft.table.name] * 2 * rates.column for draft in plan.drafts)
    bins = sum(len(draft.starts) for draft in plan.drafts)
    fixed = rates.fixed + (parts - 1) * rates.part
    return fixed + scanned / _gain(figures.persons, threads) + bins * (rates.noise + rates.row)


def _gain(persons: int, threads: int, persons_per_stream: int = PERSONS_PER_STREAM) -> float:
    """Return how much faster a scan is because several ranges of persons are read at once."""
    return 1 + (max(1, min(threads, persons // persons_per_stream)) - 1) * PART_GAIN


@dataclass(frozen=True)
class _Work:
    rates: Rates
    figures: Figures

    def rows(self, plan: Plan, table: str, more: int = 0) -> float:
        """Return the seconds of reading a table's rows for a plan, with what is decided about each.

        `more` columns are read beside those that the plan names.
        """
        read = self.columns(table, 1 + len(scan.columns(plan)) + more)
        return read + sum(self.condition(one, table) for one in (plan.where, *plan.conditions))

    def columns(self, table: str, number: int) -> float:
        return self.figures.events[table] * number * self.rates.column

    def condition(self, predicate: Bound, table: str) -> float:
        """Return the seconds of a condition over a table's events."""
        match predicate:
            case Among() | Spelled() | Beginning():
                return self.columns(table, 1)
            case Compared():
                return self.columns(table, 2)
            case Both(parts) | Either(parts):
                return sum(self.condition(part, table) for part in parts)
            case Member(events):
                found = self.columns(table, 1)  # each event is looked up among the persons
                if scan.is_of_events_alone(predicate):
                    return found + self.columns(events.table, 2) + self.condition(events.where, events.table)
                others = (events, predicate.after, predicate.without)
                return found + sum(self.related(one) for one in others if one is not None)
            case _:
                assert_never(predicate)

    def related(self, events: Events) -> float:
        """Return the seconds of events that are joined."""
        return self.figures.events[events.table] * self.rates.join + self.condition(events.where, events.table)
