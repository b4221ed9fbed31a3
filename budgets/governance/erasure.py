"""Which names are kept, which are due for erasure, and how the DPO erases them.

A name is due when its commitment was last used longer ago than names are kept: since then no entry is by it or names
it. Erasing removes a row of `identities`, name and salt. Entries, charges and releases stay as they are, and with them
every hash, proof and budget. What else could lead back to the name is removed too: the time when a user or a token was
made (the log has an entry of that moment), and the mark by which the log knows a token.

The names of those who opened, edited, approved or advised on a study that is not closed are kept in any case, and
those of who imported, proposed or advised on what waits of a dataset, because `approval.py` compares persons by name.
Users who have not acted get a new commitment when names are erased. Otherwise their whole past would be kept each time
that somebody names them, for example adds them to a study.
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
from budgets.database.tables import (
    advice,
    audit_entries,
    datasets,
    identities,
    members,
    proposals,
    studies,
    tokens,
    users,
)
from budgets.errors import Invalid, NotFound, WrongState
from budgets.governance import approval
from budgets.governance.advice import DATASET
from budgets.identity import commitments, people

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from budgets.database.connection import Database

BATCH = 500  # commitments in one statement, or in one entry
CLOSED = "closed"
CURSOR = re.compile(r"[0-9TZ:.-]{1,32}/[0-9a-z]{1,64}", re.ASCII)


@dataclass(frozen=True)
class Identity:
    """A stored name, with the commitment that stands for it in the log.

    `needed_by` is what it is kept for beyond its time, as in "study:flu". `is_current`: a user has this commitment now.
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
    """What was erased. `is_shredded`: the database's files contain nothing of it any more."""

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
    """Return the stored names, or those that are due, oldest first. Raises Invalid.

    `after` is the `cursor` of the last one seen.
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
    """Return where a list continues after an identity. It contains no name, because proxies log addresses."""
    return f"{identity.made_at}/{identity.commitment}"


def erase(database: Database, days: int, wanted: Sequence[str] | None, by: Actor) -> Erased:
    """Erase the names of commitments, or all that are due, and then what the database's files still contain of them.

    Raises Forbidden, NotFound, and WrongState if one of the given commitments is not due; then nothing is erased.
    """
    with database.write() as transaction:
        gone = _erase(transaction, days, wanted, by)
    # Also if nothing was due: it removes what a removed user or an interrupted erasure left.
    return Erased(gone, database.shred((tokens, members, identities, users, proposals)))


def _erase(transaction: sa.Connection, days: int, wanted: Sequence[str] | None, by: Actor) -> tuple[str, ...]:
    people.require_role(by, "dpo")
    by = commitments.in_force(transaction, by, days)  # else the entry could be by a commitment that is erased here
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
    """Give new commitments to users whose commitment is old and was used: they have not acted since."""
    c = identities.c
    acted = sa.exists().where(audit_entries.c.actor == c.commitment)
    worn = sa.and_(c.made_at < clock.days_ago(commitments.period_days(days)), sa.or_(c.named_at > c.made_at, acted))
    wanted = sa.select(users).join_from(users, identities, users.c.commitment == c.commitment).where(worn)
    for row in transaction.execute(wanted.order_by(c.made_at)).all():
        commitments.renew(transaction, Actor(row.name, row.role, row.commitment))


def _refusal(one: Identity, days: int) -> str:
    if one.needed_by:
        return f"the name behind {one.commitment} is needed by {', '.join(one.needed_by)}: close or revoke that first"
    return f"{one.commitment} was last in use at {one.used_at}; its name is kept for {days} days after that"


def _cut_ties(transaction: sa.Connection, edge: str) -> None:
    """Remove what ties users and tokens to entries from before a moment. Only the fact that they are older remains."""
    transaction.execute(sa.update(users).where(users.c.created_at < edge).values(created_at=edge))
    dead = sa.or_(tokens.c.revoked_at.is_not(None), tokens.c.expires_at <= clock.now())
    transaction.execute(sa.delete(tokens).where(dead))  # they give access to nothing
    transaction.execute(sa.update(tokens).where(tokens.c.used_on < edge[:10]).values(used_on=edge[:10]))
    old = sa.select(tokens.c.id).where(tokens.c.created_at < edge, tokens.c.mark.is_not(None))
    for identifier in transaction.execute(old).scalars().all():
        transaction.execute(
            sa.update(tokens).where(tokens.c.id == identifier).values(created_at=edge, mark=secrets.token_hex(16))
        )


def _unused_since(transaction: sa.Connection, edge: str) -> sa.ColumnElement[bool]:
    """Return the condition for identities that have no entry by them, and none that names them, since a moment."""
    first = log.first_at(transaction, edge)
    acted = sa.exists().where(audit_entries.c.actor == identities.c.commitment, audit_entries.c.position >= first)
    return sa.and_(identities.c.named_at < edge, ~acted)


def _needed(transaction: sa.Connection) -> dict[str, set[str]]:
    """Return the commitments whose names are needed at any age, and by what."""
    found: dict[str, set[str]] = {}
    for row in transaction.execute(sa.select(studies).where(studies.c.state != CLOSED)):
        hands = (row.opened_by, row.approved_by, row.raise_by, *approval.hands(row.edited_by))
        for commitment in filter(None, hands):
            found.setdefault(commitment, set()).add(f"study:{row.id}")
    for row in transaction.execute(sa.select(datasets).where(datasets.c.hands.is_not(None))):
        for commitment in approval.hands(row.hands):
            found.setdefault(commitment, set()).add(f"dataset:{row.name}")
    for row in transaction.execute(sa.select(advice)):
        about = "dataset" if row.kind == DATASET else "study"
        found.setdefault(row.given_by, set()).add(f"{about}:{row.owner}")
    for row in transaction.execute(sa.select(proposals)):
        found.setdefault(row.proposed_by, set()).add(f"proposal:{row.id}")
    # The log names tokens from before there were marks by their id, and the token leads to its owner.
    told = sa.select(identities.c.commitment, tokens.c.id).join_from(
        identities,
        tokens,
        sa.and_(
            tokens.c.user == identities.c.name,
            tokens.c.mark.is_(None),
            tokens.c.revoked_at.is_(None),
            tokens.c.expires_at > clock.now(),
            identities.c.made_at <= tokens.c.created_at,
        ),
    )
    for row in transaction.execute(told):
        found.setdefault(row.commitment, set()).add(f"token:{row.id}")
    return found


def _parts(whole: list[str]) -> list[list[str]]:
    return [whole[start : start + BATCH] for start in range(0, len(whole), BATCH)]
