"""Margins at 95% keep their word about what the kernel adds up: against the noise's exact probabilities.

One plan has thousands of cells, and so is as many releases at once. The exact values come from the kernel, over groups of
persons of whom each has an event more than counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from queries.execution import kernel
from queries.language import nodes
from queries.plan import CONFIDENCE, Output
from queries.release import assembly
from queries.statistics.parts import noisy
from tests.privacy.noise import FALSE_ALARM, fewest, most, of_each, probability_beyond
from tests.queries.clinic import NANO
from tests.queries.release.test_assembly import MANY, RELEASES, many

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from queries.plan import Measure, Plan

COUNTED = 2  # events of a person that count; each has one more
COST = MANY.tables["t"].columns["cost"]

COUNTS_AND_SUMS: dict[str, nodes.Statistic] = {
    "persons": nodes.Count("persons"),
    "events": nodes.Count("events"),
    "sum": nodes.Sum("cost"),
    "narrow sum": nodes.Sum("cost", (0, 1)),
}


def exact_cells(plan: Plan, persons: int) -> list[NDArray[np.int64]]:
    """Return what the kernel makes of a group of so many persons for each release, with costs over the whole range."""
    events = RELEASES * persons * (COUNTED + 1)
    random = np.random.default_rng(persons)
    person = np.repeat(np.arange(RELEASES * persons, dtype=np.int32), COUNTED + 1)
    place = (person // max(persons, 1) + 1).astype(np.uint16)
    cost = random.integers(1, COST.size + 1, events).astype(np.uint32)
    return kernel.bound(plan, [(person, {"place": place, "cost": cost})])


def truth(plan: Plan, exact: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return the bounded value of each cell without noise, in the column's units."""
    measure = plan.measures[0]
    value = exact[0].astype(np.float64)
    if len(exact) == 2:
        value = value / exact[1] + measure.factors[0].centre
    return value * noisy.unit(measure)


def covered(plan: Plan, exact: list[NDArray[np.int64]], noise: Plan | None = None) -> int:
    """Return in how many of the releases the interval holds the exact value; the noise may be another plan's."""
    shown: Any = assembly.rows(plan, assembly.add_noise(noise or plan, exact))
    low, high = (np.array([row["s"][end] for row in shown]) for end in ("low", "high"))
    wanted = truth(plan, exact)
    assert len(wanted) == RELEASES
    slack = 1e-9 * np.maximum(1.0, np.abs(wanted))
    return int(np.count_nonzero((low - slack <= wanted) & (wanted <= high + slack)))


def within(scale: float, margin: int) -> float:
    """Return P(|z| <= margin) of discrete Laplace noise."""
    return 1 - 2 * probability_beyond(scale, margin + 1)


def fits(count: int, probability: float) -> bool:
    """Say whether so many of the releases are compatible with a probability, by the binomial distribution."""
    low, high = stats.binom.interval(1 - FALSE_ALARM, RELEASES, probability)
    return bool(low <= count <= high)


def rescaled(plan: Plan, factor: float) -> Plan:
    """Return a plan with the scale of all noise multiplied. Half of it is a planted fault."""

    def change(measure: Measure) -> Measure:
        return replace(
            measure, mechanism=of_each(measure.mechanism, lambda one: replace(one, scale=one.scale * factor))
        )

    outputs = tuple(Output(o.name, o.statistic, tuple(map(change, o.measures))) for o in plan.outputs)
    return replace(plan, outputs=outputs)


def asked(statistic: str, epsilon_nano: int) -> Plan:
    """Return the plan of a count or sum over the cells."""
    return many(COUNTS_AND_SUMS[statistic], epsilon_nano, events=COUNTED)


# Counts and sums


