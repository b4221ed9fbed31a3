"""The planner's choice of bounds on profiles made by hand."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from queries import mechanisms
from queries.catalog.histograms import ColumnProfile, Histogram, TableProfile, bin_starts
from queries.catalog.schema import Column, Kind, Table, frozen
from queries.contribution import profile, proposal
from queries.language import nodes
from queries.mechanisms import NANO
from queries.planning import noise, planner
from tests.queries.contribution.test_profile import COLUMNS, DATASET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

PERSONS, EVENTS = nodes.Count("persons"), nodes.Count("events")


def histogram(most: int, persons: Mapping[int, int], scale: float) -> Histogram:
    """Return a histogram with so many persons in the bins that begin at these numbers."""
    starts = bin_starts(most)
    assert set(persons) <= set(starts)
    return Histogram(most, tuple(persons.get(start, 0) for start in starts), scale)


def described(
    events: Mapping[int, int], *, scale: float = 0.01, **columns: tuple[Mapping[int, int], Mapping[int, int]]
) -> Dataset:
    """Return the clinic with a profile of its visits: of all events, and of columns (values, repeats)."""
    made = {}
    for name, (values, repeats) in columns.items():
        key = profile.key_of(COLUMNS[name], DATASET.tables["visits"])
        assert key is not None
        by = "month" if COLUMNS[name].kind is Kind.DATE else None
        made[name] = ColumnProfile(histogram(key.size, values, scale), histogram(2**20, repeats, scale), by)
    return profile.with_profile(DATASET, {"visits": TableProfile(histogram(2**20, events, scale), frozen(made))})


def planned(
    dataset: Dataset, *keys: nodes.Key, bounds: nodes.Bounds | None = None, rho: bool = False, **select: nodes.Statistic
) -> Plan:
    """Return the plan of a query of epsilon 1, or of the same in rho."""
    query = nodes.Query("visits", tuple(select.items()), None, keys, bounds or nodes.Bounds())
    privacy = nodes.Privacy(rho_nano=NANO // 2) if rho else nodes.Privacy(NANO)
    return planner.plan(query, dataset, privacy, 1_000_000)


UNITS = ({1: 60_000, 3: 30_000, 6: 10_000}, {1: 90_000, 4: 10_000})
REGION = nodes.ByValue("region")
UNIT = nodes.ByValue("unit")


def test_many_persons_are_worth_little_loss() -> None:
    """Where noise is small beside the cells, the bound is the most that anybody has."""
    made = planned(described({1: 50_000, 16: 50_000}, unit=UNITS), UNIT, n=PERSONS)
    assert made.cells_per_person == 7
    (note,) = made.notes
    assert "cells_per_person 7" in note
    assert "profile" in note


def test_few_persons_are_worth_little_noise() -> None:
    """Where noise is large beside the cells, more is lost for less of it."""
    few = ({1: 60, 3: 5, 6: 1}, {1: 66})  # 7 cells of noise 1 outweigh 6 persons
    made = planned(described({1: 50, 16: 17}, unit=few), UNIT, n=PERSONS)
    assert made.cells_per_person == 1
    assert "is lost" in made.notes[0]


@pytest.mark.parametrize("rho", [False, True])
@pytest.mark.parametrize("persons", [100, 400, 3_000, 20_000, 10**6])
def test_the_choice_has_the_least_error_of_all(persons: int, rho: bool) -> None:
    """No other bound at the end of a bin has a smaller sum of loss and noise, computed here anew."""
    shares = {1: 30, 2: 20, 3: 15, 4: 12, 6: 9, 8: 6, 11: 4, 16: 3, 23: 1}
    values = {start: persons * share // 100 for start, share in shares.items()}
    made = planned(described({64: persons}, age=(values, {1: persons})), nodes.ByValue("age"), n=PERSONS, rho=rho)
    starts = bin_starts(31)
    width = {start: range(start, end) for start, end in itertools.pairwise((*starts, 32))}
    numbers = [(number, values[start] / len(width[start])) for start in values for number in width[start]]
    total = sum(number * weight for number, weight in numbers)

    def error(cap: int) -> float:
        lost = sum(max(0, number - cap) * weight for number, weight in numbers)
        noise = min(cap, (2 * cap / 3.141592653589793) ** 0.5) if rho else cap
        return (lost + 31 * noise) / total

    least = min(error(cap) for cap in {end for start in values for end in (start, width[start][-1])})
    assert error(made.cells_per_person) == pytest.approx(least)


def test_gaussian_noise_affords_wider_bounds() -> None:
    """The same charge in rho has noise that grows with the root of the bound, so the bound is wider."""
    values = {1: 600, 3: 300, 8: 90, 16: 30}
    dataset = described({64: 1_020}, age=(values, {1: 1_020}))
    by_epsilon = planned(dataset, nodes.ByValue("age"), n=PERSONS)
    by_rho = planned(dataset, nodes.ByValue("age"), n=PERSONS, rho=True)
    assert by_epsilon.cells_per_person < by_rho.cells_per_person


def test_bound_named_by_query_is_kept() -> None:
    """A bound that the query names stays; the other is proposed beside it. With both there is no note."""
    dataset = described({1: 50_000, 16: 50_000}, unit=UNITS)
    made = planned(dataset, UNIT, bounds=nodes.Bounds(cells_per_person=2), n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell) == (2, 5)
    assert "cells_per_person" not in made.notes[0]
    made = planned(dataset, UNIT, bounds=nodes.Bounds(events_per_cell=3), n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell) == (7, 3)
    made = planned(dataset, UNIT, bounds=nodes.Bounds(3, 3), n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell, made.notes) == (3, 3, ())


def test_events_of_a_cell_are_bounded_by_the_most_with_one_value() -> None:
    """Of a group-by column the histogram of repeats decides; without keys that of all events."""
    dataset = described({1: 50_000, 16: 50_000}, unit=UNITS)
    assert planned(dataset, UNIT, n=EVENTS).events_per_cell == 5
    alone = planned(dataset, n=EVENTS)
    assert (alone.cells_per_person, alone.events_per_cell) == (1, 22)


def test_keys_of_the_person_leave_one_cell() -> None:
    """Over a person's own attributes only the events per cell are chosen; for a count of persons nothing is."""
    dataset = described({1: 50_000, 16: 50_000}, unit=UNITS)
    made = planned(dataset, nodes.ByValue("sex"), n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell) == (1, 22)
    made = planned(dataset, nodes.ByValue("sex"), n=PERSONS)
    assert (made.cells_per_person, made.notes) == (1, ())
    made = planned(dataset, nodes.ByValue("sex"), UNIT, n=PERSONS)
    assert made.cells_per_person == 7


