from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from riskcal import analysis

from budgets import conversion
from budgets.ledger.limits import Limits
from budgets.loss import ATTO, NANO, Loss, Sum
from server.reporting import attack_odds
from server.reporting.attack_odds import Guarantee
from tests.budgets.world import FLU

if TYPE_CHECKING:
    from tests.budgets.world import World

EPSILONS = st.integers(0, 20 * NANO)
DELTAS = st.integers(0, ATTO // 10)
SHARES = st.integers(0, 1000).map(lambda n: Decimal(n) / 1000)
STEP = float(attack_odds.STEP)


def of(epsilon: float, delta: float = 0.0) -> Guarantee:
    """Return a guarantee."""
    return Guarantee(round(epsilon * NANO), round(delta * ATTO), "test")


@pytest.mark.parametrize(
    ("epsilon", "advantage", "posterior"), [(0.5, 0.245, 0.155), (1, 0.462, 0.232), (3, 0.905, 0.691)]
)
def test_attack_odds_equal_published_numbers(epsilon: float, advantage: float, posterior: float) -> None:
    """The advantage, and what becomes of a belief of 10%, are the published ones to three digits."""
    assert round(attack_odds.advantage(of(epsilon)), 3) == Decimal(str(advantage))
    assert round(attack_odds.posterior(of(epsilon), Decimal("0.1")), 3) == Decimal(str(posterior))


@pytest.mark.parametrize("epsilon", [0.001, 0.1, 0.5, 1, 3, 5, 10])
@pytest.mark.parametrize("delta", [0.0, 1e-9, 1e-6, 1e-3])
def test_attack_odds_equal_riskcal(epsilon: float, delta: float) -> None:
    """Advantage and true positives are those of riskcal, and above them by less than the rounding."""
    guarantee = of(epsilon, delta)
    theirs = analysis.get_advantage_for_epsilon_delta(epsilon, delta)
    assert -1e-12 <= float(attack_odds.advantage(guarantee)) - theirs < STEP + 1e-12
    for share in (0.0001, 0.001, 0.01, 0.05, 0.3, 0.9):
        theirs = 1 - float(analysis.get_beta_for_epsilon_delta(epsilon, delta, share))
        assert -1e-12 <= float(attack_odds.true_positives(guarantee, Decimal(str(share)))) - theirs < STEP + 1e-12


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 0.0), (1.0, 1e-3), (2.5, 0.05)])
def test_the_worst_mechanism_reaches_the_bounds(epsilon: float, delta: float) -> None:
    """The bounds are those of the optimal test on the worst (epsilon, delta) mechanism, worked out outcome by outcome.

    With a chance of delta it tells the truth, otherwise it tells it with odds of e^epsilon (Kairouz, Oh, Viswanath).
    """
    told = (1 - delta) / (1 + math.exp(epsilon))
    present = [delta, told * math.exp(epsilon), told, 0.0]
    absent = [0.0, told, told * math.exp(epsilon), delta]
    # Neyman and Pearson: take outcomes by falling likelihood ratio, the last one in part.
    guarantee = of(epsilon, delta)
    for share in (0.001, 0.01, 0.1, 0.4, 0.8):
        left, found = share, 0.0
        for hit, miss in zip(present, absent, strict=True):
            part = 1.0 if miss <= left else left / miss
            found += part * hit
            left -= part * miss
        bound = float(attack_odds.true_positives(guarantee, Decimal(str(share))))
        assert -1e-9 <= bound - found < STEP + 1e-9
    best = sum(max(0.0, hit - miss) for hit, miss in zip(present, absent, strict=True))
    assert -1e-9 <= float(attack_odds.advantage(guarantee)) - best < STEP + 1e-9


def exponential(epsilon_nano: int) -> tuple[Fraction, Fraction]:
    """Return exact bounds of e^epsilon, closer than 10^-60: from the series of e^(epsilon / 64)."""
    part = Fraction(epsilon_nano, 64 * NANO)
    below, term = Fraction(1), Fraction(1)
    for number in range(1, 60):
        term *= part / number
        below += term
    # What is left is less than twice the next term, for each is less than half of the one before.
    above = below + 2 * term * part / 60
    fine, units = 2**400, 2**220
    low, high = Fraction(math.floor(below * fine), fine), Fraction(math.ceil(above * fine), fine)
    return Fraction(math.floor(low**64 * units), units), Fraction(math.ceil(high**64 * units), units)


