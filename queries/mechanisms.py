"""The noise. The only module that calls OpenDP; every random draw of a release is made here.

A mechanism is made from a sensitivity and a loss that may be spent. It is charged what OpenDP's own privacy map returns
for it, rounded up, and never what was asked for.
"""

from __future__ import annotations

import functools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from queries import processors

if TYPE_CHECKING:
    from numpy.typing import NDArray

NANO = 10**9
ATTO = 10**18
NEGLIGIBLE_SCALE = 0.05  # P(noise is not 0) < 2 e^-20; for smaller scales OpenDP's formula underflows
LARGE_SCALE = 1_000  # from here on the discrete Gaussian and the continuous one have the same quantiles
CELLS_PER_DRAW = 1_000  # OpenDP takes about 6 ms for so many; fewer are not worth another thread
KEYS_PER_DRAW = 10_000  # keys of a map, about 0.15 s; a map of all keys at once would take much memory
LEAST, LAST = -(2**63), 2**63 - 1
THRESHOLD_LEAST = 2  # below it, a key would pass without noise


@functools.cache
def _opendp() -> ModuleType:
    """Return OpenDP, ready: imported on first use (it takes 0.4 s) and told that we accept its contrib proofs."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    module: ModuleType = dp
    return module


class Drawn:
    """Noise for one vector, drawn before the vector is known. It hides one vector, once.

    The noise of these mechanisms does not depend on what it is added to. Therefore OpenDP's output for zeros, added to
    the cells, is distributed as its output for the cells: docs/privacy.md ("Noise that is drawn early"). Used twice it
    would reveal the difference of two vectors, so a second use is an error, and so is a vector of another length.
    """

    def __init__(self, noise: NDArray[np.int64]) -> None:
        self._noise = [noise]

    def __repr__(self) -> str:
        """Return no number: whoever knew the noise would know the cells."""
        return "<noise>"

    def hide(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells with the noise on them. A sum beyond 64 bits is their last number, as in OpenDP."""
        try:
            noise = self._noise.pop()  # of two threads, one gets it
        except IndexError:
            raise RuntimeError("this noise was used before") from None
        if noise.shape != cells.shape:
            raise ValueError("this noise was drawn for another number of cells")
        hidden = cells + noise
        beyond = ((cells ^ hidden) & (noise ^ hidden)) < 0  # both have the sign that the sum has not
        return np.where(beyond, np.where(noise < 0, LEAST, LAST), hidden)