def test_bins_of_values_are_no_more_than_the_values() -> None:
    """Bins of a column are bounded by its values and by their own number; repeats say nothing of them."""
    dataset = described({4: 100_000}, age=({3: 100_000}, {1: 100_000}))
    bins = nodes.ByBins("age", (0, 10, 20, 25, 30))
    made = planned(dataset, bins, n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell) == (3, 5)
    assert planned(dataset, nodes.ByBins("age", (0, 10, 20)), n=PERSONS).cells_per_person == 2


def test_quarters_are_no_more_than_the_months_but_days_may_be() -> None:
    """The months of a date bound its quarters and years; days and bins across months are bounded by events alone."""
    dataset = described({8: 100_000}, day=({3: 100_000}, {2: 100_000}))
    for period, cells in (("month", 3), ("quarter", 3), ("year", 2)):
        assert planned(dataset, nodes.ByPeriod("day", period), n=PERSONS).cells_per_person == cells
    assert planned(dataset, nodes.ByPeriod("day", "month"), n=EVENTS).events_per_cell == 2
    assert planned(dataset, nodes.ByPeriod("day", "quarter"), n=EVENTS).events_per_cell == 10
    for part, cells in (("month", 3), ("quarter", 3), ("year", 2), ("weekday", 7), ("week", 10), ("day", 10)):
        made = planned(dataset, nodes.ByPart("day", part), n=EVENTS)
        assert (made.cells_per_person, made.events_per_cell) == (cells, 10)
    weeks = nodes.ByBins("day", tuple(f"2020-02-{day:02}" for day in range(1, 29)))
    assert planned(dataset, weeks, n=PERSONS).cells_per_person == 10
    by_day = planned(dataset, nodes.ByValue("day"), n=EVENTS)
    assert (by_day.cells_per_person, by_day.events_per_cell) == (10, 2)


def test_products_take_the_least_of_what_is_known() -> None:
    """Of two keys the cells are no more than one's values times the other's cells, nor than all events."""
    units, regions = ({2: 100_000}, {1: 100_000}), ({1: 100_000}, {1: 100_000})
    assert planned(described({64: 100_000}, unit=units, region=regions), REGION, UNIT, n=PERSONS).cells_per_person == 7
    assert planned(described({3: 100_000}, unit=units, region=regions), REGION, UNIT, n=PERSONS).cells_per_person == 3
    # Without a histogram of its own, a key counts with all its cells.
    assert planned(described({64: 100_000}, unit=units), nodes.ByValue("wide"), n=PERSONS).cells_per_person == 90


