"""Alerts that wait for delivery to the webhook: rows that exist from the alert's own transaction until it is delivered.

A server claims a row by postponing its next attempt, before it sends the first byte. If the server dies, or the
endpoint never answers, nothing has to be cleaned up: the row is due again later. Two servers on one database never
claim the same row at once, because they claim under the one write lock. Delivery is at least once: if the endpoint
answered and the server died before it removed the row, the alert is sent again, with the same id.

The pauses between attempts grow from a minute to hours. After some days an alert is given up, with an entry of the log.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries, deliveries

if TYPE_CHECKING:
    from collections.abc import Mapping

# The first pause is longer than any attempt may take (`server/webhook.py`), so that no two attempts overlap.
FIRST_SECONDS = 60
FACTOR = 3
MOST_SECONDS = 4 * 3600
KEPT_DAYS = 3
AT_ONCE = 100  # how many are given up in one entry of the log

_DUE = sa.select(deliveries).where(deliveries.c.next_at <= sa.bindparam("now"))


@dataclass(frozen=True)
class Delivery:
    """A claimed alert: its entry of the log, and the number of attempts, this one included."""

    position: int
    entry: Mapping[str, Any]
    leaf_hash: str
    attempts: int


def put(transaction: sa.Connection, position: int) -> None:
    """Let the alert at a position of the log wait for delivery."""
    now = clock.now()
    transaction.execute(sa.insert(deliveries), {"position": position, "raised_at": now, "next_at": now, "attempts": 0})


def due(transaction: sa.Connection) -> bool:
    """Return whether an alert is due now."""
    return transaction.execute(_DUE.limit(1), {"now": clock.now()}).first() is not None


def count(transaction: sa.Connection) -> int:
    """Return how many alerts wait."""
    return transaction.execute(sa.select(sa.func.count()).select_from(deliveries)).scalar_one()


def claim(transaction: sa.Connection) -> Delivery | None:
    """Return the oldest alert that is due and postpone its next attempt. Give up alerts that waited too long."""
    now = clock.moment()
    _give_up(transaction, now)
    row = transaction.execute(_DUE.order_by(deliveries.c.position).limit(1), {"now": clock.text(now)}).first()
    if row is None:
        return None
    c = audit_entries.c
    entry = transaction.execute(sa.select(c.body, c.leaf_hash).where(c.position == row.position)).first()
    if entry is None:  # the log was cut off, which `rowless doctor` and `audit verify` report
        done(transaction, row.position)
        return None
    later = clock.text(now + dt.timedelta(seconds=pause_seconds(row.attempts)))
    transaction.execute(
        sa.update(deliveries)
        .where(deliveries.c.position == row.position)
        .values(attempts=row.attempts + 1, next_at=later)
    )
    return Delivery(row.position, json.loads(entry.body), entry.leaf_hash, row.attempts + 1)


def done(transaction: sa.Connection, position: int) -> None:
    """Remove a delivered alert."""
    transaction.execute(sa.delete(deliveries).where(deliveries.c.position == position))


def pause_seconds(attempts: int) -> int:
    """Return how long to wait after an attempt that had this many before it."""
    grown: int = FIRST_SECONDS * FACTOR ** min(attempts, 10)
    return min(grown, MOST_SECONDS)


def _give_up(transaction: sa.Connection, now: dt.datetime) -> None:
    oldest = clock.text(now - dt.timedelta(days=KEPT_DAYS))
    c = deliveries.c
    stale = sa.select(c.position).where(c.raised_at <= oldest).order_by(c.position).limit(AT_ONCE)
    positions = list(transaction.execute(stale).scalars())
    if not positions:
        return
    transaction.execute(sa.delete(deliveries).where(c.position.in_(positions)))
    what = "1 alert was" if len(positions) == 1 else f"{len(positions)} alerts were"
    log.append(
        transaction,
        SYSTEM,
        "webhook.give-up",
        "webhook",
        f"{what} not delivered to the webhook: it accepted none for {KEPT_DAYS} days",
        facts={"alerts": positions, "days": KEPT_DAYS},
    )
