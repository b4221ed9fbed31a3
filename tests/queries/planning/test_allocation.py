"""How a query's loss is shared between its statistics and their measures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries import mechanisms
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import Privacy
from queries.plan import Measure, Output
from queries.planning import allocation, fingerprint, planner
from queries.planning.noise import Noise
from queries.statistics import estimates, registry
from tests.queries.ward import EVERY, NANO, WARD, planned

if TYPE_CHECKING:
    from queries.plan import Plan

UNIT = nodes.ByValue("unit")
OF_SEVERAL = ["mean", "variance", "stddev", "covariance", "correlation"]


def paid(measure: Measure) -> int:
    """Return what a measure is charged in billionths of what was spent."""
    mechanism = measure.mechanism
    return mechanism.rho_nano if isinstance(mechanism, mechanisms.DiscreteGaussian) else mechanism.epsilon_nano


def relative(one: Plan) -> dict[str, float]:
    """Return each statistic's margin over its yardstick, for a group of one person (to scale)."""
    return {
        output.name: allocation.relative_margin(output.statistic, output.measures, one.events_per_cell, one.confidence)
        for output in one.outputs
    }


# Shares in whole numbers


@given(st.lists(st.tuples(st.integers(1, 2**80), st.integers(1, 6)), min_size=1, max_size=20), st.integers(0, 10**13))
def test_a_split_spends_all_and_leaves_none_without(parts: list[tuple[int, int]], over: int) -> None:
    """The shares add up to the total, each has its least, and each is within one of its proportion of the rest."""
    weights, least = [weight for weight, _ in parts], [some for _, some in parts]
    shares = allocation.split(sum(least) + over, weights, least)
    assert sum(shares) == sum(least) + over
    for share, weight, some in zip(shares, weights, least, strict=True):
        assert share >= some
        assert abs(share - some - Fraction(over * weight, sum(weights))) < 1


def test_equal_weights_share_evenly() -> None:
    """What cannot be divided goes to the first."""
    assert allocation.split(11, [5, 5, 5], [1, 1, 1]) == [4, 4, 3]


@given(st.fractions(Fraction(1, 10**12), 10**24, max_denominator=10**12), st.sampled_from([2, 3]))
def test_integer_roots_are_exact(value: Fraction, degree: int) -> None:
    """The root in parts of FINE is the greatest whole number whose power is no more than the value."""
    root = allocation.root(value, degree)
    assert root**degree <= value * allocation.FINE**degree < (root + 1) ** degree


# The whole charge


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(sorted(EVERY)), min_size=1, max_size=6, unique=True),
    st.integers(40, 20 * NANO),
    st.booleans(),
    st.integers(1, 12),
    st.integers(1, 1000),
)
def test_no_more_is_charged_than_asked_and_every_measure_gets_some(
    names: list[str], nano: int, in_rho: bool, cells: int, events: int
) -> None:
    """For any statistics, bounds and price: the charges add up to at most the price, and are nearly all of it."""
    privacy = Privacy(rho_nano=nano) if in_rho else Privacy(epsilon_nano=nano)
    try:
        one = planned(privacy, UNIT, cells=cells, events=events, **{name: EVERY[name] for name in names})
    except InvalidQuery as refusal:
        assert "overflow" in refusal.message  # noqa: PT017
        return
    assert all(measure.mechanism.rho > 0 for measure in one.measures)
    charged, asked = (one.cost.rho if in_rho else one.cost.epsilon), Fraction(nano, NANO)
    assert charged is not None
    assert charged <= asked
    # Laplace noise bought with rho rounds epsilon = sqrt(2 rho) down: of few billionths that is a part.
    if not (in_rho and one.cost.epsilon is not None):
        assert charged >= asked * Fraction(999_999, 10**6) - Fraction(len(one.measures), NANO)


def test_as_many_billionths_as_measures_are_the_least() -> None:
    """A correlation has six measures: six billionths are split (and refused for their noise alone), five are not."""
    with pytest.raises(InvalidQuery, match="too small to be split") as refused:
        planned(Privacy(epsilon_nano=5), k=EVERY["correlation"])
    assert refused.value.pointer == "/privacy/epsilon"
    one = planned(Privacy(epsilon_nano=7), n=EVERY["people"], k=EVERY["correlation"])
    assert [paid(measure) for measure in one.measures] == [1] * 7


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(st.permutations(sorted(EVERY)), st.integers(10**6, NANO), st.booleans())
def test_the_order_of_statistics_is_spelling(names: list[str], nano: int, in_rho: bool) -> None:
    """Whatever cannot be divided, the same statistics in another order are the same question."""
    privacy = Privacy(rho_nano=nano) if in_rho else Privacy(epsilon_nano=nano)
    forms = {
        fingerprint.of(planned(privacy, UNIT, events=3, **{name: EVERY[name] for name in order}))
        for order in (names, sorted(EVERY))
    }
    assert len(forms) == 1


