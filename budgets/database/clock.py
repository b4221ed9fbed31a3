"""The time as it is written everywhere: in UTC, to the millisecond, sortable as text."""

from __future__ import annotations

import datetime as dt


def moment() -> dt.datetime:
    """Return the present moment in UTC. All other functions here use it, so that tests can let years pass."""
    return dt.datetime.now(dt.UTC)


def now() -> str:
    """Return the present moment, as in 2026-11-23T18:04:05.123Z."""
    return text(moment())


def seconds_ago(seconds: float) -> str:
    """Return the moment that was this many seconds ago."""
    return text(moment() - dt.timedelta(seconds=seconds))


def days_ago(days: int) -> str:
    """Return the moment that was this many days ago."""
    return text(moment() - dt.timedelta(days=days))


def of_timestamp(seconds: float) -> str:
    """Return a moment that is given in seconds since 1970, or the last one that can be written if it is later."""
    latest = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
    return text(dt.datetime.fromtimestamp(min(seconds, latest.timestamp()), dt.UTC))


def text(moment: dt.datetime) -> str:
    """Return a moment as text. It is in UTC, or without a zone and then taken as UTC."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def today() -> str:
    """Return the present day in UTC, as in 2026-11-23."""
    return moment().date().isoformat()
