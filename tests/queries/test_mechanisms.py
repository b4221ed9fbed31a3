from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queries import mechanisms
from tests.privacy.checks import opendp_epsilon
from tests.privacy.noise import cumulative
from tests.queries.clinic import NANO


@settings(max_examples=300)
@given(st.integers(1, 2**50), st.integers(1, 100 * NANO))
def test_the_charge_is_opendps_rounded_up_and_never_above_what_was_asked(sensitivity: int, asked: int) -> None:
    """For any sensitivity and epsilon: OpenDP's map, at most a billionth above it, at most what was asked for."""
    made = mechanisms.discrete_laplace(sensitivity, asked)
    by_opendp = opendp_epsilon(made) * NANO
    assert by_opendp <= made.epsilon_nano < by_opendp + 1
    assert made.epsilon_nano <= asked
    assert made.sensitivity_l1 == sensitivity


@given(st.integers(1, 2**50), st.integers(1, 100 * NANO))
def test_the_scale_is_the_least_that_the_charge_allows(sensitivity: int, asked: int) -> None:
    """Noise is no larger than sensitivity / epsilon by more than a few last bits: utility is not given away."""
    scale = Fraction(mechanisms.discrete_laplace(sensitivity, asked).scale)
    ideal = Fraction(sensitivity * NANO, asked)
    assert ideal <= scale * (1 + Fraction(1, 2**50))
    assert scale <= ideal * (1 + Fraction(1, 2**40))


def test_rho_is_half_of_epsilon_squared() -> None:
    """Pure DP under zCDP, in exact fractions."""
    assert mechanisms.DiscreteLaplace(1, 2.0, NANO // 2).rho == Fraction(1, 8)


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 2.0, 3.7, 20.0, 1000.3, 2.0**40])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
def test_the_margin_is_the_least_that_covers(scale: float, confidence: float) -> None:
    """P(|noise| <= margin) reaches the confidence, and one less does not."""
    margin = mechanisms.DiscreteLaplace(1, scale, NANO).margin(confidence)

    def within(m: int) -> float:
        return 1 - 2 * cumulative(scale, -m - 1)

    assert within(margin) >= confidence - 1e-12
    assert margin == 0 or within(margin - 1) < confidence + 1e-9


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e6])
def test_noise_is_added_in_whole_numbers_of_64_bits(scale: float) -> None:
    """Cells near 2^62 come back near 2^62: nothing saturates at 32 bits and nothing passes through a float."""
    cells = np.array([0, -(2**40) - 1, 2**62 - 1, 1 - 2**62, 2_000_000_000 * 3], dtype=np.int64)
    noisy = mechanisms.DiscreteLaplace(1, scale, NANO).release(cells)
    assert noisy.dtype == np.int64
    assert np.abs(noisy - cells).max() <= 60 * scale + 1
    assert noisy is not cells


def test_huge_cells_keep_their_last_bit() -> None:
    """With next to no noise a cell of 62 bits is exact: a double would have lost the last nine."""
    cells = np.array([2**62 - 1, 2**53 + 1, -(2**61) - 1], dtype=np.int64)
    noisy = [mechanisms.DiscreteLaplace(1, 0.01, NANO).release(cells).tolist() for _ in range(20)]
    assert cells.tolist() in noisy


def test_every_cell_has_noise_of_its_own() -> None:
    """A vector's cells do not share a draw, and two releases of one vector differ."""
    mechanism = mechanisms.discrete_laplace(1000, NANO)
    cells = np.zeros(1000, dtype=np.int64)
    one, two = mechanism.release(cells), mechanism.release(cells)
    assert len(set(one.tolist())) > 500
    assert (one != two).sum() > 900
    assert not cells.any()


def test_the_sensitivity_in_l2_is_never_below_the_true_one() -> None:
    """Its square is at least what it is the root of, exactly, and it is off by one last bit or two."""
    for squared in (*range(1, 2_000), 3 * 10**12, 2**53 + 1, 10**17 + 3, 2**61 - 1):
        root = Fraction(mechanisms._l2(squared))
        assert root**2 >= squared
        assert root**2 <= squared * (1 + Fraction(1, 2**50))


def test_rounds_have_an_epsilon_if_each_has_one() -> None:
    """The losses of rounds add up, all of them; a single round without a finite epsilon leaves the sum without one."""
    laplace, gaussian = mechanisms.DiscreteLaplace(3, 6.0, NANO // 2), mechanisms.DiscreteGaussian(9, 3.0, NANO // 2)
    assert mechanisms.Rounds((laplace, laplace)).epsilon_nano == NANO
    assert mechanisms.Rounds((laplace, gaussian)).epsilon_nano is None
    assert mechanisms.Rounds((gaussian, laplace)).epsilon_nano is None
    assert mechanisms.Rounds((laplace, gaussian, gaussian)).rho == laplace.rho + 2 * gaussian.rho


def test_no_cells_are_released_as_no_cells() -> None:
    """A vector of length 0 is no error."""
    assert mechanisms.discrete_laplace(1, NANO).release(np.zeros(0, dtype=np.int64)).tolist() == []


@pytest.mark.parametrize(("sensitivity", "epsilon_nano"), [(0, NANO), (-1, NANO), (1, 0), (1, -5)])
def test_a_mechanism_without_sensitivity_or_loss_is_not_made(sensitivity: int, epsilon_nano: int) -> None:
    """What cannot be is stopped by an assertion and not released without noise."""
    with pytest.raises(AssertionError):
        mechanisms.discrete_laplace(sensitivity, epsilon_nano)


def test_the_charge_grows_when_the_scale_shrinks() -> None:
    """The map is OpenDP's and not a constant: half the scale is twice the charge."""
    whole = mechanisms.discrete_laplace(7, NANO)
    assert math.isclose(
        opendp_epsilon(mechanisms.DiscreteLaplace(7, whole.scale / 2, NANO)), 2 * opendp_epsilon(whole), rel_tol=1e-9
    )
