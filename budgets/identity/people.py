"""Users and their roles, and the making and revoking of their tokens (`tokens.py` reads them)."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import tokens, users
from budgets.errors import AlreadyExists, Forbidden, Invalid, NotFound
from budgets.identity import commitments
from budgets.identity import names as user_names
from budgets.identity import tokens as access

if TYPE_CHECKING:
    from collections.abc import Collection

ROLES = ("researcher", "admin", "dpo", "approver")
DEFAULT_SCOPE = access.Scope()


@dataclass(frozen=True)
class Token:
    """A new token. `text` is shown once and stored nowhere."""

    id: str
    text: str
    expires_at: str


@dataclass(frozen=True)
class User:
    """A user as an admin sees them. `tokens` is how many of theirs give access now."""

    user: str
    role: str
    created_at: str
    by_issuer: bool
    tokens: int

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def add_user(transaction: sa.Connection, name: str, role: str, by: Actor) -> Actor:
    """Add a user. Raises Invalid, AlreadyExists."""
    user_names.require_allowed(name)
    if role not in ROLES:
        raise Invalid("role", f"must be one of {', '.join(ROLES)}")
    folded = user_names.folded(name)
    present = transaction.execute(sa.select(users.c.name).where(users.c.folded == folded)).scalar()
    if present is not None:
        raise AlreadyExists(f"there is a user {present} already")
    commitment = commitments.make(transaction, name)
    transaction.execute(
        sa.insert(users).values(name=name, folded=folded, role=role, commitment=commitment, created_at=clock.now())
    )
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


def every_user(transaction: sa.Connection, *, after: str | None = None, limit: int | None = None) -> list[User]:
    """Return all users, by name, each with the number of their tokens that give access now."""
    alive = sa.and_(tokens.c.user == users.c.name, tokens.c.revoked_at.is_(None), tokens.c.expires_at > clock.now())
    wanted = sa.select(users, sa.func.count(tokens.c.id).label("alive")).join_from(users, tokens, alive, isouter=True)
    if after is not None:
        wanted = wanted.where(users.c.name > after)
    rows = transaction.execute(wanted.group_by(users.c.name).order_by(users.c.name).limit(limit))
    return [User(row.name, row.role, row.created_at, row.subject is not None, row.alive) for row in rows]


def new_token(transaction: sa.Connection, name: str, by: Actor, scope: access.Scope = DEFAULT_SCOPE) -> Token:
    """Make a token for a user. Raises NotFound."""
    owner = user(transaction, name)
    access.require_study(transaction, scope)
    identifier, secret, mark = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_hex(16)
    ends = access.end_of(scope)
    transaction.execute(
        sa.insert(tokens).values(
            id=identifier,
            user=owner.name,
            hash=access.hashed(secret),
            created_at=clock.now(),
            mark=mark,
            expires_at=ends,
            study=scope.study,
            reads_only=int(scope.reads_only),
        )
    )
    # Not its id, which leads to the owner for as long as the token is used.
    facts = {"token": mark, "days": scope.days, "limited_to": scope.study, "reads_only": scope.reads_only}
    log.append(transaction, by, "token.new", f"user:{owner.commitment}", "a token was made", facts=facts)
    return Token(identifier, f"rowless_{identifier}_{secret}", ends)


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


def require_role(actor: Actor, *roles: str) -> None:
    """Raise Forbidden unless the actor has one of the roles."""
    if actor.role not in roles:
        raise Forbidden(f"this is for the role {' or '.join(roles)}, not {actor.role}")
