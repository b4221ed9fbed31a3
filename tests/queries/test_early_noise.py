"""Noise that is drawn before its cells are known: used once, distributed as OpenDP's own, added without overflow."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from queries import mechanisms
from queries.language import nodes
from queries.mechanisms import LAST, LEAST, NANO, DiscreteLaplace, Drawn, discrete_gaussian, discrete_laplace
from queries.release import assembly
from tests.privacy.noise import FALSE_ALARM
from tests.queries.clinic import planned

INTEGERS = st.integers(LEAST, LAST)


def test_noise_is_used_once() -> None:
    """Of many threads that want the same noise, one gets it: twice used, the difference of two answers has none."""
    drawn = discrete_laplace(1, NANO).draw(4)
    start = threading.Barrier(8)

    def hide(_: int) -> bool:
        start.wait()
        try:
            drawn.hide(np.zeros(4, dtype=np.int64))
        except RuntimeError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(hide, range(8))) == 1
    with pytest.raises(RuntimeError, match="used before"):
        drawn.hide(np.zeros(4, dtype=np.int64))


@pytest.mark.parametrize("length", [0, 3, 5])
def test_noise_of_another_length_is_refused(length: int) -> None:
    """A cell without noise of its own would be exact; the noise is gone afterwards."""
    drawn = discrete_laplace(1, NANO).draw(4)
    with pytest.raises(ValueError, match="another number"):
        drawn.hide(np.zeros(length, dtype=np.int64))
    with pytest.raises(RuntimeError):
        drawn.hide(np.zeros(4, dtype=np.int64))


def test_noise_is_not_shown() -> None:
    """Neither its text nor a log line that has it tells a number."""
    assert repr(Drawn(np.array([12345]))) == "<noise>"


@example([(LAST, 1), (1, LAST), (LEAST, -1), (LAST, LAST), (LEAST, LEAST), (LAST, LEAST)])
@given(st.lists(st.tuples(INTEGERS, INTEGERS), min_size=1))
def test_a_sum_beyond_64_bits_is_the_last_number(pairs: list[tuple[int, int]]) -> None:
    """As in OpenDP, and never wrapped around; every other sum is exact."""
    cells, noise = (np.array(one, dtype=np.int64) for one in zip(*pairs, strict=True))
    expected = [min(max(cell + one, LEAST), LAST) for cell, one in pairs]
    assert Drawn(noise).hide(cells).tolist() == expected


@pytest.mark.parametrize("mechanism", [discrete_laplace(3, NANO), discrete_gaussian(9, NANO // 2)])
@pytest.mark.parametrize("cell", [0, -7, 2**61])
def test_early_noise_is_distributed_as_noise_on_the_cells(mechanism: DiscreteLaplace, cell: int) -> None:
    """Against OpenDP on the cells themselves: the two samples of 40,000 are of one distribution (chi-squared)."""
    number = 40_000
    early = mechanism.draw(number).hide(np.full(number, cell, dtype=np.int64)) - cell
    measurement = (mechanisms._gaussian if mechanism.gaussian else mechanisms._laplace)(mechanism.scale)
    direct = np.asarray(measurement(np.full(number, cell, dtype=np.int64)), dtype=np.int64) - cell
    edge = int(3 * mechanism.scale)
    one, other = (
        np.bincount(np.clip(sample, -edge, edge) + edge, minlength=2 * edge + 1) for sample in (early, direct)
    )
    together = one + other
    found = together > 0
    assert stats.chi2_contingency(np.array([one[found], other[found]])).pvalue > FALSE_ALARM
    twice = np.bincount(np.clip(2 * direct, -edge, edge) + edge, minlength=2 * edge + 1)
    assert stats.chi2_contingency(np.array([one, twice])[:, one + twice > 0]).pvalue < FALSE_ALARM, "it has power"


def test_each_measure_has_noise_of_its_own() -> None:
    """As many numbers as the measure has, drawn apart; rounds that follow each other draw when their turn comes."""
    plan = planned(
        nodes.ByValue("unit"),
        a=nodes.Count("events"),
        b=nodes.Count("events"),
        h=nodes.Histogram("visits"),
        q=nodes.Quantile("visits", (0.5,)),
    )
    drawn = assembly.draw_noise(plan)
    assert [one is None for one in drawn] == [False, False, False, True]
    for one, measure in zip(drawn, plan.measures, strict=True):
        if one is not None:
            assert one.hide(np.zeros(plan.cells * measure.width, dtype=np.int64)).shape == (plan.cells * measure.width,)


def test_two_measures_cannot_share_their_noise() -> None:
    """A mistake that gives one draw to two vectors ends the answer before either is released."""
    plan = planned(a=nodes.Count("events"), b=nodes.Count("persons"))
    shared, _ = assembly.draw_noise(plan)
    with pytest.raises(RuntimeError, match="used before"):
        assembly.add_noise(plan, [np.array([5]), np.array([3])], [shared, shared])
