"""Contribution profiles in the ledger: two-phase charges on a dataset's account alone, and the releases they paid for.

A profile describes how much single persons contribute to an edition; it is bought by the custodian, belongs to no
study, and everybody may see it. Its rows stand beside those of queries (`charges.py`) and follow the same rules: the
charge comes before the data, one row resolves it, a failure gives nothing back, and the same plan is charged once.

An edition may have several profiles, each more exact than those before: the most exact one is shown. An edition without
one goes on with those of the editions before it. Nothing is spent again for that: a profile is a release, and what was
released may be used for anything (post-processing).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from budgets.database import clock
from budgets.database.tables import profile_charges as charges
from budgets.database.tables import profile_resumes, profiles
from budgets.errors import WrongState
from budgets.ledger import accounts, attempts
from budgets.ledger.accounts import overcommit
from budgets.ledger.charges import RESERVE, SETTLE, VOID
from budgets.loss import Loss, epsilon_text

_resolutions = charges.alias("resolutions")
_with_resolution = charges.join(_resolutions, _resolutions.c.reserve_id == charges.c.id, isouter=True)


@dataclass(frozen=True)
class Subject:
    """What is described and how: `fingerprint` is SHA-256 of the canonical plan, in hex."""

    dataset: str
    edition: int
    fingerprint: str


@dataclass(frozen=True)
class Charge:
    """A reserved loss. `resumed` says that it was paid by an earlier, unfinished attempt; `attempt` counts them."""

    id: str
    subject: Subject
    loss: Loss
    reserved_at: str
    resumed: bool
    attempt: int = 1


@dataclass(frozen=True)
class Stored:
    """A stored profile: immutable, and public."""

    id: str
    subject: Subject
    charged_at: str
    body: dict[str, Any]


def find(transaction: sa.Connection, subject: Subject) -> Stored | None:
    """Return the stored profile of a plan, if there is one."""
    row = transaction.execute(sa.select(profiles).where(_of(profiles, subject))).first()
    return None if row is None else _stored(row)


def of_edition(transaction: sa.Connection, dataset: str, edition: int) -> list[Stored]:
    """Return an edition's profiles, the one that is shown (the most exact, then the latest) first."""
    rows = transaction.execute(
        sa.select(profiles)
        .join(charges, charges.c.id == profiles.c.charge)
        .where(profiles.c.dataset == dataset, profiles.c.edition == edition)
        .order_by(charges.c.epsilon_nano.desc(), profiles.c.charged_at.desc(), profiles.c.id)
    )
    return [_stored(row) for row in rows]


def in_use(transaction: sa.Connection, dataset: str, edition: int) -> list[Stored]:
    """Return the profiles that an edition may be described by, the one that is shown first.

    Those of the edition itself, as `of_edition` has them, then those of earlier editions, the latest edition first.
    """
    rows = transaction.execute(
        sa.select(profiles)
        .join(charges, charges.c.id == profiles.c.charge)
        .where(profiles.c.dataset == dataset, profiles.c.edition <= edition)
        .order_by(profiles.c.edition.desc(), charges.c.epsilon_nano.desc(), profiles.c.charged_at.desc(), profiles.c.id)
    )
    return [_stored(row) for row in rows]


