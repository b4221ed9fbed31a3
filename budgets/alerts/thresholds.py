"""Alerts when 50, 80 and 100% of a budget are used.

The used share of an account follows from its filters (`accounts.py`): a charge needs room in delta and in one of the
three filters, so the share is the larger of delta's share and the smallest of the filters' shares. Of the split filter
it is the larger one of the two kinds of noise. A reserved loss counts as used, as in the ledger.

Charges rarely end at exactly 100%: usually the next one does not fit. Therefore the alert for 100% is also raised when
a query is refused for lack of budget and half of the budget is used. When queries of one size are asked until one no
longer fits, half of it is always used. An earlier refusal, or that of a query larger than the whole budget, is due to
the query rather than to the budget.

Each threshold raises one alert for the limits it belongs to, even if a charge was given back in between. Several
thresholds that are reached at once raise one alert, for the highest. New limits reset the thresholds that they put out
of reach: a raised budget can raise its alerts again, and a lowered one raises those that it reaches.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import alerts
from budgets.database.tables import budget_alerts
from budgets.ledger import accounts
from budgets.loss import Loss, Sum, epsilon_text

if TYPE_CHECKING:
    from budgets.ledger.limits import Balance

PERCENTS = (50, 80, 100)
EXHAUSTED = 100

_mine = sa.and_(budget_alerts.c.kind == sa.bindparam("of_kind"), budget_alerts.c.owner == sa.bindparam("of_owner"))
_FIND_TOLD = sa.select(budget_alerts.c.percent).where(_mine)


def share(balance: Balance) -> Fraction:
    """Return the used share of an account, exactly: from 0 to 1."""
    return min(Fraction(1), max(balance.widest.share, _delta_share(balance)))


def _delta_share(balance: Balance) -> Fraction:
    used, limit = balance.used.delta_atto, balance.limits.delta_keys_atto
    return Fraction(used, limit) if used else Fraction(0)


def used_percent(balance: Balance) -> int:
    """Return the used share in percent, rounded down, so that a threshold counts only once it is reached."""
    return math.floor(share(balance) * 100)


def after_charge(transaction: sa.Connection, study: str | None, dataset: str) -> None:
    """Raise the alerts of thresholds that a charge on a study (or none) and its dataset has just reached."""
    if study is None:
        balances: tuple[Balance, ...] = (accounts.balance(transaction, accounts.DATASET, dataset),)
    else:
        balances = accounts.balances(transaction, study, dataset)
    for balance in balances:
        _tell(transaction, balance, "charge")


def after_limits(transaction: sa.Connection, kind: str, owner: str) -> None:
    """Reset the thresholds that an account's new limits put out of reach, and raise alerts for those they reach."""
    balance = accounts.balance(transaction, kind, owner)
    transaction.execute(
        sa.delete(budget_alerts).where(_mine, budget_alerts.c.percent > used_percent(balance)),
        {"of_kind": kind, "of_owner": owner},
    )
    _tell(transaction, balance, "limits")


def after_refusal(transaction: sa.Connection, kind: str, owner: str, cost: Loss) -> None:
    """Raise an alert if half of an account is used and it refused a charge that the whole budget would admit."""
    balance = accounts.balance(transaction, kind, owner)
    used_up = used_percent(balance) >= PERCENTS[0] and balance.limits.hold(Sum.of(cost))
    if used_up and EXHAUSTED not in _told(transaction, balance):
        _mark(transaction, balance, [EXHAUSTED])
        what = f"{kind} {owner} has too little budget left for a charge of {cost.text}, which was refused"
        _put(transaction, balance, EXHAUSTED, "refusal", f"{what}: {_used(balance)}", cost=vars(cost))


def _tell(transaction: sa.Connection, balance: Balance, cause: str) -> None:
    reached = [percent for percent in PERCENTS if percent <= used_percent(balance)]
    if not reached:
        return
    told = _told(transaction, balance)
    fresh = [percent for percent in reached if percent not in told]
    if fresh:
        _mark(transaction, balance, fresh)
        before = "by its new limits " if cause == "limits" else ""
        _put(transaction, balance, fresh[-1], cause, f"{before}{balance.kind} {balance.owner} has {_used(balance)}")


def _told(transaction: sa.Connection, balance: Balance) -> set[int]:
    found = transaction.execute(_FIND_TOLD, {"of_kind": balance.kind, "of_owner": balance.owner})
    return set(found.scalars())


def _mark(transaction: sa.Connection, balance: Balance, percents: list[int]) -> None:
    rows = [{"kind": balance.kind, "owner": balance.owner, "percent": percent} for percent in percents]
    transaction.execute(sa.insert(budget_alerts), rows)


def _put(
    transaction: sa.Connection, balance: Balance, threshold: int, cause: str, summary: str, **further: Any
) -> None:
    alerts.put(
        transaction,
        alerts.BUDGET,
        f"{balance.kind}:{balance.owner}",
        summary,
        study=balance.owner if balance.kind == accounts.STUDY else None,
        facts={
            "account": balance.kind,
            "owner": balance.owner,
            "threshold": threshold,
            "percent": used_percent(balance),
            "cause": cause,
            "used": vars(balance.used),
            "limits": vars(balance.limits),
            **further,
        },
    )


def _used(balance: Balance) -> str:
    """Return what is used of an account in words: its percent, and the sum and limit that make it."""
    used, limits, gauge = balance.used, balance.limits, balance.widest
    if used.delta_atto and _delta_share(balance) >= gauge.share:
        sums = f"delta {used.delta_text} of {Loss(0, 0, limits.delta_keys_atto).delta_text}"
    else:
        sums = _sums(gauge.of, epsilon_text(gauge.used_nano), epsilon_text(gauge.limit_nano))
    return f"used {used_percent(balance)}% of its budget ({sums})"


def _sums(of: str, used: str, limit: str) -> str:
    match of:
        case "epsilon":
            return f"epsilon {used} of {limit}"
        case "rho":
            return f"rho {used} of {limit}"
        case "laplace_epsilon":
            return f"epsilon {used} of {limit} for Laplace noise beside Gaussian noise"
        case _:
            return f"rho {used} of {limit} for Gaussian noise beside Laplace noise"
