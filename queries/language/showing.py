"""How a released answer is shown: which of its rows, in which order, and under which names.

It is no part of a question: it chooses among numbers that are released, and buys nothing. JSON says it in `show`, SQL
in HAVING, ORDER BY, LIMIT and the labels of a CASE.
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
class Show:
    """How an answer is shown.

    Rows for which `having` holds are ordered, and the first `limit` of them are shown. `labels` gives the bins of a key
    names of one's own, by the key's name in the answer.
    """

    having: Predicate | None = None
    order_by: tuple[Order, ...] = ()
    limit: int | None = None
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def rearranges(self) -> bool:
        """Return whether rows are left out or ordered."""
        return self.having is not None or bool(self.order_by) or self.limit is not None


NOTHING = Show()
