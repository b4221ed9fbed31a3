"""Budgets of studies: who sets them, and that a larger one waits for an approver.

The budget of a draft is part of what will be approved. After the approval a raise waits, and a lower limit takes effect
at once. No limit is below what is spent, beyond the dataset's cap, or beyond what the other studies leave of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import thresholds
from budgets.audit import history, log
from budgets.database.tables import studies as table
from budgets.errors import WrongState
from budgets.governance import advice, approval, seen, studies
from budgets.governance.study import CLOSED, DRAFT
from budgets.identity import people
from budgets.ledger import accounts
from budgets.ledger import justification as justifications
from budgets.ledger.limits import Budget

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.governance.study import Study


def set_budget(
    transaction: sa.Connection,
    identifier: str,
    epsilon_nano: int,
    delta_atto: int | None,
    reason: str,
    by: Actor,
    *,
    laplace_percent: int | None = None,
    justification: str | None = None,
) -> Study:
    """Set a study's limits. In a draft they take effect at once, as lower limits do; a raise waits for an approver.

    After the approval another part for Laplace noise waits too. Raises WrongState if the limits are below what is spent
    or beyond the dataset's cap, or the study is closed; Forbidden.
    """
    people.require_role(by, "admin")
    present = studies.study(transaction, identifier)
    if present.state == CLOSED:
        raise WrongState(f"study {identifier} is closed")
    before = accounts.balance(transaction, accounts.STUDY, identifier).budget
    budget = Budget(
        epsilon_nano,
        before.delta_atto if delta_atto is None else delta_atto,
        before.laplace_percent if laplace_percent is None else laplace_percent,
        justification,
    )
    budget = justifications.require(justifications.kept(budget, before))
    raises = budget.exceeds(before)
    held = history.budgets_held(transaction, accounts.STUDY, identifier)
    accounts.require_fitting(transaction, present.dataset, identifier, budget, raises=raises, held=held)
    waits = present.state != DRAFT and raises
    # The budget of a draft is part of what will be approved.
    advice.drop(transaction, advice.RAISE, identifier)
    if present.state == DRAFT:
        advice.drop(transaction, advice.STUDY, identifier)
    hand = {"edited_by": approval.with_hand(present, by)} if present.state == DRAFT else {}
    transaction.execute(
        sa.update(table).where(table.c.id == identifier).values(**_waiting(budget if waits else None, by), **hand)
    )
    if not waits:
        accounts.set_limits(transaction, accounts.STUDY, identifier, budget)
    log.append(
        transaction,
        by,
        "study.budget.ask" if waits else "study.budget.set",
        f"study:{identifier}",
        f"a larger budget of study {identifier} waits for an approver"
        if waits
        else f"study {identifier} has a new budget",
        study=identifier,
        facts={**budget.facts(), "reason": reason},
    )
    if not waits and budget.limits != before.limits:
        thresholds.after_limits(transaction, accounts.STUDY, identifier)
    return studies.study(transaction, identifier)


def _waiting(budget: Budget | None, by: Actor | None = None) -> dict[str, Any]:
    """Return the columns of the larger budget that waits, or of none."""
    facts = {"epsilon_nano": None, "delta_atto": None, "laplace_percent": None, "justification": None}
    facts |= {} if budget is None else budget.facts()
    hand = None if budget is None or by is None else by.commitment
    return {**{f"raise_{name}": value for name, value in facts.items()}, "raise_by": hand}


def approve_budget(
    transaction: sa.Connection,
    identifier: str,
    reason: str,
    by: Actor,
    *,
    without_advice: str | None = None,
    read: str | None = None,
) -> Study:
    """Put a waiting raise in force. `read` is the digest of what was read (`seen.py`).

    Raises WrongState if none waits, another one than was read, or it no longer fits; Forbidden, FourEyes,
    NoFormality, NotAdvised, Invalid.
    """
    people.require_role(by, "approver")
    present = studies.study(transaction, identifier)
    if present.raise_to is None or present.state == CLOSED:
        raise WrongState(f"no raise of study {identifier}'s budget waits for approval")
    approval.require_second_for_raise(transaction, present, by)
    seen.require_raise(read, present)
    studies.require_formalities(transaction, present)
    heard = advice.heard(transaction, advice.RAISE, identifier, without_advice)
    advice.drop(transaction, advice.RAISE, identifier)
    budget = justifications.require(present.raise_to)
    held = history.budgets_held(transaction, accounts.STUDY, identifier)
    accounts.require_fitting(transaction, present.dataset, identifier, budget, held=held)
    accounts.set_limits(transaction, accounts.STUDY, identifier, budget)
    transaction.execute(sa.update(table).where(table.c.id == identifier).values(**_waiting(None)))
    log.append(
        transaction,
        by,
        "study.budget.approve",
        f"study:{identifier}",
        f"the larger budget of study {identifier} was approved",
        study=identifier,
        facts={**budget.facts(), "reason": reason, **heard},
    )
    thresholds.after_limits(transaction, accounts.STUDY, identifier)
    return studies.study(transaction, identifier)
