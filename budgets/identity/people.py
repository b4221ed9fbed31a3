"""Users and their roles, and the making and revoking of their tokens (`tokens.py` reads them)."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import SYSTEM, Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import tokens, users
from budgets.errors import AlreadyExists, Forbidden, Invalid, NeedsSecond, NotFound
from budgets.identity import commitments
from budgets.identity import names as user_names
from budgets.identity import tokens as access

if TYPE_CHECKING:
    from collections.abc import Collection

PRIVILEGED = ("dpo", "approver")  # who is made, removed or given a token only by two persons (`grants.py`)
ROLES = ("researcher", "admin", *PRIVILEGED)
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


def add_user(transaction: sa.Connection, name: str, role: str, by: Actor, *, proposal: str | None = None) -> Actor:
    """Add a user. `proposal` is what a second person confirmed.

    Raises Invalid, AlreadyExists, NeedsSecond, Forbidden.
    """
    folded = require_addable(transaction, name)
    if role not in ROLES:
        raise Invalid("role", f"must be one of {', '.join(ROLES)}")
    require_second(role, by, proposal)
    commitment = commitments.make(transaction, name)
    transaction.execute(
        sa.insert(users).values(name=name, folded=folded, role=role, commitment=commitment, created_at=clock.now())
    )
    facts = {"role": role} if proposal is None else {"role": role, "proposal": proposal}
    log.append(transaction, by, "user.add", f"user:{commitment}", f"a user of the role {role} was added", facts=facts)
    commitments.first_named(transaction, commitment)
    return Actor(name, role, commitment)


def require_addable(transaction: sa.Connection, name: str) -> str:
    """Return a new name as it is compared with others. Raises Invalid, AlreadyExists."""
    user_names.require_allowed(name)
    folded = user_names.folded(name)
    present = transaction.execute(sa.select(users.c.name).where(users.c.folded == folded)).scalar()
    if present is not None:
        raise AlreadyExists(f"there is a user {present} already")
    return folded


def require_second(role: str, by: Actor, proposal: str | None) -> None:
    """Raise NeedsSecond if an act about a user of a role was not confirmed by a second person.

    An act about a user of another role needs none, but an admin: it raises Forbidden if the actor has another role.
    The system makes the first of each role, when a home is made.
    """
    if role not in PRIVILEGED:
        require_admin(by)
    elif proposal is None and by != SYSTEM:
        raise NeedsSecond(f"this is about the role {role}: an admin proposes it, and a DPO or an approver confirms")


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


def has_users(transaction: sa.Connection) -> bool:
    """Return whether there is any user. It works on the schema of every version."""
    return transaction.execute(sa.select(users.c.name).limit(1)).first() is not None


def every_user(transaction: sa.Connection, *, after: str | None = None, limit: int | None = None) -> list[User]:
    """Return all users, by name, each with the number of their tokens that give access now."""
    alive = sa.and_(
        tokens.c.user == users.c.name, tokens.c.revoked_at.is_(None), tokens.c.expires_at > log.now(transaction)
    )
    wanted = sa.select(users, sa.func.count(tokens.c.id).label("alive")).join_from(users, tokens, alive, isouter=True)
    if after is not None:
        wanted = wanted.where(users.c.name > after)
    rows = transaction.execute(wanted.group_by(users.c.name).order_by(users.c.name).limit(limit))
    return [User(row.name, row.role, row.created_at, row.subject is not None, row.alive) for row in rows]


def new_token(
    transaction: sa.Connection,
    name: str,
    by: Actor,
    scope: access.Scope = DEFAULT_SCOPE,
    *,
    proposal: str | None = None,
    text: str | None = None,
) -> Token:
    """Make a token for a user. `proposal` is what a second person confirmed, and `text` the token that was agreed on.

    Raises NotFound, NeedsSecond, Forbidden.
    """
    owner = user(transaction, name)
    require_second(owner.role, by, proposal)
    access.require_study(transaction, scope)
    text = f"rowless_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}" if text is None else text
    _, identifier, secret = text.split("_", 2)
    mark = secrets.token_hex(16)
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
    facts |= {} if proposal is None else {"proposal": proposal}
    log.append(transaction, by, "token.new", f"user:{owner.commitment}", "a token was made", facts=facts)
    return Token(identifier, text, ends)


def revoke_token(transaction: sa.Connection, identifier: str, by: Actor) -> str:
    """Revoke a token for good, and return its owner's role. Raises NotFound, Forbidden."""
    require_admin(by)
    row = transaction.execute(
        sa.select(tokens.c.mark, users.c.commitment, users.c.role)
        .join_from(tokens, users)
        .where(tokens.c.id == identifier, tokens.c.revoked_at.is_(None))
    ).first()
    if row is None:
        raise NotFound("there is no such token, or it is revoked already")
    transaction.execute(sa.update(tokens).where(tokens.c.id == identifier).values(revoked_at=clock.now()))
    facts = {"token": row.mark or identifier}
    log.append(transaction, by, "token.revoke", f"user:{row.commitment}", "a token was revoked", facts=facts)
    role: str = row.role
    return role


def require_role(actor: Actor, *roles: str) -> None:
    """Raise Forbidden unless the actor has one of the roles."""
    if actor.role not in roles:
        raise Forbidden(f"this is for the role {' or '.join(roles)}, not {actor.role}")


def require_admin(actor: Actor) -> None:
    """Raise Forbidden unless an admin acts, or the system."""
    if actor != SYSTEM:
        require_role(actor, "admin")
