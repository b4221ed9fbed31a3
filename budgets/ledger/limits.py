"""Budgets, the limits that follow from one, what is left, and the three filters (`accounts.py`) of which one must hold.

Pure functions of whole numbers. docs/ledger.md has the proof that one filter is enough, and why D_conv is divided
between the two filters that convert from rho.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from budgets import conversion
from budgets.loss import ATTO, NANO, Loss, Sum, by_noise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LAPLACE_PERCENT = 50  # of a new account's epsilon, unless whoever opens it chooses another part
UNSPLIT = 100  # of accounts from before there was a third filter: their epsilon is for Laplace noise alone


@dataclass(frozen=True)
class Budget:
    """What an account may promise, as people decide on it.

    `laplace_percent` is the part of epsilon that the third filter keeps for Laplace noise. `justification` is why the
    budget has to be as large as it is.
    """

    epsilon_nano: int
    delta_atto: int
    laplace_percent: int = LAPLACE_PERCENT
    justification: str | None = None

    @property
    def limits(self) -> Limits:
        """Return the limits that follow."""
        return Limits.of(self.epsilon_nano, self.delta_atto, self.laplace_percent)

    def exceeds(self, other: Budget) -> bool:
        """Return whether it promises more than another, or divides epsilon in another way."""
        return (
            self.epsilon_nano > other.epsilon_nano
            or self.delta_atto > other.delta_atto
            or self.laplace_percent != other.laplace_percent
        )

    def facts(self) -> dict[str, Any]:
        """Return it as the log has it."""
        return dict(vars(self))

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Budget:
        """Return the budget of an entry. Those of earlier versions have epsilon and delta alone."""
        return cls(
            facts["epsilon_nano"],
            facts["delta_atto"],
            facts.get("laplace_percent", UNSPLIT),
            facts.get("justification"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as people read it."""
        limit = Loss(self.epsilon_nano, 0, self.delta_atto).to_json()
        return {
            "epsilon": limit["epsilon"],
            "delta": limit["delta"],
            "laplace_percent": self.laplace_percent,
            "justification": self.justification,
        }


@dataclass(frozen=True)
class Limits:
    """What an account promises: epsilon and delta, and the limits of the three filters that follow from them.

    `laplace_nano` is the part of epsilon that the third filter keeps for Laplace noise. The rest of epsilon converts to
    `gaussian_nano`, a rho.
    """

    epsilon_nano: int
    delta_atto: int
    rho_nano: int
    delta_keys_atto: int
    laplace_percent: int
    laplace_nano: int
    gaussian_nano: int

    @classmethod
    def of(cls, epsilon_nano: int, delta_atto: int, laplace_percent: int = LAPLACE_PERCENT) -> Limits:
        """Return limits with delta split in two halves: one for the conversions, one for thresholds."""
        for_rho, for_split = shares_of_conversion(delta_atto, laplace_percent)
        laplace = epsilon_nano * laplace_percent // 100
        return cls(
            epsilon_nano,
            delta_atto,
            conversion.rho_nano_max(epsilon_nano, for_rho),
            delta_atto // 2,
            laplace_percent,
            laplace,
            conversion.rho_nano_max(epsilon_nano - laplace, for_split),
        )

    @property
    def delta_rho_atto(self) -> int:
        """Return the share of delta at which the zCDP filter converts."""
        return shares_of_conversion(self.delta_atto, self.laplace_percent)[0]

    @property
    def delta_split_atto(self) -> int:
        """Return the share of delta at which the split filter converts."""
        return shares_of_conversion(self.delta_atto, self.laplace_percent)[1]

    def hold(self, used: Sum) -> bool:
        """Return whether a sum of charges is within the limits: of delta, and of at least one filter."""
        return used.delta_atto <= self.delta_keys_atto and (
            self.basic_holds(used) or used.rho_nano <= self.rho_nano or self.split_holds(used)
        )

    def basic_holds(self, used: Sum) -> bool:
        """Return whether every charge has a finite epsilon, and their sum is within the limit."""
        return used.unbounded == 0 and used.laplace_nano <= self.epsilon_nano

    def split_holds(self, used: Sum) -> bool:
        """Return whether the charges of each kind of noise are within the limit of their own."""
        return used.laplace_nano <= self.laplace_nano and used.gaussian_nano <= self.gaussian_nano

    def contain(self, other: Limits) -> bool:
        """Return whether whatever other limits admit is within these, by the same filter."""
        split = other.gaussian_nano == 0 or (
            self.laplace_nano >= other.laplace_nano and self.gaussian_nano >= other.gaussian_nano
        )
        return split and (
            self.epsilon_nano >= other.epsilon_nano
            and self.rho_nano >= other.rho_nano
            and self.delta_keys_atto >= other.delta_keys_atto
        )


def shares_of_conversion(delta_atto: int, laplace_percent: int) -> tuple[int, int]:
    """Return the share of delta of the zCDP filter, and that of the split filter.

    They have halves of D_conv. If all of epsilon is for one kind of noise, the split filter admits nothing that the
    others would not, and has no share.
    """
    for_conversions = delta_atto - delta_atto // 2
    for_split = for_conversions // 2 if 0 < laplace_percent < 100 else 0
    return for_conversions - for_split, for_split


@dataclass(frozen=True)
class Gauge:
    """How far an account is used, by one filter: a sum and its limit, in billionths.

    `of` is the sum: "epsilon", "rho", or the larger part of the split filter, "laplace_epsilon" or "gaussian_rho".
    """

    of: str
    used_nano: int
    limit_nano: int

    @property
    def share(self) -> Fraction:
        """Return the used share: 0 if nothing is used, and more than 1 beyond the limit or if there is no room."""
        if self.used_nano == 0:
            return Fraction(0)
        return Fraction(self.used_nano, self.limit_nano) if self.limit_nano else NO_ROOM

    def to_json(self) -> dict[str, Any]:
        """Return it as people read it."""
        return {"of": self.of, "used": self.used_nano / NANO, "limit": self.limit_nano / NANO}


