"""A long vector is drawn for in parts, at once: each part has draws of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from queries import mechanisms, processors
from queries.language import nodes
from queries.mechanisms import CELLS_PER_DRAW, KEYS_PER_DRAW, NANO, DiscreteGaussian, DiscreteLaplace, Threshold
from queries.plan import Output
from queries.release import assembly
from tests.queries.clinic import planned

if TYPE_CHECKING:
    from queries.mechanisms import Noise

PARTS = 4
WIDE = 2.0**50  # the scale: two equal draws among a hundred thousand have a probability of some 10^-6
NOISES: list[Noise] = [DiscreteLaplace(2**50, WIDE, NANO), DiscreteGaussian(2**100, WIDE, NANO // 2)]


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split as on a machine of four cores, also where there are fewer."""
    monkeypatch.setattr(processors, "usable", lambda: PARTS)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
@pytest.mark.parametrize("length", [PARTS * CELLS_PER_DRAW, PARTS * CELLS_PER_DRAW + 1_237])
def test_no_draw_comes_twice_in_a_long_vector(noise: Noise, length: int) -> None:
    """Above the length where splitting begins no two cells share a draw, whatever the parts; cells keep their places."""
    cells = np.arange(length, dtype=np.int64) << 40
    drawn = noise.release(cells) - cells
    assert len(set(np.abs(drawn).tolist())) == length
    again = noise.release(cells) - cells
    assert not set(drawn.tolist()) & set(again.tolist())


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_parts_of_a_vector_are_unrelated(noise: Noise) -> None:
    """The correlation between any two parts, cell by cell, is that of chance: below 6 / sqrt(cells)."""
    drawn = noise.release(np.zeros(PARTS * CELLS_PER_DRAW, dtype=np.int64)).astype(np.float64)
    related = np.corrcoef(drawn.reshape(PARTS, CELLS_PER_DRAW))
    assert np.abs(related - np.eye(PARTS)).max() < 6 / CELLS_PER_DRAW**0.5


@pytest.mark.parametrize(
    ("length", "parts"),
    [
        (1, 1),
        (2 * CELLS_PER_DRAW - 1, 1),
        (2 * CELLS_PER_DRAW, 2),
        (PARTS * CELLS_PER_DRAW + 3, PARTS),
        (20_001, PARTS),
    ],
)
def test_the_measurement_is_made_of_each_part_once(length: int, parts: int) -> None:
    """The measurement is made of zeros, as many as there are cells; what came back for a part stands together."""
    given: list[int] = []

    def measurement(zeros: np.ndarray) -> list[int]:
        assert not zeros.any()
        given.append(len(zeros))
        return [id(zeros)] * len(zeros)

    drawn = mechanisms._drawn(measurement, length)
    assert len(drawn) == sum(given) == length
    assert len(given) == parts
    assert np.count_nonzero(np.diff(drawn)) == parts - 1


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_no_draw_comes_twice_among_many_keys(noise: Noise) -> None:
    """The noise on a map of many keys is drawn for in parts too: all keys pass, each with a draw of its own."""
    keys = np.arange(2 * KEYS_PER_DRAW + 77, dtype=np.int64) * 3
    counts = np.full(len(keys), 2**60, dtype=np.int64)
    passed = Threshold(noise, 1, 2, 1).release(keys, counts)
    assert sorted(passed) == keys.tolist()
    assert len(set(passed.values())) == len(keys)


def test_measures_do_not_share_their_draws() -> None:
    """Two statistics that ask the same have noise of their own, though OpenDP's measurement is made once for both."""
    plan = planned(
        nodes.ByBins("wide", tuple(range(3_000))), cells=1, events=1, a=nodes.Count("events"), b=nodes.Count("events")
    )
    wide = DiscreteLaplace(1, WIDE, NANO)
    outputs = [Output(o.name, o.statistic, tuple(replace(m, mechanism=wide) for m in o.measures)) for o in plan.outputs]
    plan = replace(plan, outputs=tuple(outputs))
    first, second = assembly.add_noise(plan, [np.zeros(plan.cells, dtype=np.int64)] * 2)
    assert not set(first.tolist()) & set(second.tolist())
