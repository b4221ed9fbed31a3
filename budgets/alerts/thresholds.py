"""Alerts when a budget is used to 50, 80 and 100%.

The share in use of an account is what the dual filter (`accounts.py`) lets it be: a charge needs room in delta and in
one of the two filters, so it is the larger of delta's share and the smaller of the filters' shares. It counts what is
reserved as gone, as the ledger does.

Charges rarely end at 100% exactly: mostly the next one does not fit. So 100% is also told when a query is refused for
want of budget once half of it is used, as it always is when queries of one size were asked until one no longer fits. A
refusal before that, or of a query that is larger than the whole budget, says more of the query than of the budget.

Each threshold is told once for the limits it belongs to, also when a charge was given back in between; several that are
passed at once are one alert, of the highest. New limits forget what they put out of reach: a raised budget is armed
again, and a lowered one that passes a threshold says so.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import alerts
from budgets.database.tables import budget_alerts
from budgets.ledger import accounts
from budgets.loss import Loss, epsilon_text

if TYPE_CHECKING:
    from budgets.ledger.accounts import Balance

PERCENTS = (50, 80, 100)
EXHAUSTED = 100

_mine = sa.and_(budget_alerts.c.kind == sa.bindparam("of_kind"), budget_alerts.c.owner == sa.bindparam("of_owner"))
_FIND_TOLD = sa.select(budget_alerts.c.percent).where(_mine)


def share(balance: Balance) -> Fraction:
    """Return the share of an account that is in use, exactly: from 0 to 1."""
    used, limits = balance.used, balance.limits
    basic = None if used.epsilon_nano is None else _part(used.epsilon_nano, limits.epsilon_nano)
    concentrated = _part(used.rho_nano, limits.rho_nano)
    # The database's own constraints hold: an account's sums are within one filter at least.
    filters = min(one for one in (basic, concentrated) if one is not None)
    return max(filters, _part(used.delta_atto, limits.delta_keys_atto) or Fraction(0))


def _part(used: int, limit: int) -> Fraction | None:
    """Return a share; None where a filter has no room at all (rho, when delta is 0) and yet something is used."""
    if limit == 0:
        return Fraction(0) if used == 0 else None
    return Fraction(used, limit)


def used_percent(balance: Balance) -> int:
    """Return the share in use in whole percent, rounded down: a threshold is reached when it is."""
    return math.floor(share(balance) * 100)


def after_charge(transaction: sa.Connection, study: str | None, dataset: str) -> None:
    """Tell what a charge on a study (or none) and its dataset has just taken over a threshold."""
    if study is None:
        balances: tuple[Balance, ...] = (accounts.balance(transaction, accounts.DATASET, dataset),)
    else:
        balances = accounts.balances(transaction, study, dataset)
    for balance in balances:
        _tell(transaction, balance, "charge")


def after_limits(transaction: sa.Connection, kind: str, owner: str) -> None:
    """Arm anew the thresholds that an account's new limits put out of reach, and tell those they brought near."""
    balance = accounts.balance(transaction, kind, owner)
    transaction.execute(
        sa.delete(budget_alerts).where(_mine, budget_alerts.c.percent > used_percent(balance)),
        {"of_kind": kind, "of_owner": owner},
    )
    _tell(transaction, balance, "limits")


def after_refusal(transaction: sa.Connection, kind: str, owner: str, cost: Loss) -> None:
    """Tell that an account, half used or more, has no room for a charge that would have fitted at first."""
    balance = accounts.balance(transaction, kind, owner)
    used_up = used_percent(balance) >= PERCENTS[0] and balance.limits.hold(cost)
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
    used, limits = balance.used, balance.limits
    decides = share(balance)
    if used.delta_atto and _part(used.delta_atto, limits.delta_keys_atto) == decides:
        sums = f"delta {used.delta_text} of {Loss(0, 0, limits.delta_keys_atto).delta_text}"
    elif used.epsilon_nano is not None and _part(used.epsilon_nano, limits.epsilon_nano) == decides:
        sums = f"epsilon {epsilon_text(used.epsilon_nano)} of {epsilon_text(limits.epsilon_nano)}"
    else:
        sums = f"rho {epsilon_text(used.rho_nano)} of {epsilon_text(limits.rho_nano)}"
    return f"used {used_percent(balance)}% of its budget ({sums})"
