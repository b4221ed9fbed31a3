"""What share of the numbers is expected to drown: from public knowledge alone, near what it is, and refused on request."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from queries import mechanisms
from queries.catalog.histograms import Histogram, TableProfile, bin_starts
from queries.catalog.schema import EPOCH, PERSONS, Column, Dataset, Kind, Table, frozen
from queries.contribution import profile
from queries.errors import WouldDrown
from queries.language import nodes
from queries.mechanisms import NANO
from queries.planning import drowning, planner
from tests.queries.contribution.test_profile import COLUMNS, DATASET
from tests.queries.contribution.test_proposal import described
from tests.queries.ward import EVERY, WARD

if TYPE_CHECKING:
    from queries.plan import Plan

REGION, AGE, UNIT = nodes.ByValue("region"), nodes.ByValue("age"), nodes.ByValue("unit")
MONTH = nodes.ByPeriod("day", "month")
PEOPLE, EVENTS = nodes.Count("persons"), nodes.Count("events")


def planned(
    dataset: Dataset,
    *keys: nodes.Key,
    source: str | nodes.PerPerson = "visits",
    bounds: nodes.Bounds | None = None,
    epsilon_nano: int = NANO,
    **select: nodes.Statistic,
) -> Plan:
    """Return the plan of a query."""
    query = nodes.Query(source, tuple(select.items()), None, keys, bounds or nodes.Bounds(1, 1))
    return planner.plan(query, dataset, nodes.Privacy(epsilon_nano), 1_000_000)


def test_the_share_is_that_of_every_way_to_spread_them() -> None:
    """Without a profile there are persons_max persons: a cell has fewer than its margin as often as Dirichlet's draws do."""
    made = planned(DATASET, AGE, epsilon_nano=NANO // 1000, n=PEOPLE)
    margin = made.measures[0].mechanism.margin(0.95)
    found = drowning.of(made, DATASET)
    assert not found.estimated
    drawn = stats.dirichlet.rvs([1.0] * 31, 4_000, random_state=1) * DATASET.persons_max
    assert found.by_statistic["n"] == found.share == pytest.approx((drawn < margin).mean(), abs=0.01)


def test_a_profile_tells_how_many_there_are() -> None:
    """With fewer persons than there may be more drowns; with cells that they touch one by one less than without."""
    few = described({1: 500, 4: 500}, age=({1: 500, 4: 500}, {1: 1000}))
    made = planned(few, AGE, bounds=nodes.Bounds(4, 1), n=PEOPLE)
    found = drowning.of(made, few)
    assert found.estimated
    touched = 500 + 500 * 4.5 * (1 - 500 * 0.5 / (500 + 500 * 4.5))  # from 4 to 5 cells, of which at most 4 count
    assert found.share == pytest.approx(1 - (1 - 12 / touched) ** 30, rel=0.15)
    blind = drowning.of(planned(DATASET, AGE, bounds=nodes.Bounds(4, 1), n=PEOPLE), DATASET)
    assert blind.share is not None
    assert found.share is not None
    assert blind.share < found.share


def test_periods_drown_all_or_none() -> None:
    """Periods of a date all have as much as each other: all of them drown, or none."""
    many, few = described({1: 50_000}), described({1: 20})
    assert drowning.of(planned(many, MONTH, n=PEOPLE), many).share == 0.0
    assert drowning.of(planned(few, MONTH, n=PEOPLE), few).share == 1.0
    with_region = drowning.of(planned(many, MONTH, UNIT, n=PEOPLE), many).share
    assert with_region is not None
    assert 0 < with_region < 0.05


def test_drowning_counts_persons_of_persons_and_built_tables() -> None:
    """Persons are all there are, and those of a built table are those who have events."""
    known = described({0: 30_000, 1: 200})
    everybody = planned(known, nodes.ByValue("sex"), source=PERSONS, epsilon_nano=NANO // 100, n=PEOPLE)
    active = planned(
        known,
        nodes.ByValue("sex"),
        source=nodes.PerPerson("visits", (("x", nodes.Value("count", bounds=(0, 9))),)),
        epsilon_nano=NANO // 100,
        n=PEOPLE,
    )
    assert drowning.of(everybody, known).share == pytest.approx(300 / 30_200, abs=0.001)
    assert drowning.of(active, known).share == 1.0, "200 persons, and a margin of 300"


@pytest.mark.parametrize("name", EVERY)
def test_every_statistic_drowns_in_enough_noise(name: str) -> None:
    """A tiny charge drowns all numbers of any statistic, a large one few; more cells drown more."""
    unit = nodes.ByValue("unit")

    def share(epsilon_nano: int, *keys: nodes.Key) -> float:
        query = nodes.Query("stays", (("s", EVERY[name]),), None, keys, nodes.Bounds(1, 2))
        found = drowning.of(planner.plan(query, WARD, nodes.Privacy(epsilon_nano), 1_000_000), WARD).share
        assert found is not None
        return found

    assert share(NANO // 10**6, unit) > 0.9
    assert share(100 * NANO, unit) < 0.02
    assert share(NANO, unit, nodes.ByValue("age")) > share(NANO, unit) >= share(5 * NANO, unit)


def test_the_worst_statistic_counts_and_is_named() -> None:
    """What is required holds for every statistic; the words name the worst, and where persons_max is all that is known."""
    made = planned(DATASET, AGE, epsilon_nano=NANO // 1000, n=PEOPLE, c=nodes.Mean("cost"))
    found = drowning.of(made, DATASET)
    assert found.share == max(share for share in found.by_statistic.values() if share is not None)
    said = drowning.sentence(made, DATASET)
    assert said is not None
    worst = max(found.by_statistic, key=lambda name: found.by_statistic[name] or 0)
    assert f"of the numbers of {worst} are expected to drown in the noise, at best" in said
    assert drowning.sentence(planned(DATASET, n=PEOPLE), DATASET) is None
    share = found.share
    assert share is not None
    drowning.require(made, DATASET, share)
    drowning.require(made, DATASET, None)
    with pytest.raises(WouldDrown) as refused:
        drowning.require(made, DATASET, share - 0.001)
    assert refused.value.share == share


def test_of_an_undeclared_key_nothing_is_said() -> None:
    """How many of its values are named is not known, and each passes a threshold: nothing is refused."""
    query = nodes.Query("visits", (("n", PEOPLE),), None, (nodes.ByValue("text"),), nodes.Bounds(1, 1))
    made = planner.plan(query, DATASET, nodes.Privacy(NANO, delta_atto=10**10), 1_000_000)
    assert drowning.of(made, DATASET).share is None
    drowning.require(made, DATASET, 0.0)


# Beside the truth

CODES, REGIONS = 60, 13
TODAY = dt.date(2020, 1, 1)
SKEWED = Dataset(
    "skewed",
    "Events of skewed codes in skewed regions",
    DATASET.epsilon,
    DATASET.delta,
    100_000,
    frozen(
        {
            PERSONS: Table(PERSONS, frozen({})),
            "visits": Table(
                "visits",
                frozen(
                    {
                        "code": Column("code", Kind.CATEGORY, values=tuple(f"c{n}" for n in range(CODES))),
                        "region": Column("region", Kind.CATEGORY, values=tuple(f"r{n}" for n in range(REGIONS))),
                        "day": replace(
                            COLUMNS["day"], low=(TODAY - EPOCH).days, high=(TODAY.replace(year=2023) - EPOCH).days
                        ),
                    }
                ),
            ),
        }
    ),
)
KEYS = {"code": nodes.ByValue("code"), "region": nodes.ByValue("region"), "month": MONTH}


@pytest.mark.parametrize("keys", [("code",), ("code", "region"), ("month",), ("region", "month"), ("code", "month")])
@pytest.mark.parametrize("epsilon_nano", [NANO, NANO // 10])
def test_the_expectation_is_near_the_truth(keys: tuple[str, ...], epsilon_nano: int) -> None:
    """Of persons with skewed numbers of events of skewed codes about as many cells drown as a noisy profile lets expect."""
    random = np.random.default_rng(3)
    persons = 20_000
    who = np.repeat(np.arange(persons), random.poisson(np.exp(random.normal(1.5, 1.0, persons))))
    drawn = {
        name: random.choice(size, len(who), p=(1 / np.arange(1, size + 1)) / (1 / np.arange(1, size + 1)).sum())
        for name, size in (("code", CODES), ("region", REGIONS))
    }
    drawn["month"] = random.integers(0, 37, len(who))
    starts = bin_starts(profile.EVENTS_MAX)
    counts = np.bincount(who, minlength=persons)
    exact = np.bincount(np.searchsorted(starts, counts, side="right") - 1, minlength=len(starts)).astype(np.int64)
    noise = mechanisms.discrete_laplace(1, NANO // 100)
    events = Histogram(profile.EVENTS_MAX, tuple(map(int, noise.release(exact))), noise.scale)
    known = profile.with_profile(SKEWED, {"visits": TableProfile(events, frozen({}))})
    bounds = nodes.Bounds(20, 20)
    made = planned(known, *(KEYS[name] for name in keys), bounds=bounds, epsilon_nano=epsilon_nano, n=EVENTS)
    cell = np.zeros(len(who), dtype=np.int64)
    for name, key in zip(keys, made.keys, strict=True):
        cell = cell * key.size + drawn[name]
    truth = np.bincount(cell, minlength=made.cells) < made.measures[0].mechanism.margin(0.95)
    found = drowning.of(made, known).share
    assert found == pytest.approx(truth.mean(), abs=0.25)
