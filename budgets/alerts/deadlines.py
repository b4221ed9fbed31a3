"""Alerts before formalities expire, and before a processing or a study ends.

Each end raises one alert when it is at most 30 days away, and one when it has passed. A formality that was renewed has
another end, which raises its own. Ends that lie in the past when they are first seen raise the second alert alone.
Of datasets those count that are approved, and of studies those that are approved or suspended: what is a draft waits
for a decision anyway, which an ended formality refuses.

Nothing is stopped by an alert. Queries go on until the study's last day, or until a DPO suspends it.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets import formalities
from budgets.alerts import alerts
from budgets.audit import log
from budgets.database.tables import datasets, deadline_alerts, studies

if TYPE_CHECKING:
    from collections.abc import Iterator

    Deadline = tuple[str, str, str, str]  # study or dataset, its name, what ends, its last day

AHEAD_DAYS = 30
NEAR, PASSED = "near", "passed"
STUDY = "study"  # what ends on the last day of a study's terms
WORDS = {
    (formalities.FORMALITY, NEAR): "the formality of the {kind} {owner} ends on {day}",
    (formalities.FORMALITY, PASSED): "the formality of the {kind} {owner} ended on {day}",
    (formalities.END, NEAR): "the processing of the {kind} {owner} ends on {day}",
    (formalities.END, PASSED): "the processing of the {kind} {owner} ended on {day}",
    (STUDY, NEAR): "the last day of the {kind} {owner} is {day}",
    (STUDY, PASSED): "the last day of the {kind} {owner} was {day}",
}


def check(transaction: sa.Connection) -> None:
    """Raise the alerts that are due, in the same transaction."""
    for kind, owner, what, day, stage in due(transaction):
        transaction.execute(sa.insert(deadline_alerts).values(kind=kind, owner=owner, what=what, day=day, stage=stage))
        alerts.put(
            transaction,
            alerts.DEADLINES,
            f"{kind}:{owner}",
            WORDS[what, stage].format(kind=kind, owner=owner, day=day),
            study=owner if kind == "study" else None,
            facts={"of": kind, "owner": owner, "what": what, "day": day, "stage": stage},
        )


def due(transaction: sa.Connection) -> list[tuple[str, str, str, str, str]]:
    """Return the alerts that were not raised yet, each with its stage."""
    today = log.now(transaction)[:10]
    edge = (dt.date.fromisoformat(today) + dt.timedelta(days=AHEAD_DAYS)).isoformat()
    found = [(*one, PASSED if one[3] < today else NEAR) for one in _deadlines(transaction) if one[3] <= edge]
    if not found:
        return []
    told = {tuple(row) for row in transaction.execute(sa.select(deadline_alerts))}
    return [one for one in found if one not in told]


def _deadlines(transaction: sa.Connection) -> Iterator[Deadline]:
    d, s = datasets.c, studies.c
    approved = sa.select(d.name, d.formalities).where(d.approved_at.is_not(None), d.formalities.is_not(None))
    for name, kept in transaction.execute(approved.order_by(d.name)):
        yield from _of("dataset", name, kept)
    running = sa.select(s.id, s.formalities, s.ends).where(s.state.in_(("approved", "suspended")))
    for name, kept, ends in transaction.execute(running.order_by(s.id)):
        yield from _of("study", name, kept)
        if ends is not None:
            yield "study", name, STUDY, ends


def _of(kind: str, owner: str, kept: str | None) -> Iterator[Deadline]:
    present = formalities.of_facts(None if kept is None else json.loads(kept))
    if present is not None:
        for what, day in present.deadlines():
            yield kind, owner, what, day
