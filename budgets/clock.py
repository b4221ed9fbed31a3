"""The time, as it is written everywhere: UTC, to the millisecond, sortable as text."""

from __future__ import annotations

import datetime as dt


def now() -> str:
    """Return the present moment, as in 2026-11-23T18:04:05.123Z."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def today() -> str:
    """Return the present day in UTC, as in 2026-11-23."""
    return dt.datetime.now(dt.UTC).date().isoformat()
