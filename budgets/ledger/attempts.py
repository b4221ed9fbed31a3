"""How often the scan of one charge may begin: three times in all, counted before each attempt begins.

A scan may fail for a reason in the data, and a charge whose scan failed is resumed free. Without a limit the same
question could be tried for ever at one price, and each try would reveal again whether it fails, or how late it ends.
Therefore each resume is a row, written in the transaction that allows the scan. A crash, a kill -9 or a lost client
cannot undo it, and the database itself refuses a fourth attempt.

Servers that share a ledger may begin all three attempts at once. While one of them may still be under way
(`under_way`), the question is not refused for good: its answer may be there soon, and the client sends it again.

After the last attempt has failed, the same question is refused and not charged again: what failed three times would
probably fail again, and the charges would have no end. With another epsilon it is another question, with a charge of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.database import clock
from budgets.errors import AttemptsSpent

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

ATTEMPTS_MAX = 3  # repeated in the constraints of the tables and in `budgets/verify/spending.py`


def fail(transaction: Connection, failures: Table, charge: str, attempt: int) -> None:
    """Note that an attempt ended without an answer. Safe to repeat."""
    this = (failures.c.charge == charge) & (failures.c.attempt == attempt)
    if transaction.execute(sa.select(failures.c.attempt).where(this)).first() is None:
        transaction.execute(sa.insert(failures), {"charge": charge, "attempt": attempt})


def under_way(
    transaction: Connection, resumes: Table, failures: Table, charge: str, reserved_at: str, seconds: float
) -> bool:
    """Return whether an attempt may still be scanning: it began within the last `seconds` and has not failed."""
    since = clock.seconds_ago(seconds)
    rows = transaction.execute(sa.select(resumes.c.attempt, resumes.c.at).where(resumes.c.charge == charge)).all()
    ended = set(transaction.execute(sa.select(failures.c.attempt).where(failures.c.charge == charge)).scalars())
    begun = {1: reserved_at, **{row.attempt: row.at for row in rows}}
    return any(at > since and attempt not in ended for attempt, at in begun.items())


def resume(transaction: Connection, resumes: Table, charge: str) -> int:
    """Count one more attempt on a charge and return its number, 2 or 3. Raises AttemptsSpent."""
    begun: int = transaction.execute(
        sa.select(sa.func.count()).select_from(resumes).where(resumes.c.charge == charge)
    ).scalar_one()
    attempt = begun + 2  # the charge's own row is the first
    if attempt > ATTEMPTS_MAX:
        raise AttemptsSpent(
            f"{ATTEMPTS_MAX} attempts at this question were begun and none has stored an answer, so no further one "
            "is free. Ask with another epsilon: that is a new charge"
        )
    transaction.execute(sa.insert(resumes), {"charge": charge, "attempt": attempt, "at": clock.now()})
    return attempt