@settings(max_examples=60)
@given(EPSILONS, DELTAS, SHARES.filter(bool))
def test_bounds_are_rounded_up_and_by_less_than_a_step(epsilon: int, delta: int, share: Decimal) -> None:
    """Held to exact fractions: no bound is below what the formula gives, none a millionth above it."""
    guarantee, d, f = Guarantee(epsilon, delta, "test"), Fraction(delta, ATTO), Fraction(share)

    def formulas(factor: Fraction) -> tuple[Fraction, Fraction, Fraction]:
        odds = (factor + d / Fraction(attack_odds.RARE)) * f
        found = min(factor * f + d, 1 - (1 - d - f) / factor)
        return (factor - 1 + 2 * d) / (factor + 1), found, odds / (odds + 1 - f)

    below, above = map(formulas, exponential(epsilon))
    said = (
        attack_odds.advantage(guarantee),
        attack_odds.true_positives(guarantee, share),
        attack_odds.posterior(guarantee, share),
    )
    for bound, least, most in zip(said, below, above, strict=True):
        assert Fraction(bound) >= min(most, Fraction(1))
        assert Fraction(bound) < least + Fraction(attack_odds.STEP) + Fraction(1, 10**30)


@settings(max_examples=60)
@given(EPSILONS | st.integers(30 * NANO, 50 * NANO), DELTAS)
def test_two_steps_are_rounded_up_exactly(epsilon: int, delta: int) -> None:
    """The delta of two steps is the least whole number of units that is not below (1 + e^epsilon) delta, up to 1."""
    within = attack_odds.of_replacing(Guarantee(epsilon, delta, "test"))
    below, above = ((1 + factor) * delta for factor in exponential(epsilon))
    assert within.delta_atto >= min(above, Fraction(ATTO))
    assert within.delta_atto < below + 1 + Fraction(1, 10**9)


@given(EPSILONS, EPSILONS, DELTAS, DELTAS, SHARES)
def test_attack_odds_grow_with_loss(one: int, two: int, this: int, that: int, share: Decimal) -> None:
    """Every bound grows with epsilon and with delta, and stays a probability."""
    less = Guarantee(min(one, two), min(this, that), "less")
    more = Guarantee(max(one, two), max(this, that), "more")
    assert 0 <= attack_odds.advantage(less) <= attack_odds.advantage(more) <= 1
    assert share <= attack_odds.true_positives(less, share) <= attack_odds.true_positives(more, share) <= 1
    assert share <= attack_odds.posterior(less, share) <= attack_odds.posterior(more, share) <= 1
    assert attack_odds.of_replacing(less).delta_atto <= attack_odds.of_replacing(more).delta_atto <= ATTO


@given(EPSILONS, DELTAS, SHARES, SHARES)
def test_surer_beliefs_and_laxer_tests_end_higher(epsilon: int, delta: int, one: Decimal, two: Decimal) -> None:
    """Posterior and true positives grow with the prior and with the false positives."""
    guarantee = Guarantee(epsilon, delta, "test")
    low, high = sorted((one, two))
    assert attack_odds.posterior(guarantee, low) <= attack_odds.posterior(guarantee, high)
    assert attack_odds.true_positives(guarantee, low) <= attack_odds.true_positives(guarantee, high)


@given(EPSILONS, DELTAS, SHARES)
def test_a_posterior_is_that_of_a_test_often_enough(epsilon: int, delta: int, prior: Decimal) -> None:
    """Who concludes by the best test with one false positive in a thousand is not surer than the posterior says."""
    guarantee = Guarantee(epsilon, delta, "test")
    found = float(attack_odds.true_positives(guarantee, attack_odds.RARE)) - STEP
    belief, rare = float(prior), float(attack_odds.RARE)
    surer = belief * found / (belief * found + (1 - belief) * rare)
    assert surer <= float(attack_odds.posterior(guarantee, prior)) + 1e-12


@pytest.mark.parametrize("share", [Decimal(0), Decimal("0.1"), Decimal("0.25"), Decimal(1)])
def test_attack_odds_of_zero_loss_are_even(share: Decimal) -> None:
    """At a loss of zero an attacker has no advantage and beliefs stay as they are, exactly."""
    assert attack_odds.advantage(of(0)) == 0
    assert attack_odds.posterior(of(0), share) == share
    assert attack_odds.true_positives(of(0), share) == share


