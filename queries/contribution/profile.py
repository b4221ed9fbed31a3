"""The contribution profile: how much single persons contribute to each table, as noisy public histograms.

Each table of events has a histogram of the number of events per person. Each column that can be a key has two more: the
number of different values per person, and the most events of a person with one value. (The values of a date are its
months. If null has a cell, null is a value.) The planner proposes bounds from the profile (`proposal.py`).

The argument. In each histogram a person has one number, which depends on that person's events only, and is therefore
in exactly one bin; persons without events are in the bin of 0. Adding or removing a person changes one bin by 1: each
histogram has a sensitivity of 1 in L1 (and in L2), whatever the person did and without any bound on it. Each is
released by its own mechanism, and the losses add up. Bins, tables and columns follow from the catalog only.
"""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from queries import mechanisms
from queries.binding import keys
from queries.catalog import least_charge
from queries.catalog.histograms import ColumnProfile, Histogram, TableProfile, bin_starts
from queries.catalog.schema import Kind, frozen
from queries.contribution import tails
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.mechanisms import NANO

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.catalog.schema import Column, Dataset, Table
    from queries.mechanisms import DiscreteLaplace

SENSITIVITY = 1  # of each histogram: a person is in one bin
EVENTS_MAX = 2**20  # the last bin of events; whoever has more is in it too
VALUES_MAX = 10_000  # columns with more values have no histograms
PERIOD = "month"  # a date's values
CONFIDENCE = 0.95
HARDLY_EVER, SELDOM = 1e-6, 0.05  # chances that noise alone makes an empty histogram look occupied
STEP = 3  # bins: one person may have nearly three times as much as the others


class Counted(StrEnum):
    """What is counted of a person."""

    EVENTS = "events"  # their events
    VALUES = "values"  # the different values of a column among their events
    REPEATS = "repeats"  # the most of their events that have one value of a column


@dataclass(frozen=True)
class Draft:
    """A histogram before it is made: what is counted, and up to which number (the last bin holds everything beyond)."""

    table: Table
    key: CellKey | None  # None: all events of the table
    counted: Counted
    most: int

    @property
    def starts(self) -> tuple[int, ...]:
        """Return where bins begin, ascending from 0: each holds the numbers from its start below the next one's."""
        return bin_starts(self.most)


@dataclass(frozen=True)
class Plan:
    """The histograms to make and the mechanism of each."""

    dataset: str
    drafts: tuple[Draft, ...]
    mechanisms: tuple[DiscreteLaplace, ...]

    @property
    def cost(self) -> tuple[Fraction, Fraction]:
        """Return epsilon and rho: the sums of what OpenDP charges for each histogram."""
        epsilon = Fraction(sum(one.epsilon_nano for one in self.mechanisms), NANO)
        return epsilon, sum((one.rho for one in self.mechanisms), Fraction(0))


def plan(dataset: Dataset, epsilon_nano: int) -> Plan:
    """Return the plan of a dataset's profile that may cost so much. Raises InvalidQuery."""
    least_charge.require(epsilon_nano, least_charge.nano(dataset, "epsilon"), "/epsilon")
    drafts = tuple(draft for table in dataset.tables.values() for draft in _drafts(table))
    share, rest = divmod(epsilon_nano, len(drafts))
    if share == 0:
        raise InvalidQuery("/epsilon", f"is too small to be split over {len(drafts)} histograms")
    made = (mechanisms.discrete_laplace(SENSITIVITY, share + (place < rest)) for place in range(len(drafts)))
    return Plan(dataset.name, drafts, tuple(made))


def _drafts(table: Table) -> Iterator[Draft]:
    if table.one_row_per_person:
        return
    yield Draft(table, None, Counted.EVENTS, EVENTS_MAX)
    for column in table.columns.values():
        key = key_of(column, table)
        if key is not None:
            yield Draft(table, key, Counted.VALUES, key.size)
            yield Draft(table, key, Counted.REPEATS, EVENTS_MAX)


def key_of(column: Column, table: Table) -> CellKey | None:
    """Return the key whose cells are a column's values here, or None for a column without histograms.

    A person's own columns need none: they do not vary. Decimals are measured more than they are grouped by.
    """
    if column.of_person or not column.declared or column.kind is Kind.NUMBER:
        return None
    node = nodes.ByPeriod(column.name, PERIOD) if column.kind is Kind.DATE else nodes.ByValue(column.name)
    key = keys.bind(node, table, "")
    return key if 2 <= key.size <= VALUES_MAX and key.table() is not None else None