def standing(transaction: sa.Connection, dataset: str) -> dict[str, Any] | None:
    """Return the edition and the cost of the profile that a dataset goes by, for whoever approves a study of it."""
    row = transaction.execute(
        sa.select(charges)
        .join(profiles, charges.c.id == profiles.c.charge)
        .where(profiles.c.dataset == dataset)
        .order_by(profiles.c.edition.desc(), charges.c.epsilon_nano.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    return {"edition": row.edition, "cost": Loss(row.epsilon_nano, row.rho_nano, row.delta_atto).to_json()}


def ever_charged(transaction: sa.Connection, dataset: str) -> bool:
    """Say whether any profile of a dataset was ever charged, those given back aside."""
    return bool(
        transaction.execute(
            sa.select(sa.func.count())
            .select_from(_with_resolution)
            .where(
                charges.c.dataset == dataset,
                charges.c.kind == RESERVE,
                sa.func.coalesce(_resolutions.c.kind, SETTLE) != VOID,
            )
        ).scalar()
    )


def reserve(transaction: sa.Connection, subject: Subject, loss: Loss) -> Charge:
    """Charge a profile to its dataset, or resume (and spend) the charge it has.

    Raises OverBudget, AttemptsSpent; WrongState when it would be less exact than one that is there, or would take what
    the dataset's studies were promised.
    """
    assert loss.epsilon_nano is not None, "a profile has Laplace noise"
    present = _standing(transaction, subject)
    if present is not None:
        attempt = attempts.resume(transaction, profile_resumes, present.id)
        _spend(transaction, present)
        return replace(present, attempt=attempt)
    _require_more_exact(transaction, subject, loss.epsilon_nano)
    if accounts.balance(transaction, accounts.DATASET, subject.dataset).admits(loss):
        _require_unpromised(transaction, subject.dataset, loss.epsilon_nano)
    accounts.admit(transaction, None, subject.dataset, loss)
    charge = Charge(uuid.uuid4().hex, subject, loss, clock.now(), resumed=False)
    _write(transaction, charge, RESERVE, charge.id, None, charge.reserved_at)
    return charge


def _require_more_exact(transaction: sa.Connection, subject: Subject, epsilon_nano: int) -> None:
    best: int | None = transaction.execute(
        sa.select(sa.func.max(charges.c.epsilon_nano))
        .join(profiles, profiles.c.charge == charges.c.id)
        .where(profiles.c.dataset == subject.dataset, profiles.c.edition == subject.edition)
    ).scalar()
    if best is not None and best >= epsilon_nano:
        raise WrongState(
            f"edition {subject.edition} of {subject.dataset} has a profile of epsilon {epsilon_text(best)}; "
            "another is of use only with a larger epsilon"
        )


def _require_unpromised(transaction: sa.Connection, dataset: str, epsilon_nano: int) -> None:
    if overcommit(transaction, dataset):
        return
    cap = accounts.balance(transaction, accounts.DATASET, dataset).limits.epsilon_nano
    left = cap - accounts.promised_epsilon_nano(transaction, dataset, besides=None)
    if epsilon_nano > left:
        raise WrongState(
            f"the studies' budgets leave epsilon {epsilon_text(max(0, left))} of the dataset's cap; lower or close one "
            "(or let the manifest say overcommit = true)"
        )


def void(transaction: sa.Connection, charge: Charge) -> bool:
    """Give back a charge whose scan never began; return False, changing nothing, when it is too late."""
    if charge.resumed or _resolution(transaction, charge) is not None:
        return False
    _resolve(transaction, charge, VOID)
    accounts.give_back(transaction, None, charge.subject.dataset, charge.loss)
    return True


def settle(transaction: sa.Connection, charge: Charge, body: dict[str, Any] | None) -> Stored | None:
    """Spend a charge, with its profile or (after a failure) without, and return the profile that is now stored.

    Safe to repeat, as in `ledger.settle`: the profile that is stored first stays. Raises WrongState on a charge that
    was given back.
    """
    _spend(transaction, charge)
    stored = find(transaction, charge.subject)
    if stored is not None or body is None:
        return stored
    # Dated by its charge: the time at which a scan ended depends on data.
    made = Stored(uuid.uuid4().hex, charge.subject, charge.reserved_at, body)
    transaction.execute(
        sa.insert(profiles),
        {
            "id": made.id,
            "charge": charge.id,
            **vars(made.subject),
            "charged_at": made.charged_at,
            "body": json.dumps(body, separators=(",", ":"), allow_nan=False),
        },
    )
    return made


def unresolved(transaction: sa.Connection) -> list[Charge]:
    """Return the charges of profiles that are being made, or that died with their server, oldest first."""
    rows = transaction.execute(
        sa.select(charges)
        .select_from(_with_resolution)
        .where(charges.c.kind == RESERVE, _resolutions.c.id.is_(None))
        .order_by(charges.c.at, charges.c.id)
    )
    return [_charge(row, resumed=True) for row in rows]


def _of(table: sa.Table, subject: Subject) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in vars(subject).items()))


def _standing(transaction: sa.Connection, subject: Subject) -> Charge | None:
    """Return the charge that a plan has, one that was given back aside."""
    row = transaction.execute(
        sa.select(charges)
        .select_from(_with_resolution)
        .where(_of(charges, subject), charges.c.kind == RESERVE, sa.func.coalesce(_resolutions.c.kind, SETTLE) != VOID)
    ).first()
    return None if row is None else _charge(row, resumed=True)


def _resolution(transaction: sa.Connection, charge: Charge) -> str | None:
    """Return how a charge was resolved, if it was."""
    kind: str | None = transaction.execute(sa.select(charges.c.kind).where(charges.c.reserve_id == charge.id)).scalar()
    return kind


def _spend(transaction: sa.Connection, charge: Charge) -> None:
    resolution = _resolution(transaction, charge)
    if resolution == VOID:
        raise WrongState("this charge was given back")
    if resolution is None:
        _resolve(transaction, charge, SETTLE)
        accounts.spend(transaction, None, charge.subject.dataset, charge.loss)


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
            **vars(charge.subject),
            **vars(charge.loss),
            "at": at,
        },
    )


def _charge(row: sa.Row[Any], *, resumed: bool) -> Charge:
    subject = Subject(row.dataset, row.edition, row.fingerprint)
    return Charge(row.id, subject, Loss(row.epsilon_nano, row.rho_nano, row.delta_atto), row.at, resumed)


def _stored(row: sa.Row[Any]) -> Stored:
    return Stored(row.id, Subject(row.dataset, row.edition, row.fingerprint), row.charged_at, json.loads(row.body))
