"""Rotating pseudonyms: the commitment that stands for a user in the log, and how long it is used.

The log never contains a name. A person is a commitment there: the SHA-256 of a salt and the name. The table of
identities ties the two. When a row of it is erased, salt and name, nobody can find out from the log whose entries those
were, and not a byte of the log changes. A user with one commitment for ever could never be separated from their past.
Therefore each gets a new one after some time (`period_days`: a twelfth of the time that names are kept, a month at
most). The log records that a user of a role has a new commitment, but not the one before. Old ones fall out of use one
by one and can be erased (`erasure.py`) while the person remains a user.

A user gets a new commitment with their next act: a request reads one row to see whether it is time, and writes only
then. Users who do not act get one when the DPO erases names.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.actors import SYSTEM, Actor
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import identities, users
from budgets.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Collection

DAYS = 365  # regulators ask for 6 to 12 months
DAYS_MIN, DAYS_MAX = 183, 36_500  # six months
PERIOD_DAYS_MAX = 30

_FIND_AGE = sa.select(identities.c.made_at).where(identities.c.commitment == sa.bindparam("of_actor"))


def period_days(kept_days: int) -> int:
    """Return how long a commitment is used if names are kept for this many days after their last use."""
    return max(1, min(PERIOD_DAYS_MAX, kept_days // 12))


def make(transaction: sa.Connection, name: str) -> str:
    """Return a new commitment to a name. Once an entry of the log names it, call `first_named`."""
    salt = secrets.token_hex(16)
    commitment = hashlib.sha256(f"{salt}{name}".encode()).hexdigest()
    now = clock.now()
    transaction.execute(
        sa.insert(identities).values(commitment=commitment, salt=salt, name=name, made_at=now, named_at=now)
    )
    return commitment


def first_named(transaction: sa.Connection, commitment: str) -> None:
    """Note that the entry just written is the first to name a commitment, which is in use from then on."""
    mine = identities.c.commitment == commitment
    transaction.execute(sa.update(identities).where(mine).values(made_at=identities.c.named_at))


def names(transaction: sa.Connection, commitments: Collection[str]) -> dict[str, str]:
    """Return the names behind commitments, as far as they are still known."""
    rows = transaction.execute(sa.select(identities).where(identities.c.commitment.in_(commitments)))
    return {row.commitment: row.name for row in rows}


def is_worn(transaction: sa.Connection, actor: Actor, kept_days: int) -> bool:
    """Return whether a user's commitment is due for replacement. Reads one row."""
    made_at: str | None = transaction.execute(_FIND_AGE, {"of_actor": actor.commitment}).scalar()
    return made_at is None or is_old(made_at, kept_days)


def is_old(made_at: str, kept_days: int) -> bool:
    """Return whether a commitment that was made then is due for replacement."""
    return made_at < clock.days_ago(period_days(kept_days))


def in_force(transaction: sa.Connection, actor: Actor, kept_days: int) -> Actor:
    """Return a user with the commitment to act under, which is a new one if it is time. Raises NotFound.

    It needs a transaction that writes: the first of many requests then renews it, and the others find the new one.
    """
    row = transaction.execute(sa.select(users).where(users.c.name == actor.name)).first()
    if row is None:
        raise NotFound(f"there is no user {actor.name}")
    present = Actor(row.name, row.role, row.commitment)
    return renew(transaction, present) if is_worn(transaction, present, kept_days) else present


def renew(transaction: sa.Connection, present: Actor) -> Actor:
    """Give a user a new commitment. The entry does not contain the old one, because that would tie the two."""
    commitment = make(transaction, present.name)
    transaction.execute(sa.update(users).where(users.c.name == present.name).values(commitment=commitment))
    log.append(
        transaction,
        SYSTEM,
        "identity.renew",
        f"user:{commitment}",
        f"a user of the role {present.role} has a new commitment",
        facts={"role": present.role},
    )
    first_named(transaction, commitment)
    return Actor(present.name, present.role, commitment)
