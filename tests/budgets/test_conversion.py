from __future__ import annotations

import math
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
import opendp.prelude as dp
import pytest
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.pld.common import DifferentialPrivacyParameters
from dp_accounting.rdp import rdp_privacy_accountant
from hypothesis import given, settings
from hypothesis import strategies as st

from budgets.conversion import epsilon_nano, rho_nano_max
from budgets.ledger.limits import Limits
from budgets.loss import ATTO, EPSILON_MAX, NANO, Loss, Sum
from tests.laws import tries

dp.enable_features("contrib")

DELTAS = st.integers(1, 10**16) | st.integers(10**5, 10**15)


def opendp_epsilon(rho: float, delta: float) -> float:
    """Return the epsilon that OpenDP converts rho to."""
    noise = dp.m.make_gaussian(dp.atom_domain(T="i64"), dp.absolute_distance(T="f64"), scale=math.sqrt(1 / (2 * rho)))
    return float(dp.c.make_zCDP_to_approxDP(noise).map(1.0).epsilon(delta))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("epsilon", "rho"), [(1, 0.02436), (3, 0.18507), (5, 0.46306)], ids=["epsilon 1", "epsilon 3", "epsilon 5"]
)
def test_converted_limits_equal_known_values(epsilon: int, rho: float) -> None:
    """At delta 10^-6 the limits are those that are known; the tight form gives rho 0.5 an epsilon of 5.2215."""
    assert rho_nano_max(epsilon * NANO, 10**12) / NANO == pytest.approx(rho, abs=5e-6)
    assert epsilon_nano(NANO // 2, 10**12) / NANO == pytest.approx(5.2215, abs=5e-5)


@given(st.floats(1e-6, 1e3), st.floats(1e-12, 0.1))
def test_the_conversion_is_opendps(rho: float, delta: float) -> None:
    """It agrees with OpenDP's, and where they differ by more than rounding ours is the larger."""
    ours = epsilon_nano(math.ceil(rho * NANO), round(delta * ATTO)) / NANO
    theirs = opendp_epsilon(rho, delta)
    assert ours >= theirs * (1 - 1e-9) - 1e-9
    assert ours <= theirs * (1 + 1e-5) + 2e-3 * (rho < 1e-3) + 1e-8


def least_epsilon(rho_nano: int, delta_atto: int) -> Decimal:
    """Return the least epsilon of the formula over all orders, in decimals of 50 digits: in nothing the code's own."""
    with localcontext(Context(prec=50)):
        rho, delta = Decimal(rho_nano) / NANO, Decimal(delta_atto) / ATTO
        ratio = (Decimal(5).sqrt() - 1) / 2

        def epsilon(point: Decimal) -> Decimal:
            above = point.exp()
            return (1 + above) * rho - ((1 + above) * delta).ln() / above + (above / (1 + above)).ln()

        # In t = ln(a - 1) it has one valley, around ln(ln(1 / delta) / rho) / 2.
        middle = (-delta.ln() / rho).ln() / 2
        left, right = middle - 12, middle + 12
        a, b = right - ratio * (right - left), left + ratio * (right - left)
        at_a, at_b = epsilon(a), epsilon(b)
        for _ in range(60):  # to 10^-11 of t, and so to 10^-22 of the least epsilon
            if at_a < at_b:
                right, b, at_b = b, a, at_a
                a = right - ratio * (right - left)
                at_a = epsilon(a)
            else:
                left, a, at_a = a, b, at_b
                b = left + ratio * (right - left)
                at_b = epsilon(b)
        return min(at_a, at_b)


@settings(max_examples=tries(15, audited=40))
@given(st.integers(10**5, 10**3 * NANO), st.integers(10**5, 10**15))
def test_the_conversion_is_rounded_up_by_less_than_a_billionth(rho: int, delta: int) -> None:
    """It is never below the exact epsilon, by no billionth's part, and less than one billionth above it."""
    exact = max(Decimal(0), least_epsilon(rho, delta) * NANO)
    ours = epsilon_nano(rho, delta)
    assert exact <= ours < exact + 1 + exact * Decimal("1e-12")


ORDERS = 1 + np.geomspace(1e-3, 1e5, 20_000)


@pytest.mark.parametrize(
    ("rho", "delta"), [(0.02436, 1e-6), (0.5, 1e-6), (0.001, 1e-9), (2.0, 1e-3), (10.0, 1e-6), (0.1, 0.01)]
)
def test_the_conversion_is_dp_accountings(rho: float, delta: float) -> None:
    """It agrees with dp-accounting's conversion of Renyi DP, of which rho-zCDP is a line; theirs takes a grid of orders."""
    ours = epsilon_nano(round(rho * NANO), round(delta * ATTO)) / NANO
    theirs, _ = rdp_privacy_accountant.compute_epsilon(ORDERS, rho * ORDERS, delta)
    assert theirs - 1e-5 <= ours <= theirs + 1e-8


@given(st.integers(1, EPSILON_MAX * NANO), DELTAS)
def test_the_limit_converts_back_within_epsilon(epsilon: int, delta: int) -> None:
    """The largest rho stays within epsilon, and one billionth more does not."""
    rho = rho_nano_max(epsilon, delta)
    assert epsilon_nano(rho, delta) <= epsilon
    assert epsilon_nano(rho + 1, delta) > epsilon


def test_without_delta_there_is_no_second_filter() -> None:
    """Delta 0 converts nothing."""
    assert rho_nano_max(EPSILON_MAX * NANO, 0) == 0
    for percent in (0, 1, 50, 99, 100):
        limits = Limits.of(NANO, 0, percent)
        assert (limits.rho_nano, limits.gaussian_nano) == (0, 0)
        assert not limits.hold(Sum.of(Loss(None, 1, 0)))
        assert limits.hold(Sum.of(Loss(NANO, NANO, 0)))


@pytest.mark.parametrize(
    ("used", "percent", "held"),
    [
        ([Loss(NANO, 10**12, 0)], 50, True),  # basic alone
        ([Loss(NANO + 1, 10**12, 0)], 50, False),
        ([Loss(2 * NANO, 21_669_479, 0)], 50, True),  # zCDP alone, at its limit
        ([Loss(2 * NANO, 21_669_480, 0)], 50, False),
        ([Loss(None, 21_669_479, 0)], 50, True),
        ([Loss(None, 21_669_480, 0)], 50, False),
        ([Loss(NANO // 2, NANO, 0), Loss(None, 5_855_422, 0)], 50, True),  # split alone, at both of its limits
        ([Loss(NANO // 2 + 1, NANO, 0), Loss(None, 5_855_422, 0)], 50, False),
        ([Loss(NANO // 2, NANO, 0), Loss(None, 5_855_423, 0)], 50, False),
        ([Loss(None, 22_937_446, 0)], 100, True),  # without a split, the zCDP filter has all of D_conv
        ([Loss(None, 22_937_447, 0)], 100, False),
        ([Loss(NANO // 2, NANO, 0), Loss(None, 1, 0)], 100, False),
        ([Loss(None, 22_937_446, 0)], 0, True),
        ([Loss(1, NANO, 0), Loss(None, 1, 0)], 0, False),
        ([Loss(1, 1, 5 * 10**11)], 50, True),
        ([Loss(1, 1, 5 * 10**11 + 1)], 50, False),  # thresholds have half of delta
    ],
)
def test_charges_admitted_by_any_filter(used: list[Loss], percent: int, held: bool) -> None:
    """At epsilon 1 and delta 10^-6 sums are within the limits when one of the filters holds, to the last unit."""
    assert Limits.of(NANO, 10**12, percent).hold(added(used)) == held


def added(losses: list[Loss]) -> Sum:
    """Return what losses add up to."""
    return sum(map(Sum.of, losses), Sum())


@given(st.integers(1, EPSILON_MAX * NANO), DELTAS, st.integers(0, 100))
def test_the_shares_of_delta_add_up(epsilon: int, delta: int, percent: int) -> None:
    """Thresholds and both conversions share delta, the parts of epsilon add up, and each rho converts within its part."""
    limits = Limits.of(epsilon, delta, percent)
    assert limits.delta_keys_atto + limits.delta_rho_atto + limits.delta_split_atto == delta
    assert (limits.delta_split_atto == 0) == (percent in (0, 100) or delta < 3)
    if limits.rho_nano:
        assert epsilon_nano(limits.rho_nano, limits.delta_rho_atto) <= epsilon
    if limits.gaussian_nano:
        assert limits.laplace_nano + epsilon_nano(limits.gaussian_nano, limits.delta_split_atto) <= epsilon


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 100)), min_size=2, max_size=2))
def test_limits_that_contain_others_admit_what_they_admit(pair: list[tuple[int, int, int]]) -> None:
    """What some limits admit is within limits that contain them; a raise with the same parts contains what was before."""
    one, other = (Limits.of(epsilon * NANO, delta * 10**11, percent) for epsilon, delta, percent in pair)
    corners = [
        Sum(one.epsilon_nano, 0, 10**13, one.delta_keys_atto),
        Sum(10**13, one.rho_nano, one.rho_nano, one.delta_keys_atto, 1),
        Sum(one.laplace_nano, one.gaussian_nano, 10**13, one.delta_keys_atto, int(one.gaussian_nano > 0)),
    ]
    assert all(map(one.hold, corners))
    if other.contain(one):
        assert all(map(other.hold, corners))
    if pair[0][2] == pair[1][2] and pair[1][0] >= pair[0][0] and pair[1][1] >= pair[0][1]:
        assert other.contain(one)


def test_one_gaussian_query_does_not_end_the_sum_of_epsilon() -> None:
    """Beside 26% of epsilon 10 a Gaussian query leaves room for one of epsilon 1; without a split it did not."""
    earlier = [Loss(NANO, NANO // 2, 0)] * 2 + [Loss(NANO // 5, NANO // 50, 0)] * 3
    gaussian, large = Loss(None, NANO // 50, 0), Loss(NANO, NANO // 2, 0)
    for percent, held in ((100, False), (50, True)):
        assert Limits.of(10 * NANO, 10**12, percent).hold(added([*earlier, gaussian, *[large] * 2])) == held
    # As it was measured: a study of epsilon 4 that has nothing but its share.
    assert not Limits.of(4 * NANO, 10**12, 100).hold(added([gaussian, large]))
    assert Limits.of(4 * NANO, 10**12).hold(added([gaussian, large]))


def test_many_small_queries_get_more_than_basic_composition() -> None:
    """100 queries of epsilon 0.1 do not fit epsilon 6 by addition, and do as zCDP."""
    query = Loss.of(*(fraction for fraction in (_tenth(), _tenth() ** 2 / 2, 0 * _tenth())))
    total = added([query] * 100)
    assert total.total.epsilon_nano == 10 * NANO
    assert Limits.of(6 * NANO, 2 * 10**12).hold(total)
    assert not Limits.of(5 * NANO, 2 * 10**12).hold(total)


def _tenth() -> Fraction:
    return Fraction(1, 10)


LOSSES = st.lists(
    st.tuples(st.sampled_from([NANO // 1000, NANO // 30, NANO // 10, NANO // 2]), st.booleans()),
    min_size=1,
    max_size=60,
)


@given(LOSSES, st.sampled_from([(NANO, 10**12), (3 * NANO, 10**10), (2 * NANO, 0)]), st.sampled_from([50, 20, 100]))
def test_what_is_admitted_is_within_the_promise(
    losses: list[tuple[int, bool]], promise: tuple[int, int], percent: int
) -> None:
    """Whatever sequence is admitted, one of the three composition theorems gives no more than was promised."""
    epsilon, delta = promise
    limits = Limits.of(epsilon, delta, percent)
    used, admitted = Sum(), 0
    for nano, pure in losses:
        rho = -(-nano * nano // (2 * NANO))
        loss = Loss(nano if pure else None, rho, 0)
        if limits.hold(used + loss):
            used, admitted = used + loss, admitted + 1
    for_rho, for_split = (delta / 2, 0.0) if percent == 100 else (delta / 4, delta / 4)
    by_addition = math.inf if used.unbounded else used.laplace_nano / NANO
    by_zcdp = converted(used.rho_nano, for_rho)
    by_split = used.laplace_nano / NANO + converted(used.gaussian_nano, for_split)
    assert admitted == 0 or min(by_addition, by_zcdp, by_split) <= epsilon / NANO * (1 + 1e-6)


def converted(rho_nano: int, delta_atto: float) -> float:
    """Return the epsilon of a sum of rho, as OpenDP converts it."""
    if rho_nano == 0:
        return 0.0
    return opendp_epsilon(rho_nano / NANO, delta_atto / ATTO) if delta_atto else math.inf


@given(st.lists(st.integers(1, NANO // 3), min_size=1, max_size=12))
def test_the_basic_filter_is_opendps(losses: list[int]) -> None:
    """Without delta an account admits the very queries that OpenDP's own privacy filter admits, up to the first refusal."""
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    odometer = dp.c.make_fully_adaptive_composition(*space, dp.max_divergence())
    queryable = dp.c.make_privacy_filter(odometer, d_in=1, d_out=1.0)([0])
    limits, used = Limits.of(NANO, 0), Sum()
    for nano in losses:
        measurement = dp.m.make_laplace(*space, scale=NANO / nano)
        charged = math.ceil(Fraction(measurement.map(1)) * NANO)  # type: ignore[no-untyped-call]
        ours = limits.hold(used + Loss(charged, 1, 0))
        if abs(used.laplace_nano + charged - NANO) <= len(losses):
            return  # within the rounding up to billionths
        try:
            queryable(measurement)
            theirs = True
        except dp.OpenDPException:
            theirs = False
        assert ours == theirs
        if not ours:
            return  # OpenDP's filter counts what it refused, ours does not
        used += Loss(charged, 1, 0)


@given(st.lists(st.integers(NANO // 10**4, NANO // 100), min_size=1, max_size=12))
def test_the_zcdp_filter_is_opendps(losses: list[int]) -> None:
    """When no charge has an epsilon an account admits the very queries that OpenDP's filter at its limit of rho admits."""
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64")
    limits, used = Limits.of(NANO, 2 * 10**12), Sum()
    odometer = dp.c.make_fully_adaptive_composition(*space, dp.zero_concentrated_divergence())
    queryable = dp.c.make_privacy_filter(odometer, d_in=1.0, d_out=limits.rho_nano / NANO)([0])
    for nano in losses:
        measurement = dp.m.make_gaussian(*space, scale=math.sqrt(NANO / (2 * nano)))
        charged = math.ceil(Fraction(measurement.map(1.0)) * NANO)  # type: ignore[no-untyped-call]
        ours = limits.hold(used + Loss(None, charged, 0))
        if abs(used.rho_nano + charged - limits.rho_nano) <= len(losses):
            return  # within the rounding up to billionths
        try:
            queryable(measurement)
            theirs = True
        except dp.OpenDPException:
            theirs = False
        assert ours == theirs
        if not ours:
            return
        used += Loss(None, charged, 0)


STEP = 1e-4  # of the privacy loss, in the numerical distributions: each query adds at most one


@settings(max_examples=tries(15, audited=40))
@given(
    st.lists(
        st.tuples(st.sampled_from([0.001, 0.03, 0.1, 0.4, 1.0]), st.booleans(), st.integers(1, 40)),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from([(NANO, 10**12), (3 * NANO, 10**12), (3 * NANO, 10**14)]),
    st.sampled_from([50, 50, 20, 80, 100]),
)
def test_numerical_composition_stays_within_the_promise(
    wanted: list[tuple[float, bool, int]], promise: tuple[int, int], percent: int
) -> None:
    """The privacy loss distribution of whatever an account admits, as dp-accounting composes it, is within (E, D).

    A charge with an epsilon stands for randomized response, the worst mechanism of that epsilon.
    """
    epsilon, delta = promise
    limits, used = Limits.of(epsilon, delta, percent), Sum()
    composed, admitted = privacy_loss_distribution.identity(value_discretization_interval=STEP), 0
    for size, pure, times in wanted:
        rho = size * size / 2
        loss = Loss.of(Fraction(size) if pure else None, Fraction(rho), Fraction(0))
        held = 0
        while held < times and limits.hold(used + loss):
            used, held = used + loss, held + 1
        if held:
            one = (
                privacy_loss_distribution.from_privacy_parameters(
                    DifferentialPrivacyParameters(size, 0), value_discretization_interval=STEP
                )
                if pure
                else privacy_loss_distribution.from_gaussian_mechanism(1 / size, value_discretization_interval=STEP)
            )
            composed, admitted = composed.compose(one.self_compose(held)), admitted + held
    assert composed.get_epsilon_for_delta(delta / ATTO) <= epsilon / NANO + (admitted + 1) * STEP
