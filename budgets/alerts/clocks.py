"""Alerts when the machine's clock cannot be right.

Entries of the log stay in order whatever the clock does: an entry is never dated before the one before it. Whether a
token has expired or a study has ended is decided by the same time (`log.now`), so a clock that is turned back opens
nothing again. But then time stands still in the log until the clock catches up, and after a jump ahead everything ends
too early. Therefore somebody has to know.

A clock that is behind the last entry raises one alert, and so does a jump. The same is not told again for a day of the
log's time.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.alerts import alerts
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries

if TYPE_CHECKING:
    from typing import Any

TOLERATED_SECONDS = 300  # more than clocks of hosts that share a ledger differ, if anybody looks after them
QUIET_DAYS = 1
BEHIND, AHEAD, BACK = "behind", "ahead", "back"


def behind_seconds(transaction: sa.Connection) -> float:
    """Return how far the clock is behind the log's last entry; 0 if it is not."""
    last = log.last_at(transaction)
    if last is None:
        return 0
    return max(0.0, (dt.datetime.fromisoformat(last) - clock.moment()).total_seconds())


def last_jump(transaction: sa.Connection, since: str) -> dict[str, Any] | None:
    """Return the facts and the time of the last alert about a jump since a moment."""
    found = _last(transaction)
    if found is None or found["time"] < since or found["facts"]["how"] == BEHIND:
        return None
    return {**found["facts"], "time": found["time"]}


def check(transaction: sa.Connection, jumped_seconds: float = 0) -> None:
    """Raise an alert if the clock is far behind the log, or has jumped by so many seconds (back: less than 0)."""
    behind = behind_seconds(transaction)
    if behind > TOLERATED_SECONDS:
        how, seconds = BEHIND, behind
        words = "is {} behind the log's last entry: time stands still in the log until the clock is past it"
    elif jumped_seconds > TOLERATED_SECONDS:
        how, seconds = AHEAD, jumped_seconds
        words = "jumped ahead by {}: what has an end may end too early"
    elif jumped_seconds < -TOLERATED_SECONDS:
        how, seconds = BACK, -jumped_seconds
        words = "was turned back by {}"
    else:
        return
    if _is_told(transaction, how):
        return
    summary = f"the server's clock {words.format(in_words(seconds))}"
    alerts.put(transaction, alerts.CLOCK, "clock", summary, study=None, facts={"how": how, "seconds": round(seconds)})


def in_words(seconds: float) -> str:
    """Return a span of time for people."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{round(seconds)} seconds"


def _is_told(transaction: sa.Connection, how: str) -> bool:
    found = _last(transaction)
    if found is None or found["facts"]["how"] != how:
        return False
    age = dt.datetime.fromisoformat(log.now(transaction)) - dt.datetime.fromisoformat(found["time"])
    return age < dt.timedelta(days=QUIET_DAYS)


def _last(transaction: sa.Connection) -> dict[str, Any] | None:
    c = audit_entries.c
    wanted = sa.select(c.body).where(c.action == f"{alerts.PREFIX}{alerts.CLOCK}").order_by(c.position.desc()).limit(1)
    body: str | None = transaction.execute(wanted).scalar()
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found
