"""Layer 2 of the audit: the noise has the distribution that it is charged for."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from queries import mechanisms
from queries.language import nodes
from queries.release import assembly
from tests.privacy.noise import cumulative, fits, mean_magnitude, probability_beyond
from tests.queries.clinic import NANO, planned

DRAWS = 20_000
ROOT = Path(__file__).parents[2]
CASES = [
    # (sensitivity, epsilon in billionths)
    (1, 2 * NANO),
    (1, NANO),
    (1, NANO // 10),
    (30, NANO // 2),
    (4_000, NANO // 3),
    (2**40, NANO),
]


@pytest.mark.parametrize(("sensitivity", "epsilon_nano"), CASES)
def test_the_noise_is_as_large_as_it_is_charged_for(sensitivity: int, epsilon_nano: int) -> None:
    """Over 40,000 draws the mean magnitude is that of the scale sensitivity / epsilon: within 3% where that is wide.

    The limit is six standard deviations of the mean: right noise passes it once in 10^8 runs.
    """
    draws = mechanisms.discrete_laplace(sensitivity, epsilon_nano).release(np.zeros(2 * DRAWS, dtype=np.int64))
    scale = sensitivity * NANO / epsilon_nano
    ideal = mean_magnitude(scale)
    square = 2 * math.exp(-1 / scale) / math.expm1(-1 / scale) ** 2  # E z^2 = 2a / (1 - a)^2
    tolerance = 6 * math.sqrt((square - ideal**2) / (2 * DRAWS))
    assert tolerance < 0.0301 * ideal or scale < 2
    assert np.abs(draws).mean() == pytest.approx(ideal, abs=tolerance)


@pytest.mark.parametrize(("sensitivity", "epsilon_nano"), CASES)
def test_the_noise_fits_its_probabilities(sensitivity: int, epsilon_nano: int) -> None:
    """A chi-squared test over 20,000 draws finds nothing against p(z) = (1 - a) / (1 + a) * a^|z|."""
    draws = mechanisms.discrete_laplace(sensitivity, epsilon_nano).release(np.zeros(DRAWS, dtype=np.int64))
    scale = sensitivity * NANO / epsilon_nano
    assert fits(draws, scale)
    assert not fits(draws, scale * 1.15), "the fit has power"
    assert not fits(draws, scale / 1.15), "the fit has power"


def test_noise_is_whole_numbers_on_every_cell() -> None:
    """The support is every integer, for neighbours the same: odd and even, on both sides, whatever the cell is."""
    mechanism = mechanisms.discrete_laplace(1, NANO)
    for exact in (0, 1, 10**12 + 1):
        noisy = mechanism.release(np.full(DRAWS, exact, dtype=np.int64))
        assert noisy.dtype == np.int64
        assert set(range(-4, 5)) <= set((noisy - exact).tolist())
        assert fits(noisy - exact, mechanism.scale), "the noise does not depend on the cell"


def test_noise_drawn_one_by_one_fits_distribution() -> None:
    """A release of one cell, many times, has the distribution of one release of many cells."""
    mechanism = mechanisms.discrete_laplace(3, NANO)
    cell = np.zeros(1, dtype=np.int64)
    assert fits(np.concatenate([mechanism.release(cell) for _ in range(DRAWS // 4)]), mechanism.scale)


@pytest.mark.parametrize("statistic", [nodes.Count("persons"), nodes.Count("events"), nodes.Sum("visits")])
def test_empty_cells_average_to_nothing(statistic: nodes.Statistic) -> None:
    """The mean of the values shown for 20,000 empty cells is 0 within its error: nothing is rounded or cut at zero.

    Six standard deviations, and a share of negative numbers that is 0.27: each fails once in 10^8 runs.
    """
    plan = planned(nodes.ByBins("wide", tuple(range(DRAWS + 1))), cells=1, events=2, s=statistic)
    plan_cells = DRAWS + 1  # and null's
    assert plan.cells == plan_cells
    rows = assembly.rows(plan, assembly.add_noise(plan, [np.zeros(plan.cells, dtype=np.int64)]))
    values = np.array([row["s"]["value"] for row in rows])
    deviation = math.sqrt(2) * plan.measures[0].mechanism.scale
    assert abs(values.mean()) < 6 * deviation / math.sqrt(plan_cells)
    assert (values < 0).mean() > 0.25
    assert values.std() == pytest.approx(deviation, rel=0.1)


WORKER = """
import os, sys
import numpy as np
from queries import mechanisms
mechanism = mechanisms.discrete_laplace(10**6, 10**9)
cells = np.zeros(40, dtype=np.int64)
mechanism.release(cells)  # the generator is in use before the fork
workers = []
for _ in range(8):
    read, write = os.pipe()
    if os.fork() == 0:
        drawn = np.array([mechanism.release(cells) for _ in range(25)])
        os.write(write, drawn.tobytes())
        os._exit(0)
    os.close(write)
    workers.append(read)
for read in workers:
    with os.fdopen(read, "rb") as pipe:
        drawn = np.frombuffer(pipe.read(), dtype=np.int64).reshape(25, 40)
    for vector in drawn:
        print(*vector)
"""


def test_forked_workers_share_no_draws() -> None:
    """Eight processes forked from one that has drawn before: no vector, and hardly a number, comes twice."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WORKER], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    vectors = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(vectors) == 200
    assert len(set(vectors)) == 200
    starts = [vector[:2] for vector in vectors]
    assert len(set(starts)) == 200


@pytest.mark.parametrize("scale", [0.3, 1.0, 7.5, 1e6])
def test_the_formulas_of_these_tests_agree(scale: float) -> None:
    """The tail, the distribution function and the mean magnitude are those of one distribution."""
    reach = int(60 * scale) + 2
    if reach < 10_000:
        masses = {z: cumulative(scale, z) - cumulative(scale, z - 1) for z in range(-reach, reach + 1)}
        a = math.exp(-1 / scale)
        assert all(p == pytest.approx((1 - a) / (1 + a) * a ** abs(z), abs=1e-12) for z, p in masses.items())
        assert sum(abs(z) * p for z, p in masses.items()) == pytest.approx(mean_magnitude(scale))
    assert cumulative(scale, -1) == pytest.approx(probability_beyond(scale, 1))
    assert 1 - cumulative(scale, 0) == pytest.approx(probability_beyond(scale, 1))


@pytest.mark.audit
@pytest.mark.parametrize("epsilon_nano", [NANO // 100, NANO // 7, NANO // 2, NANO, 3 * NANO])
@pytest.mark.parametrize("sensitivity", [1, 7, 1_000, 10**9])
def test_million_noise_draws_fit_distribution(sensitivity: int, epsilon_nano: int) -> None:
    """With fifty times the draws the fit still finds nothing, and its power is fifty times as great."""
    draws = mechanisms.discrete_laplace(sensitivity, epsilon_nano).release(np.zeros(10**6, dtype=np.int64))
    scale = sensitivity * NANO / epsilon_nano
    assert fits(draws, scale)
    assert not fits(draws, scale * 1.02)
    assert not fits(draws, scale / 1.02)
    assert np.abs(draws).mean() == pytest.approx(mean_magnitude(scale), rel=0.03)