def test_a_query_without_a_profile_is_planned_as_before() -> None:
    """Without a profile, on the table of persons and where it shows nobody the declared or default bounds hold."""
    for dataset in (DATASET, described({}), described({1: 5}, scale=1.0), described({}, unit=({}, {}))):
        made = planned(dataset, nodes.ByValue("wide"), n=EVENTS)
        assert (made.cells_per_person, made.events_per_cell) == (10, 10)
        assert all("was not given" in note for note in made.notes)
        assert len(made.notes) == 2
    query = nodes.Query("persons", (("n", EVENTS),), None, (nodes.ByValue("sex"),))
    made = planner.plan(query, described({4: 9}, unit=UNITS), nodes.Privacy(NANO), 1_000)
    assert (made.cells_per_person, made.events_per_cell, made.notes) == (1, 1, ())


def test_the_profile_comes_before_what_the_custodian_declared() -> None:
    """A profile's proposal is made for the query at hand; the declared bounds are for when there is none."""
    dataset = described({1: 50_000, 16: 50_000}, unit=UNITS)
    tables = dict(dataset.tables)
    tables["visits"] = replace(tables["visits"], cells_per_person=2, events_per_cell=2)
    made = planned(replace(dataset, tables=frozen(tables)), UNIT, n=EVENTS)
    assert (made.cells_per_person, made.events_per_cell) == (7, 5)


def test_more_statistics_have_more_noise_and_so_narrower_bounds() -> None:
    """What may be spent is split between statistics and their measures: each has more noise."""
    dataset = described({64: 3_000}, age=({1: 1_500, 4: 1_200, 16: 300}, {1: 2_000, 4: 900, 16: 100}))
    one = planned(dataset, nodes.ByValue("age"), n=EVENTS)
    many = planned(dataset, nodes.ByValue("age"), **{f"s{place}": nodes.Mean("cost") for place in range(8)})
    assert many.cells_per_person * many.events_per_cell < one.cells_per_person * one.events_per_cell


def test_the_mean_excess_of_a_bin_is_that_of_its_numbers() -> None:
    """The closed form is the mean over each whole number of a bin."""
    for low, high, cap in itertools.product(range(1, 9), range(1, 14), range(16)):
        if low <= high:
            plain = sum(max(0, number - cap) for number in range(low, high + 1)) / (high - low + 1)
            assert proposal._excess(low, high, cap) == pytest.approx(plain)


@pytest.mark.parametrize("rho", [False, True])
@pytest.mark.parametrize("persons", [50_000, 10**6])
def test_a_noisy_profile_is_nearly_as_good_as_the_exact_one(persons: int, rho: bool) -> None:
    """On skewed persons most profiles with much noise give bounds of at most twice the least error, or 0.5% more."""
    random = np.random.default_rng(persons)
    numbers = np.minimum(np.rint(np.exp(1.6 + 0.9 * random.standard_normal(persons))), 300).astype(int)
    starts = bin_starts(300)
    exact = np.histogram(numbers, [*starts, 301])[0].astype(np.int64)
    codes = Column("code", Kind.CATEGORY, values=tuple(f"C{place}" for place in range(300)))
    visits = Table("visits", frozen({"code": codes}))
    excess = np.array([np.maximum(0, numbers - cap).sum() for cap in range(301)])

    def error(cap: int) -> float:
        noise = math.sqrt(2 * cap / math.pi) if rho else cap
        return float(excess[cap] + 300 * noise) / float(numbers.sum())

    least = min(error(cap) for cap in range(1, 301))
    errors = []
    noise = mechanisms.discrete_laplace(1, NANO // 100)  # of epsilon 0.1 split over ten histograms
    for _ in range(25):
        found = Histogram(300, tuple(map(int, noise.release(exact))), noise.scale)
        known = TableProfile(histogram(2**20, {512: persons}, 0.01), frozen({"code": ColumnProfile(found, found)}))
        dataset = profile.with_profile(replace(DATASET, tables=frozen({"visits": visits})), {"visits": known})
        errors.append(error(planned(dataset, nodes.ByValue("code"), n=PERSONS, rho=rho).cells_per_person))
    # Noise may be unlucky: most profiles serve so well, and none much worse.
    assert statistics.median(errors) <= max(2 * least, least + 0.005)
    assert max(errors) <= max(8 * least, least + 0.02)


def test_no_bounds_are_proposed_whose_sums_would_overflow() -> None:
    """Where persons seem to have a million events each, as a noisy tail may say, a variance can still be asked."""
    wide = replace(COLUMNS["cost"], kind=Kind.NUMBER, low=0, high=10**6)
    table = DATASET.tables["visits"]
    columns = frozen({**table.columns, "cost": wide})
    last = bin_starts(2**20)[-1]
    dataset = described({last: 60_000})
    visits = replace(dataset.tables["visits"], columns=columns)
    dataset = replace(dataset, persons_max=100_000, tables=frozen({**dataset.tables, "visits": visits}))
    made = planned(dataset, v=nodes.Variance("cost"))
    assert 1 <= made.events_per_cell < last
    assert all(dataset.persons_max * measure.largest < noise.SUM_MAX for measure in made.measures)
