"""Users who sign in by an issuer: which subject of the issuer is which user.

The database keeps the SHA-256 of issuer and subject. A subject never changes, unlike a name or an address that its
owner may choose at the issuer; and a subject of another issuer is another one. A user who exists already is tied to
their subject by themselves: they show a token of each at once (`link`). No admin is needed for that, and no admin can
tie another person's subject to a DPO.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.actors import SYSTEM, Actor
from budgets.audit import log
from budgets.database.tables import users
from budgets.errors import AlreadyExists, NotFound
from budgets.identity import people

if TYPE_CHECKING:
    from collections.abc import Mapping


def digest(issuer: str, subject: str) -> str:
    """Return what the database keeps of a subject."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()


def find(transaction: sa.Connection, subject: str) -> Actor | None:
    """Return the user to whom a subject's digest is tied."""
    row = transaction.execute(sa.select(users).where(users.c.subject == subject)).first()
    return None if row is None else Actor(row.name, row.role, row.commitment)


def link(transaction: sa.Connection, user: Actor, subject: str) -> None:
    """Tie a user to a subject. Raises AlreadyExists if it is another user's."""
    tied = find(transaction, subject)
    if tied is not None and tied.name != user.name:
        raise AlreadyExists("this account of the issuer belongs to another user")
    transaction.execute(sa.update(users).where(users.c.name == user.name).values(subject=subject))
    _log(transaction, user, "user.link", user, "a user can sign in by the issuer")


def unlink(transaction: sa.Connection, name: str, by: Actor) -> None:
    """End that a user can sign in by the issuer. Raises NotFound, Forbidden."""
    people.require_admin(by)
    user = people.user(transaction, name)
    ended = transaction.execute(
        sa.update(users).where(users.c.name == name, users.c.subject.is_not(None)).values(subject=None)
    )
    if not ended.rowcount:
        raise NotFound(f"{name} does not sign in by the issuer")
    _log(transaction, by, "user.unlink", user, "a user can no longer sign in by the issuer")


def admit(transaction: sa.Connection, name: str, subject: str) -> Actor:
    """Add a researcher whom the issuer vouches for. Raises Invalid, AlreadyExists."""
    tied = find(transaction, subject)
    if tied is not None:  # another request of theirs was first
        return tied
    added = people.add_user(transaction, name, "researcher", SYSTEM)
    link(transaction, added, subject)
    return added


def _log(transaction: sa.Connection, by: Actor, action: str, user: Actor, summary: str) -> None:
    facts: Mapping[str, str] = {"role": user.role}
    log.append(transaction, by, action, f"user:{user.commitment}", summary, facts=facts)
