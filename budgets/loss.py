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


def epsilon_text(nano: int) -> str:
    """Return billionths as an exact decimal."""
    return units_text(nano, NANO)


def exact(units: int, scale: int) -> Decimal:
    """Return units as an exact decimal. A fraction would not do: the one of 1e-999999999 would fill the memory."""
    return Decimal(units) / scale


def units_text(units: int, scale: int) -> str:
    """Return units as the shortest decimal."""
    return format(exact(units, scale).normalize(), "f")
