"""Which rules of approval the log is kept by: an entry `rules.begin` says from where on.

In earlier versions a DPO approved studies (1); then an approver did, and the DPO advised (2). Now the same holds for
datasets (3): those that were imported before count as approved. Then nothing was approved without the formalities of
the study and of its dataset (4). Then nobody approved a budget that excludes little by itself without a justification
(5). Now the noise that queries may have is one of the terms of a dataset (6). `rowless init` writes the entry: in a new
home before the first user is added, in an older home in the transaction that upgrades its ledger. The independent check
(`budgets/verify/conduct.py`) reads the entry too. No entry ends these rules. New rules need a migration, even an empty
one: by the schema alone a server finds out that `rowless init` has to run first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database.tables import audit_entries

if TYPE_CHECKING:
    from sqlalchemy import Connection

BEGIN = "rules.begin"
RULES = 6  # the present ones; 1 are those of logs without the entry


def begin(transaction: Connection) -> None:
    """Write that the present rules begin, unless that is written already."""
    c = audit_entries.c
    last = sa.select(c.body).where(c.action == BEGIN).order_by(c.position.desc()).limit(1)
    body = transaction.execute(last).scalar()
    if body is None or json.loads(body)["facts"]["rules"] < RULES:
        summary = (
            "from here on an approver approves studies and datasets, the DPO advises, nothing is approved without "
            "its formalities, large budgets are justified, and the noise of a dataset is approved"
        )
        log.append(transaction, SYSTEM, BEGIN, "rules", summary, facts={"rules": RULES})
