"""Alerts: what a data protection officer should not have to look for.

An alert is an entry of the audit log (its action is `alert.` and one of KINDS), written in the transaction that causes
it. There is no alert without its cause and no cause without its alert; a check of the log checks its alerts; and the
one write lock decides every race. A second row waits for delivery to the webhook (`outbox.py`).

`thresholds.py` decides when a budget raises an alert, `bursts.py` when refusals and failed sign-ins do, `clocks.py`
when the clock does, `deadlines.py` when a formality or a study is about to end; `budgets/governance/roles/grants.py`
raises one when a DPO or an approver is made or removed.
All of them use sums of budgets, terms, entries of the log and the time, and nothing from the data.
"""

from __future__ import annotations

import heapq
import itertools
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.alerts import outbox
from budgets.audit import log, search
from budgets.database.tables import audit_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BUDGET, REFUSALS, SIGN_INS, PRIVILEGES, CLOCK = "budget", "refusals", "sign-ins", "privileges", "clock"
DEADLINES = "deadlines"
KINDS = (BUDGET, REFUSALS, SIGN_INS, PRIVILEGES, CLOCK, DEADLINES)
PREFIX = "alert."
PAGE = 500


def put(
    transaction: sa.Connection,
    kind: str,
    subject: str,
    summary: str,
    *,
    study: str | None,
    facts: Mapping[str, Any],
) -> None:
    """Raise an alert: an entry of the log, and a row that waits for delivery. `summary` names no person."""
    log.append(transaction, SYSTEM, f"{PREFIX}{kind}", subject, summary, study=study, facts=facts)
    outbox.put(transaction, log.size(transaction) - 1)


def count(transaction: sa.Connection) -> dict[str, int]:
    """Return how many alerts of each kind the log has."""
    c = audit_entries.c
    # Two bounds and no pattern, so that every database uses the index of actions. "/" is the character after ".".
    below = sa.and_(c.action > PREFIX, c.action < f"{PREFIX.removesuffix('.')}/")
    rows = transaction.execute(sa.select(c.action, sa.func.count()).where(below).group_by(c.action))
    found = {action.removeprefix(PREFIX): number for action, number in rows}
    return {kind: found.get(kind, 0) for kind in sorted({*KINDS, *found})}


def listed(
    transaction: sa.Connection,
    *,
    kinds: Sequence[str] = KINDS,
    first: int | None = None,
    newest_first: bool = False,
    limit: int | None = None,
    study: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[dict[str, Any]]:
    """Return alerts from position `first` of the log on, oldest first, as the entries of the log contain them.

    With `newest_first` they go backwards from there.
    """
    found = [
        _of_kind(transaction, kind, first, study, since=since, until=until, newest_first=newest_first) for kind in kinds
    ]
    merged = heapq.merge(*found, key=lambda alert: alert["index"], reverse=newest_first)
    return list(itertools.islice(merged, limit))


def _of_kind(
    transaction: sa.Connection,
    kind: str,
    first: int | None,
    study: str | None,
    *,
    since: str | None,
    until: str | None,
    newest_first: bool,
) -> Iterator[dict[str, Any]]:
    """Yield the alerts of a kind, read in pages. They are few in any log, and the index of actions finds them."""
    while True:
        page = search.entries(
            transaction,
            first=first,
            limit=PAGE,
            newest_first=newest_first,
            action=f"{PREFIX}{kind}",
            since=since,
            until=until,
        )
        for entry in page:
            alert = {**json.loads(entry.body), "kind": kind, "leaf_hash": entry.leaf_hash}
            first = alert["index"] + (-1 if newest_first else 1)
            if study in (None, alert["study"]):
                yield alert
        if len(page) < PAGE:
            return