@pytest.mark.parametrize("persons", [0, 1, 7])
@pytest.mark.parametrize("epsilon_nano", [NANO // 50, NANO // 3, NANO, 3 * NANO, 8 * NANO])
@pytest.mark.parametrize("statistic", COUNTS_AND_SUMS)
def test_margins_cover_exactly_as_often_as_the_noise_says(statistic: str, epsilon_nano: int, persons: int) -> None:
    """The interval holds the exact value as often as discrete Laplace noise lies within the stated margin."""
    plan = asked(statistic, epsilon_nano)
    mechanism = plan.measures[0].mechanism
    exact = exact_cells(plan, persons)
    assert (persons == 0) == (not exact[0].any())
    assert fits(covered(plan, exact), within(mechanism.scale, mechanism.margin(CONFIDENCE)))


@pytest.mark.parametrize("epsilon_nano", [NANO // 1000, NANO // 50, NANO // 3, NANO, 3 * NANO, 8 * NANO])
@pytest.mark.parametrize("statistic", COUNTS_AND_SUMS)
def test_a_margin_is_the_least_that_covers_95_percent(statistic: str, epsilon_nano: int) -> None:
    """The noise stays within the stated margin with at least 95%, and within one unit less with less than that."""
    mechanism = asked(statistic, epsilon_nano).measures[0].mechanism
    margin = mechanism.margin(CONFIDENCE)
    assert within(mechanism.scale, margin) >= CONFIDENCE
    assert margin == 0 or within(mechanism.scale, margin - 1) < CONFIDENCE


@pytest.mark.parametrize("statistic", COUNTS_AND_SUMS)
def test_margins_of_wide_noise_cover_95_percent(statistic: str) -> None:
    """Where the noise is so wide that its steps do not matter, as many intervals hold the exact value as chance allows."""
    plan = asked(statistic, NANO // 50)
    assert plan.measures[0].mechanism.scale >= 40
    stated = within(plan.measures[0].mechanism.scale, plan.measures[0].mechanism.margin(CONFIDENCE))
    assert 0.95 <= stated <= 0.951
    assert fewest(RELEASES) <= covered(plan, exact_cells(plan, 7)) / RELEASES <= most(RELEASES, stated)


@pytest.mark.parametrize("statistic", COUNTS_AND_SUMS)
def test_half_the_scale_is_caught(statistic: str) -> None:
    """Margins stated for half of the noise cover too little, and noise of half the scale is covered too often."""
    plan = asked(statistic, NANO // 50)
    half, exact = rescaled(plan, 0.5), exact_cells(plan, 7)
    stated = within(plan.measures[0].mechanism.scale, plan.measures[0].mechanism.margin(CONFIDENCE))
    too_few, too_many = covered(half, exact, noise=plan), covered(plan, exact, noise=half)
    assert too_few / RELEASES < fewest(RELEASES)
    assert too_many / RELEASES > most(RELEASES)
    assert not fits(too_few, stated)
    assert not fits(too_many, stated)


# Means

# persons in a group -> epsilon with which the group is not too small to say something: its interval is seldom cut off
GROUPS = {3: 40 * NANO, 10: 12 * NANO, 50: 3 * NANO, 500: NANO // 2}


@pytest.mark.parametrize("persons", GROUPS)
def test_margins_of_means_cover_95_to_99_percent(persons: int) -> None:
    """Of groups of 3 to 500 persons 95 to 99% of the intervals hold the exact mean, but for chance."""
    plan = many(nodes.Mean("cost"), GROUPS[persons], events=COUNTED)
    share = covered(plan, exact_cells(plan, persons)) / RELEASES
    assert fewest(RELEASES) <= share <= most(RELEASES, 0.97)


@pytest.mark.parametrize("persons", [1, 2, 5, 20])
@pytest.mark.parametrize("epsilon_nano", [NANO // 10, NANO, 4 * NANO])
def test_margins_of_means_of_small_groups_never_cover_too_little(persons: int, epsilon_nano: int) -> None:
    """However small a group is for its noise, at least 95% of the intervals hold the exact mean, but for chance."""
    plan = many(nodes.Mean("cost"), epsilon_nano, events=COUNTED)
    assert covered(plan, exact_cells(plan, persons)) / RELEASES >= fewest(RELEASES)


@pytest.mark.parametrize("persons", GROUPS)
def test_half_the_scale_of_a_mean_is_caught(persons: int) -> None:
    """Intervals of a mean stated for half of the noise cover less than chance explains."""
    plan = many(nodes.Mean("cost"), GROUPS[persons], events=COUNTED)
    assert covered(rescaled(plan, 0.5), exact_cells(plan, persons), noise=plan) / RELEASES < fewest(RELEASES)
