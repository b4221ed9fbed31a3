"""What a report has to say, recomputed by mpmath from the whole numbers of a ledger. Nothing of the product is used.

Sources: the conversion of rho to epsilon is proposition 12 of Canonne, Kamath and Steinke 2020 (its best order solves
rho (a - 1)^2 = ln(1 / (a delta)), where the derivative is zero); true positives are theorem 2.1 of Kairouz, Oh and
Viswanath 2015; the advantage is that of Humphries and others 2023; a belief follows from Bayes' rule; replacing a
person is group privacy, theorem 2.2 of Dwork and Roth 2014. How delta is shared out is written in docs/ledger.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mpmath import mp, mpf

if TYPE_CHECKING:
    from collections.abc import Sequence

mp.dps = 60
NANO, ATTO = 10**9, 10**18
RARE = mpf(1) / 1000  # a conclusion has at least this chance where it is false
ONE = mpf(1)


@dataclass(frozen=True)
class Charge:
    """A charge: epsilon (None for Gaussian noise) and rho in billionths, delta in 10^-18."""

    epsilon: int | None
    rho: int
    delta: int


@dataclass(frozen=True)
class Pair:
    """An (epsilon, delta)."""

    epsilon: mpf
    delta: mpf

    @property
    def replacing(self) -> Pair:
        """Return what holds if the data of one person are replaced: out, and in again."""
        return Pair(2 * self.epsilon, min(ONE, (1 + mp.exp(self.epsilon)) * self.delta))

    @property
    def advantage(self) -> mpf:
        """Return the largest difference of right and wrong picks."""
        factor = mp.exp(self.epsilon)
        return min(ONE, (factor - 1 + 2 * self.delta) / (factor + 1))

    def found(self, wrong: mpf) -> mpf:
        """Return the largest share of right picks, at a share of wrong ones."""
        factor = mp.exp(self.epsilon)
        return min(ONE, factor * wrong + self.delta, 1 - (1 - self.delta - wrong) / factor)

    def belief(self, prior: mpf) -> mpf:
        """Return how sure a belief can become."""
        odds = (mp.exp(self.epsilon) + self.delta / RARE) * prior
        return min(ONE, odds / (odds + 1 - prior))


def converted(rho: mpf, delta: mpf) -> mpf:
    """Return the least epsilon of all orders at which rho is (epsilon, delta)-DP, by bisection for the best order."""
    if rho == 0:
        return mpf(0)
    low, high = mpf(0), 1 / delta - 1  # of the order above 1
    for _ in range(130):
        middle = (low + high) / 2
        low, high = (middle, high) if rho * middle**2 + mp.log((1 + middle) * delta) < 0 else (low, middle)
    above = (low + high) / 2
    a = 1 + above
    return max(mpf(0), a * rho - mp.log(a * delta) / above + mp.log(above / a))


@dataclass(frozen=True)
class Account:
    """An account: what it promises, and its charges, both of queries that were answered and of others."""

    epsilon: int
    delta: int
    laplace_percent: int
    charges: Sequence[Charge]

    @property
    def laplace(self) -> int:
        """Return the sum of epsilon of Laplace noise."""
        return sum(one.epsilon or 0 for one in self.charges)

    @property
    def is_gaussian(self) -> bool:
        """Return whether a charge has no finite epsilon."""
        return any(one.epsilon is None for one in self.charges)

    @property
    def gaussian(self) -> int:
        """Return the sum of rho of Gaussian noise."""
        return sum(one.rho for one in self.charges if one.epsilon is None)

    @property
    def rho(self) -> int:
        """Return the sum of rho of all charges."""
        return sum(one.rho for one in self.charges)

    @property
    def keys(self) -> int:
        """Return the sum of the deltas of thresholds."""
        return sum(one.delta for one in self.charges)

    @property
    def for_conversions(self) -> int:
        """Return the part of delta that is kept for conversions: the larger half."""
        return self.delta - self.delta // 2

    @property
    def is_split(self) -> bool:
        """Return whether there is a third rule, which keeps a part of epsilon for each kind of noise."""
        return 0 < self.laplace_percent < 100

    @property
    def for_split(self) -> int:
        """Return the part of delta at which the third rule converts."""
        return self.for_conversions // 2 if self.is_split else 0

    @property
    def laplace_limit(self) -> int:
        """Return the part of epsilon that the third rule keeps for Laplace noise."""
        return self.epsilon * self.laplace_percent // 100

    @cached_property
    def limit(self) -> Pair:
        """Return what the account promises."""
        return Pair(mpf(self.epsilon) / NANO, mpf(self.delta) / ATTO)

    @property
    def by_epsilon(self) -> Pair | None:
        """Return what the sum of epsilon guarantees."""
        return None if self.is_gaussian else Pair(mpf(self.laplace) / NANO, mpf(self.keys) / ATTO)

    @cached_property
    def by_rho(self) -> Pair | None:
        """Return what the sum of rho guarantees."""
        return self._by(self.rho, self.for_conversions - self.for_split, 0)

    @cached_property
    def by_split(self) -> Pair | None:
        """Return what the sum of epsilon of one kind of noise and that of rho of the other guarantee together."""
        return self._by(self.gaussian, self.for_split, self.laplace)

    def _by(self, rho: int, share: int, besides: int) -> Pair | None:
        if rho and not share:
            return None
        delta = self.keys + (self.for_conversions if rho else 0)
        found = converted(mpf(rho) / NANO, mpf(share) / ATTO) if rho else mpf(0)
        return Pair(found + mpf(besides) / NANO, mpf(delta) / ATTO)

    @cached_property
    def spent(self) -> Pair:
        """Return what the charges guarantee: the accountant with the least epsilon, and of equal ones the least delta."""
        found = [one for one in (self.by_epsilon, self.by_rho, self.by_split) if one is not None]
        return min(found, key=lambda one: (mp.nint(one.epsilon * NANO * 100), one.delta))
