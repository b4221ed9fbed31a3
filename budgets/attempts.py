"""How often the scan of one charge may be begun: three times in all, counted before each begins.

Whether a scan fails may depend on data, and a charge whose scan failed is resumed free. Without a bound the same
question could be asked for ever at one price, and each try would tell once more whether it fails, or how late it ends.
So each resume is a row, written in the transaction that allows the scan: a crash, a kill -9 or a lost client cannot
take it back. The database itself refuses a fourth.

After the last attempt the same question is refused and not charged anew: what failed three times would fail again, and
that would cost its asker a budget without end. With any other epsilon it is another question, and has its own charge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets import clock
from budgets.errors import AttemptsSpent

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

ATTEMPTS_MAX = 3  # as the tables' own constraints say, and `recount.py` of the log


def resume(transaction: Connection, resumes: Table, charge: str) -> int:
    """Count one more attempt on a charge that is there, and return its number: 2 or 3. Raises AttemptsSpent."""
    begun: int = transaction.execute(
        sa.select(sa.func.count()).select_from(resumes).where(resumes.c.charge == charge)
    ).scalar_one()
    attempt = begun + 2  # the first is the charge's own row
    if attempt > ATTEMPTS_MAX:
        raise AttemptsSpent(
            f"{ATTEMPTS_MAX} attempts at this were begun and none has stored an answer, so no further one is free. If "
            "one is still under way, its answer can be read soon by the same request. Otherwise ask with another "
            "epsilon: that is a new charge"
        )
    transaction.execute(sa.insert(resumes), {"charge": charge, "attempt": attempt, "at": clock.now()})
    return attempt