NO_ROOM = Fraction(ATTO)


@dataclass(frozen=True)
class Balance:
    """An account's limits and sums. A reserved loss counts as gone until it is settled or given back."""

    kind: str
    owner: str
    limits: Limits
    reserved_sum: Sum
    spent_sum: Sum
    justification: str | None = None

    @property
    def budget(self) -> Budget:
        """Return the budget that was decided on."""
        limits = self.limits
        return Budget(limits.epsilon_nano, limits.delta_atto, limits.laplace_percent, self.justification)

    @property
    def reserved(self) -> Loss:
        """Return what is reserved in all."""
        return self.reserved_sum.total

    @property
    def spent(self) -> Loss:
        """Return what is spent in all."""
        return self.spent_sum.total

    @property
    def used_sum(self) -> Sum:
        """Return what is spent or reserved, by kind of noise."""
        return self.spent_sum + self.reserved_sum

    @property
    def used(self) -> Loss:
        """Return what is spent or reserved in all. Its epsilon is None if a charge had no finite one."""
        return self.used_sum.total

    @property
    def left(self) -> Loss:
        """Return what is left by kind of noise: the epsilon of further Laplace noise, or the rho of Gaussian noise.

        Further charges of one kind that add up to no more are admitted, by the basic or the split filter or, of
        Gaussian noise, by the zCDP filter. Many small charges of Laplace noise may find more room in the zCDP filter.
        """
        used, limits = self.used_sum, self.limits
        basic = limits.epsilon_nano - used.laplace_nano if used.unbounded == 0 else 0
        laplace = limits.laplace_nano - used.laplace_nano if used.gaussian_nano <= limits.gaussian_nano else 0
        return Loss(max(0, basic, laplace), max(0, self._rho_left, self._gaussian_left), self._delta_left)

    def left_for(self, loss: Loss) -> Loss:
        """Return what is left for a charge of this kind of noise: room in its epsilon or in its rho is enough."""
        if loss.epsilon_nano is None:
            return self.left
        return Loss(self.left.epsilon_nano, max(0, self._rho_left), self._delta_left)

    @property
    def _rho_left(self) -> int:
        return self.limits.rho_nano - self.used_sum.rho_nano

    @property
    def _gaussian_left(self) -> int:
        used, limits = self.used_sum, self.limits
        return limits.gaussian_nano - used.gaussian_nano if used.laplace_nano <= limits.laplace_nano else 0

    @property
    def _delta_left(self) -> int:
        return self.limits.delta_keys_atto - self.used_sum.delta_atto

    @property
    def gauge(self) -> Gauge:
        """Return how far the account is used, delta aside, as people read it.

        That is the sum of epsilon as long as it is within its limit, and then the filter with the most room.
        """
        if self.limits.basic_holds(self.used_sum):
            return Gauge("epsilon", self.used_sum.laplace_nano, self.limits.epsilon_nano)
        return self.widest

    @property
    def widest(self) -> Gauge:
        """Return how far the account is used by the filter with the most room."""
        used, limits = self.used_sum, self.limits
        split = max(
            Gauge("laplace_epsilon", used.laplace_nano, limits.laplace_nano),
            Gauge("gaussian_rho", used.gaussian_nano, limits.gaussian_nano),
            key=lambda one: one.share,
        )
        filters = [Gauge("rho", used.rho_nano, limits.rho_nano), split]
        if used.unbounded == 0:
            filters.insert(0, Gauge("epsilon", used.laplace_nano, limits.epsilon_nano))
        return min(filters, key=lambda one: one.share)

    def admits(self, loss: Loss) -> bool:
        """Return whether a further charge would fit."""
        return self.limits.hold(self.used_sum + loss)

    def rest(self) -> Iterator[Loss]:
        """Yield charges that take all that is left: each is admitted after those before, and nothing after the last."""
        limits, used = self.limits, self.used_sum
        if limits.basic_holds(used) and used.laplace_nano < limits.epsilon_nano:
            # At the limit of the basic filter, and at or beyond those of the others.
            rho = max(0, limits.rho_nano - used.rho_nano)
            yield Loss(limits.epsilon_nano - used.laplace_nano, rho, self._delta_left)
            return
        if used.rho_nano < limits.rho_nano:
            yield Loss(None, limits.rho_nano - used.rho_nano, self._delta_left)
            used += Loss(None, limits.rho_nano - used.rho_nano, 0)
        if limits.split_holds(used) and used.laplace_nano < limits.laplace_nano:
            yield Loss(limits.laplace_nano - used.laplace_nano, 0, 0)
        if limits.split_holds(used) and used.gaussian_nano < limits.gaussian_nano:
            yield Loss(None, limits.gaussian_nano - used.gaussian_nano, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the balance as people read it. `rho` is the limit of the zCDP filter, `split` those of the third."""
        return {
            **_limits_json(self.limits),
            "spent": self.spent_sum.to_json(),
            "reserved": self.reserved_sum.to_json(),
            "remaining": self.left.to_json(),
            "gauge": self.gauge.to_json(),
            "justification": self.justification,
        }


def _limits_json(limits: Limits) -> dict[str, Any]:
    shown = Loss(limits.epsilon_nano, limits.rho_nano, limits.delta_atto).to_json()
    return {
        "epsilon": shown["epsilon"],
        "delta": shown["delta"],
        "rho": shown["rho"],
        "laplace_percent": limits.laplace_percent,
        "split": by_noise(limits.laplace_nano, limits.gaussian_nano),
    }
