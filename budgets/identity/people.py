"""Users, their roles and their tokens.

A token is shown once, when it is made. The database keeps only the SHA-256 of its secret part. A fast hash is enough,
because the secret has 256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.actors import ANONYMOUS, SYSTEM, Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import tokens, users
from budgets.errors import AlreadyExists, Forbidden, Invalid, NotFound
from budgets.identity import commitments

if TYPE_CHECKING:
    from collections.abc import Collection

ROLES = ("researcher", "admin", "dpo", "approver")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,62}")
TOKEN = re.compile(r"rowless_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True)
class Token:
    """A new token. `text` is shown once and stored nowhere."""

    id: str
    text: str


def add_user(transaction: sa.Connection, name: str, role: str, by: Actor) -> Actor:
    """Add a user. Raises Invalid, AlreadyExists."""
    if not NAME.fullmatch(name) or name in (SYSTEM.name, ANONYMOUS.name):
        raise Invalid("name", "use letters, digits and . _ @ -, at most 63, and neither system nor anonymous")
    if role not in ROLES:
        raise Invalid("role", f"must be one of {', '.join(ROLES)}")
    if transaction.execute(sa.select(users.c.name).where(users.c.name == name)).first():
        raise AlreadyExists(f"there is a user {name} already")
    commitment = commitments.make(transaction, name)
    transaction.execute(sa.insert(users).values(name=name, role=role, commitment=commitment, created_at=clock.now()))
    log.append(
        transaction, by, "user.add", f"user:{commitment}", f"a user of the role {role} was added", facts={"role": role}
    )
    commitments.first_named(transaction, commitment)
    return Actor(name, role, commitment)


def user(transaction: sa.Connection, name: str) -> Actor:
    """Return a user. Raises NotFound."""
    row = transaction.execute(sa.select(users).where(users.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no user {name}")
    return Actor(row.name, row.role, row.commitment)


def names(transaction: sa.Connection, behind: Collection[str]) -> dict[str, str]:
    """Return the names behind commitments, as far as they are still known."""
    return commitments.names(transaction, behind)


def users_of_role(transaction: sa.Connection, role: str) -> list[Actor]:
    """Return the users of a role, sorted by name."""
    rows = transaction.execute(sa.select(users).where(users.c.role == role).order_by(users.c.name))
    return [Actor(row.name, row.role, row.commitment) for row in rows]


def new_token(transaction: sa.Connection, name: str, by: Actor) -> Token:
    """Make a token for a user. Raises NotFound."""
    owner = user(transaction, name)
    identifier, secret, mark = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_hex(16)
    transaction.execute(
        sa.insert(tokens).values(id=identifier, user=owner.name, hash=_hash(secret), created_at=clock.now(), mark=mark)
    )
    # Not its id, which leads to the owner for as long as the token is used.
    log.append(transaction, by, "token.new", f"user:{owner.commitment}", "a token was made", facts={"token": mark})
    return Token(identifier, f"rowless_{identifier}_{secret}")


def revoke_token(transaction: sa.Connection, identifier: str, by: Actor) -> None:
    """Revoke a token for good. Raises NotFound."""
    row = transaction.execute(
        sa.select(tokens.c.mark, users.c.commitment)
        .join_from(tokens, users)
        .where(tokens.c.id == identifier, tokens.c.revoked_at.is_(None))
    ).first()
    if row is None:
        raise NotFound("there is no such token, or it is revoked already")
    transaction.execute(sa.update(tokens).where(tokens.c.id == identifier).values(revoked_at=clock.now()))
    facts = {"token": row.mark or identifier}
    log.append(transaction, by, "token.revoke", f"user:{row.commitment}", "a token was revoked", facts=facts)


def authenticate(transaction: sa.Connection, text: str) -> Actor | None:
    """Return the user to whom a token belongs, or None."""
    parts = TOKEN.fullmatch(text)
    if parts is None:
        return None
    row = transaction.execute(
        sa.select(tokens.c.hash, users)
        .join_from(tokens, users)
        .where(tokens.c.id == parts[1], tokens.c.revoked_at.is_(None))
    ).first()
    if row is None or not hmac.compare_digest(row.hash, _hash(parts[2])):
        return None
    return Actor(row.name, row.role, row.commitment)


def require_role(actor: Actor, *roles: str) -> None:
    """Raise Forbidden unless the actor has one of the roles."""
    if actor.role not in roles:
        raise Forbidden(f"this is for the role {' or '.join(roles)}, not {actor.role}")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
