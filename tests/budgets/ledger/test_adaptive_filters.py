"""The three filters against the best adaptive asker, computed exactly and not sampled.

An asker who may choose each query by the answers so far wants to make the promise fail: to have a set S of transcripts
for which Q(S) - e^E Q'(S) exceeds D. The best S has all transcripts whose privacy loss L is above E, and it contributes
1 - e^(E - L) for each, in the mean over Q. The best next query depends only on the loss and the sums so far. Therefore
dynamic programming over these gives the best asker of all, who may steer towards whichever filter has room.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from budgets.ledger.limits import Limits
from budgets.loss import ATTO, NANO, Loss, Sum

STEP = 0.005  # of the privacy loss. Losses of Gaussian noise are rounded up to it
HIGH = 8.0  # a loss beyond it counts as a failure
SIGMAS = 9.0  # beyond, an answer counts as a failure too


def pure(epsilon: float) -> Loss:
    """Return the loss of randomized response, the worst mechanism of an epsilon."""
    return Loss(round(epsilon * NANO), math.ceil(epsilon * epsilon / 2 * NANO), 0)


def gaussian(rho: float) -> Loss:
    """Return the loss of Gaussian noise."""
    return Loss(None, math.ceil(rho * NANO), 0)


def best_of_all(limits: Limits, epsilon: float, rho: float, most: int = 400) -> tuple[float, int]:
    """Return how far the best asker can make a promise fail, and how much Gaussian noise there is room for.

    The asker has queries of pure epsilon and of Gaussian noise of rho, as many as the filters admit.
    """
    one, other = pure(epsilon), gaussian(rho)
    grid = np.arange(-math.ceil(HIGH / STEP), math.ceil(HIGH / STEP) + 1) * STEP
    shift, kernel = round(epsilon / STEP), steps(rho)
    largest = next(g for g in range(most) if not limits.hold(times(0, g + 1, one, other)))
    stop = np.maximum(0.0, 1 - np.exp(limits.epsilon_nano / NANO + STEP * largest - grid))
    stop[-1] = 1.0
    up = math.exp(epsilon) / (1 + math.exp(epsilon))

    @cache
    def value(laplace: int, noisy: int) -> np.ndarray:
        best = stop
        if limits.hold(times(laplace + 1, noisy, one, other)):
            after = value(laplace + 1, noisy)
            best = np.maximum(best, up * moved(after, shift) + (1 - up) * moved(after, -shift))
        if limits.hold(times(laplace, noisy + 1, one, other)):
            after = value(laplace, noisy + 1)
            best = np.maximum(best, sum(weight * moved(after, by) for by, weight in kernel))
        return best

    return float(value(0, 0)[len(grid) // 2]), largest


def times(laplace: int, noisy: int, one: Loss, other: Loss) -> Sum:
    """Return what so many queries of each kind add up to."""
    parts = zip(vars(Sum.of(one)).values(), vars(Sum.of(other)).values(), strict=True)
    return Sum(*(laplace * a + noisy * b for a, b in parts))


def moved(values: np.ndarray, by: int) -> np.ndarray:
    """Return the values at losses that are so many steps larger. Beyond the largest an asker has won."""
    if by >= 0:
        return np.concatenate([values[by:], np.ones(by)])
    return np.concatenate([np.full(-by, values[0]), values[:by]])


def steps(rho: float) -> list[tuple[int, float]]:
    """Return the privacy loss of Gaussian noise over D, in steps rounded up, with their weights. It is N(rho, 2 rho)."""
    sigma = math.sqrt(2 * rho)
    low, high = math.floor((rho - SIGMAS * sigma) / STEP), math.ceil((rho + SIGMAS * sigma) / STEP)
    below = [0.5 * math.erfc(-(place * STEP - rho) / sigma / math.sqrt(2)) for place in range(low, high + 1)]
    weights = [(place + 1, b - a) for place, a, b in zip(range(low, high), below, below[1:], strict=False)]
    return [(low, below[0]), *weights, (high, 1 - below[-1])]


@pytest.mark.parametrize(
    ("limits", "epsilon", "rho"),
    [
        (Limits.of(NANO, 10**16), 0.5, 0.0075),
        (Limits.of(NANO, 10**16), 0.25, 0.01),
        (Limits.of(3 * NANO, 10**14), 1.5, 0.01),
        (Limits.of(NANO, 10**14, 20), 0.2, 0.002),
        (Limits.of(2 * NANO, 10**16, 80), 0.4, 0.02),
    ],
)
def test_no_adaptive_asker_exceeds_the_promise(limits: Limits, epsilon: float, rho: float) -> None:
    """The asker who steers best between the filters makes the promise fail by at most D."""
    failed, largest = best_of_all(limits, epsilon, rho)
    assert largest > 1
    assert 0 < failed <= limits.delta_atto / ATTO


@pytest.mark.parametrize("part", ["laplace_nano", "gaussian_nano", "rho_nano"])
def test_a_filter_that_is_too_wide_is_found(part: str) -> None:
    """With all of epsilon in both parts of the split, or a rho of twice epsilon, an asker exceeds the promise far."""
    limits = Limits.of(3 * NANO, 10**14)
    wide = {
        "laplace_nano": limits.epsilon_nano,
        "gaussian_nano": limits.rho_nano,
        "rho_nano": Limits.of(6 * NANO, 10**14).rho_nano,
    }
    failed, _ = best_of_all(replace(limits, **{part: wide[part]}), 1.5, 0.01)
    assert failed > 10 * limits.delta_atto / ATTO
