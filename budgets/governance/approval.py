"""Four eyes: what one person proposed takes effect only after another person has agreed to it.

A person who opened or edited a study cannot approve it, and a person who proposed a larger budget cannot approve that
budget, whatever roles they have or get. Nor can they advise on it as a DPO, and nobody approves on their own advice.
The conclusion of a study's report (`conclusions.py`) is held to the same.
Persons are compared by name, because their commitments change (`commitments.py`). Therefore the names behind a study
that is not closed are never erased, and a person whose name is unknown counts as the one who wants to approve. All who
ever edited a study count, not only the last one, because the text may still contain what the others wrote.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budgets.alerts import bursts
from budgets.audit import log
from budgets.errors import FourEyes
from budgets.governance import advice
from budgets.identity import people
from budgets.identity.names import folded
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database
    from budgets.governance.study import Study

VERBS = {"approve": "approve", "advise": "advise on", "conclude": "conclude on"}
ON_ADVICE = {
    "approve": "nobody can approve on their own advice",
    "conclude": "nobody can conclude on a study that they advised on",
}


def require_second(transaction: sa.Connection, present: Study, by: Actor) -> None:
    """Raise FourEyes if the actor opened or edited the study, or advised on it."""
    require_no_hand(transaction, present, "study.approve", by)
    _require_other_adviser(transaction, advice.STUDY, present, "study.approve", by)


def require_second_for_raise(transaction: sa.Connection, present: Study, by: Actor) -> None:
    """Raise FourEyes if the actor proposed the waiting raise, or advised on it."""
    require_not_proposed(transaction, present, "study.budget.approve", by)
    _require_other_adviser(transaction, advice.RAISE, present, "study.budget.approve", by)


def require_second_for_conclusion(transaction: sa.Connection, present: Study, by: Actor) -> None:
    """Raise FourEyes if the actor, who wants to conclude on a study's report, had a hand in what it is about.

    That is who opened or edited the study, proposed the larger budget that waits, or advised on either as a DPO.
    """
    require_no_hand(transaction, present, "study.conclude", by)
    require_not_proposed(transaction, present, "study.conclude", by)
    for kind in (advice.STUDY, advice.RAISE):
        _require_other_adviser(transaction, kind, present, "study.conclude", by)


def require_no_hand(transaction: sa.Connection, present: Study, action: str, by: Actor) -> None:
    """Raise FourEyes if the actor, who wants to approve a study, advise or conclude on it, opened or edited it."""
    verb = VERBS[action.rpartition(".")[2]]
    if _is_among(transaction, by, [present.opened_by]):
        raise FourEyes(present.id, action, by, f"nobody can {verb} a study that they opened")
    if _is_among(transaction, by, present.edited_by):
        raise FourEyes(present.id, action, by, f"nobody can {verb} a study that they edited")


def require_not_proposed(transaction: sa.Connection, present: Study, action: str, by: Actor) -> None:
    """Raise FourEyes if the actor, who wants to approve a raise or to advise on it, proposed it."""
    if present.raise_by is not None and _is_among(transaction, by, [present.raise_by]):
        verb = VERBS[action.rpartition(".")[2]]
        raise FourEyes(present.id, action, by, f"nobody can {verb} a budget that they proposed")


def require_other(transaction: sa.Connection, hands: Collection[str], refusal: FourEyes) -> None:
    """Raise a refusal if its actor is one of the persons behind some commitments."""
    if _is_among(transaction, refusal.by, hands):
        raise refusal


def _require_other_adviser(transaction: sa.Connection, kind: str, present: Study, action: str, by: Actor) -> None:
    found = advice.standing(transaction, kind, present.id)
    if found is not None and _is_among(transaction, by, [found.by]):
        raise FourEyes(present.id, action, by, ON_ADVICE[action.rpartition(".")[2]])


def _is_among(transaction: sa.Connection, by: Actor, hands: Collection[str]) -> bool:
    known, mine = people.names(transaction, hands), folded(by.name)
    return any(one == by.commitment or folded(known.get(one, mine)) == mine for one in hands)


def with_hand(present: Study, by: Actor) -> str:
    """Return the editors of a study as they are stored, with the actor added."""
    return canonical_json.dumps(sorted({*present.edited_by, by.commitment}))


def hands(kept: str | None) -> tuple[str, ...]:
    """Return the commitments of a study's editors."""
    return () if kept is None else tuple(json.loads(kept))


@contextmanager
def deciding(database: Database) -> Iterator[sa.Connection]:
    """Open a transaction for a decision. If it is refused because it needs a second person, write an entry.

    The refused transaction leaves nothing, so the entry has its own.
    """
    try:
        with database.write() as transaction:
            yield transaction
    except FourEyes as refusal:
        with database.write() as transaction:
            log.append(
                transaction,
                refusal.by,
                f"{refusal.action}.refuse",
                refusal.subject,
                f"refused: {refusal}",
                study=refusal.study,
            )
            bursts.after_refusal(transaction, refusal.by)
        raise
