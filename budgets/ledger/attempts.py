"""How often the scan of one charge may be begun: three times in all, counted before each begins.

Whether a scan fails may depend on data, and a charge whose scan failed is resumed free. Without a bound the same
question could be asked for ever at one price, and each try would tell once more whether it fails, or how late it ends.
So each resume is a row, written in the transaction that allows the scan: a crash, a kill -9 or a lost client cannot
take it back. The database itself refuses a fourth.

Servers that share a ledger may begin all three at once. So a question whose attempts are spent is told apart by whether
one may still be under way (`under_way`): then its answer is there soon, and it is sent again.

After the last attempt has failed the same question is refused and not charged anew: what failed three times would fail
again, and that would cost its asker a budget without end. With another epsilon it is another question, with a charge of
its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.database import clock
from budgets.errors import AttemptsSpent

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

ATTEMPTS_MAX = 3  # as the tables' own constraints say, and `spending.py` of the log


def fail(transaction: Connection, failures: Table, charge: str, attempt: int) -> None:
    """Write that an attempt ended without an answer. Safe to repeat."""
    this = (failures.c.charge == charge) & (failures.c.attempt == attempt)
    if transaction.execute(sa.select(failures.c.attempt).where(this)).first() is None:
        transaction.execute(sa.insert(failures), {"charge": charge, "attempt": attempt})


def under_way(
    transaction: Connection, resumes: Table, failures: Table, charge: str, reserved_at: str, seconds: float
) -> bool:
    """Say whether an attempt that began within the last `seconds`, as long as a scan may take, has not failed yet."""
    since = clock.seconds_ago(seconds)
    rows = transaction.execute(sa.select(resumes.c.attempt, resumes.c.at).where(resumes.c.charge == charge)).all()
    ended = set(transaction.execute(sa.select(failures.c.attempt).where(failures.c.charge == charge)).scalars())
    begun = {1: reserved_at, **{row.attempt: row.at for row in rows}}
    return any(at > since and attempt not in ended for attempt, at in begun.items())


def resume(transaction: Connection, resumes: Table, charge: str) -> int:
    """Count one more attempt on a charge that is there, and return its number: 2 or 3. Raises AttemptsSpent."""
    begun: int = transaction.execute(
        sa.select(sa.func.count()).select_from(resumes).where(resumes.c.charge == charge)
    ).scalar_one()
    attempt = begun + 2  # the first is the charge's own row
    if attempt > ATTEMPTS_MAX:
        raise AttemptsSpent(
            f"{ATTEMPTS_MAX} attempts at this were begun and none has stored an answer, so no further one is free. Ask "
            "with another epsilon: that is a new charge"
        )
    transaction.execute(sa.insert(resumes), {"charge": charge, "attempt": attempt, "at": clock.now()})
    return attempt
