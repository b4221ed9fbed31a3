"""The day in tests that name it: one that does not end while they run."""

from __future__ import annotations

import datetime as dt
import time

ENDING_SECONDS = 60  # longer than such a test takes


def today() -> dt.date:
    """Return the present day in UTC; if it is about to end, wait for the next one."""
    now = dt.datetime.now(dt.UTC)
    midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    left = (midnight - now).total_seconds()
    if left < ENDING_SECONDS:
        time.sleep(left + 0.01)
    return dt.datetime.now(dt.UTC).date()