# Between statistics


@pytest.mark.parametrize("privacy", [Privacy(epsilon_nano=NANO), Privacy(rho_nano=NANO // 2)], ids=["epsilon", "rho"])
@pytest.mark.parametrize(("cells", "events"), [(1, 1), (10, 1), (4, 25)])
def test_margins_are_evened_out(privacy: Privacy, cells: int, events: int) -> None:
    """Fourteen statistics of one query have the same margin relative to their yardsticks, within a tenth."""
    found = relative(planned(privacy, UNIT, cells=cells, events=events, **EVERY))
    assert max(found.values()) / min(found.values()) < 1.1, found


@pytest.mark.parametrize("privacy", [Privacy(epsilon_nano=NANO), Privacy(rho_nano=NANO // 2)], ids=["epsilon", "rho"])
def test_an_even_split_would_not_even_them_out(privacy: Privacy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Split evenly, the widest relative margin would be several times as wide: the check above can fail."""
    ours = relative(planned(privacy, UNIT, cells=4, events=25, **EVERY))
    monkeypatch.setattr(allocation, "weigh", evenly)
    theirs = relative(planned(privacy, UNIT, cells=4, events=25, **EVERY))
    assert max(theirs.values()) / min(theirs.values()) > 3
    assert max(theirs.values()) > 1.5 * max(ours.values())


def evenly(_statistic: nodes.Statistic, drafts: tuple[object, ...], _events: int, _word: str) -> allocation.Weight:
    """Weigh as it was done before: every statistic alike, every measure alike."""
    return allocation.Weight(1, (1,) * len(drafts))


@pytest.mark.parametrize(
    ("select", "events", "expected"),
    [
        # A count of persons and one of events: of 25 events that count, a person of the reference group has 5.
        ({"n": EVERY["people"], "r": EVERY["rows"]}, 25, (1, 5)),
        ({"n": EVERY["people"], "r": EVERY["rows"]}, 1, (1, 1)),
        # A value is 15 in the middle and moves the sum by 30.
        ({"n": EVERY["rows"], "s": nodes.Sum("visits")}, 1, (1, 2)),
        ({"n": EVERY["rows"], "s": nodes.Sum("visits", (20, 30))}, 1, (1, Fraction(30, 25))),
        ({"n": EVERY["rows"], "s": nodes.Sum("tenths")}, 1, (1, 2)),
        ({"a": nodes.Sum("visits"), "b": nodes.Sum("cost")}, 4, (1, 1)),
    ],
)
def test_shares_follow_from_the_yardsticks(
    select: dict[str, nodes.Statistic], events: int, expected: tuple[Fraction, Fraction]
) -> None:
    """Epsilon is shared as what one person adds is to the yardstick; rho as the squares of it."""
    for privacy, power in ((Privacy(epsilon_nano=NANO), 1), (Privacy(rho_nano=NANO), 2)):
        first, second = (paid(output.measures[0]) for output in planned(privacy, events=events, **select).outputs)
        assert second / first == pytest.approx(float(expected[1] / expected[0]) ** power, rel=1e-6)


# Within a statistic


def group(output: Output, events: int = 10**6, side: int = 1) -> list[np.ndarray]:
    """Return the exact sums of the reference group: means halfway to a bound, variances h^2 / 3, correlation a half.

    The second column's mean is on the same `side` of its middle as the first's, or on the other (-1).
    """
    vectors = []
    names = [factor.column.name for factor in output.measures[0].factors]
    for measure in output.measures:
        h = [Fraction(factor.high - factor.low, 2) for factor in measure.factors]
        if not h:
            each = Fraction(1)
        elif len(h) == 1:
            each = h[0] / 2 * (side if measure.factors[0].column.name != names[0] else 1)
        elif measure.factors[0] == measure.factors[1]:
            each = h[0] ** 2 * (Fraction(1, 4) + Fraction(1, 3)) - measure.middle
        else:
            each = h[0] * h[1] * (Fraction(side, 4) + Fraction(1, 6))
        vectors.append(np.array([round(events * each)], dtype=np.int64))
    return vectors


def width(output: Output) -> float:
    """Return how wide the interval of the reference group is; of a quantile, in events."""
    if isinstance(output.statistic, nodes.Quantile | nodes.Iqr):
        return estimates.rank_margin(output, 0.95)
    (found,) = estimates.values(output, group(output), 0.95)
    return found["high"] - found["low"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "in_epsilon", "in_rho"),
    [
        ("mean", 0.93, 0.95),
        ("variance", 0.89, 0.93),
        ("stddev", 0.89, 0.93),
        ("covariance", 0.83, 0.88),
        ("correlation", 0.69, 0.78),
    ],
)
def test_intervals_are_narrower_than_with_even_parts(
    name: str, in_epsilon: float, in_rho: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the reference group the interval is narrower than if the measures shared evenly, by so much."""
    for privacy, factor in ((Privacy(epsilon_nano=NANO), in_epsilon), (Privacy(rho_nano=NANO // 2), in_rho)):
        with monkeypatch.context() as patched:
            ours = width(planned(privacy, s=EVERY[name]).outputs[0])
            patched.setattr(allocation, "weigh", evenly)
            theirs = width(planned(privacy, s=EVERY[name]).outputs[0])
        assert ours / theirs == pytest.approx(factor, abs=0.015)


@pytest.mark.parametrize("name", OF_SEVERAL)
@pytest.mark.parametrize("in_rho", [False, True])
def test_no_other_parts_have_less_noise(name: str, in_rho: bool) -> None:
    """The relative variance of the reference group is least: moving a twentieth between two measures adds to it."""
    privacy = Privacy(rho_nano=NANO) if in_rho else Privacy(epsilon_nano=NANO)
    (output,) = planned(privacy, s=EVERY[name]).outputs
    squares = registry.of(output.statistic).influences(output.statistic, output.measures, 1)
    parts = [float(paid(measure)) for measure in output.measures]

    def variance(parts: list[float]) -> float:
        power = 1 if in_rho else 2
        return sum(
            float(square) * measure.largest**2 / part**power
            for square, measure, part in zip(squares, output.measures, parts, strict=True)
        )

    for giver in range(len(parts)):
        for taker in range(len(parts)):
            if giver != taker:
                moved = list(parts)
                moved[giver] -= parts[giver] / 20
                moved[taker] += parts[giver] / 20
                assert variance(moved) > variance(parts)


@pytest.mark.parametrize("name", ["mean", "variance", "stddev", "covariance", "correlation"])
def test_influences_are_what_the_intervals_make_of_noise(name: str) -> None:
    """A nudge of each measure of the reference group moves the value as far as the influences say, to first order."""
    (output,) = planned(Privacy(epsilon_nano=1000 * NANO), s=EVERY[name]).outputs
    events = 10**6
    moved = np.zeros(len(output.measures))
    for side in (1, -1):
        exact = group(output, events, side)
        (before,) = estimates.values(output, exact, 0.95)
        for place, measure in enumerate(output.measures):
            nudge = max(measure.largest * events // 1000, 1)
            changed = [vector.copy() for vector in exact]
            changed[place] += nudge
            (after,) = estimates.values(output, changed, 0.95)
            moved[place] += ((after["value"] - before["value"]) / nudge * events) ** 2 / 2  # type: ignore[operator]
    # Up to one factor, the yardstick in the values' units.
    squares = registry.of(output.statistic).influences(output.statistic, output.measures, 1)
    ratios = moved / np.array([float(square) for square in squares])
    assert max(ratios) / min(ratios) < 1.05, ratios


# The kind of noise


def test_rho_buys_the_noise_with_the_narrower_widest_margin() -> None:
    """Of few cells and much rho Laplace noise may do; the choice is by the margins that count, not by the parts."""
    wide = planned(Privacy(rho_nano=NANO // 100), UNIT, cells=8, events=2, **EVERY)
    assert {measure.mechanism.name for measure in wide.measures} == {"discrete_gaussian"}
    least = planned(Privacy(rho_nano=10**5 * NANO), n=EVERY["people"], r=EVERY["rows"])
    assert {measure.mechanism.name for measure in least.measures} == {"discrete_laplace"}
    assert least.cost.epsilon is not None
    assert least.cost.rho <= 10**5


@pytest.mark.parametrize("names", [["people"], ["mean"], ["people", "correlation"], sorted(EVERY)])
@pytest.mark.parametrize("cells", [1, 6])
def test_whichever_noise_is_taken_is_the_better(names: list[str], cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The widest relative margin of what was taken is no wider than that of the other kind."""
    select = {name: EVERY[name] for name in names}
    taken = planned(Privacy(rho_nano=NANO // 10), UNIT, cells=cells, **select)
    other = Noise.GAUSSIAN if taken.cost.epsilon is not None else Noise.LAPLACE_OF_RHO
    with monkeypatch.context() as patched:
        patched.setattr(planner, "kinds_of", lambda *_: (other,))
        left = planned(Privacy(rho_nano=NANO // 10), UNIT, cells=cells, **select)
    assert max(relative(taken).values()) <= max(relative(left).values())


def test_the_shares_do_not_depend_on_the_catalogs_size() -> None:
    """Yardsticks grow with the group alike: twice the persons there can be changes no share."""
    query = nodes.Query("stays", tuple(EVERY.items()), None, (UNIT,), nodes.Bounds(4, 5))
    many = replace(WARD, persons_max=200_000)
    one, other = (planner.plan(query, dataset, Privacy(epsilon_nano=NANO), 10**6) for dataset in (WARD, many))
    assert [paid(measure) for measure in one.measures] == [paid(measure) for measure in other.measures]
