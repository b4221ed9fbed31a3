"""The noise. The only module that calls OpenDP; every random draw of a release is made here.

A mechanism is chosen from a sensitivity and a loss that may be spent, and then charged by what OpenDP's own
privacy map says of it, rounded up: never by what was asked for.
"""

from __future__ import annotations

import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NANO = 10**9
NEGLIGIBLE_SCALE = 0.05  # P(noise is not 0) < 2 e^-20; OpenDP's formula underflows further down
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
        """Return the cells with fresh noise on each. Differentially private at `epsilon_nano`.

        OpenDP draws for each cell on its own, so parts of a long vector are drawn for at once: the noise is the same.
        """
        measurement = _measurement(self.scale)
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


def _charge_nano(scale: float, sensitivity_l1: int) -> int:
    """Return epsilon in billionths by OpenDP's privacy map, rounded up."""
    return math.ceil(Fraction(_measurement(scale).map(sensitivity_l1)) * NANO)


@functools.lru_cache(maxsize=1024)
def _measurement(scale: float) -> Any:
    # T="i64": a plain int would mean 32 bits and saturate silently.
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    return dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=scale)


def warm() -> None:
    """Import OpenDP, so that no query waits for it."""
    _opendp()
