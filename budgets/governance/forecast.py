"""What a remaining budget buys: how many more queries of one size would be admitted.

Sums of equal losses grow linearly, so for each filter the answer is a division. An account admits as many as the best
of its three filters, but no more than its delta allows. A study may ask as many as both its own account and its
dataset's admit. Other studies may spend from the dataset meanwhile, so the text says "about".
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets.ledger import accounts, releases
from budgets.loss import NANO, Loss, epsilon_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from budgets.governance.study import Study
    from budgets.ledger.limits import Balance

EPSILON_MIN_NANO = NANO // 1000  # the smallest query in the curve


@dataclass(frozen=True)
class Fit:
    """How many more charges of one loss fit: in all, and by each filter alone."""

    queries: int
    by_epsilon: int
    by_rho: int
    by_split: int


@dataclass(frozen=True)
class Forecast:
    """What a study can spend from: its own balance and its dataset's, and what its last query was charged."""

    study: Balance
    dataset: Balance
    last: Loss | None

    def fit(self, loss: Loss) -> Fit:
        """Return how many more charges of a loss fit, if no other study spends."""
        accounts = [_fit(self.study, loss), _fit(self.dataset, loss)]
        return Fit(
            min(one.queries for one in accounts),
            min(one.by_epsilon for one in accounts),
            min(one.by_rho for one in accounts),
            min(one.by_split for one in accounts),
        )

    def rho_like(self, loss: Loss) -> int | None:
        """Return the rho, in billionths, that is as large a part of the study's limit as a loss's epsilon, or None."""
        if loss.epsilon_nano is None:
            return None
        return loss.epsilon_nano * self.study.limits.rho_nano // self.study.limits.epsilon_nano

    def curve(self) -> list[tuple[Loss, Fit]]:
        """Return how many queries fit by the epsilon of each: 0.001, 0.002, 0.005, 0.01 ... up to the study's limit."""
        sizes = itertools.takewhile(lambda nano: nano <= self.study.limits.epsilon_nano, _one_two_five())
        return [(loss, self.fit(loss)) for loss in map(pure, sizes)]

    @property
    def words(self) -> str:
        """Return what the remaining budget buys, in words."""
        loss = pure(NANO // 10) if self.last is None else self.last
        size = f"rho {epsilon_text(loss.rho_nano)}" if loss.epsilon_nano is None else f"epsilon {loss.epsilon_text}"
        what = f"of {size}" if self.last is None else f"like the last one ({size})"
        match self.fit(loss).queries:
            case 0:
                return f"no more query {what}"
            case 1:
                return f"one more query {what}"
            case queries:
                return f"about {queries:,} more queries {what}"

    def to_json(self) -> dict[str, Any]:
        """Return the study's balance with what it buys, in words, as a number and as a curve."""
        return {
            **self.study.to_json(),
            "buys": self.words,
            "last": None if self.last is None else self.last.to_json(),
            "queries_left": None if self.last is None else self.fit(self.last).queries,
            "forecast": [
                {"epsilon": loss.to_json()["epsilon"], **dataclasses.asdict(fit)} for loss, fit in self.curve()
            ],
        }


def of_study(transaction: sa.Connection, study: Study) -> Forecast:
    """Return the forecast of a study, from its running sums and its last charge."""
    balances = accounts.balances(transaction, study.id, study.dataset)
    return Forecast(*balances, releases.last_loss(transaction, study.id))


def pure(epsilon_nano: int) -> Loss:
    """Return the loss of a query of pure epsilon: rho = epsilon^2 / 2, rounded up."""
    return Loss(epsilon_nano, -(-(epsilon_nano**2) // (2 * NANO)), 0)


def _fit(account: Balance, loss: Loss) -> Fit:
    used, limits = account.used_sum, account.limits
    by_epsilon = 0 if used.unbounded else _times(limits.epsilon_nano - used.laplace_nano, loss.epsilon_nano)
    by_rho = _times(limits.rho_nano - used.rho_nano, loss.rho_nano)
    by_split = 0
    if limits.split_holds(used):
        if loss.epsilon_nano is None:
            by_split = _times(limits.gaussian_nano - used.gaussian_nano, loss.rho_nano)
        else:
            by_split = _times(limits.laplace_nano - used.laplace_nano, loss.epsilon_nano)
    fits = (by_epsilon, by_rho, by_split)
    if loss.delta_atto:
        by_delta = _times(limits.delta_keys_atto - used.delta_atto, loss.delta_atto)
        fits = (min(by_epsilon, by_delta), min(by_rho, by_delta), min(by_split, by_delta))
    return Fit(max(fits), *fits)


def _times(left: int, each: int | None) -> int:
    """Return how many fit; none of a loss that has no part here."""
    if each is None:
        return 0
    assert each, "every charge costs something in each filter"
    return max(0, left) // each


def _one_two_five() -> Iterator[int]:
    nano = EPSILON_MIN_NANO
    while True:
        yield from (nano, 2 * nano, 5 * nano)
        nano *= 10
