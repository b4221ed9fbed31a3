"""How a DPO advises on a study that waits for approval, or on a larger budget that does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.audit import log
from budgets.errors import WrongState
from budgets.governance import advice, approval, seen, studies
from budgets.governance.study import CLOSED, DRAFT
from budgets.identity import people
from budgets.ledger import accounts

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.governance.study import Study


def advise(
    transaction: sa.Connection, identifier: str, opinion: str, reason: str, by: Actor, *, read: str | None = None
) -> Study:
    """Advise on the terms and the budget of a draft. `read` is the digest of what was read (`seen.py`).

    Raises NotFound, Invalid, Forbidden, FourEyes; WrongState if it is no draft, or another one than was read.
    """
    people.require_role(by, "dpo")
    present = studies.study(transaction, identifier)
    if present.state != DRAFT:
        raise WrongState(f"study {identifier} is {present.state}; advice is about what waits for approval, a draft")
    approval.require_no_hand(transaction, present, "study.advise", by)
    seen.require_study(read, transaction, present)
    advice.keep(transaction, advice.STUDY, identifier, opinion, reason, by)
    budget = accounts.balance(transaction, accounts.STUDY, identifier).budget.facts()
    log.append(
        transaction,
        by,
        "study.advise",
        f"study:{identifier}",
        f"the DPO advised {advice.OPINIONS[opinion]} on study {identifier}",
        study=identifier,
        # Exactly what the advice is about.
        facts={"opinion": opinion, "reason": reason, "terms": present.terms.facts(), "budget": budget},
    )
    return studies.study(transaction, identifier)


def advise_on_raise(
    transaction: sa.Connection, identifier: str, opinion: str, reason: str, by: Actor, *, read: str | None = None
) -> Study:
    """Advise on a larger budget that waits. `read` is the digest of what was read (`seen.py`).

    Raises NotFound, Invalid, Forbidden, FourEyes; WrongState if none waits, or another one than was read.
    """
    people.require_role(by, "dpo")
    present = studies.study(transaction, identifier)
    if present.raise_to is None or present.state == CLOSED:
        raise WrongState(f"no raise of study {identifier}'s budget waits for approval")
    approval.require_not_proposed(transaction, present, "study.budget.advise", by)
    seen.require_raise(read, present)
    advice.keep(transaction, advice.RAISE, identifier, opinion, reason, by)
    log.append(
        transaction,
        by,
        "study.budget.advise",
        f"study:{identifier}",
        f"the DPO advised {advice.OPINIONS[opinion]} on the larger budget of study {identifier}",
        study=identifier,
        facts={**present.raise_to.facts(), "opinion": opinion, "reason": reason},
    )
    return studies.study(transaction, identifier)
