"""Gaussian noise: what it is charged, how large it is, when the planner takes it, and what its margins cover."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import opendp.prelude as dp
import pytest
from scipy import stats

from queries import mechanisms
from queries.language import nodes
from queries.language.nodes import Privacy
from queries.mechanisms import DiscreteGaussian, DiscreteLaplace
from queries.plan import Plan
from queries.planning import fingerprint, planner
from queries.release import assembly
from queries.statistics.parts import noisy
from tests.laws import tries
from tests.privacy.noise import FALSE_ALARM, fewest, most
from tests.queries.clinic import CLINIC, NANO

dp.enable_features("contrib")

RHO = NANO // 20


def planned(rho_nano: int = RHO, cells: int = 4, events: int = 3, **select: nodes.Statistic) -> Plan:
    """Return a plan that may spend rho."""
    query = nodes.Query("visits", tuple(select.items()), None, (nodes.ByValue("unit"),), nodes.Bounds(cells, events))
    return planner.plan(query, CLINIC, Privacy(rho_nano=rho_nano), 1_000_000)


def weights(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the whole numbers within ten scales and their probabilities."""
    reach = math.ceil(10 * scale) + 5
    numbers = np.arange(-reach, reach + 1)
    weight = np.exp(-(numbers**2) / (2 * scale**2))
    return numbers, weight / weight.sum()


