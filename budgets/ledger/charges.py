"""The ledger: two-phase charges as rows that never change, and the releases they paid for.

A query first adds a `reserve` row, which takes its loss from the study's and the dataset's account; the data are
touched only after that. Then exactly one row resolves it. A `settle` spends it: with the release, in one transaction,
when all went well; without one when the scan failed or the server died. Such a failure gives nothing back: whether it
happened may depend on data, and a refund would tell. A `void` gives a charge back whose scan never began.

A charge belongs to what was asked (study, edition, fingerprint of the canonical request), so it pays for one release
and no more, whoever asks again and however it is spelled: as long as the release is not stored, the same request
resumes on the same charge; after that it is replayed. To resume is to settle: from then on two attempts may be under
way, and none of them may void what the other scans on. It is resumed twice at most (`attempts.py`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from budgets.database import clock
from budgets.database.tables import charges, failures, idempotency_keys, releases, resumes
from budgets.errors import AttemptsSpent, KeyConflict, NotFound, UnderWay, WrongState
from budgets.ledger import accounts, attempts
from budgets.loss import Loss

RESERVE, SETTLE, VOID = "reserve", "settle", "void"


def _asks(table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == sa.bindparam(name) for name in ("study", "dataset", "edition", "fingerprint")))


# Built once: to put a statement together takes as long as to execute it.
_resolutions = charges.alias("resolutions")
_with_resolution = charges.join(_resolutions, _resolutions.c.reserve_id == charges.c.id, isouter=True)
_FIND_RELEASE = sa.select(releases).where(_asks(releases))
_FIND_STANDING = (
    sa.select(charges)
    .select_from(_with_resolution)
    .where(_asks(charges), charges.c.kind == RESERVE, sa.func.coalesce(_resolutions.c.kind, SETTLE) != VOID)
)
_FIND_KEY = sa.select(idempotency_keys).where(
    idempotency_keys.c.study == sa.bindparam("study"), idempotency_keys.c.key == sa.bindparam("key")
)
_FIND_RESOLUTION = sa.select(charges.c.kind).where(charges.c.reserve_id == sa.bindparam("charge"))


@dataclass(frozen=True)
class Question:
    """What was asked, as far as the ledger needs to know: `fingerprint` is SHA-256 of the canonical request, in hex."""

    study: str
    dataset: str
    edition: int
    fingerprint: str


@dataclass(frozen=True)
class Charge:
    """A reserved loss. `resumed` says that it was paid by an earlier, unfinished attempt; `attempt` counts them."""

    id: str
    question: Question
    loss: Loss
    reserved_at: str
    resumed: bool
    attempt: int = 1


@dataclass(frozen=True)
class Release:
    """A stored answer: immutable, and free to read again."""

    id: str
    question: Question
    charged_at: str
    body: dict[str, Any]


def bind_key(transaction: sa.Connection, question: Question, key: str) -> Question:
    """Tie a client's idempotency key to its question, or return the question it was first used for.

    That is the same one, perhaps on an earlier edition: a retry is a retry even if the data were imported anew in
    between. Raises KeyConflict when the key was used for another request.
    """
    row = transaction.execute(_FIND_KEY, {"study": question.study, "key": key}).first()
    if row is None:
        transaction.execute(
            sa.insert(idempotency_keys),
            {
                "study": question.study,
                "key": key,
                "dataset": question.dataset,
                "edition": question.edition,
                "fingerprint": question.fingerprint,
            },
        )
        return question
    if row.fingerprint != question.fingerprint:
        raise KeyConflict("this Idempotency-Key was used before for another request")
    return Question(question.study, row.dataset, row.edition, row.fingerprint)


def question_of_key(transaction: sa.Connection, study: str, key: str) -> Question | None:
    """Return the question that a client's idempotency key was first used for, if it was used before."""
    row = transaction.execute(_FIND_KEY, {"study": study, "key": key}).first()
    return None if row is None else Question(study, row.dataset, row.edition, row.fingerprint)


def find_release(transaction: sa.Connection, question: Question) -> Release | None:
    """Return the stored answer to a question, if there is one."""
    row = transaction.execute(_FIND_RELEASE, vars(question)).first()
    return None if row is None else _release(row)


def reserve(transaction: sa.Connection, question: Question, loss: Loss, *, scan_seconds: float = 0) -> Charge:
    """Charge a question to its study and dataset, or resume (and spend) the charge it has.

    `scan_seconds` is how long an attempt may take. Raises OverBudget, AttemptsSpent, and UnderWay if all attempts were
    begun and one may still bring the answer.
    """
    present = _standing(transaction, question)
    if present is not None:
        try:
            attempt = attempts.resume(transaction, resumes, present.id)
        except AttemptsSpent:
            begun = present.id, present.reserved_at
            if attempts.under_way(transaction, resumes, failures, *begun, scan_seconds):
                raise UnderWay("the same question is being answered just now; send it again soon") from None
            raise
        _spend(transaction, present)
        return replace(present, attempt=attempt)
    accounts.admit(transaction, question.study, question.dataset, loss)
    charge = Charge(uuid.uuid4().hex, question, loss, clock.now(), resumed=False)
    _write(transaction, charge, RESERVE, charge.id, None, charge.reserved_at)
    return charge


def void(transaction: sa.Connection, charge: Charge) -> bool:
    """Give back a charge whose scan never began; return False, changing nothing, when it is too late.

    It is when the charge was resumed or closed meanwhile: somebody else may have scanned on it.
    """
    if charge.resumed or _resolution(transaction, charge) is not None:
        return False
    _resolve(transaction, charge, VOID)
    accounts.give_back(transaction, charge.question.study, charge.question.dataset, charge.loss)
    return True


