"""Layer 3 of the audits: the whole way from a store to an answer on D and D', seen from outside.

D' has one person more, who uses up every bound. For events {out >= q(D') + t} fixed before sampling, a lower confidence
limit of ln(P[event on one] / P[event on the other]) must not pass the epsilon that was charged. The limit is
Clopper and Pearson's, at one in 1,000 over all tests together. It finds violations and proves nothing.

Both probabilities have to be off at once for a false alarm: by the binomial distributions, where the loss is the charge
exactly, each statistic raises one in 2 of 10^8 runs. Each planted fault is missed in 3 of 10^9 runs or fewer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from budgets.governance.datasets import Edition
from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine
from queries.language import nodes
from queries.plan import Output
from queries.statistics.parts import noisy
from server.journey.answer import compute
from server.runtime.stores import OpenEdition
from tests.privacy.noise import of_each
from tests.queries.clinic import CLINIC, COLUMNS, Event, planned
from tests.queries.sources import clinic_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from queries.plan import Measure, Plan

EPSILON_NANO = 5 * 10**8
ALPHA = 1e-3  # of the two limits of one loss, for all losses together
SHIFTS = 2  # t is 1 or the sensitivity
TESTS = 3 * 2 * SHIFTS  # statistics, directions, shifts
DRAWS = 2_400
DRAWS_OF_AN_AUDIT = 20_000
EACH = 4  # events of one person that count
# A query asks so many times the same and pays for each: its numbers are as many draws, each with noise of its own.
AT_ONCE = 8

STATISTICS: dict[str, nodes.Statistic] = {
    "persons": nodes.Count("persons"),
    "events": nodes.Count("events"),
    "sum": nodes.Sum("balance", (0, 100)),
}


def asked(statistic: str) -> Plan:
    """Return the plan of one statistic over everybody, several times, each at epsilon 0.5."""
    select = {f"asked{n}": STATISTICS[statistic] for n in range(AT_ONCE)}
    plan = planned(epsilon_nano=AT_ONCE * EPSILON_NANO, events=EACH, **select)
    assert all(measure.mechanism.epsilon_nano == EPSILON_NANO for measure in plan.measures)
    return plan


@dataclass(frozen=True)
class Pair:
    """The stores of D and D', and of D' with the person under two numbers."""

    without: OpenEdition
    joined: OpenEdition
    split: OpenEdition


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Import the three."""
    balance = COLUMNS.index("balance")
    high = CLINIC.tables["visits"].columns["balance"].size
    codes = tuple(high if place == balance else 1 for place in range(len(COLUMNS)))
    others = [Event(person, codes) for person in range(20)]
    worst = [Event(20, codes)] * 1_000

    def opened(folder: Path, events: list[Event]) -> OpenEdition:
        store = Store(clinic_store(folder, events), memory_limit="500MB", threads=1, query_seconds=60)
        engine = LocalEngine([store])
        return OpenEdition(Edition("clinic", 1, folder.name, "2026-01-01T00:00:00.000Z"), CLINIC, engine)

    halves = [Event(20 + place % 2, event.codes) for place, event in enumerate(worst)]
    made = Pair(*(opened(tmp_path_factory.mktemp("d"), others + more) for more in ([], worst, halves)))
    yield made
    for one in (made.without, made.joined, made.split):
        one.engine.close()


_drawn: dict[tuple[object, ...], list[float]] = {}


def draws(plan: Plan, store: OpenEdition, count: int) -> list[float]:
    """Return so many numbers that were answered, each with noise of its own; tests share them."""
    which = (store.edition.folder, count, plan.outputs, plan.events_per_cell)
    if which not in _drawn:
        answers = (compute(plan, store)["rows"][0] for _ in range(count // AT_ONCE))
        _drawn[which] = [row[f"asked{n}"]["value"] for row in answers for n in range(AT_ONCE)]
        assert len(_drawn[which]) == count
    return _drawn[which]


def exact(plan: Plan, store: OpenEdition) -> float:
    """Return the bounded value without noise, as people read it."""
    vectors = store.engine.cells(plan)
    assert len({int(vector[0]) for vector in vectors}) == 1
    return float(vectors[0][0]) * noisy.unit(plan.measures[0])


def epsilon_low(honest: Plan, plan: Plan, without: OpenEdition, joined: OpenEdition, count: int) -> float:
    """Return the largest lower limit of the loss over the events of both directions."""
    measure = honest.measures[0]
    step = noisy.unit(measure)
    here, there = (draws(plan, store, count) for store in (without, joined))
    start = exact(honest, joined)
    limit = ALPHA / TESTS / 2
    found = []
    for shift in (1, measure.largest):
        beyond = [sum(value >= start + shift * step for value in values) for values in (here, there)]
        for first, second in (beyond, beyond[::-1]):
            low = stats.beta.ppf(limit, first, count - first + 1) if first else 0.0
            high = stats.beta.ppf(1 - limit, second + 1, count - second) if second < count else 1.0
            found.append(math.log(low / high) if low else -math.inf)
    return max(found)


def charged(plan: Plan) -> float:
    """Return the epsilon that each number costs."""
    return float(plan.cost.epsilon) / AT_ONCE


@pytest.mark.parametrize("statistic", STATISTICS)
def test_answers_reveal_no_more_than_was_charged(pair: Pair, statistic: str) -> None:
    """The attacker's lower limit of the loss stays below the charge."""
    plan = asked(statistic)
    assert epsilon_low(plan, plan, pair.without, pair.joined, DRAWS) <= charged(plan)


@pytest.mark.audit
@pytest.mark.parametrize("statistic", STATISTICS)
def test_many_answers_reveal_no_more_than_was_charged(pair: Pair, statistic: str) -> None:
    """The same over 20,000 draws."""
    plan = asked(statistic)
    assert epsilon_low(plan, plan, pair.without, pair.joined, DRAWS_OF_AN_AUDIT) <= charged(plan)


def half_the_noise(measure: Measure) -> Measure:
    """Plant half the scale of the noise."""
    return replace(measure, mechanism=of_each(measure.mechanism, lambda one: replace(one, scale=one.scale / 2)))


def changed(plan: Plan, change: Callable[[Measure], Measure]) -> Plan:
    """Return a plan with every measure changed."""
    return replace(
        plan, outputs=tuple(Output(o.name, o.statistic, tuple(map(change, o.measures))) for o in plan.outputs)
    )


def test_half_the_noise_is_caught(pair: Pair) -> None:
    """Noise of half the scale is seen from outside."""
    plan = asked("sum")
    assert epsilon_low(plan, changed(plan, half_the_noise), pair.without, pair.joined, DRAWS) > charged(plan)


def test_a_bound_that_is_not_enforced_is_caught(pair: Pair) -> None:
    """A kernel that counts twice the events it should, with noise for the planned ones, is seen from outside."""
    plan = asked("events")
    lenient = replace(plan, events_per_cell=2 * EACH)
    assert epsilon_low(plan, lenient, pair.without, pair.joined, DRAWS) > charged(plan)


def test_a_person_under_two_numbers_is_caught(pair: Pair) -> None:
    """A store that knows one person as two is seen from outside."""
    plan = asked("persons")
    assert epsilon_low(plan, plan, pair.without, pair.split, DRAWS) > charged(plan)
