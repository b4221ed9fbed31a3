"""Exact sensitivity in L2: what Gaussian noise was made for is what a person can move, no less."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from queries.language import nodes
from queries.language.nodes import Privacy
from queries.plan import Counted
from queries.planning import planner
from tests.laws import tries
from tests.privacy.checks import everywhere, moves, random_events
from tests.queries.clinic import CLINIC, NANO, STATISTICS, Event, bounded, columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.plan import Measure, Plan

KEYS: tuple[nodes.Key, ...] = (nodes.ByValue("region"), nodes.ByValue("unit"))

PRIVACY = Privacy(rho_nano=NANO // 50)
PAIRS = tries(250, audited=1_000)


def asked(statistic: nodes.Statistic, cells: int = 5, events: int = 4) -> Plan:
    """Return a plan of one statistic that may spend rho."""
    query = nodes.Query("visits", (("asked", statistic),), None, KEYS, nodes.Bounds(cells, events))
    return planner.plan(query, CLINIC, PRIVACY, 1_000_000)


def made_for(measure: Measure) -> int:
    """Return the square of the L2 sensitivity that a measure's noise was made for."""
    assert measure.mechanism.gaussian
    return measure.mechanism.sensitivity_l2_squared


def moved_squared(one: Plan, events: Sequence[Event], person: int) -> list[int]:
    """Return the square of how far one person moves each vector in L2, in integers."""
    here, there = bounded(one, events), bounded(one, [event for event in events if event.person != person])
    return [sum(move**2 for move in moves(left, right).values()) for left, right in zip(here, there, strict=True)]


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_random_person_moves_no_vector_further(statistic: str) -> None:
    """In hundreds of random pairs of neighbours no vector moves further in L2 than its noise was made for."""
    random = np.random.default_rng(len(statistic))
    plans = [asked(one, cells, events) for one in STATISTICS[statistic] for cells in (1, 3, 12) for events in (1, 5)]
    moved = 0
    for pair in range(PAIRS):
        one = plans[pair % len(plans)]
        events = random_events(random, persons=3, most_events=(3, 40)[pair % 2])
        for measure, squared in zip(one.measures, moved_squared(one, events, 0), strict=True):
            assert squared <= made_for(measure), one.query
            moved += squared > 0
    assert moved > PAIRS / 4


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_worst_person_moves_a_vector_exactly_as_far(statistic: str) -> None:
    """A person who uses up every bound moves a vector by the very sensitivity: a smaller one would be found.

    All their events fall into one bin of a cell, or on one side: no way to spread them moves a vector further.
    """
    found = 0
    for one in map(asked, STATISTICS[statistic]):
        worst = [moved_squared(one, everywhere(one, 1, 2 * one.events_per_cell, end), 1) for end in ("low", "high")]
        for measure, *moved in zip(one.measures, *worst, strict=True):
            if not columns_of(measure) & {key.column for key in KEYS}:
                assert max(moved) == made_for(measure), one.query
                found += 1
    assert found


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("lenient", [{"cells_per_person": 6}, {"events_per_cell": 5}])
def test_a_bound_that_is_not_enforced_is_caught(statistic: str, lenient: dict[str, int]) -> None:
    """One cell or one event more than planned moves a vector beyond its sensitivity (a person counts once in a cell)."""
    for one in map(asked, STATISTICS[statistic]):
        mutant = replace(one, **lenient)
        moved = [moved_squared(mutant, everywhere(one, 1, 50, extreme), 1) for extreme in ("low", "high")]
        caught = any(found[place] > made_for(measure) for found in moved for place, measure in enumerate(one.measures))
        counts_persons = one.measures[0].counted is Counted.PERSONS
        assert caught == (not counts_persons or "cells_per_person" in lenient), one.query
