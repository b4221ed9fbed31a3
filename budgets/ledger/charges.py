"""Two-phase charges: a question is paid for before any data are read, and only once.

`reserve` takes the loss from the accounts in one transaction. The data are read after it has committed. Then exactly
one more row resolves the charge: `settle` spends it, with the release if there is one; `void` gives it back if no scan
began. Rows never change. Queries and contribution profiles use the same code: a `Book` names their tables, and
`Question.study` decides which accounts are charged.

Why the promise of the ledger holds:

- **No account exceeds its limits.** `reserve` adds to the running sums in the transaction that writes the charge, and
  a reserved loss counts as gone. The database repeats the limits as constraints.
- **A question is charged once.** A charge belongs to what was asked (study, dataset, edition, fingerprint of the
  canonical request), however it is spelled and no matter who asks again. `reserve` looks for that charge while it has
  the ledger's only write lock, so two requests cannot both find none. While no release is stored, the same question
  resumes its charge, twice at most (`attempts.py`).
- **Every release is paid for, and a charge pays for one.** `settle` refuses a charge that was given back, spends the
  others, and stores the release in the same transaction. The release that is stored first stays: if two attempts race,
  both return it, and nobody sees the noise of the other. The database has a unique constraint for each of these rules.
- **A refund reveals nothing about the data.** The caller voids a charge only if its own scan did not begin. `reserve`
  settles each charge that it resumes, in the transaction that allows the second scan, and `void` refuses a settled
  charge. A scan that failed gives nothing back, because the failure may depend on data.
- **A crash leaves whole steps.** A process that is killed within a transaction leaves nothing of it. If it is killed
  after `reserve`, the charge stays open and counts as gone until it is resumed, or closed as spent (`unresolved`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from budgets.database import clock, tables
from budgets.errors import AttemptsSpent, UnderWay, WrongState
from budgets.ledger import accounts, attempts, bodies
from budgets.loss import Loss

RESERVE, SETTLE, VOID = "reserve", "settle", "void"


@dataclass(frozen=True)
class Question:
    """What was asked, as far as the ledger needs to know.

    Without a study it is the plan of a contribution profile, which is charged to its dataset alone. `fingerprint` is
    the SHA-256 of the canonical request or plan, in hex.
    """

    study: str | None
    dataset: str
    edition: int
    fingerprint: str


@dataclass(frozen=True)
class Charge:
    """A reserved loss. `resumed` is True if an earlier, unfinished attempt paid it; `attempt` counts the attempts."""

    id: str
    question: Question
    loss: Loss
    reserved_at: str
    resumed: bool
    attempt: int = 1


@dataclass(frozen=True)
class Release:
    """A stored answer or profile: it never changes, and reading it again is free."""

    id: str
    question: Question
    charged_at: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Book:
    """The tables of one kind of charge. `account` is the narrowest account it moves, and the column of its owner."""

    account: str
    charges: sa.Table
    resumes: sa.Table
    failures: sa.Table | None  # None: failed attempts are not noted, so a spent charge never counts as under way
    releases: sa.Table

    def key(self, question: Question) -> dict[str, Any]:
        """Return the columns that identify a question in these tables."""
        return {name: value for name, value in vars(question).items() if name in self.charges.c}

    # The statements are built once: building one takes as long as executing it.

    @cached_property
    def standing(self) -> sa.Select[Any]:
        """Return the SELECT of all charges that were not given back."""
        return self._with_resolution.where(sa.func.coalesce(self._resolutions.c.kind, SETTLE) != VOID)

    @cached_property
    def find_standing(self) -> sa.Select[Any]:
        """Return the SELECT of a question's charge."""
        return self.standing.where(self._asks(self.charges))

    @cached_property
    def find_open(self) -> sa.Select[Any]:
        """Return the SELECT of the charges that nothing has resolved, oldest first."""
        c = self.charges.c
        # Most ledgers have none, and the running sums show that without a scan of a million charges.
        maybe_open = c[self.account].in_(accounts.owners_with_reserves(self.account))
        return self._with_resolution.where(maybe_open, self._resolutions.c.id.is_(None)).order_by(c.at, c.id)

    @cached_property
    def find_resolution(self) -> sa.Select[Any]:
        """Return the SELECT of the kind of the row that resolves a charge."""
        return sa.select(self.charges.c.kind).where(self.charges.c.reserve_id == sa.bindparam("charge"))

    @cached_property
    def find_release(self) -> sa.Select[Any]:
        """Return the SELECT of a question's release."""
        return sa.select(self.releases).where(self._asks(self.releases))

    @cached_property
    def _resolutions(self) -> sa.FromClause:
        return self.charges.alias("resolutions")

    @cached_property
    def _with_resolution(self) -> sa.Select[Any]:
        joined = self.charges.join(self._resolutions, self._resolutions.c.reserve_id == self.charges.c.id, isouter=True)
        return sa.select(self.charges).select_from(joined).where(self.charges.c.kind == RESERVE)

    def _asks(self, table: sa.Table) -> sa.ColumnElement[bool]:
        names = (name for name in Question.__annotations__ if name in table.c)
        return sa.and_(*(table.c[name] == sa.bindparam(name) for name in names))


