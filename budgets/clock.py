"""The time, as it is written everywhere: UTC, to the millisecond, sortable as text."""

from __future__ import annotations

import datetime as dt


def now() -> str:
    """Return the present moment, as in 2026-11-23T18:04:05.123Z."""
    return text(dt.datetime.now(dt.UTC))


def text(moment: dt.datetime) -> str:
    """Return a moment in UTC (or without a zone, then taken as UTC) as it is written."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def today() -> str:
    """Return the present day in UTC, as in 2026-11-23."""
    return dt.datetime.now(dt.UTC).date().isoformat()
