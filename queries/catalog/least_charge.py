"""The least that a question may cost: `epsilon_min` of the dataset, and of rho its square over 2.

Every answer tells something beside its numbers: when it left. Next to nothing of epsilon would buy any number of
looks at the clock, so a question that touches data has a price below which none is answered, however little its numbers
say. It is public, and a refusal follows from it and the request alone, before any charge.
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
    """Raise InvalidQuery when a query offers less than the least. What margins cost, only their plan says."""
    offered = privacy.rho_nano if privacy.epsilon_nano is None else privacy.epsilon_nano
    if offered is not None:
        require(offered, nano(dataset, privacy.currency), f"/privacy/{privacy.word}")


def raised(shares: Sequence[int], least_nano: int) -> list[int]:
    """Return the shares of a query's statistics, in proportion, such that they come to the least at least."""
    total = sum(shares)
    return list(shares) if total >= least_nano else [-(-share * least_nano // total) for share in shares]
