"""Which names are still kept, which are due, and how the DPO erases them.

A name may be erased once its commitment was last in use longer ago than names are kept: no entry since is by it or
names it. What is erased is a row of `identities`, name and salt; entries, charges and releases stay as they are, so
every hash, proof and budget does too. What else could lead back to the name goes with it: when a user or a token was
made (the log has an entry of that very moment) and by which mark the log knows a token.

Kept in any case is who had a hand in a study that is not closed: who opened, edited or approved it is told apart by
name (`approval.py`). Users who have not acted go by a new commitment when names are erased: else each time that
somebody names them (adds them to a study, say) would keep their whole past.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries, identities, members, studies, tokens, users
from budgets.errors import Invalid, NotFound, WrongState
from budgets.governance import approval
from budgets.identity import commitments, people

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from budgets.database.connection import Database

BATCH = 500  # commitments in one statement, or in one entry
CLOSED = "closed"
CURSOR = re.compile(r"[0-9TZ:.-]{1,32}/[0-9a-z]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """A name that is kept: by which commitment the log knows it, since when, and until when it has to be kept.

    `needed_by` is what it is kept for beyond that, as in "study:flu". `is_current` says that a user goes by it now.
    """

    commitment: str
    name: str
    made_at: str
    used_at: str
    is_current: bool
    needed_by: tuple[str, ...]
    is_due: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "needed_by": list(self.needed_by)}


@dataclass(frozen=True)
class Erased:
    """What was erased. `is_shredded` says that the database's files hold nothing of it any more."""

    commitments: tuple[str, ...]
    is_shredded: bool


def kept(
    transaction: sa.Connection,
    days: int,
    *,
    due: bool = False,
    after: str | None = None,
    limit: int | None = None,
    among: Collection[str] | None = None,
) -> list[Identity]:
    """Return the names that are kept, or those of them that are due, the oldest first. Raises Invalid.

    `after` is the cursor of the last one seen (`cursor`).
    """
    c = identities.c
    needed = _needed(transaction)
    edge = clock.days_ago(days)
    unused = _unused_since(transaction, edge)
    of_it = audit_entries.c.actor == c.commitment
    acted = sa.select(audit_entries.c.at).where(of_it).order_by(audit_entries.c.position.desc()).limit(1)
    current = sa.exists().where(users.c.commitment == c.commitment)
    wanted = sa.select(
        identities,
        acted.correlate(identities).scalar_subquery().label("acted_at"),
        current.label("current"),
        unused.label("unused"),
    ).order_by(c.made_at, c.commitment)
    if due:
        wanted = wanted.where(unused, c.commitment.not_in(sorted(needed)))
    if among is not None:
        wanted = wanted.where(c.commitment.in_(among))
    if after is not None:
        if not CURSOR.fullmatch(after):
            raise Invalid("cursor", "is not one of this list")
        made_at, _, commitment = after.partition("/")
        wanted = wanted.where(sa.tuple_(c.made_at, c.commitment) > (made_at, commitment))
    return [
        Identity(
            commitment=row.commitment,
            name=row.name,
            made_at=row.made_at,
            used_at=max(row.named_at, row.acted_at or ""),
            is_current=bool(row.current),
            needed_by=tuple(sorted(needed.get(row.commitment, ()))),
            is_due=bool(row.unused) and row.commitment not in needed,
        )
        for row in transaction.execute(wanted.limit(limit))
    ]


def cursor(identity: Identity) -> str:
    """Return where a list goes on after an identity. It holds no name: addresses end up in the logs of proxies."""
    return f"{identity.made_at}/{identity.commitment}"


def erase(database: Database, days: int, wanted: Sequence[str] | None, by: Actor) -> Erased:
    """Erase the names of commitments, or of all that are due, and then what the database's files still hold of them.

    Raises Forbidden, NotFound, and WrongState if any of those named is not due; then nothing is erased.
    """
    with database.write() as transaction:
        gone = _erase(transaction, days, wanted, by)
    # Also when nothing was due: what a removed user left, or an erasure that was cut short, goes then.
    return Erased(gone, database.shred((tokens, members, identities, users)))


