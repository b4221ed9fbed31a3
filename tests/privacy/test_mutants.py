"""The audits prove their own power: each planted mutant breaks the promise, and the check that guards it says so."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

from queries import mechanisms
from queries.language import nodes
from queries.mechanisms import NANO, Rounds
from queries.plan import Output
from tests.privacy.checks import everywhere, neighbours_violate, opendp_epsilon, random_events, undercharged
from tests.privacy.noise import fits, of_each
from tests.queries.clinic import COLUMNS, TABLE, TEXTS, URGENT, Event, bounded, holds, planned, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from queries.plan import Measure, Plan

# Keyed by columns that none of these is about, so that the worst person reaches every bound.
STATISTICS: dict[str, nodes.Statistic] = {
    "persons": nodes.Count("persons"),
    "some persons": nodes.Count("persons", where=URGENT),
    "events": nodes.Count("events"),
    "sum": nodes.Sum("balance"),
    "mean": nodes.Mean("balance"),
    "proportion": nodes.Proportion(URGENT),
    "proportion of persons": nodes.Proportion(URGENT, "persons"),
    "variance": nodes.Variance("balance", where=TEXTS),
    "quantile": nodes.Quantile("balance", (0.5,)),
    "iqr": nodes.Iqr("balance"),
    "histogram": nodes.Histogram("visits"),
    "top": nodes.Top("urgent", 1),
    "covariance": nodes.Covariance(("visits", "balance")),
    "correlation": nodes.Correlation(("visits", "balance")),
    "slope": nodes.Slope(("visits", "day")),
}
OF_PERSONS = ("persons", "some persons", "proportion of persons")


def asked(statistic: str, cells: int = 4, events: int = 6) -> Plan:
    """Return a plan of one statistic over the cells of two keys."""
    return planned(
        nodes.ByValue("region"), nodes.ByValue("unit"), cells=cells, events=events, asked=STATISTICS[statistic]
    )


def changed(plan: Plan, change: Callable[[Measure], Measure]) -> Plan:
    """Return a plan with every measure changed."""
    outputs = tuple(Output(o.name, o.statistic, tuple(map(change, o.measures))) for o in plan.outputs)
    return replace(plan, outputs=outputs)


def worst(plan: Plan) -> list[Event]:
    """Return a person who uses up every bound of the plan."""
    return everywhere(plan, 1, plan.events_per_cell, "high")


@pytest.mark.parametrize("statistic", STATISTICS)
def test_half_the_sensitivity_is_caught(statistic: str) -> None:
    """A plan whose noise was made for half the sensitivity fails on the worst person and on its charge."""

    def halved(measure: Measure) -> Measure:
        made_for = mechanisms.discrete_laplace(measure.mechanism.sensitivity_l1 // 2, measure.mechanism.epsilon_nano)
        return replace(measure, mechanism=made_for)

    whole = asked(statistic)
    mutant = changed(whole, halved)
    assert neighbours_violate(mutant, worst(mutant), 1) == {"l1"}
    assert undercharged(mutant) == list(mutant.measures)
    assert neighbours_violate(whole, worst(whole), 1) == set()
    assert undercharged(whole) == []


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_sensitivity_too_small_by_one_is_caught(statistic: str) -> None:
    """One unit less than the worst person moves is found: the check is exact."""
    mutant = changed(
        asked(statistic),
        lambda m: replace(
            m, mechanism=of_each(m.mechanism, lambda one: replace(one, sensitivity_l1=one.sensitivity_l1 - 1))
        ),
    )
    assert neighbours_violate(mutant, worst(mutant), 1) == {"l1"}


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_person_split_over_two_numbers_is_caught(statistic: str) -> None:
    """One person's events under two numbers count twice, and the neighbours show it."""

    def split(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        parts = [Event(2 * e.person + place % 2, e.codes) for place, e in enumerate(events)]
        return bounded(plan, sorted(parts, key=lambda event: event.person))

    plan = asked(statistic)
    events = everywhere(plan, 1, 2 * plan.events_per_cell, "high")
    assert neighbours_violate(plan, events, 1, split) >= {"l1"}
    assert neighbours_violate(plan, events, 1) == set()


@pytest.mark.parametrize(
    ("statistic", "mutated", "found"),
    [
        *((statistic, {"cells_per_person": 5}, "cells") for statistic in STATISTICS),
        # A person counts once in a cell, however many of their events do.
        *((statistic, {"events_per_cell": 7}, "largest") for statistic in STATISTICS if statistic not in OF_PERSONS),
    ],
)
def test_a_bound_that_is_not_enforced_is_caught(statistic: str, mutated: dict[str, int], found: str) -> None:
    """A kernel that lets through one cell or one event more than planned is found at the worst person."""

    def lenient(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        return bounded(replace(plan, **mutated), events)

    plan = asked(statistic)
    events = everywhere(plan, 1, 50, "high")
    assert neighbours_violate(plan, events, 1, lenient) == {found, "l1"}
    assert neighbours_violate(plan, events, 1) == set()


@pytest.mark.parametrize("statistic", ["sum", "mean", "variance", "covariance"])
def test_a_clamp_that_is_not_enforced_is_caught(statistic: str) -> None:
    """A kernel that clamps one step further than planned is found at values beyond the bound."""
    narrow: dict[str, nodes.Statistic] = {
        "sum": nodes.Sum("balance", (0, 100)),
        "mean": nodes.Mean("balance", (0, 100)),
        "variance": nodes.Variance("balance", (0, 100)),
        "covariance": nodes.Covariance(("visits", "balance"), ((0, 6), (0, 100))),
    }
    plan = planned(nodes.ByValue("region"), cells=2, events=3, asked=narrow[statistic])

    def lenient(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        def wider(measure: Measure) -> Measure:
            return replace(measure, factors=tuple(replace(one, high=one.high + 1) for one in measure.factors))

        return bounded(changed(plan, wider), events)

    events = everywhere(plan, 1, 3, "high")
    assert neighbours_violate(plan, events, 1, lenient) == {"largest", "l1"}
    assert neighbours_violate(plan, events, 1) == set()


def test_a_middle_that_is_forgotten_is_caught() -> None:
    """Squares that keep their middle move a sum by twice as much as the noise was made for."""
    plan = asked("variance")
    squares, *_ = plan.measures
    assert squares.middle

    def uncentred(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        return bounded(changed(plan, lambda measure: replace(measure, middle=0)), events)

    assert neighbours_violate(plan, worst(plan), 1, uncentred) == {"largest", "l1"}
    assert neighbours_violate(plan, worst(plan), 1) == set()


def test_a_centre_that_is_forgotten_is_caught() -> None:
    """A product of values that keep a centre is further from 0 than planned."""
    plan = asked("covariance")

    def uncentred(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        def kept(measure: Measure) -> Measure:
            return replace(measure, factors=tuple(replace(one, centre=0) for one in measure.factors))

        return bounded(changed(plan, kept), events)

    assert neighbours_violate(plan, worst(plan), 1, uncentred) == {"largest", "l1"}


@pytest.mark.parametrize("statistic", ["proportion", "proportion of persons"])
def test_a_side_that_counts_everybody_is_caught(statistic: str) -> None:
    """Who fulfils the condition and everybody, in place of the others, would be two numbers that move by one person."""
    plan = asked(statistic)

    def overlapping(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        (numbers,) = bounded(plan, events)
        holding, others = numbers[::2], numbers[1::2]
        return [np.column_stack([holding, holding + others]).ravel()]

    assert neighbours_violate(plan, worst(plan), 1, overlapping) == {"largest", "l1"}
    assert neighbours_violate(plan, worst(plan), 1) == set()


def test_a_person_on_both_sides_is_caught() -> None:
    """A person with events of both sorts who counts once on each side moves a cell by two."""
    plan = asked("proportion of persons")
    urgent = COLUMNS.index("urgent")

    def with_code(event: Event, code: int) -> Event:
        return Event(event.person, (*event.codes[:urgent], code, *event.codes[urgent + 1 :]))

    both = [with_code(event, code) for event in worst(plan) for code in (1, 2)]

    def twice(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        return [np.array(reference_of_both_sides(plan, events), dtype=np.int64)]

    assert neighbours_violate(plan, both, 1, twice) == {"largest", "l1"}
    assert neighbours_violate(plan, both, 1) == set()


def reference_of_both_sides(plan: Plan, events: Sequence[Event]) -> list[int]:
    """Return how many persons of each cell have an event that fulfils the condition, and how many one that does not."""
    (measure,) = plan.measures
    sides = [[event for event in events if holds(measure.split, event) == wanted] for wanted in (True, False)]
    counted = planned(nodes.ByValue("region"), nodes.ByValue("unit"), cells=4, s=nodes.Count("persons"))
    holding, others = (reference(counted, side)[0] for side in sides)
    return [number for pair in zip(holding, others, strict=True) for number in pair]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_one_measure_that_is_charged_for_less_is_caught(statistic: str) -> None:
    """Of several measures, such as the levels of a tree, any single one with noise for half the person is found."""
    plan = asked(statistic)
    (output,) = plan.outputs
    for place, measure in enumerate(output.measures):
        honest = measure.mechanism
        weak = replace(measure, mechanism=mechanisms.discrete_laplace(honest.sensitivity_l1 // 2, honest.epsilon_nano))
        made = (*output.measures[:place], weak, *output.measures[place + 1 :])
        mutant = replace(plan, outputs=(replace(output, measures=made),))
        assert neighbours_violate(mutant, worst(mutant), 1) == {"l1"}
        assert undercharged(mutant) == [weak]


def test_a_round_that_nobody_pays_for_is_caught() -> None:
    """What OpenDP says of all rounds is what a quantile costs, and more than without any one of them."""
    plan = asked("quantile")
    ((measure,),) = (output.measures for output in plan.outputs)
    assert isinstance(measure.mechanism, Rounds)
    rounds = measure.mechanism.each
    assert len(rounds) == 3
    losses = sum(map(opendp_epsilon, rounds), Fraction(0))
    assert losses <= (plan.cost.epsilon or 0)
    for place in range(3):
        paid = Rounds((*rounds[:place], *rounds[place + 1 :]))
        assert losses > Fraction(paid.epsilon_nano or 0, NANO)


def test_bounds_shared_between_persons_are_caught() -> None:
    """A kernel in which one person uses up another's bounds moves more than one person's share."""

    def shared(plan: Plan, events: Sequence[Event]) -> list[NDArray[np.int64]]:
        return bounded(plan, [Event(0, event.codes) for event in events])

    plan = asked("sum", cells=2, events=2)
    random = np.random.default_rng(0)
    found: set[str] = set()
    for _ in range(200):
        events = random_events(random, persons=4, most_events=10)
        found |= neighbours_violate(plan, events, 0, shared)
        assert neighbours_violate(plan, events, 0) == set()
    assert "cells" in found


@pytest.mark.parametrize("statistic", STATISTICS)
def test_half_the_noise_is_caught(statistic: str) -> None:
    """A mechanism with half the scale of its charge fails on OpenDP's map, and its draws fail the fit."""

    def halved(measure: Measure) -> Measure:
        return replace(measure, mechanism=of_each(measure.mechanism, lambda one: replace(one, scale=one.scale / 2)))

    mutant = changed(asked(statistic), halved)
    assert undercharged(mutant) == list(mutant.measures)
    for honest, weak in zip(asked(statistic).measures, mutant.measures, strict=True):
        drawn = weak.mechanism.last if isinstance(weak.mechanism, Rounds) else weak.mechanism
        draws = drawn.release(np.zeros(20_000, dtype=np.int64))
        assert not fits(draws, honest.mechanism.scale)
        assert fits(draws, weak.mechanism.scale)


def test_the_worst_persons_of_the_mutants_touch_every_cell() -> None:
    """The planted persons have events in all 16 cells, nulls' cell too: nothing is caught for want of events."""
    plan = asked("events", cells=16)
    assert plan.cells == 16
    assert all(cells.all() for cells in bounded(plan, worst(plan)))
    assert len(TABLE.columns) == len(worst(plan)[0].codes)
