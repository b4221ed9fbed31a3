"""What a running server looks at once a minute: its clock, and what ends soon.

It compares its clock with the time that passed and with the log's last entry, and looks for formalities, processings
and studies that end within 30 days (`budgets/alerts/deadlines.py`).
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from budgets.alerts import clocks, deadlines
from budgets.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.database.connection import Database

logger = logging.getLogger("rowless")

EVERY_SECONDS = 60.0


def passed() -> float:
    """Return a time that nobody can set, in seconds. It goes on while the machine sleeps, where the system has one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ClockWatch:
    """The clock of one process, and the deadlines that it reaches. Threads share it."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = passed) -> None:
        self._wall = wall
        self._steady = steady
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._difference = wall() - steady()

    def look(self, database: Database) -> None:
        """Raise an alert if the clock cannot be right, or something ends soon.

        It looks once a minute, and costs nothing in between.
        """
        if self._steady() - self._looked_at < EVERY_SECONDS or not self._looking.acquire(blocking=False):
            return
        try:
            self._looked_at = self._steady()
            with suppress(Unavailable):  # the next minute sees the same clock
                self._look(database)
        finally:
            self._looking.release()

    def _look(self, database: Database) -> None:
        difference = self._wall() - self._steady()
        jumped = difference - self._difference
        with database.read() as transaction:
            behind = clocks.behind_seconds(transaction)
            is_due = bool(deadlines.due(transaction))
        if max(abs(jumped), behind) > clocks.TOLERATED_SECONDS:
            logger.warning("the clock jumped by %.0f s; it is %.0f s behind the log's last entry", jumped, behind)
            with database.write() as transaction:
                clocks.check(transaction, jumped)
        self._difference = difference
        if is_due:
            with database.write() as transaction:
                deadlines.check(transaction)