@dataclass(frozen=True)
class DiscreteLaplace:
    """Integer noise z with probability proportional to exp(-|z| / scale), on each cell of a vector.

    `sensitivity_l1` is how far one person can move the vector in L1; `epsilon_nano` the loss in billionths.
    """

    sensitivity_l1: int
    scale: float
    epsilon_nano: int

    name = "discrete_laplace"
    gaussian = False

    @property
    def rho(self) -> Fraction:
        """Return the loss under zero-concentrated DP: epsilon^2 / 2 (Bun and Steinke 2016, proposition 1.4)."""
        return Fraction(self.epsilon_nano, NANO) ** 2 / 2

    def margin(self, confidence: float) -> int:
        """Return the least whole m with P(|noise| <= m) >= confidence."""
        return _laplace_margin(self.scale, confidence)

    def draw(self, cells: int) -> Drawn:
        """Return noise for so many cells."""
        return Drawn(_drawn(_laplace(self.scale), cells))

    def release(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells with fresh noise on each. Differentially private at `epsilon_nano`."""
        return self.draw(len(cells)).hide(cells)


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
    gaussian = True
    epsilon_nano = None

    @property
    def rho(self) -> Fraction:
        """Return the loss under zero-concentrated DP."""
        return Fraction(self.rho_nano, NANO)

    def margin(self, confidence: float) -> int:
        """Return the least whole m with P(|noise| <= m) >= confidence."""
        return _gaussian_margin(self.scale, confidence)

    def draw(self, cells: int) -> Drawn:
        """Return noise for so many cells."""
        return Drawn(_drawn(_gaussian(self.scale), cells))

    def release(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the cells with fresh noise on each. Zero-concentrated differentially private at `rho_nano`."""
        return self.draw(len(cells)).hide(cells)


@dataclass(frozen=True)
class Rounds:
    """Mechanisms of one kind, used one after the other on sums of the same numbers.

    A round may choose which numbers it adds up from what earlier rounds released. The losses still add up, under pure
    DP (Dwork, Rothblum and Vadhan 2010) and under zero-concentrated DP (Bun and Steinke 2016, lemma 2.3), because each
    round's loss holds whatever came before it. The scale and the margin are those of the last round.
    """

    each: tuple[DiscreteLaplace | DiscreteGaussian, ...]

    @property
    def last(self) -> DiscreteLaplace | DiscreteGaussian:
        """Return the mechanism of the last round."""
        return self.each[-1]

    @property
    def sensitivity_l1(self) -> int:
        """Return how far one person can move the numbers of a round, in L1."""
        assert isinstance(self.last, DiscreteLaplace)
        return min(one.sensitivity_l1 for one in self.each if isinstance(one, DiscreteLaplace))

    @property
    def sensitivity_l2_squared(self) -> int:
        """Return the square of how far one person can move the numbers of a round, in L2."""
        assert isinstance(self.last, DiscreteGaussian)
        return min(one.sensitivity_l2_squared for one in self.each if isinstance(one, DiscreteGaussian))

    @property
    def name(self) -> str:
        """Return the name of each round's noise."""
        return self.last.name

    @property
    def gaussian(self) -> bool:
        """Return True for Gaussian noise, False for Laplace."""
        return self.last.gaussian

    @property
    def scale(self) -> float:
        """Return the scale of the last round's noise."""
        return self.last.scale

    @property
    def epsilon_nano(self) -> int | None:
        """Return the loss of all rounds in billionths of epsilon; None where it has no finite one."""
        epsilons = [one.epsilon_nano for one in self.each if one.epsilon_nano is not None]
        return sum(epsilons) if len(epsilons) == len(self.each) else None

    @property
    def rho(self) -> Fraction:
        """Return the loss of all rounds under zero-concentrated DP."""
        return sum((one.rho for one in self.each), Fraction(0))

    def margin(self, confidence: float) -> int:
        """Return the least whole m with P(|noise| <= m) >= confidence, of the last round."""
        return self.last.margin(confidence)


Noise = DiscreteLaplace | DiscreteGaussian
Mechanism = Noise | Rounds


@dataclass(frozen=True)
class Threshold:
    """Noise on the counts of a map. Only keys with a noisy count of at least `threshold` are released.

    One person can change the counts of at most `keys_per_person` keys, each by 1. `delta_atto` is the probability, in
    10^-18, that a key is released that exists only because of that person. docs/privacy.md has the argument.
    """

    noise: Noise
    keys_per_person: int
    threshold: int
    delta_atto: int

    @property
    def name(self) -> str:
        """Return the mechanism's name in an answer."""
        return f"{self.noise.name}_threshold"

    @property
    def scale(self) -> float:
        """Return the scale of the noise on each count."""
        return self.noise.scale

    @property
    def epsilon_nano(self) -> int | None:
        """Return the loss in billionths, beside delta; None for Gaussian noise."""
        return self.noise.epsilon_nano

    @property
    def rho(self) -> Fraction:
        """Return the loss under zero-concentrated DP, beside delta."""
        return self.noise.rho

    def release(self, keys: NDArray[np.int64], counts: NDArray[np.int64]) -> dict[int, int]:
        """Return the keys that pass, with their noisy counts. All counts that come in are at least 1.

        Keys that nobody has are left out: a count of 0 would be a key that a neighbouring dataset may lack.
        """
        assert not len(counts) or counts.min() >= 1, "a key that nobody has is none"
        measurement = _thresholded(self.noise, self.threshold)

        def draw(start: int) -> dict[int, int]:
            part = slice(start, start + KEYS_PER_DRAW)
            drawn: dict[int, int] = measurement(dict(zip(keys[part].tolist(), counts[part].tolist(), strict=True)))
            return drawn

        # OpenDP draws for each key independently, so parts of a map can be drawn in parallel: the noise is the same.
        passed: dict[int, int] = {}
        with ThreadPoolExecutor(processors.usable()) as threads:
            for part in threads.map(draw, range(0, len(keys), KEYS_PER_DRAW)):
                passed |= part
        return passed


def _drawn(measurement: Any, cells: int) -> NDArray[np.int64]:
    """Return a measurement's output for so many zeros.

    OpenDP draws for each cell independently, so parts of a long vector can be drawn in parallel: the noise is the same.
    """
    zeros = np.zeros(cells, dtype=np.int64)
    if not cells:
        return zeros
    count = min(processors.usable(), cells // CELLS_PER_DRAW)
    if count <= 1:
        return np.asarray(measurement(zeros), dtype=np.int64)
    with ThreadPoolExecutor(count) as threads:
        drawn = threads.map(measurement, np.array_split(zeros, count))
        return np.concatenate([np.asarray(noisy, dtype=np.int64) for noisy in drawn])


# A plan asks for the same margin and the same mechanism several times: for its columns, its rows and its advice.


@functools.lru_cache(maxsize=1024)
def _laplace_margin(scale: float, confidence: float) -> int:
    if scale < NEGLIGIBLE_SCALE:
        return 0
    accuracy = _opendp().discrete_laplacian_scale_to_accuracy(scale=scale, alpha=1 - confidence)
    return math.floor(float(accuracy))


@functools.lru_cache(maxsize=1024)
def _gaussian_margin(scale: float, confidence: float) -> int:
    if scale < NEGLIGIBLE_SCALE:
        return 0
    if scale > LARGE_SCALE:  # OpenDP sums up terms, and would need long
        return math.ceil(NormalDist().inv_cdf((1 + confidence) / 2) * scale)
    # The least n with P(|noise| >= n) <= 1 - confidence: one less is still covered.
    return int(_opendp().discrete_gaussian_scale_to_accuracy(scale=scale, alpha=1 - confidence)) - 1


@functools.lru_cache(maxsize=1024)
def discrete_laplace(sensitivity_l1: int, epsilon_nano: int) -> DiscreteLaplace:
    """Return the mechanism with the least scale that OpenDP charges no more than `epsilon_nano`.

    scale = sensitivity / epsilon, then raised by the few last bits that OpenDP's conservative arithmetic requires.
    """
    assert sensitivity_l1 >= 1, "a statistic that nobody can move needs no mechanism"
    assert epsilon_nano >= 1, "no noise is large enough for a loss of nothing"
    scale = float(Fraction(sensitivity_l1 * NANO, epsilon_nano))
    while (charged := _charge_nano(scale, sensitivity_l1)) > epsilon_nano:
        scale = math.nextafter(scale * (1 + 2**-52), math.inf)
    return DiscreteLaplace(sensitivity_l1, scale, charged)


@functools.lru_cache(maxsize=1024)
def discrete_gaussian(sensitivity_l2_squared: int, rho_nano: int) -> DiscreteGaussian:
    """Return the mechanism with the least scale that OpenDP charges no more than `rho_nano`.

    scale = sensitivity / sqrt(2 rho) (Bun and Steinke 2016, proposition 1.6), then raised by a few last bits.
    """
    assert sensitivity_l2_squared >= 1, "a statistic that nobody can move needs no mechanism"
    assert rho_nano >= 1, "no noise is large enough for a loss of nothing"
    scale = math.sqrt(Fraction(sensitivity_l2_squared * NANO, 2 * rho_nano))
    sensitivity_l2 = _l2(sensitivity_l2_squared)
    while (charged := math.ceil(Fraction(_gaussian(scale).map(sensitivity_l2)) * NANO)) > rho_nano:
        scale = math.nextafter(scale * (1 + 2**-50), math.inf)
    return DiscreteGaussian(sensitivity_l2_squared, scale, charged)


def threshold(noise: Noise, keys_per_person: int, delta_atto: int) -> Threshold | None:
    """Return the least threshold that costs at most `delta_atto`, or None if there is none.

    `noise` is made for a person who changes `keys_per_person` counts by 1 each. OpenDP's delta never falls below about
    1e-16 for each of these keys, whatever the threshold.
    """
    assert delta_atto >= 1, "no threshold is large enough for a delta of nothing"
    high = THRESHOLD_LEAST
    while _delta_atto(noise, keys_per_person, high) > delta_atto:
        if high > 2**61:
            return None
        high *= 2
    low = max(high // 2, THRESHOLD_LEAST)
    while low < high:
        middle = (low + high) // 2
        if _delta_atto(noise, keys_per_person, middle) > delta_atto:
            low = middle + 1
        else:
            high = middle
    return Threshold(noise, keys_per_person, low, _delta_atto(noise, keys_per_person, low))


def least_delta(keys_per_person: int) -> Fraction:
    """Return the least delta that OpenDP charges for any threshold. It is above 0 because OpenDP rounds up."""
    noise = DiscreteLaplace(keys_per_person, float(keys_per_person), NANO)
    return Fraction(_delta_atto(noise, keys_per_person, 2**61), ATTO)


def _delta_atto(noise: Noise, keys_per_person: int, threshold: int) -> int:
    """Return the charge of a threshold: OpenDP's delta for the threshold minus 1, rounded up.

    OpenDP 0.16 releases noisy counts of at least the threshold T, but its map counts only P(noise >= T) for a key with
    a count of 1, where P(noise >= T - 1) is due (github.com/opendp/opendp/issues/2922). Its map for T - 1 is right.
    """
    moved = keys_per_person if isinstance(noise, DiscreteLaplace) else _l2(keys_per_person)
    loss, delta = _thresholded(noise, threshold - 1).map((keys_per_person, moved, 1))
    charged = noise.epsilon_nano if isinstance(noise, DiscreteLaplace) else noise.rho_nano
    assert math.ceil(Fraction(loss) * NANO) <= charged, "the noise is charged by the same map"
    return math.ceil(Fraction(delta) * ATTO)


def epsilon_of_rho(rho_nano: int) -> int:
    """Return the epsilon in billionths that costs rho as pure DP, sqrt(2 rho), rounded down."""
    return math.isqrt(2 * rho_nano * NANO)


def _l2(squared: int) -> float:
    """Return a square root that is never below the true one."""
    return math.nextafter(math.sqrt(squared), math.inf)


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


@functools.lru_cache(maxsize=1024)
def _thresholded(noise: Noise, threshold: int) -> Any:
    dp = _opendp()
    domain = dp.map_domain(dp.atom_domain(T="i64"), dp.atom_domain(T="i64"))
    if isinstance(noise, DiscreteLaplace):
        metric = dp.l01inf_distance(dp.absolute_distance(T="i64"))
        return dp.m.make_laplace_threshold(domain, metric, scale=noise.scale, threshold=threshold)
    metric = dp.l02inf_distance(dp.absolute_distance(T="f64"))
    return dp.m.make_gaussian_threshold(domain, metric, scale=noise.scale, threshold=threshold)


def warm() -> None:
    """Import OpenDP, so that no query waits for it."""
    _opendp()