def test_an_enormous_loss_promises_nothing() -> None:
    """At the largest epsilon every bound is 1, and nothing overflows."""
    most = Guarantee(10**4 * NANO, 0, "test")
    within = attack_odds.of_replacing(Guarantee(10**4 * NANO, 1, "test"))
    assert (within.epsilon_nano, within.delta_atto) == (2 * 10**4 * NANO, ATTO)
    for guarantee in (most, within):
        assert attack_odds.advantage(guarantee) == 1
        assert attack_odds.posterior(guarantee, Decimal("0.01")) == 1
        assert attack_odds.true_positives(guarantee, Decimal("0.01")) == 1


def test_replacing_a_person_is_two_steps() -> None:
    """Of two worlds that differ in one person's data twice epsilon holds, with (1 + e^epsilon) delta, rounded up."""
    within = attack_odds.of_replacing(of(1.0, 1e-6))
    assert within.epsilon_nano == 2 * NANO
    exact = (1 + math.e) * 1e-6
    assert exact <= within.delta_atto / ATTO < exact + 1e-15


# Accounts

LIMITS = Limits.of(4 * NANO, 10**12)


def at_spend(limits: Limits, *losses: Loss) -> Guarantee:
    """Return what losses guarantee."""
    return attack_odds.at_spend(sum(map(Sum.of, losses), Sum()), limits)


def test_few_large_queries_are_read_by_epsilon() -> None:
    """One query of epsilon 1 is an epsilon of 1, without a delta; its rho alone would say more."""
    assert at_spend(LIMITS, Loss(NANO, NANO // 2, 0)) == Guarantee(NANO, 0, attack_odds.BY_EPSILON)


@pytest.mark.parametrize(("percent", "share"), [(100, 10**12), (50, 5 * 10**11), (0, 10**12)])
def test_many_small_queries_are_read_by_rho(percent: int, share: int) -> None:
    """A hundred queries of epsilon 0.1 are an epsilon of about 5.2 at 10^-6, not of 10; the deltas add up."""
    limits = Limits.of(10 * NANO, 2 * 10**12, percent)
    found = at_spend(limits, Loss(10 * NANO, NANO // 2, 7))
    assert found == Guarantee(conversion.epsilon_nano(NANO // 2, share), 10**12 + 7, attack_odds.BY_RHO)
    assert round(found.epsilon, 4) == Decimal("5.2215" if share == 10**12 else "5.3609")


def test_gaussian_noise_is_read_by_rho() -> None:
    """Where a charge has no finite epsilon the sum of rho says what holds."""
    used = Sum.of(Loss(None, 10**7, 0))
    assert attack_odds.by_epsilon(used) is None
    assert attack_odds.at_spend(used, LIMITS).by == attack_odds.BY_RHO


def test_both_kinds_of_noise_are_read_each_by_its_sum() -> None:
    """Large queries of Laplace noise beside Gaussian noise: the epsilons of both parts add up, at all of the delta."""
    found = at_spend(LIMITS, Loss(NANO, NANO // 2, 0), Loss(None, 10**7, 3), Loss(NANO // 2, NANO // 8, 0))
    assert found == Guarantee(
        NANO + NANO // 2 + conversion.epsilon_nano(10**7, 25 * 10**10), 5 * 10**11 + 3, attack_odds.BY_SPLIT
    )
    unsplit = Limits.of(4 * NANO, 10**12, 100)
    assert attack_odds.by_split(Sum.of(Loss(None, 10**7, 3)), unsplit) is None


def test_without_a_delta_epsilon_is_all_there_is() -> None:
    """An account with delta 0 converts nothing."""
    limits, used = Limits.of(4 * NANO, 0), Loss(NANO, NANO // 2, 0)
    assert attack_odds.by_rho(Sum.of(used), limits) is None
    assert at_spend(limits, used) == Guarantee(NANO, 0, attack_odds.BY_EPSILON)


def test_nothing_spent_is_nothing_lost() -> None:
    """An untouched account has an epsilon and a delta of 0."""
    assert at_spend(LIMITS) == Guarantee(0, 0, attack_odds.BY_EPSILON)


def test_what_an_account_admits_is_within_its_limit(world: World) -> None:
    """Whatever was charged, what holds of the spend is within what the account promises."""
    world.open_study(FLU, 2 * NANO, 10**12)
    for turn, loss in enumerate(
        [Loss(NANO // 5, NANO // 50, 10**9), Loss(None, 10**6, 0), Loss(NANO // 10, 5 * 10**6, 0)]
    ):
        world.spend(FLU, f"q{turn}", loss)
        balance = world.balance(FLU)
        spent, limit = attack_odds.at_spend(balance.used_sum, balance.limits), attack_odds.at_limit(balance.limits)
        assert spent.epsilon_nano <= limit.epsilon_nano
        assert spent.delta_atto <= limit.delta_atto