def canonical(plan: Plan) -> str:
    """Return a text that is equal for two plans exactly if they describe the same histograms at the same price."""
    histograms = [
        {
            "table": draft.table.name,
            "key": None if draft.key is None else [draft.key.column.name, draft.key.size],
            "counted": draft.counted.value,
            "starts": draft.starts,
            "most": draft.most,
            "epsilon_nano": mechanism.epsilon_nano,
        }
        for draft, mechanism in zip(plan.drafts, plan.mechanisms, strict=True)
    ]
    return json.dumps({"dataset": plan.dataset, "histograms": histograms}, sort_keys=True, separators=(",", ":"))


def release(plan: Plan, exact: list[NDArray[np.int64]]) -> dict[str, Any]:
    """Return the profile as it is stored and shown: fresh noise on every bin, and nothing else of the data."""
    tables: dict[str, Any] = {}
    for draft, mechanism, persons in zip(plan.drafts, plan.mechanisms, exact, strict=True):
        noisy = mechanism.release(persons)
        shown = {
            "scale": mechanism.scale,
            "margin": mechanism.margin(CONFIDENCE),
            "starts": list(draft.starts),
            "most": draft.most,
            "persons": [int(number) for number in noisy],
        }
        table = tables.setdefault(draft.table.name, {"events": None, "columns": {}})
        if draft.key is None:
            table["events"] = shown
        else:
            column = draft.key.column
            by = {"by": PERIOD} if column.kind is Kind.DATE else {}
            table["columns"].setdefault(column.name, by)[draft.counted.value] = shown
    return {"confidence": CONFIDENCE, "tables": tables}


def read(body: Mapping[str, Any]) -> Mapping[str, TableProfile]:
    """Return the profile of each table from what `release` made."""
    return frozen(
        {
            name: TableProfile(
                histogram_of(table["events"]),
                frozen(
                    {
                        column: ColumnProfile(histogram_of(one["values"]), histogram_of(one["repeats"]), one.get("by"))
                        for column, one in table["columns"].items()
                    }
                ),
            )
            for name, table in body["tables"].items()
        }
    )


def with_profile(dataset: Dataset, profile: Mapping[str, TableProfile]) -> Dataset:
    """Return the dataset with the fitting parts of profiles on its tables: they may be of an earlier edition."""
    tables = {
        name: replace(table, profile=_fitting(profile.get(name), table)) for name, table in dataset.tables.items()
    }
    return replace(dataset, tables=frozen(tables))


def _fitting(profile: TableProfile | None, table: Table) -> TableProfile | None:
    """Return the profile's columns that the table still has and that have no more values than the profile covers.

    A date may have more months than before, because data grow.
    """
    if profile is None or table.one_row_per_person:
        return None
    columns = {}
    for name, one in profile.columns.items():
        column = table.columns.get(name)
        key = None if column is None else key_of(column, table)
        period = PERIOD if column is not None and column.kind is Kind.DATE else None
        if key is not None and one.by == period and (period is not None or key.size <= one.values.most):
            columns[name] = one
    return replace(profile, columns=frozen(columns))


def histogram_of(shown: Mapping[str, Any]) -> Histogram:
    """Return a histogram from its shown form."""
    return Histogram(shown["most"], tuple(shown["persons"]), float(shown["scale"]))


@functools.lru_cache(maxsize=256)
def likely(histogram: Histogram) -> Histogram:
    """Return a histogram without what is likely noise. Post-processing: only released numbers are used.

    Most bins of large numbers are empty, but a few persons that noise puts there would outweigh everybody else. An
    empty bin passes scale * ln(1 / (2 p)) with probability p. Noisy numbers are kept (negative ones as 0) up to a last
    bin, which is found in steps: first the last bin above a level that noise hardly ever reaches, or else the largest
    bin; then any of the next few bins above a level that noise seldom reaches. Beyond the last bin a number is at most
    the noisy number plus a little noise, and at most the tail fitted to the other bins (`tails.py`). Without that tail
    the few persons who have the most would be hidden by the noise, and the loss from cutting them off would be taken as
    0.
    """
    scale, persons = histogram.scale, [max(0, number) for number in histogram.persons]

    def passes(place: int, chance: float) -> bool:
        return persons[place] > scale * math.log(1 / (2 * chance))

    # The bin of 0 is left out: it holds the persons without events.
    places = range(1, len(persons))
    sure = [place for place in places if passes(place, HARDLY_EVER / len(places))]
    last = max(sure, default=max(places, key=lambda place: persons[place]))
    if not sure and not passes(last, SELDOM / len(places)):
        return replace(histogram, persons=(persons[0], *(0 for _ in places)))
    while near := [place for place in places[last : last + STEP] if passes(place, SELDOM / STEP)]:
        last = near[-1]
    if places[last:]:
        tail = tails.expected(bin_starts(histogram.most), histogram.most, histogram.persons)
        for place in places[last:]:
            persons[place] = round(min(persons[place] + scale / 2, tail[place]))
    return replace(histogram, persons=tuple(persons))
