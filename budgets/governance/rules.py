"""Which rules of approval the log is kept by: an entry `rules.begin` says from where on.

In earlier versions a DPO approved. From that entry on an approver does, and the DPO advises. `rowless init` writes it
once: in a new home before the first user is added, in an older home after its ledger was upgraded. The independent
check (`budgets/verify/conduct.py`) reads the entry too. No entry ends these rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database.tables import audit_entries

if TYPE_CHECKING:
    from sqlalchemy import Connection

BEGIN = "rules.begin"
RULES = 2  # the present ones; 1 are those of logs without the entry


def begin(transaction: Connection) -> None:
    """Write that the present rules begin, unless that is written already."""
    c = audit_entries.c
    if transaction.execute(sa.select(c.position).where(c.action == BEGIN).limit(1)).first() is None:
        summary = "from here on an approver approves, and the DPO advises"
        log.append(transaction, SYSTEM, BEGIN, "rules", summary, facts={"rules": RULES})
