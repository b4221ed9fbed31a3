"""What a study was answered: its releases, what its last query cost, and the keys that tie retries to a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.database.tables import charges, idempotency_keys, releases
from budgets.errors import KeyConflict, NotFound
from budgets.ledger.charges import RESERVE, Question, release_of
from budgets.loss import Loss

if TYPE_CHECKING:
    from budgets.ledger.charges import Release

_FIND_KEY = sa.select(idempotency_keys).where(
    idempotency_keys.c.study == sa.bindparam("study"), idempotency_keys.c.key == sa.bindparam("key")
)

_FIND_LAST_LOSS = (
    sa.select(charges.c.epsilon_nano, charges.c.rho_nano, charges.c.delta_atto)
    .where(charges.c.study == sa.bindparam("study"), charges.c.kind == RESERVE)
    .order_by(charges.c.at.desc())
    .limit(1)
)


def bind_key(transaction: sa.Connection, question: Question, key: str) -> Question:
    """Tie a client's idempotency key to its question, or return the question for which it was first used.

    That is the same question, perhaps about an earlier edition: a retry stays a retry even if the data were imported
    again in between. Raises KeyConflict if the key was used for another request.
    """
    row = transaction.execute(_FIND_KEY, {"study": question.study, "key": key}).first()
    if row is None:
        transaction.execute(sa.insert(idempotency_keys), {"key": key, **vars(question)})
        return question
    if row.fingerprint != question.fingerprint:
        raise KeyConflict("this Idempotency-Key was used before for another request")
    return Question(question.study, row.dataset, row.edition, row.fingerprint)


def question_of_key(transaction: sa.Connection, study: str, key: str) -> Question | None:
    """Return the question for which a client's idempotency key was first used, or None if it is new."""
    row = transaction.execute(_FIND_KEY, {"study": study, "key": key}).first()
    return None if row is None else Question(study, row.dataset, row.edition, row.fingerprint)


def by_id(transaction: sa.Connection, study: str, identifier: str) -> Release:
    """Return a study's release. Raises NotFound."""
    row = transaction.execute(sa.select(releases).where(releases.c.study == study, releases.c.id == identifier)).first()
    if row is None:
        raise NotFound("there is no such release")
    return release_of(row)


def of_study(
    transaction: sa.Connection, study: str, *, after: tuple[str, str] | None = None, limit: int
) -> list[Release]:
    """Return a study's releases, oldest first, from after (charged_at, id) on."""
    wanted = sa.select(releases).where(releases.c.study == study)
    if after is not None:
        wanted = wanted.where(sa.tuple_(releases.c.charged_at, releases.c.id) > sa.tuple_(*after))
    rows = transaction.execute(wanted.order_by(releases.c.charged_at, releases.c.id).limit(limit))
    return [release_of(row) for row in rows]


def last_loss(transaction: sa.Connection, study: str) -> Loss | None:
    """Return what a study's last query was charged, or None if it has asked none."""
    row = transaction.execute(_FIND_LAST_LOSS, {"study": study}).first()
    return None if row is None else Loss(row.epsilon_nano, row.rho_nano, row.delta_atto)
