"""The noise. The only module that calls OpenDP; every random draw of a release is made here.

A mechanism is made from a sensitivity and a loss that may be spent, and then charged by what OpenDP's own privacy map
says of it, rounded up: never by what was asked for.
"""

from __future__ import annotations

import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NANO = 10**9
NEGLIGIBLE_SCALE = 0.05  # P(noise is not 0) < 2 e^-20; OpenDP's formula underflows further down
LARGE_SCALE = 1_000  # from here on the discrete Gaussian and the continuous one have the same quantiles
CELLS_PER_DRAW = 1_000  # OpenDP takes some 6 ms for these: fewer are not worth another thread


@functools.cache
def _opendp() -> ModuleType:
    """Return OpenDP, ready: imported on first use (it takes 0.4 s) and told that we accept its contrib proofs."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    module: ModuleType = dp
    return module


@dataclass(frozen=True)
class DiscreteLaplace:
    """Integer noise z with probability proportional to exp(-|z| / scale), on each cell of a vector.

    `sensitivity_l1` is how far one person can move the vector in L1; `epsilon_nano` the loss in billionths.
    """

    sensitivity_l1: int
    scale: float
    epsilon_nano: int

    name = "discrete_laplace"

    @property
    def rho(self) -> Fraction:
        """Return the loss under zero-concentrated DP: epsilon^2 / 2 (Bun and Steinke 2016, proposition 1.4)."""
        return Fraction(self.epsilon_nano, NANO) ** 2 / 2

    def margin(self, confidence: float) -> int:
        """Return the least whole m with P(|noise| <= m) >= confidence."""
        if self.scale < NEGLIGIBLE_SCALE:
            return 0
        accuracy = _opendp().discrete_laplacian_scale_to_accuracy(scale=self.scale, alpha=1 - confidence)
        return math.floor(float(accuracy))

    def release(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells with fresh noise on each. Differentially private at `epsilon_nano`."""
        return _draw(_laplace(self.scale), cells)


@dataclass(frozen=True)
class DiscreteGaussian:
    """Integer noise z with probability proportional to exp(-z^2 / (2 scale^2)), on each cell of a vector.

    `sensitivity_l2_squared` is the square of how far one person can move the vector in L2; `rho_nano` the loss under
    zero-concentrated DP in billionths. It has no finite epsilon.
    """

    sensitivity_l2_squared: int
    scale: float
    rho_nano: int

    name = "discrete_gaussian"
    epsilon_nano = None

    @property
    def rho(self) -> Fraction:
        """Return the loss under zero-concentrated DP."""
        return Fraction(self.rho_nano, NANO)

    def margin(self, confidence: float) -> int:
        """Return the least whole m with P(|noise| <= m) >= confidence."""
        if self.scale < NEGLIGIBLE_SCALE:
            return 0
        if self.scale > LARGE_SCALE:  # OpenDP sums up terms, and would need long
            return math.ceil(NormalDist().inv_cdf((1 + confidence) / 2) * self.scale)
        # The least n with P(|noise| >= n) <= 1 - confidence: one less is still covered.
        return int(_opendp().discrete_gaussian_scale_to_accuracy(scale=self.scale, alpha=1 - confidence)) - 1

    def release(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells with fresh noise on each. Zero-concentrated differentially private at `rho_nano`."""
        return _draw(_gaussian(self.scale), cells)


Mechanism = DiscreteLaplace | DiscreteGaussian


def _draw(measurement: Any, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what a measurement makes of the cells.

    OpenDP draws for each cell on its own, so parts of a long vector are drawn for at once: the noise is the same.
    """
    count = min(os.cpu_count() or 1, len(cells) // CELLS_PER_DRAW)
    if count <= 1:
        return np.asarray(measurement(cells), dtype=np.int64)
    with ThreadPoolExecutor(count) as threads:
        drawn = threads.map(measurement, np.array_split(cells, count))
        return np.concatenate([np.asarray(noisy, dtype=np.int64) for noisy in drawn])


def discrete_laplace(sensitivity_l1: int, epsilon_nano: int) -> DiscreteLaplace:
    """Return the mechanism with the least scale that OpenDP charges no more than `epsilon_nano`.

    scale = sensitivity / epsilon, then up by the few last bits that OpenDP's conservative arithmetic asks for.
    """
    assert sensitivity_l1 >= 1, "a statistic that nobody can move needs no mechanism"
    assert epsilon_nano >= 1, "no noise is large enough for a loss of nothing"
    scale = float(Fraction(sensitivity_l1 * NANO, epsilon_nano))
    while (charged := _charge_nano(scale, sensitivity_l1)) > epsilon_nano:
        scale = math.nextafter(scale * (1 + 2**-52), math.inf)
    return DiscreteLaplace(sensitivity_l1, scale, charged)


def discrete_gaussian(sensitivity_l2_squared: int, rho_nano: int) -> DiscreteGaussian:
    """Return the mechanism with the least scale that OpenDP charges no more than `rho_nano`.

    scale = sensitivity / sqrt(2 rho) (Bun and Steinke 2016, proposition 1.6), then up by a few last bits.
    """
    assert sensitivity_l2_squared >= 1, "a statistic that nobody can move needs no mechanism"
    assert rho_nano >= 1, "no noise is large enough for a loss of nothing"
    scale = math.sqrt(Fraction(sensitivity_l2_squared * NANO, 2 * rho_nano))
    # The distance that OpenDP is told is never below the true one.
    sensitivity_l2 = math.nextafter(math.sqrt(sensitivity_l2_squared), math.inf)
    while (charged := math.ceil(Fraction(_gaussian(scale).map(sensitivity_l2)) * NANO)) > rho_nano:
        scale = math.nextafter(scale * (1 + 2**-50), math.inf)
    return DiscreteGaussian(sensitivity_l2_squared, scale, charged)


def epsilon_of_rho(rho_nano: int) -> int:
    """Return the epsilon in billionths that costs rho as pure DP, sqrt(2 rho), rounded down."""
    return math.isqrt(2 * rho_nano * NANO)


def _charge_nano(scale: float, sensitivity_l1: int) -> int:
    """Return epsilon in billionths by OpenDP's privacy map, rounded up."""
    return math.ceil(Fraction(_laplace(scale).map(sensitivity_l1)) * NANO)


# T="i64": a plain int would mean 32 bits and saturate silently.


@functools.lru_cache(maxsize=1024)
def _laplace(scale: float) -> Any:
    dp = _opendp()
    return dp.m.make_laplace(dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64"), scale=scale)


@functools.lru_cache(maxsize=1024)
def _gaussian(scale: float) -> Any:
    dp = _opendp()
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=scale)


def warm() -> None:
    """Import OpenDP, so that no query waits for it."""
    _opendp()
