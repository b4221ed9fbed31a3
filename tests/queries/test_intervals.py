from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.intervals import HALF, MeanNoise

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