def settle(transaction: sa.Connection, charge: Charge, body: dict[str, Any] | None) -> Release | None:
    """Spend a charge, with its release or (after a failure) without, and return the release that is now stored.

    Safe to repeat: a charge is spent once, and the release stored first is the one that stays. So when two attempts
    at one question race, one answer goes out, and the other's noise is never seen. Raises WrongState on a charge that
    was given back: it pays for nothing.
    """
    _spend(transaction, charge)
    stored = find_release(transaction, charge.question)
    if stored is None and body is None:
        attempts.fail(transaction, failures, charge.id, charge.attempt)
    if stored is not None or body is None:
        return stored
    question = charge.question
    # Dated by its charge: the time at which a scan ended depends on data.
    release = Release(uuid.uuid4().hex, question, charge.reserved_at, body)
    transaction.execute(
        sa.insert(releases),
        {
            "id": release.id,
            "charge": charge.id,
            "study": question.study,
            "dataset": question.dataset,
            "edition": question.edition,
            "fingerprint": question.fingerprint,
            "charged_at": release.charged_at,
            "body": json.dumps(body, separators=(",", ":"), allow_nan=False),
        },
    )
    return release


def unresolved(transaction: sa.Connection) -> list[Charge]:
    """Return the charges of queries that are under way, or that died with their server, oldest first."""
    # Most ledgers have none, and the running sums know: nobody wants to read a million charges for that.
    rows = transaction.execute(
        sa.select(charges)
        .select_from(_with_resolution)
        .where(
            charges.c.study.in_(accounts.studies_with_reserves()),
            charges.c.kind == RESERVE,
            _resolutions.c.id.is_(None),
        )
        .order_by(charges.c.at, charges.c.id)
    )
    return [_charge(row, resumed=True) for row in rows]


def last_loss(transaction: sa.Connection, study: str) -> Loss | None:
    """Return what a study's last query was charged, if it asked any."""
    row = transaction.execute(
        sa.select(charges.c.epsilon_nano, charges.c.rho_nano, charges.c.delta_atto)
        .where(charges.c.study == study, charges.c.kind == RESERVE)
        .order_by(charges.c.at.desc())
        .limit(1)
    ).first()
    return None if row is None else Loss(row.epsilon_nano, row.rho_nano, row.delta_atto)


def release(transaction: sa.Connection, study: str, identifier: str) -> Release:
    """Return a study's release. Raises NotFound."""
    row = transaction.execute(sa.select(releases).where(releases.c.study == study, releases.c.id == identifier)).first()
    if row is None:
        raise NotFound("there is no such release")
    return _release(row)


def releases_of(
    transaction: sa.Connection, study: str, *, after: tuple[str, str] | None = None, limit: int
) -> list[Release]:
    """Return a study's releases, oldest first, from after (charged_at, id) on."""
    wanted = sa.select(releases).where(releases.c.study == study)
    if after is not None:
        wanted = wanted.where(sa.tuple_(releases.c.charged_at, releases.c.id) > sa.tuple_(*after))
    rows = transaction.execute(wanted.order_by(releases.c.charged_at, releases.c.id).limit(limit))
    return [_release(row) for row in rows]


def _standing(transaction: sa.Connection, question: Question) -> Charge | None:
    """Return the charge that a question has, one that was given back aside."""
    row = transaction.execute(_FIND_STANDING, vars(question)).first()
    return None if row is None else _charge(row, resumed=True)


def _resolution(transaction: sa.Connection, charge: Charge) -> str | None:
    """Return how a charge was resolved, if it was."""
    kind: str | None = transaction.execute(_FIND_RESOLUTION, {"charge": charge.id}).scalar()
    return kind


def _spend(transaction: sa.Connection, charge: Charge) -> None:
    resolution = _resolution(transaction, charge)
    if resolution == VOID:
        raise WrongState("this charge was given back")
    if resolution is None:
        _resolve(transaction, charge, SETTLE)
        accounts.spend(transaction, charge.question.study, charge.question.dataset, charge.loss)


def _resolve(transaction: sa.Connection, charge: Charge, kind: str) -> None:
    _write(transaction, charge, kind, uuid.uuid4().hex, charge.id, clock.now())


def _write(
    transaction: sa.Connection, charge: Charge, kind: str, identifier: str, reserve_id: str | None, at: str
) -> None:
    transaction.execute(
        sa.insert(charges),
        {
            "id": identifier,
            "kind": kind,
            "reserve_id": reserve_id,
            "study": charge.question.study,
            "dataset": charge.question.dataset,
            "edition": charge.question.edition,
            "fingerprint": charge.question.fingerprint,
            "epsilon_nano": charge.loss.epsilon_nano,
            "rho_nano": charge.loss.rho_nano,
            "delta_atto": charge.loss.delta_atto,
            "at": at,
        },
    )


def _question(row: sa.Row[Any]) -> Question:
    return Question(row.study, row.dataset, row.edition, row.fingerprint)


def _charge(row: sa.Row[Any], *, resumed: bool) -> Charge:
    return Charge(row.id, _question(row), Loss(row.epsilon_nano, row.rho_nano, row.delta_atto), row.at, resumed)


def _release(row: sa.Row[Any]) -> Release:
    return Release(row.id, _question(row), row.charged_at, json.loads(row.body))