QUERIES = Book(accounts.STUDY, tables.charges, tables.resumes, tables.failures, tables.releases)
PROFILES = Book(accounts.DATASET, tables.profile_charges, tables.profile_resumes, None, tables.profiles)


def book_of(question: Question) -> Book:
    """Return the book in which a question is charged."""
    return PROFILES if question.study is None else QUERIES


def reserve(
    transaction: sa.Connection,
    question: Question,
    loss: Loss,
    *,
    scan_seconds: float = 0,
    identifier: str | None = None,
) -> Charge:
    """Charge a question to its accounts, or resume (and spend) the charge it has.

    `scan_seconds` is how long an attempt may take. `identifier` is that of a new charge; by default a random one is
    drawn. Raises OverBudget, AttemptsSpent, and UnderWay if all attempts were begun and one of them may still store the
    answer.
    """
    present = find_standing(transaction, question)
    if present is not None:
        attempt = _resume(transaction, present, scan_seconds)
        _spend(transaction, present)
        return replace(present, attempt=attempt)
    accounts.admit(transaction, question.study, question.dataset, loss)
    charge = Charge(identifier or uuid.uuid4().hex, question, loss, clock.now(), resumed=False)
    _write(transaction, charge, RESERVE, charge.id, None, charge.reserved_at)
    return charge


def void(transaction: sa.Connection, charge: Charge) -> bool:
    """Give back a charge whose scan never began. Return False, and change nothing, if it is too late.

    It is too late once the charge was resumed or closed: another attempt may have scanned on it.
    """
    if charge.resumed or _resolution(transaction, charge) is not None:
        return False
    _resolve(transaction, charge, VOID)
    accounts.give_back(transaction, charge.question.study, charge.question.dataset, charge.loss)
    return True


def settle(transaction: sa.Connection, charge: Charge, body: dict[str, Any] | None) -> Release | None:
    """Spend a charge, with its release or (after a failure) without, and return the release that is now stored.

    Safe to repeat: a charge is spent once, and the release that was stored first stays. Raises WrongState if the charge
    was given back.
    """
    _spend(transaction, charge)
    stored = find_release(transaction, charge.question)
    if stored is not None:
        return stored
    if body is None:
        _note_failure(transaction, charge)
        return None
    # Dated by its charge, because the time at which a scan ended depends on data.
    release = Release(uuid.uuid4().hex, charge.question, charge.reserved_at, body)
    book = book_of(charge.question)
    transaction.execute(
        sa.insert(book.releases),
        {
            "id": release.id,
            "charge": charge.id,
            **book.key(release.question),
            "charged_at": release.charged_at,
            "body": bodies.stored(body),
        },
    )
    return release


def unresolved(transaction: sa.Connection) -> list[Charge]:
    """Return the charges that are open: the scan is under way, or its server died. Queries come first, oldest first."""
    return [_charge_of(row) for book in (QUERIES, PROFILES) for row in transaction.execute(book.find_open)]


def find_standing(transaction: sa.Connection, question: Question) -> Charge | None:
    """Return the charge that a question has, unless it was given back."""
    book = book_of(question)
    row = transaction.execute(book.find_standing, book.key(question)).first()
    return None if row is None else _charge_of(row)


def find_release(transaction: sa.Connection, question: Question) -> Release | None:
    """Return the stored answer to a question, if there is one."""
    book = book_of(question)
    row = transaction.execute(book.find_release, book.key(question)).first()
    return None if row is None else release_of(row)


def release_of(row: sa.Row[Any]) -> Release:
    """Return the release that a row of either table holds."""
    return Release(row.id, _question_of(row), row.charged_at, json.loads(row.body))


def _resume(transaction: sa.Connection, charge: Charge, scan_seconds: float) -> int:
    book = book_of(charge.question)
    try:
        return attempts.resume(transaction, book.resumes, charge.id)
    except AttemptsSpent:
        begun = charge.id, charge.reserved_at, scan_seconds
        if book.failures is not None and attempts.under_way(transaction, book.resumes, book.failures, *begun):
            raise UnderWay("the same question is being answered just now; send it again soon") from None
        raise


def _note_failure(transaction: sa.Connection, charge: Charge) -> None:
    failures = book_of(charge.question).failures
    if failures is not None:
        attempts.fail(transaction, failures, charge.id, charge.attempt)


def _resolution(transaction: sa.Connection, charge: Charge) -> str | None:
    """Return how a charge was resolved, or None if it is open."""
    found = book_of(charge.question).find_resolution
    kind: str | None = transaction.execute(found, {"charge": charge.id}).scalar()
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
    book = book_of(charge.question)
    row = {"id": identifier, "kind": kind, "reserve_id": reserve_id, "at": at}
    transaction.execute(sa.insert(book.charges), {**row, **book.key(charge.question), **vars(charge.loss)})


def _charge_of(row: sa.Row[Any]) -> Charge:
    loss = Loss(row.epsilon_nano, row.rho_nano, row.delta_atto)
    return Charge(row.id, _question_of(row), loss, row.at, resumed=True)


def _question_of(row: sa.Row[Any]) -> Question:
    study = row.study if "study" in row._fields else None
    return Question(study, row.dataset, row.edition, row.fingerprint)
