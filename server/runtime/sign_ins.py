"""Failed sign-ins: each is an entry of the log, until they come in a burst.

In a burst, anybody without a token could fill the log and keep its one write lock busy. While a burst lasts (see
`budgets/alerts/bursts.py`), further failures are therefore counted in memory, and once a minute one entry records their
number. This entry is written with the next failure or the next request with a valid token, and when the server stops.
A server that is killed forgets up to a minute of failures.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgets.actors import ANONYMOUS
from budgets.alerts import bursts
from budgets.audit import log, origin
from budgets.database import clock
from budgets.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from budgets.database.connection import Database

logger = logging.getLogger("rowless")

HELD_SECONDS = 60.0


@dataclass
class _Held:
    """Failures that the log does not have yet."""

    count: int = 0
    first: str = ""
    last: str = ""

    def add(self, count: int, first: str, last: str) -> None:
        self.first = min(filter(None, (self.first, first)), default="")
        self.count, self.last = self.count + count, max(self.last, last)


class SignIns:
    """The failed sign-ins of one process. Threads may share it."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._held = _Held()
        self._until = 0.0  # failures are held back until then

    def failed(self, database: Database) -> None:
        """Record a failure: as an entry, or as one more that is held back. Raises Unavailable."""
        now = clock.now()
        with self._lock:
            self._held.add(1, now, now)
        # Repeat for failures that came during the write, unless that write found a burst.
        while self._held.count and self._seconds() >= self._until:
            self._write(database, in_time=True)

    def write_what_is_due(self, database: Database) -> None:
        """Write what was held back for long enough. If the ledger cannot be written, the caller's request goes on."""
        if self._held.count and self._seconds() >= self._until:
            with suppress(Unavailable):
                self._write(database, in_time=False)

    def write_what_is_held(self, database: Database) -> None:
        """Write everything that is held back, when the server stops."""
        try:
            self._write(database, in_time=False)
        except Unavailable:
            logger.warning("%s failed sign-ins could not be written to the audit log", self._held.count)

    def _write(self, database: Database, *, in_time: bool) -> None:
        with self._lock:
            taken, self._held = self._held, _Held()
            if not taken.count:
                return
            # Other threads hold failures back until this one knows whether there is a burst.
            before, self._until = self._until, self._seconds() + HELD_SECONDS
        burst = False
        try:
            own = in_time and taken.count == 1
            with nullcontext() if own else origin.of_no_request(), database.write() as transaction:
                _append(transaction, taken)
                # Held-back failures belong to a burst that has its alert; only a new failure shows whether it goes on.
                burst = in_time and bursts.after_failed_sign_in(transaction)
        except BaseException:
            with self._lock:
                self._held.add(taken.count, taken.first, taken.last)
            raise
        finally:
            if not burst:
                with self._lock:
                    self._until = before


def _append(transaction: sa.Connection, taken: _Held) -> None:
    if taken.count == 1:
        log.append(transaction, ANONYMOUS, bursts.SIGN_IN_FAILED, "token", "a wrong or revoked token was sent")
        return
    log.append(
        transaction,
        ANONYMOUS,
        bursts.SIGN_IN_FAILED,
        "token",
        f"{taken.count} wrong or revoked tokens were sent",
        facts={"count": taken.count, "from": taken.first, "to": taken.last},
    )
