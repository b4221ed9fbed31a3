from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.release import totals

if TYPE_CHECKING:
    from collections.abc import Mapping

LAPLACE, GAUSSIAN = "discrete_laplace", "discrete_gaussian"


def row(**statistics: Any) -> dict[str, Any]:
    """Return a row: of numbers counts, of lists histograms, of pairs proportions."""
    found: dict[str, Any] = {}
    for name, numbers in statistics.items():
        match numbers:
            case list():
                found[name] = {"bins": [{"bin": place, "value": number} for place, number in enumerate(numbers)]}
            case tuple():
                found[name] = {"value": 0.5, "raw": {"holding": numbers[0], "others": numbers[1]}}
            case _:
                found[name] = {"value": numbers}
    return found


def adjusted(
    rows: list[dict[str, Any]], scales: Mapping[str, float], mechanism: str = GAUSSIAN, **options: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return what is made of rows whose statistics all have one total."""
    about = {name: {"total": 0} for name in rows[0]}
    columns = {name: {"mechanism": mechanism, "scale": scale} for name, scale in scales.items()}
    values, notes = totals.adjust(rows, about, columns, **{"clamp": False, "whole": False, **options})
    return {name: [by_row[place] for place in sorted(by_row)] for name, by_row in values.items()}, notes


def least_squares(numbers: list[list[float]], variances: list[float]) -> list[list[float]]:
    """Return the nearest numbers with equal sums, each distance over its variance, by solving the normal equations."""
    flat = np.array(list(itertools.chain(*numbers)))
    weights = np.repeat(1 / np.array(variances), [len(part) for part in numbers])
    edges = np.cumsum([0, *(len(part) for part in numbers)])
    constraints = np.zeros((len(numbers) - 1, len(flat)))
    for place in range(len(numbers) - 1):
        constraints[place, edges[place] : edges[place + 1]] = 1
        constraints[place, edges[place + 1] : edges[place + 2]] = -1
    # Minimize (x - flat)' W (x - flat) subject to constraints x = 0.
    system = np.block(
        [[np.diag(weights), constraints.T], [constraints, np.zeros((len(constraints), len(constraints)))]]
    )
    solved = np.linalg.solve(system, np.concatenate([weights * flat, np.zeros(len(constraints))]))
    return [solved[start:stop].tolist() for start, stop in itertools.pairwise(edges)]


def test_a_count_and_its_bins_meet_by_their_variances() -> None:
    """Worked by hand: bins 40, 30, 20 of variance 4 sum up to 90 (variance 12), the count of variance 4 is 100."""
    values, notes = adjusted([row(n=100, h=[40, 30, 20])], {"n": 2.0, "h": 2.0})
    # (100 / 4 + 90 / 12) / (1 / 4 + 1 / 12) = 97.5, and each bin gets a third of 7.5.
    assert values["n"] == [[97.5]]
    assert values["h"] == [[42.5, 32.5, 22.5]]
    assert notes == []


@pytest.mark.parametrize("mechanism", [LAPLACE, GAUSSIAN])
@given(
    st.lists(st.lists(st.integers(-20, 60), min_size=1, max_size=5), min_size=2, max_size=4),
    st.lists(st.sampled_from([30.0, 40.0, 90.0]), min_size=4, max_size=4),
)
def test_consistent_totals_are_weighted_least_squares(
    mechanism: str, numbers: list[list[int]], scales: list[float]
) -> None:
    """Any number of statistics with any number of parts come out as weighted least squares has them."""
    named = {f"s{place}": part for place, part in enumerate(numbers)}
    chosen = dict(zip(named, scales, strict=False))
    values, notes = adjusted([row(**named)], chosen, mechanism)
    # The variance of discrete Laplace noise, summed up from its probabilities.
    steps = np.arange(-20_000, 20_001)
    variances = []
    for scale in chosen.values():
        weights = np.exp(-np.abs(steps) / scale)
        variances.append(scale**2 if mechanism == GAUSSIAN else float((weights * steps**2).sum() / weights.sum()))
    assert notes == []
    wanted = least_squares(numbers, variances)
    for name, expected in zip(named, wanted, strict=True):
        assert values[name][0] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(
    st.lists(st.lists(st.integers(-30, 30), min_size=4, max_size=4), min_size=1, max_size=5),
    st.lists(st.integers(-40, 40), min_size=5, max_size=5),
)
def test_clamped_parts_are_the_nearest_that_can_be(bins: list[list[int]], counts: list[int]) -> None:
    """No part is negative, they add up, and none of many other such parts is nearer to the released ones."""
    rows = [row(n=count, h=part) for part, count in zip(bins, counts, strict=False)]
    values, _ = adjusted(rows, {"n": 60.0, "h": 60.0}, clamp=True)
    random = np.random.default_rng(len(rows))
    for place, released in enumerate(bins):
        fitted, total = np.array(values["h"][place]), values["n"][place][0]
        assert (fitted >= 0).all()
        assert fitted.sum() == pytest.approx(total, abs=1e-9)
        others = random.dirichlet(np.ones(4), 200) * total
        others = np.vstack([others, fitted + 0.1 * (others - fitted)])
        distances = ((others - released) ** 2).sum(axis=1)
        assert ((fitted - released) ** 2).sum() <= distances.min() + 1e-9


@given(
    st.lists(st.lists(st.integers(-30, 60), min_size=3, max_size=3), min_size=1, max_size=5),
    st.lists(st.integers(-40, 90), min_size=5, max_size=5),
    st.booleans(),
)
def test_rounded_parts_are_whole_and_add_up(bins: list[list[int]], counts: list[int], clamp: bool) -> None:
    """Rounding keeps the sums: every part is whole, within one of what it was, and together they are the total."""
    rows = [row(n=count, h=part) for part, count in zip(bins, counts, strict=False)]
    scales = {"n": 50.0, "h": 70.0}
    exact, _ = adjusted(rows, scales, clamp=clamp)
    values, _ = adjusted(rows, scales, clamp=clamp, whole=True)
    for whole, before, total in zip(values["h"], exact["h"], values["n"], strict=True):
        assert sum(whole) == total[0]
        assert all(part == int(part) for part in whole)
        assert all(part >= 0 for part in whole) or not clamp
        assert all(abs(part - was) < 1.2 for part, was in zip(whole, before, strict=True))


def test_the_sides_of_a_proportion_add_up_too() -> None:
    """A proportion becomes the share of its adjusted sides; with nobody left it is 0 and no error."""
    values, notes = adjusted([row(n=110, p=(60, 40)), row(n=-9, p=(-4, -1))], {"n": 10.0, "p": 10.0}, clamp=True)
    total = (110 / 1 + 100 / 2) / (1 / 1 + 1 / 2)
    assert values["n"][0] == pytest.approx([total])
    assert values["p"][0] == pytest.approx([(60 + (total - 100) / 2) / total])
    assert (values["n"][1], values["p"][1]) == ([0.0], [0.0])
    assert notes == []


def test_what_noise_cannot_explain_is_left_alone() -> None:
    """Bins that lack 500 events without a value are not made to add up, and the reader is told."""
    rows = [row(n=1_000, h=[400, 100]), row(n=900, h=[300, 100])]
    values, notes = adjusted(rows, {"n": 2.0, "h": 2.0})
    assert values == {}
    assert len(notes) == 1
    assert notes[0].startswith("n, h: differ by more than the noise explains")


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", [LAPLACE, GAUSSIAN])
@pytest.mark.parametrize("cells", [1, 10, 1_000])
def test_noise_alone_is_hardly_ever_more_than_noise_explains(mechanism: str, cells: int) -> None:
    """Of 400 answers that differ by their noise alone at most a few are left alone."""
    random = np.random.default_rng(7)
    draw = random.laplace if mechanism == LAPLACE else random.normal
    alone = 0
    for _ in range(400 if cells < 1_000 else 20):
        counts, bins = draw(500, 5, cells).round(), draw(100, 8, (cells, 5)).round()
        rows = [row(n=count, h=part) for count, part in zip(counts.tolist(), bins.tolist(), strict=True)]
        alone += adjusted(rows, {"n": 5.0, "h": 8.0}, mechanism)[0] == {}
    assert alone <= 8


def test_consistent_totals_are_nearer_to_truth() -> None:
    """Over many cells the adjusted counts are nearer to the truth than the released ones, and as right on average."""
    random = np.random.default_rng(11)
    counts, bins = random.normal(300, 10, 4_000), random.normal(100, 10, (4_000, 3))
    rows = [row(n=count, h=part) for count, part in zip(counts.tolist(), bins.tolist(), strict=True)]
    values, _ = adjusted(rows, {"n": 10.0, "h": 10.0})
    fitted, parts = np.array(values["n"])[:, 0], np.array(values["h"])
    # The variance of the best mean of two is v1 * v2 / (v1 + v2): 100 * 300 / 400.
    assert fitted.var() == pytest.approx(75, rel=0.1)
    assert parts.var() < 0.85 * bins.var()
    assert fitted.mean() == pytest.approx(300, abs=0.6)
    assert parts.mean() == pytest.approx(100, abs=0.6)


def test_one_statistic_alone_has_nothing_to_agree_with() -> None:
    """A note says that nothing had to be made consistent."""
    values, notes = adjusted([row(n=5)], {"n": 2.0})
    assert values == {}
    assert "nothing had to be made consistent" in notes[0]
