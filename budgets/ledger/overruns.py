"""How many scans ended after their first slot, by day and dataset: only for the admin.

Such an answer left a beat later, which its asker saw. Nobody else needs to know which answer it was, so there is no
entry in the log and no time finer than a day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.database import clock
from budgets.database.tables import overruns

if TYPE_CHECKING:
    from sqlalchemy import Connection


def add(transaction: Connection, dataset: str) -> None:
    """Count one more scan today."""
    key = {"day": clock.now()[:10], "dataset": dataset}
    mine = sa.and_(overruns.c.day == key["day"], overruns.c.dataset == dataset)
    changed = transaction.execute(sa.update(overruns).where(mine).values(scans=overruns.c.scans + 1))
    if changed.rowcount == 0:
        transaction.execute(sa.insert(overruns), {**key, "scans": 1})


def counts(transaction: Connection, since: str) -> dict[str, int]:
    """Return the count of each dataset since a day (as in 2026-01-31), without datasets that had none."""
    found = transaction.execute(
        sa.select(overruns.c.dataset, sa.func.sum(overruns.c.scans))
        .where(overruns.c.day >= since)
        .group_by(overruns.c.dataset)
        .order_by(overruns.c.dataset)
    )
    return {row[0]: int(row[1]) for row in found}
