"""The time, as it is written everywhere: UTC, to the millisecond, sortable as text."""

from __future__ import annotations

import datetime as dt


def moment() -> dt.datetime:
    """Return the present moment in UTC. All else here is told from it, so that tests can let years pass."""
    return dt.datetime.now(dt.UTC)


def now() -> str:
    """Return the present moment, as in 2026-11-23T18:04:05.123Z."""
    return text(moment())


def seconds_ago(seconds: float) -> str:
    """Return the moment so many seconds before the present one."""
    return text(moment() - dt.timedelta(seconds=seconds))


def days_ago(days: int) -> str:
    """Return the moment so many days before the present one."""
    return text(moment() - dt.timedelta(days=days))


def text(moment: dt.datetime) -> str:
    """Return a moment in UTC (or without a zone, then taken as UTC) as it is written."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def today() -> str:
    """Return the present day in UTC, as in 2026-11-23."""
    return moment().date().isoformat()