@pytest.mark.parametrize("squared", [1, 2, 80, 10**6, 3 * 10**12])
@pytest.mark.parametrize("rho_nano", [1, 999, NANO // 7, NANO, 50 * NANO])
def test_the_charge_is_opendps_and_within_what_was_asked(squared: int, rho_nano: int) -> None:
    """OpenDP's own map of the scale at the sensitivity is charged, rounded up, and no more than rho."""
    made = mechanisms.discrete_gaussian(squared, rho_nano)
    noise = dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=made.scale)
    told = Fraction(noise.map(math.sqrt(squared))) * NANO  # type: ignore[no-untyped-call]
    assert told <= made.rho_nano <= rho_nano
    assert made.rho_nano >= rho_nano * (1 - 1e-9) - 1
    assert made.scale == pytest.approx(math.sqrt(squared * NANO / (2 * rho_nano)), rel=1e-9)


@pytest.mark.parametrize("scale", [0.1, 0.5, 1.0, 3.0, 10.0, 30.0, 300.0])
def test_the_margin_is_the_least_that_covers(scale: float) -> None:
    """P(|noise| <= margin) is at least 95%, and one less would not be enough."""
    margin = DiscreteGaussian(1, scale, 1).margin(0.95)
    numbers, probabilities = weights(scale)
    assert probabilities[np.abs(numbers) <= margin].sum() >= 0.95 - 1e-12
    assert margin == 0 or probabilities[np.abs(numbers) <= margin - 1].sum() < 0.95


@pytest.mark.parametrize("scale", [2_000.0, 123_456.7, 1e12])
def test_the_margin_of_large_noise(scale: float) -> None:
    """Beyond some scale the continuous quantile stands in; it is as good and never too small."""
    margin = DiscreteGaussian(1, scale, 1).margin(0.95)
    assert 0.95 <= stats.norm.cdf((margin + 0.5) / scale) * 2 - 1 <= 0.9502


@pytest.mark.parametrize("scale", [0.7, 3.0, 25.0])
def test_the_noise_fits_its_probabilities(scale: float) -> None:
    """20,000 draws pass a chi-squared test against the discrete Gaussian, and fail one against twice the scale."""
    drawn = DiscreteGaussian(1, scale, 1).release(np.zeros(20_000, dtype=np.int64))

    def fits(assumed: float) -> float:
        numbers, probabilities = weights(assumed)
        edges = [-math.inf, *np.unique(np.round(np.linspace(-2, 2, 9) * scale)) + 0.5, math.inf]
        expected = np.array([probabilities[(numbers > a) & (numbers < b)].sum() for a, b in itertools.pairwise(edges)])
        found = np.array([((drawn > a) & (drawn < b)).sum() for a, b in itertools.pairwise(edges)])
        likely = expected > 1e-4
        return float(
            stats.chisquare(found[likely], expected[likely] / expected[likely].sum() * found[likely].sum()).pvalue
        )

    assert fits(scale) > FALSE_ALARM
    assert fits(scale * 2) < FALSE_ALARM


def test_rho_buys_the_smaller_margin() -> None:
    """With rho the planner takes Gaussian noise where its margins are smaller, with the sensitivity in L2."""
    one = planned(rows=nodes.Count("events"))
    (measure,) = one.measures
    assert measure.mechanism.name == "discrete_gaussian"
    assert measure.mechanism.sensitivity_l2_squared == 4 * 3**2
    assert one.cost.epsilon is None
    assert Fraction(RHO, NANO) * Fraction(999_999, 10**6) <= one.cost.rho <= Fraction(RHO, NANO)
    laplace = mechanisms.discrete_laplace(4 * 3, mechanisms.epsilon_of_rho(RHO))
    assert measure.mechanism.margin(0.95) < laplace.margin(0.95)


def test_on_a_draw_laplace_is_taken_for_its_epsilon() -> None:
    """Where the noise is too small to matter, the mechanism is the one with a finite epsilon, for the same rho."""
    one = planned(rho_nano=10**5 * NANO, cells=1, events=1, people=nodes.Count("persons"))
    assert isinstance(one.measures[0].mechanism, DiscreteLaplace)
    assert one.cost.epsilon is not None
    assert one.cost.rho <= 10**5


def test_a_query_has_one_kind_of_noise() -> None:
    """The parts of a query share rho and are all Gaussian or all Laplace."""
    one = planned(people=nodes.Count("persons"), mean=nodes.Mean("balance"), rows=nodes.Count("events"))
    assert {measure.mechanism.name for measure in one.measures} == {"discrete_gaussian"}
    parts = [
        [m.mechanism.rho_nano for m in o.measures if isinstance(m.mechanism, DiscreteGaussian)] for o in one.outputs
    ]
    shares = [sum(part) for part in parts]
    assert RHO - 10 <= sum(shares) <= RHO


def test_epsilon_never_buys_gaussian_noise() -> None:
    """A request of epsilon is pure DP, whatever the number of cells."""
    query = nodes.Query("visits", (("n", nodes.Count("events")),), None, (nodes.ByValue("unit"),), nodes.Bounds(4, 90))
    made = planner.plan(query, CLINIC, Privacy(epsilon_nano=NANO), 1_000_000)
    assert isinstance(made.measures[0].mechanism, DiscreteLaplace)


def test_another_price_is_another_question() -> None:
    """Rho and epsilon, or two values of rho, are different questions; the same rho is the same."""
    texts = {fingerprint.of(planned(rho_nano=rho, n=nodes.Count("events"))) for rho in (RHO, RHO, RHO + 1000)}
    assert len(texts) == 2


@pytest.mark.slow
@pytest.mark.parametrize("statistic", [nodes.Count("events"), nodes.Sum("balance"), nodes.Mean("balance")])
@pytest.mark.parametrize("rho_nano", [NANO // 1000, NANO // 10])
def test_gaussian_margins_cover_95_percent(statistic: nodes.Statistic, rho_nano: int) -> None:
    """Over thousands of releases the interval holds the exact value 95 times in a hundred (a mean's: at least), but for chance."""
    releases = tries(3_000, audited=10_000)
    edges = tuple(range(releases + 1))
    key = nodes.ByBins("wide", edges)
    query = nodes.Query("visits", (("x", statistic),), None, (key,), nodes.Bounds(2, 3))
    one = planner.plan(query, CLINIC, Privacy(rho_nano=rho_nano), 1_000_000)
    count, total = 40_000, 1_200_000
    exact = [
        np.full(one.cells, total if len(one.measures) == 2 and place == 0 else count, dtype=np.int64)
        for place in range(len(one.measures))
    ]
    measure = one.measures[0]
    truth = count * noisy.unit(measure)
    if len(one.measures) == 2:
        truth = (total / count + measure.factors[0].centre) * noisy.unit(measure)
    rows = assembly.rows(one, assembly.add_noise(one, exact))
    cells: list[Any] = [row["x"] for row in rows]
    share = sum(cell["low"] <= truth <= cell["high"] for cell in cells) / len(cells)
    assert fewest(releases) <= share <= most(releases, 0.97 if len(one.measures) == 2 else 0.955)