def _erase(transaction: sa.Connection, days: int, wanted: Sequence[str] | None, by: Actor) -> tuple[str, ...]:
    people.require_role(by, "dpo")
    by = commitments.in_force(transaction, by, days)  # else the entry could be by one that is erased here
    _renew_idle(transaction, days)
    if wanted is None:
        found = kept(transaction, days, due=True)
    else:
        found = [one for part in _parts(sorted(set(wanted))) for one in kept(transaction, days, among=part)]
        if len(found) < len(set(wanted)):
            missing = min(set(wanted) - {one.commitment for one in found})
            raise NotFound(f"no name is kept for {missing}")
    for one in found:
        if not one.is_due:
            raise WrongState(_refusal(one, days))
    if not found:
        return ()
    for one in found:
        if one.is_current:
            row = transaction.execute(sa.select(users).where(users.c.commitment == one.commitment)).one()
            commitments.renew(transaction, Actor(row.name, row.role, row.commitment))
    gone = [one.commitment for one in found]
    for part in _parts(gone):
        transaction.execute(sa.delete(identities).where(identities.c.commitment.in_(part)))
        log.append(
            transaction,
            by,
            "identity.erase",
            "identities",
            f"{len(part)} {'name was' if len(part) == 1 else 'names were'} erased",
            facts={"count": len(part), "days": days, "commitments": part},
        )
    _cut_ties(transaction, clock.days_ago(days))
    return tuple(gone)


def _renew_idle(transaction: sa.Connection, days: int) -> None:
    """Let users go by new commitments where it is time and theirs was in use at all: they have not acted since."""
    c = identities.c
    acted = sa.exists().where(audit_entries.c.actor == c.commitment)
    worn = sa.and_(c.made_at < clock.days_ago(commitments.period_days(days)), sa.or_(c.named_at > c.made_at, acted))
    wanted = sa.select(users).join_from(users, identities, users.c.commitment == c.commitment).where(worn)
    for row in transaction.execute(wanted.order_by(c.made_at)).all():
        commitments.renew(transaction, Actor(row.name, row.role, row.commitment))


def _refusal(one: Identity, days: int) -> str:
    if one.needed_by:
        return f"the name behind {one.commitment} is needed by {', '.join(one.needed_by)}: close or revoke it first"
    return f"{one.commitment} was last in use at {one.used_at}; its name is kept for {days} days after that"


def _cut_ties(transaction: sa.Connection, edge: str) -> None:
    """Remove what ties users and tokens to entries from before a moment: that they are as old is all that stays."""
    transaction.execute(sa.update(users).where(users.c.created_at < edge).values(created_at=edge))
    transaction.execute(sa.delete(tokens).where(tokens.c.revoked_at.is_not(None)))  # they open nothing any more
    old = sa.select(tokens.c.id).where(tokens.c.created_at < edge, tokens.c.mark.is_not(None))
    for identifier in transaction.execute(old).scalars().all():
        transaction.execute(
            sa.update(tokens).where(tokens.c.id == identifier).values(created_at=edge, mark=secrets.token_hex(16))
        )


def _unused_since(transaction: sa.Connection, edge: str) -> sa.ColumnElement[bool]:
    """Return what holds of identities that no entry is by and none names since a moment."""
    first = log.first_at(transaction, edge)
    acted = sa.exists().where(audit_entries.c.actor == identities.c.commitment, audit_entries.c.position >= first)
    return sa.and_(identities.c.named_at < edge, ~acted)


def _needed(transaction: sa.Connection) -> dict[str, set[str]]:
    """Return the commitments whose names are needed, whatever their age, and by what."""
    found: dict[str, set[str]] = {}
    for row in transaction.execute(sa.select(studies).where(studies.c.state != CLOSED)):
        hands = (row.opened_by, row.approved_by, row.raise_by, *approval.hands(row.edited_by))
        for commitment in filter(None, hands):
            found.setdefault(commitment, set()).add(f"study:{row.id}")
    # A token from before there were marks: the log names it by its id, and the token says whose it is.
    told = sa.select(identities.c.commitment, tokens.c.id).join_from(
        identities,
        tokens,
        sa.and_(
            tokens.c.user == identities.c.name,
            tokens.c.mark.is_(None),
            tokens.c.revoked_at.is_(None),
            identities.c.made_at <= tokens.c.created_at,
        ),
    )
    for row in transaction.execute(told):
        found.setdefault(row.commitment, set()).add(f"token:{row.id}")
    return found


def _parts(whole: list[str]) -> list[list[str]]:
    return [whole[start : start + BATCH] for start in range(0, len(whole), BATCH)]
