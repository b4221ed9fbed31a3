"""The least that a question may cost: the dataset's `epsilon_min`, or half its square in rho.

An answer reveals the time at which it left, beside its numbers. With an epsilon near 0 an asker could look at the clock
any number of times. Therefore every question that touches data has a least price. The price is public, and a refusal
depends only on it and on the request, before any charge.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.errors import InvalidQuery
from queries.mechanisms import NANO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.catalog.schema import Dataset
    from queries.language import nodes


def nano(dataset: Dataset, currency: str) -> int:
    """Return the least epsilon or rho in billionths, rounded up: pure epsilon is (epsilon^2 / 2)-zCDP."""
    epsilon = Fraction(dataset.epsilon_min)
    return math.ceil((epsilon if currency == "epsilon" else epsilon**2 / 2) * NANO)


def require(offered_nano: int, least_nano: int, pointer: str) -> None:
    """Raise InvalidQuery when less is offered than the least."""
    if offered_nano < least_nano:
        least = float(Fraction(least_nano, NANO))
        raise InvalidQuery(pointer, f"must be at least {least:.9g}, the least that a question of this dataset costs")


def require_privacy(dataset: Dataset, privacy: nodes.Privacy) -> None:
    """Raise InvalidQuery when a query offers less than the least. The cost of margins is known only after planning."""
    offered = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    if offered is not None:
        require(offered, nano(dataset, privacy.currency), f"/privacy/{privacy.word}")


def raised(shares: Sequence[int], least_nano: int) -> list[int]:
    """Return the shares of a query's statistics, raised in proportion until their sum reaches the least charge."""
    total = sum(shares)
    return list(shares) if total >= least_nano else [-(-share * least_nano // total) for share in shares]
