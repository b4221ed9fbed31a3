"""How a released answer is shown: which of its rows, in which order, and under which names.

It is no part of a question: it chooses among numbers that are released, or computes from them, and buys nothing. JSON
says it in `show`, SQL in HAVING, ORDER BY, LIMIT and the labels of a CASE. SQL has no word for what is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from queries.language.nodes import Predicate

ENDS = ("low", "high")  # NAME_low and NAME_high are the ends of a statistic's interval


@dataclass(frozen=True)
class Order:
    """One column of the answer by which rows are ordered. What has no value comes last, both ways."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Standardise:
    """Direct standardisation of a statistic over the strata that a key makes.

    `weights` has for each stratum, by its label as a text, how frequent it is in the standard population: numbers that
    add up to more than 0.
    """

    statistic: str
    by: str
    weights: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Difference:
    """Differences of survival curves: of each group that a key makes, less that of the group named `reference`.

    The band is `pointwise` (it holds at each day by itself) or `simultaneous` (at all of them at once).
    """

    statistic: str
    by: str
    reference: str
    band: str = "pointwise"


BANDS = ("pointwise", "simultaneous")
Derive = Standardise | Difference


@dataclass(frozen=True)
class Show:
    """How an answer is shown.

    `labels` gives the bins of a key names of one's own, by the key's name in the answer. Then what `derive` asks for is
    computed and takes the place of the rows. Of these the ones for which `having` holds are ordered, and the first
    `limit` of them are shown.
    """

    having: Predicate | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    derive: Derive | None = None


NOTHING = Show()
