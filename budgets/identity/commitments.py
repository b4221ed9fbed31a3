"""By which commitment a person goes in the log, and for how long.

The log never holds a name: a person is a commitment there, the SHA-256 of a salt and the name, and the table of
identities ties the two. Erase a row of it, salt and name, and nobody can tell from the log any more whose entries those
were, though not a byte of the log changes. But a person who went by one commitment for good could never be cut from
the past while being a user. So each goes by a new one every so often (`period_days`, a twelfth of the time that names
are kept, and a month at most), and the log says that a user of a role goes by a new commitment, not which one it was
before. Old ones fall out of use one by one and become erasable (`erasure.py`) while the person goes on.

It happens when somebody next acts: a request looks at one row to see whether it is time, and only then writes. Who does
not act gets a new one when the DPO erases names.
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

DAYS = 365  # regulators' usual span is 6 to 12 months
DAYS_MIN, DAYS_MAX = 30, 36_500
PERIOD_DAYS_MAX = 30

_FIND_AGE = sa.select(identities.c.made_at).where(identities.c.commitment == sa.bindparam("of_actor"))


def period_days(kept_days: int) -> int:
    """Return how long a person goes by one commitment, where names are kept for so many days after the last use."""
    return max(1, min(PERIOD_DAYS_MAX, kept_days // 12))


def make(transaction: sa.Connection, name: str) -> str:
    """Return a new commitment to a name. The log is to name it, and then `first_named` says that it did."""
    salt = secrets.token_hex(16)
    commitment = hashlib.sha256(f"{salt}{name}".encode()).hexdigest()
    now = clock.now()
    transaction.execute(
        sa.insert(identities).values(commitment=commitment, salt=salt, name=name, made_at=now, named_at=now)
    )
    return commitment


def first_named(transaction: sa.Connection, commitment: str) -> None:
    """Note that the entry just written is the first to name a commitment: it is in use since then."""
    mine = identities.c.commitment == commitment
    transaction.execute(sa.update(identities).where(mine).values(made_at=identities.c.named_at))


def names(transaction: sa.Connection, commitments: Collection[str]) -> dict[str, str]:
    """Return the names behind commitments, of those that are still known."""
    rows = transaction.execute(sa.select(identities).where(identities.c.commitment.in_(commitments)))
    return {row.commitment: row.name for row in rows}


def is_worn(transaction: sa.Connection, actor: Actor, kept_days: int) -> bool:
    """Say whether a user has gone by their commitment for long enough. Reads one row."""
    made_at: str | None = transaction.execute(_FIND_AGE, {"of_actor": actor.commitment}).scalar()
    return made_at is None or made_at < clock.days_ago(period_days(kept_days))


def in_force(transaction: sa.Connection, actor: Actor, kept_days: int) -> Actor:
    """Return a user by the commitment to act by, which is a new one if it is time. Raises NotFound.

    In a transaction that writes: so that of many requests at once the first renews, and the others find it done.
    """
    row = transaction.execute(sa.select(users).where(users.c.name == actor.name)).first()
    if row is None:
        raise NotFound(f"there is no user {actor.name}")
    present = Actor(row.name, row.role, row.commitment)
    return renew(transaction, present) if is_worn(transaction, present, kept_days) else present


def renew(transaction: sa.Connection, present: Actor) -> Actor:
    """Let a user go by a new commitment. The entry does not say by whom: that would tie the new one to the old."""
    commitment = make(transaction, present.name)
    transaction.execute(sa.update(users).where(users.c.name == present.name).values(commitment=commitment))
    log.append(
        transaction,
        SYSTEM,
        "identity.renew",
        f"user:{commitment}",
        f"a user of the role {present.role} goes by a new commitment",
        facts={"role": present.role},
    )
    first_named(transaction, commitment)
    return Actor(present.name, present.role, commitment)
