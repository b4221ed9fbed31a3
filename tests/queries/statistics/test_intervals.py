from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.statistics.parts.intervals import HALF, MeanNoise, reach
from tests.laws import tries
from tests.privacy.noise import fewest

if TYPE_CHECKING:
    from queries.statistics.parts.intervals import Floats

SCALES = st.floats(0.05, 1e9)


def beyond(a: float, b: float, t: float) -> float:
    """Return P(|X + Y| > t) for Laplace noise of two scales, by adding up the convolution in steps."""
    reach = 60 * max(a, b)
    grid = np.linspace(-reach, reach, 400_001)
    density = np.exp(-np.abs(grid) / a) / (2 * a)
    tail = np.where(t - grid >= 0, np.exp(-np.abs(t - grid) / b) / 2, 1 - np.exp(-np.abs(t - grid) / b) / 2)
    return float(2 * np.sum(density * tail) * (grid[1] - grid[0]))


@pytest.mark.parametrize(
    ("sum_scale", "count_scale"), [(10.0, 1.0), (1.0, 1.0), (3.0, 2.9999), (2.0, 7.0), (50.0, 0.01)]
)
@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.5, 1.0, 10.0])
def test_the_quantile_is_that_of_the_sum_of_two_laplace_variables(
    sum_scale: float, count_scale: float, mean: float
) -> None:
    """5% of |X - m * Y| lie beyond the quantile, whichever scale is larger, and where they are equal."""
    (quantile,) = MeanNoise(sum_scale, count_scale).quantile(np.array([mean]), 0.95)
    assert beyond(sum_scale, abs(mean) * count_scale, float(quantile) - HALF) == pytest.approx(0.05, rel=2e-3)


@given(SCALES, SCALES)
def test_without_a_mean_only_the_sums_noise_counts(sum_scale: float, count_scale: float) -> None:
    """At a mean of 0 the quantile is that of one Laplace variable, scale * ln 20, and half a unit."""
    (quantile,) = MeanNoise(sum_scale, count_scale).quantile(np.zeros(1), 0.95)
    assert quantile == pytest.approx(sum_scale * math.log(20) + HALF, rel=1e-6)


@given(
    SCALES,
    SCALES,
    st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(-(10**6), 10**6)), min_size=1, max_size=20),
    st.integers(0, 10**6),
    st.integers(1, 10**6),
)
def test_an_interval_is_well_typed_whatever_was_released(
    sum_scale: float, count_scale: float, cells: list[tuple[int, int]], below: int, above: int
) -> None:
    """Low <= mean <= high within the bounds of the values, for any noisy sums and counts, negative ones too."""
    sums, counts = np.array(cells, dtype=np.float64).T
    noise = MeanNoise(sum_scale, count_scale)
    means, lows, highs = noise.intervals(sums, counts, -float(below), float(above), 0.95)
    slack = 1e-9 * (below + above)
    for ends in (means, lows, highs):
        assert np.isfinite(ends).all()
        assert (ends >= -below - slack).all()
        assert (ends <= above + slack).all()
    assert (lows <= means + slack).all()
    assert (means <= highs + slack).all()
    nobody = counts <= 0
    assert (lows[nobody] == -below).all()
    assert (highs[nobody] == above).all()


def test_a_group_too_small_to_say_anything_gets_the_whole_range() -> None:
    """A count of 1 under noise of scale 100 says nothing about a mean."""
    _, lows, highs = MeanNoise(100.0, 100.0).intervals(np.array([5.0]), np.array([1.0]), -10.0, 10.0, 0.95)
    assert (lows[0], highs[0]) == (-10.0, 10.0)


def test_more_events_make_a_narrower_interval() -> None:
    """A hundred times the events, about a hundredth of the width."""
    counts = np.array([1e4, 1e6])
    _, lows, highs = MeanNoise(50.0, 5.0).intervals(2 * counts, counts, -10.0, 10.0, 0.95)
    narrow = highs - lows
    assert narrow[0] / narrow[1] == pytest.approx(100, rel=0.01)
    assert (lows < 2).all()
    assert (highs > 2).all()


# Sums of several noises

DRAWS = tries(50_000, audited=200_000)
SMALL_SCALES = (0.2, 0.32, 0.52, 0.65, 0.97, 1.3, 1.95, 3.3, 20.0)


def whole_noise(random: np.random.Generator, scale: float, *, gaussian: bool) -> Floats:
    """Draw discrete noise by its definition."""
    if gaussian:
        places = np.arange(-int(12 * scale) - 3, int(12 * scale) + 4)
        weights = np.exp(-(places**2) / (2 * scale**2))
        return random.choice(places, DRAWS, p=weights / weights.sum())
    success = -math.expm1(-1 / scale)
    return random.geometric(success, DRAWS) - random.geometric(success, DRAWS)


def share_within(factors: list[float], scale: float, *, gaussian: bool, step: float) -> float:
    """Return how often a sum of noises of one scale stays within its quantile at 95%."""
    random = np.random.default_rng(round(1000 * scale))
    total = sum(factor * whole_noise(random, scale, gaussian=gaussian) for factor in factors)
    second, fourth = (np.array([sum((factor * scale) ** power for factor in factors)]) for power in (2, 4))
    (quantile,) = reach(second, fourth, 0.95, gaussian=gaussian, step=step)
    return float(np.mean(np.abs(total) <= quantile + 1e-9))


@pytest.mark.slow
@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("scale", SMALL_SCALES)
@pytest.mark.parametrize(
    "factors", [[1.0], [0.5, 0.5], [0.9, 0.1], [1.0, 0.3, 0.7], [0.25] * 20 + [0.75] * 20], ids=len
)
def test_whole_noise_stays_within_the_quantile(factors: list[float], scale: float, gaussian: bool) -> None:
    """However small the scale, and however many noises, at least 95% of the sums do."""
    assert share_within(factors, scale, gaussian=gaussian, step=max(factors)) >= fewest(DRAWS)


@pytest.mark.parametrize("gaussian", [False, True])
def test_quantile_of_continuous_noise_is_too_narrow_for_whole_noise(gaussian: bool) -> None:
    """The quantile of continuous noise of the same scale is too narrow for noise of a few whole numbers."""
    found = [share_within([1.0], scale, gaussian=gaussian, step=0.0) for scale in SMALL_SCALES]
    assert min(found) < 0.94
    assert found[-1] == pytest.approx(0.95, abs=0.01)
