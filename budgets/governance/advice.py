"""The DPO's advice: what stands of it, and that an approval had it or says why not.

A DPO advises on what waits for an approval: the terms and budget of a draft, a larger budget, or the cap and the
profile of a dataset. The advice belongs to
what was advised on. A later edit removes it, so that nobody approves new terms on advice about old ones. Every advice
stays in the log. It does not bind the approver, who decides for the controller; but an approval needs it, or the
reason why it goes without, and has either in its entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import texts
from budgets.database import clock
from budgets.database.tables import advice
from budgets.errors import Invalid, NotAdvised, WrongState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.actors import Actor

STUDY, RAISE, DATASET = "study", "raise", "dataset"
# opinion -> how it is said
OPINIONS = {
    "favourable": "favourably",
    "conditional": "favourably, with conditions,",
    "unfavourable": "unfavourably",
}


@dataclass(frozen=True)
class Advice:
    """Advice that stands. `by` is the commitment of the DPO; `reason` has the conditions too."""

    opinion: str
    reason: str
    by: str
    at: str

    def to_json(self, known: Mapping[str, str]) -> dict[str, Any]:
        """Return it as JSON values. `known` has the names of commitments; one that was erased is None."""
        return {"opinion": self.opinion, "reason": self.reason, "by": known.get(self.by), "at": self.at}


def standing(transaction: sa.Connection, kind: str, owner: str) -> Advice | None:
    """Return the advice on what waits now, if there is any."""
    row = transaction.execute(sa.select(advice).where(advice.c.kind == kind, advice.c.owner == owner)).first()
    return None if row is None else Advice(row.opinion, row.reason, row.given_by, row.given_at)


def keep(transaction: sa.Connection, kind: str, owner: str, opinion: str, reason: str, by: Actor) -> None:
    """Store advice in place of what was said before about the same. Raises Invalid."""
    if opinion not in OPINIONS:
        raise Invalid("opinion", f"must be one of {', '.join(OPINIONS)}")
    texts.require("reason", reason)
    drop(transaction, kind, owner)
    transaction.execute(
        sa.insert(advice).values(
            kind=kind, owner=owner, opinion=opinion, reason=reason, given_by=by.commitment, given_at=clock.now()
        )
    )


def drop(transaction: sa.Connection, kind: str, owner: str) -> None:
    """Remove advice, because what it was about has changed."""
    transaction.execute(sa.delete(advice).where(advice.c.kind == kind, advice.c.owner == owner))


def heard(transaction: sa.Connection, kind: str, owner: str, without: str | None) -> dict[str, Any]:
    """Return what the entry of an approval has of the advice. `without` is why there is none.

    Raises NotAdvised if there is neither; WrongState if there is advice and yet a reason to go without; Invalid.
    """
    present = standing(transaction, kind, owner)
    if without is None and present is None:
        raise NotAdvised(
            f"the DPO has not advised on this {'budget' if kind == RAISE else kind} as it is now: wait for the advice, "
            "or say why you approve without it (without_advice)"
        )
    if without is not None:
        if present is not None:
            raise WrongState("the DPO has advised on this: approve with the advice, without a reason to go without it")
        texts.require("without_advice", without)
    told = None if present is None else {"opinion": present.opinion, "by": present.by}
    return {"advice": told, "without_advice": without}
