"""What a release costs, in exact integers.

A loss is rounded up once, when it is made. After that it is only added and compared: epsilon and rho in billionths
(nano), delta in 10^-18 (atto). No sum drifts, and no rounding takes a budget over its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

NANO = 10**9
ATTO = 10**18
EPSILON_MAX = 10**4  # far beyond any protection; its rho still fits 64 bits many times over
RHO_MAX = EPSILON_MAX**2 // 2


@dataclass(frozen=True)
class Loss:
    """A loss of privacy: epsilon (pure DP; None if no finite epsilon holds), rho (zCDP) and delta."""

    epsilon_nano: int | None
    rho_nano: int
    delta_atto: int

    @classmethod
    def of(cls, epsilon: Fraction | None, rho: Fraction, delta: Fraction) -> Loss:
        """Return an exact loss rounded up to whole units."""
        return cls(
            None if epsilon is None else math.ceil(epsilon * NANO), math.ceil(rho * NANO), math.ceil(delta * ATTO)
        )

    def __add__(self, other: Loss) -> Loss:
        epsilon = None
        if self.epsilon_nano is not None and other.epsilon_nano is not None:
            epsilon = self.epsilon_nano + other.epsilon_nano
        return Loss(epsilon, self.rho_nano + other.rho_nano, self.delta_atto + other.delta_atto)

    def to_json(self) -> dict[str, float | None]:
        """Return the loss as people read it. The floats are only shown: nothing is computed from them."""
        return {
            "epsilon": None if self.epsilon_nano is None else self.epsilon_nano / NANO,
            "rho": self.rho_nano / NANO,
            "delta": self.delta_atto / ATTO,
        }

    @property
    def epsilon_text(self) -> str:
        """Return epsilon as an exact decimal."""
        return "infinity" if self.epsilon_nano is None else epsilon_text(self.epsilon_nano)

    @property
    def alternatives(self) -> str:
        """Return what the two filters leave, in words. Room in one of them is enough."""
        return f"epsilon {self.epsilon_text} or rho {epsilon_text(self.rho_nano)}"

    @property
    def text(self) -> str:
        """Return the loss in words: epsilon (if finite), rho, and delta (if above 0)."""
        rho = f"rho {epsilon_text(self.rho_nano)}"
        text = rho if self.epsilon_nano is None else f"epsilon {epsilon_text(self.epsilon_nano)} ({rho})"
        return f"{text} and delta {self.delta_text}" if self.delta_atto else text

    @property
    def delta_text(self) -> str:
        """Return delta as a decimal with its power of ten."""
        return f"{(Decimal(self.delta_atto) / ATTO).normalize():e}"


@dataclass(frozen=True)
class Sum:
    """What charges add up to, by their noise.

    A charge with a finite epsilon is of Laplace noise, one without is of Gaussian noise: a query has one kind of noise.
    `laplace_nano` is the sum of epsilon of the first, `gaussian_nano` the sum of rho of the second, `unbounded` their
    number. Rho and delta are those of all charges.
    """

    laplace_nano: int = 0
    gaussian_nano: int = 0
    rho_nano: int = 0
    delta_atto: int = 0
    unbounded: int = 0

    def __add__(self, other: Loss | Sum) -> Sum:
        more = other if isinstance(other, Sum) else Sum.of(other)
        return Sum(
            self.laplace_nano + more.laplace_nano,
            self.gaussian_nano + more.gaussian_nano,
            self.rho_nano + more.rho_nano,
            self.delta_atto + more.delta_atto,
            self.unbounded + more.unbounded,
        )

    @classmethod
    def of(cls, loss: Loss) -> Sum:
        """Return the sum of one charge."""
        if loss.epsilon_nano is None:
            return cls(0, loss.rho_nano, loss.rho_nano, loss.delta_atto, 1)
        return cls(loss.epsilon_nano, 0, loss.rho_nano, loss.delta_atto, 0)

    @property
    def total(self) -> Loss:
        """Return the loss of all charges together. Its epsilon is None if a charge has no finite one."""
        return Loss(None if self.unbounded else self.laplace_nano, self.rho_nano, self.delta_atto)

    def to_json(self) -> dict[str, float | None]:
        """Return the sum as people read it: what all charges lose, and the part of each kind of noise."""
        return {**self.total.to_json(), **by_noise(self.laplace_nano, self.gaussian_nano)}


def by_noise(laplace_nano: int, gaussian_nano: int) -> dict[str, float | None]:
    """Return the epsilon of Laplace noise and the rho of Gaussian noise, as people read them."""
    return {"laplace_epsilon": laplace_nano / NANO, "gaussian_rho": gaussian_nano / NANO}


def epsilon_text(nano: int) -> str:
    """Return billionths as an exact decimal."""
    return units_text(nano, NANO)


def exact(units: int, scale: int) -> Decimal:
    """Return units as an exact decimal. A fraction would not do: the one of 1e-999999999 would fill the memory."""
    return Decimal(units) / scale


def units_text(units: int, scale: int) -> str:
    """Return units as the shortest decimal."""
    return format(exact(units, scale).normalize(), "f")
