"""Four eyes: what one person proposed takes effect only once another has agreed to it.

Who opened a study or had a hand in its terms cannot approve it, and who proposed a larger budget cannot approve that,
whatever roles they have or come to have. Persons are told apart by name, for they go by a new commitment every so
often (`commitments.py`): so the names behind a study that is not closed are never erased, and whoever cannot be told
from the one who asks counts as the same. All who ever edited a study count, not only the last: what the others wrote
may still stand there.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from budgets.alerts import bursts
from budgets.audit import log
from budgets.errors import FourEyes
from budgets.identity import people
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database
    from budgets.governance.study import Study


def require_second(transaction: sa.Connection, present: Study, by: Actor) -> None:
    """Raise FourEyes if the actor opened the study or had a hand in its terms."""
    if _is_among(transaction, by, [present.opened_by]):
        raise FourEyes(present.id, "study.approve", by, "who opened a study cannot approve it")
    if _is_among(transaction, by, present.edited_by):
        raise FourEyes(present.id, "study.approve", by, "who edited a study cannot approve it")


def require_second_for_raise(transaction: sa.Connection, present: Study, by: Actor) -> None:
    """Raise FourEyes if the actor proposed the raise that waits."""
    if present.raise_by is not None and _is_among(transaction, by, [present.raise_by]):
        raise FourEyes(present.id, "study.budget.approve", by, "who proposed a larger budget cannot approve it")


def _is_among(transaction: sa.Connection, by: Actor, hands: Collection[str]) -> bool:
    known = people.names(transaction, hands)
    return any(one == by.commitment or known.get(one, by.name) == by.name for one in hands)


def with_hand(present: Study, by: Actor) -> str:
    """Return who had a hand in a study's terms, the actor now among them, as it is kept."""
    return canonical_json.dumps(sorted({*present.edited_by, by.commitment}))


def hands(kept: str | None) -> tuple[str, ...]:
    """Return the commitments of those who had a hand in a study's terms."""
    return () if kept is None else tuple(json.loads(kept))


@contextmanager
def deciding(database: Database) -> Iterator[sa.Connection]:
    """Open a transaction for a decision. If it is refused for want of a second person, the log says so.

    The refused transaction leaves nothing, so the entry has one of its own.
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
                f"study:{refusal.study}",
                f"refused: {refusal}",
                study=refusal.study,
            )
            bursts.after_refusal(transaction, refusal.by)
        raise
