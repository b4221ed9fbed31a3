"""The least loss that gives the margins asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budgets import loss
from queries.errors import InvalidQuery, OutsideProtocol
from queries.language import nodes
from queries.language.nodes import Margins, Privacy, Target
from queries.planning import allocation, fingerprint, margins, policy
from queries.planning.noise import Noise, Terms, sensitivity
from queries.release import assembly
from queries.statistics import estimates
from tests.queries.ward import EVERY, NANO, planned

if TYPE_CHECKING:
    from queries.plan import Output, Plan

UNIT = nodes.ByValue("unit")


def asked(targets: dict[str, Target], confidence: float = 0.95, *, gaussian: bool = False) -> Privacy:
    """Return a request for margins."""
    return Privacy(margins=Margins(tuple(sorted(targets.items())), confidence, gaussian))


def found(output: Output, target: Target, confidence: float) -> float:
    """Return the margin that was asked for, as an answer shows it."""
    shown = estimates.margin(output, confidence)
    if target.of_rank:
        return shown["margin_events"]
    return shown["margin"] if target.at is None else shown["margins_at"][str(target.at)]  # type: ignore[index]


def spent(one: Plan | Output) -> int:
    """Return the sum of what the measures are charged, in billionths of their currency."""
    mechanisms = [measure.mechanism for measure in one.measures]
    if any(mechanism.epsilon_nano is None for mechanism in mechanisms):
        return sum(int(mechanism.rho * NANO) for mechanism in mechanisms)
    return sum(mechanism.epsilon_nano or 0 for mechanism in mechanisms)


# Every statistic with a margin that it may have.
TARGETS = {
    "people": Target(10),
    "rows": Target(17.5),
    "total": Target(100),
    "mean": Target(50, 1000),
    "proportion": Target(0.05, 500),
    "proportion_of_persons": Target(0.01, 2000),
    "variance": Target(30, 1000),
    "stddev": Target(0.5, 5000),
    "median": Target(50, of_rank=True),
    "deciles": Target(20, of_rank=True),
    "iqr": Target(60, of_rank=True),
    "histogram": Target(20),
    "top": Target(100),
    "covariance": Target(20, 3000),
    "correlation": Target(0.1, 1000),
    "slope": Target(0.1, 1000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize("confidence", [0.95, pytest.param(0.8, marks=pytest.mark.audit)])
def test_least_share_meets_margin_and_a_billionth_less_does_not(name: str, gaussian: bool, confidence: float) -> None:
    """The answer's margin is at most the one asked for, and a share smaller by 1e-9 has a wider one."""
    target = TARGETS[name]
    one = planned(
        asked({name: target}, confidence, gaussian=gaussian),
        UNIT,
        cells=3,
        events=2,
        s=EVERY["people"],
        **{name: EVERY[name]},
    )
    (output,) = (output for output in one.outputs if output.name == name)
    assert found(output, target, confidence) <= target.margin
    kinds = {measure.mechanism.name for measure in one.measures}
    assert kinds == {"discrete_gaussian" if gaussian else "discrete_laplace"}
    # What OpenDP charges may be some billionths below the share that was given: so from three less on.
    less = spent(output) - 3
    privacy = Privacy(rho_nano=less) if gaussian else Privacy(epsilon_nano=less)
    (alone,) = planned(privacy, UNIT, cells=3, events=2, **{name: EVERY[name]}).outputs
    assert alone.measures[0].mechanism.name in kinds
    assert found(replace(alone, at=target.at), target, confidence) > target.margin


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@example(1.0, 0.999, False, 10, 264)
@given(
    st.integers(1, 10**6).map(lambda n: n / 8),
    st.sampled_from([0.5, 0.75, 0.9, 0.95, 0.99, 0.999]),
    st.booleans(),
    st.integers(1, 16),
    st.integers(1, 300),
)
def test_any_margin_of_count_is_met_at_least_loss(
    margin: float, confidence: float, gaussian: bool, cells: int, events: int
) -> None:
    """For a count under any bounds at any confidence: the margin holds, and 0.001% less of the loss would not do."""
    try:
        one = planned(
            asked({"n": Target(margin)}, confidence, gaussian=gaussian),
            UNIT,
            cells=cells,
            events=events,
            n=EVERY["rows"],
        )
    except InvalidQuery as refusal:
        assert refusal.pointer == "/privacy/margin/n"  # noqa: PT017
        # Only what the largest loss that a request may name does not buy is refused.
        most = (
            Privacy(rho_nano=margins.MOST_NANO["rho"])
            if gaussian
            else Privacy(epsilon_nano=margins.MOST_NANO["epsilon"])
        )
        (output,) = planned(most, UNIT, cells=cells, events=events, n=EVERY["rows"]).outputs
        assert estimates.fixed_margin(output, confidence) > Fraction(margin)
        return
    (output,) = one.outputs
    assert estimates.fixed_margin(output, confidence) <= Fraction(margin)
    share = spent(one)
    assert share <= margins.MOST_NANO["rho" if gaussian else "epsilon"]
    less = share - max(share // 100_000, 3)
    if less > 0:
        kind = Noise.GAUSSIAN if gaussian else Noise.LAPLACE
        with_less = kind.mechanism(sensitivity(output.measures[0], Terms(cells, 1, Privacy(1))), less)
        assert with_less.margin(confidence) > margin


def test_the_margin_of_the_docs() -> None:
    """A count to within 10 at 95% costs epsilon 0.284 and something: Laplace noise stays below 11 with exp(-11 / b)."""
    one = planned(asked({"n": Target(10)}), n=EVERY["people"])
    assert one.cost.epsilon == Fraction(284_348_513, NANO)
    shown = assembly.columns(one)
    assert (shown[0]["margin"], shown[0]["confidence"]) == (10.0, 0.95)


def test_a_sum_meets_its_margin_in_its_own_units() -> None:
    """Of tenths: 0.3 is 3 units, not a hair more, and is shown as 0.3."""
    one = planned(asked({"s": Target(0.3)}), s=nodes.Sum("tenths"))
    assert one.measures[0].mechanism.margin(0.95) == 3
    assert assembly.columns(one)[0]["margin"] == 0.3


def test_a_group_that_was_asked_for_is_shown() -> None:
    """The margin over 250 events stands beside the usual groups, in their order."""
    one = planned(asked({"m": Target(50, 250)}), m=EVERY["mean"])
    (shown,) = assembly.columns(one)
    assert list(shown["margins_at"]) == ["100", "250", "1000", "10000", "100000"]  # type: ignore[call-overload]
    assert shown["margins_at"]["250"] <= 50  # type: ignore[index]


def test_a_higher_confidence_costs_more_and_applies_to_every_margin() -> None:
    """The same margins at 99% cost more than at 90%, and every column is at that confidence."""
    costs = []
    for confidence in (0.9, 0.99):
        one = planned(asked({"n": Target(10)}, confidence), n=EVERY["people"], m=EVERY["mean"])
        costs.append(spent(one))
        assert {column["confidence"] for column in assembly.columns(one)} == {confidence}
    assert costs[0] < costs[1]


def test_statistics_without_a_target_are_as_exact_as_the_least_exact_of_the_others() -> None:
    """Relative to its yardstick, what was not named has the widest of the margins that were asked for."""
    targets = {"people": Target(10), "total": Target(400)}
    one = planned(asked(targets), UNIT, people=EVERY["people"], total=EVERY["total"], mean=EVERY["mean"])
    relative = {
        output.name: allocation.relative_margin(output.statistic, output.measures, one.events_per_cell, 0.95)
        for output in one.outputs
    }
    assert relative["people"] < relative["total"] == pytest.approx(relative["mean"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("gaussian", [False, True])
def test_the_same_request_is_the_same_question(gaussian: bool) -> None:
    """Asked again it has the same charges, and so the same canonical form; at another margin or confidence it has not."""

    def form(targets: dict[str, Target], confidence: float = 0.95) -> str:
        return fingerprint.of(planned(asked(targets, confidence, gaussian=gaussian), UNIT, **EVERY))

    some = {name: TARGETS[name] for name in ("people", "mean", "median", "variance")}
    assert form(some) == form(some)
    assert len({form(some), form(some, 0.94), form({**some, "people": Target(9)})}) == 3


def test_a_margin_is_another_spelling_of_its_price() -> None:
    """What a margin costs, asked by epsilon, is the same question: it is not charged twice."""
    one = planned(asked({"n": Target(10)}), n=EVERY["people"])
    other = planned(Privacy(epsilon_nano=spent(one)), n=EVERY["people"])
    assert fingerprint.of(one) == fingerprint.of(other)
    at_80 = planned(asked({"n": Target(10)}, 0.8), n=EVERY["people"])
    assert fingerprint.of(at_80) != fingerprint.of(planned(Privacy(epsilon_nano=spent(at_80)), n=EVERY["people"]))


# What is refused


@pytest.mark.parametrize(
    ("name", "target", "hint"),
    [
        ("mean", Target(5), 'how many events it is over; say for how many, as in {"margin": 5, "at": 1000}'),
        ("proportion", Target(0.1), "how many events it is over"),
        ("proportion_of_persons", Target(0.1), "how many persons it is over"),
        ("correlation", Target(0.1), "how many events"),
        ("mean", Target(5, of_rank=True), "how many events it is over"),
        ("median", Target(5), '{"events": 50}'),
        ("median", Target(5, 1000), '{"events": 50}'),
        ("people", Target(5, 1000), "the same for groups of any size"),
        ("total", Target(5, of_rank=True), "the same for groups of any size"),
        ("nobody", Target(5), "no statistic of this name"),
    ],
)
def test_a_margin_of_the_wrong_form_is_refused_with_a_hint(name: str, target: Target, hint: str) -> None:
    """Whether a group's size is needed follows from the statistic; the refusal shows what to write."""
    with pytest.raises(InvalidQuery) as refused:
        planned(asked({name: target}), **EVERY)
    assert refused.value.pointer == f"/privacy/margin/{name}"
    assert hint in refused.value.message


def test_margin_that_no_loss_can_meet_refused() -> None:
    """A mean to within a millionth over one event, or a thousand margins that together pass the largest loss."""
    with pytest.raises(InvalidQuery, match="cannot be met") as refused:
        planned(asked({"m": Target(0.000_001, 1)}), m=EVERY["mean"])
    assert refused.value.pointer == "/privacy/margin/m"
    near = {f"m{place}": Target(1, 2) for place in range(4)}
    assert spent(planned(asked({"m0": near["m0"]}), m0=EVERY["mean"])) > 2501 * NANO
    with pytest.raises(InvalidQuery, match="more than any query may") as refused:
        planned(asked(near), **dict.fromkeys(near, EVERY["mean"]))
    assert refused.value.pointer == "/privacy/margin"


def test_so_many_margins_that_planning_takes_long_are_refused() -> None:
    """Each margin asked for takes time to plan; 32 may be named."""
    many = {f"n{place}": Target(10) for place in range(33)}
    with pytest.raises(InvalidQuery, match="at most 32") as refused:
        planned(asked(many), **dict.fromkeys(many, EVERY["people"]))
    assert refused.value.pointer == "/privacy/margin"


def test_a_margin_so_wide_that_its_noise_would_overflow_costs_what_does_not() -> None:
    """Any margin is allowed; the loss is then the least whose noise stays within 64 bits."""
    one = planned(asked({"n": Target(1e300)}), n=EVERY["rows"], events=2**30)
    assert one.measures[0].mechanism.scale * 64 < 2**62
    with pytest.raises(InvalidQuery, match="overflow"):
        planned(Privacy(epsilon_nano=spent(one) - 1), n=EVERY["rows"], events=2**30)


def test_the_largest_loss_is_the_ledgers() -> None:
    """What a margin may cost at most is what a request may name."""
    assert {
        "epsilon": loss.EPSILON_MAX * loss.NANO,
        "rho": loss.RHO_MAX * loss.NANO,
    } == margins.MOST_NANO


@given(st.integers(1, 10**17), st.integers(0, 10**17))
def test_halving_finds_least_number_that_is_enough(least: int, over: int) -> None:
    """Halving finds the first number that is enough, in few steps."""
    steps = 0

    def enough(number: int) -> bool:
        nonlocal steps
        steps += 1
        assert 1 <= number <= least + over
        return number >= least

    assert margins.least(enough, 1, least + over) == least
    assert steps <= 75
    assert margins.least(lambda _: False, 1, 10) is None


# The protocol


@pytest.mark.parametrize("gaussian", [False, True])
def test_a_protocol_bounds_what_margins_cost(gaussian: bool) -> None:
    """The largest epsilon of one query is the least with which a plan passes: one billionth less refuses it."""
    privacy = asked({"n": Target(10)}, gaussian=gaussian)
    cost = planned(privacy, n=EVERY["people"]).cost
    largest = (
        math.isqrt(int(2 * cost.rho * NANO * NANO)) + 1 if gaussian else spent(planned(privacy, n=EVERY["people"]))
    )
    policy.check_cost(cost, privacy, policy.Protocol(epsilon_nano_max=largest))
    policy.check_cost(cost, privacy, policy.Protocol())
    with pytest.raises(OutsideProtocol, match="would cost") as refused:
        policy.check_cost(cost, privacy, policy.Protocol(epsilon_nano_max=largest - 1))
    assert refused.value.pointer == "/privacy/margin"
    # What names its price was checked by it, before there was a plan.
    policy.check_cost(cost, Privacy(epsilon_nano=NANO), policy.Protocol(epsilon_nano_max=1))
