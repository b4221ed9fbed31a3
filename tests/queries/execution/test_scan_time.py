from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from queries.binding import dates
from queries.catalog.histograms import Histogram, TableProfile, bin_starts
from queries.catalog.schema import Dataset, frozen
from queries.contribution import profile
from queries.execution import scan_time
from queries.execution.scan_time import Figures, Rates
from queries.language import nodes
from queries.planning import planner
from tests.queries.registry import REGISTRY

RATES = Rates(fixed=0.01, part=0.003, column=1e-8, join=1e-7, group=5e-8, noise=1e-5, row=1e-6)
PEOPLE: tuple[tuple[str, nodes.Statistic], ...] = (("n", nodes.Count("persons")),)


def with_table(dataset: Dataset, name: str, **changes: Any) -> Dataset:
    """Return a dataset with a table changed."""
    return replace(dataset, tables=frozen({**dataset.tables, name: replace(dataset.tables[name], **changes)}))


def seconds(query: nodes.Query, dataset: Dataset = REGISTRY, threads: int = 1, parts: int = 1) -> float:
    """Return what is foretold of a query."""
    planned = planner.plan(dates.fill_in(query, dataset.tables), dataset, nodes.Privacy(10**9), 10**6)
    return scan_time.foretell(planned, RATES, Figures.of(dataset), threads, parts)


def test_figures_are_the_declared_ones_without_a_profile() -> None:
    """Persons are as many as may be, or as expected; events ten of each, as bounded, or as expected."""
    bare = with_table(REGISTRY, "visits", cells_per_person=None, events_per_cell=None)
    figures = Figures.of(bare)
    most = REGISTRY.persons_max
    assert (figures.persons, figures.events["persons"], figures.events["visits"]) == (most, most, 10 * most)
    bounded = with_table(REGISTRY, "visits", cells_per_person=3, events_per_cell=4)
    assert Figures.of(bounded).events["visits"] == 12 * most
    fewer = replace(bare, persons_expected=70)
    assert (Figures.of(fewer).persons, Figures.of(fewer).events["visits"]) == (70, 700)
    assert Figures.of(with_table(fewer, "visits", events_expected=5)).events["visits"] == 5


def test_figures_are_the_profiles_where_one_was_bought() -> None:
    """The noisy numbers of persons count with the upper ends of their bins; what is likely noise does not."""
    starts = bin_starts(100)
    persons = (500, 300, 200, *([0] * (len(starts) - 4)), -20)
    bought = TableProfile(Histogram(100, persons, 1.0), frozen({}))
    known = with_table(REGISTRY, "visits", profile=bought, events_expected=10**9)
    figures = Figures.of(known)
    assert figures.persons == 1_000
    assert figures.events["visits"] == 300 * 1 + 200 * 2
    assert figures.events["persons"] == 1_000


def test_more_work_is_foretold_to_take_longer() -> None:
    """A filter, keys, a join, a second join, a value by person and cells each add to what is foretold."""
    key = (nodes.ByValue("code"),)
    plain = seconds(nodes.Query("visits", PEOPLE, None, key))
    cohort = nodes.Query("visits", PEOPLE, nodes.Cohort("drugs"), key)
    after = nodes.Query("visits", PEOPLE, nodes.Cohort("drugs", after=nodes.Related("visits")), key)
    assert plain < seconds(cohort) < seconds(after)
    built = nodes.Query(nodes.PerPerson("visits", (("n", nodes.Value("count")),)), PEOPLE)
    more = nodes.Query(nodes.PerPerson("visits", (("n", nodes.Value("count")), ("m", nodes.Value("count")))), PEOPLE)
    assert plain < seconds(built) < seconds(more)
    assert seconds(nodes.Query("persons", PEOPLE)) < plain


def test_what_numbers_of_events_answer_fits_if_events_are_read() -> None:
    """An older edition has no numbers: its scan of all events has to fit into the slot as well."""
    read = seconds(nodes.Query("visits", PEOPLE))
    assert read > seconds(nodes.Query("persons", PEOPLE))
    assert seconds(nodes.Query("visits", PEOPLE, None, (nodes.ByValue("sex"),))) > read


def test_a_row_for_each_person_fits_where_there_are_fewer_events() -> None:
    """Of a table that few persons are in, a count reads a row for everybody all the same, and a number beside it."""
    rare = replace(with_table(REGISTRY, "visits", events_expected=10), persons_expected=10**6)
    male = nodes.Comparison("sex", "=", "male")
    everybody = seconds(nodes.Query("persons", PEOPLE, male), rare)
    assert seconds(nodes.Query("visits", PEOPLE, male), rare) > everybody > 10**6 * RATES.column
    assert seconds(nodes.Query("visits", PEOPLE, nodes.Comparison("code", "=", "a")), rare) < everybody / 2


def test_cores_shorten_the_reading_of_numbers_only_for_very_many_persons() -> None:
    """A row for each of half a million persons is read at once, by one core however many there are."""
    male = nodes.Query("visits", PEOPLE, nodes.Comparison("sex", "=", "male"))
    rare = replace(with_table(REGISTRY, "visits", events_expected=10), persons_max=10**7, persons_expected=500_000)
    assert seconds(male, rare, 8) == pytest.approx(seconds(male, rare, 1))
    assert seconds(male, replace(rare, persons_expected=10**7), 8) < seconds(male, rare, 1) * 20 / 2


def test_cores_shorten_the_scan_of_many_persons_alone() -> None:
    """Only parts that the engine streams at once count, and half of what they could give."""
    query = nodes.Query("visits", PEOPLE, None, (nodes.ByValue("code"),))
    few = replace(REGISTRY, persons_expected=1_000)
    many = replace(REGISTRY, persons_max=2**31 - 1, persons_expected=10**7)
    assert seconds(query, few, 8) == seconds(query, few, 1)
    assert seconds(query, many, 3) - RATES.fixed == pytest.approx((seconds(query, many) - RATES.fixed) / 2, rel=1e-3)


def test_each_further_part_takes_its_time() -> None:
    """A scan of many parts takes longer by what each of them adds, whatever is asked; so does a profile."""
    query = nodes.Query("visits", PEOPLE)
    assert seconds(query, parts=41) - seconds(query) == pytest.approx(40 * RATES.part)
    planned, figures = profile.plan(REGISTRY, 10**8), Figures.of(REGISTRY)
    foretold = [scan_time.foretell_profile(planned, RATES, figures, 1, parts) for parts in (1, 41)]
    assert foretold[1] - foretold[0] == pytest.approx(40 * RATES.part)


def test_whether_a_value_exists_makes_no_difference() -> None:
    """Neighbouring probes, which ask for one value and for the next, are foretold the same: nothing looks at data."""

    def probe(cost: int) -> float:
        where = nodes.Comparison("cost", ">=", cost)
        return seconds(nodes.Query("visits", PEOPLE, nodes.Cohort("visits", where, after=nodes.Related("drugs"))))

    assert len({probe(cost) for cost in range(1, 10)}) == 1
