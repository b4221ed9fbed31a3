"""Whether the server can serve: what a load balancer asks, without a token and as often as it likes.

One thread looks at a time, at most once a second, and the others return what was found last. A look that takes too long
has found something too: the ledger cannot be written while somebody else holds its lock.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from budgets.audit import signing
from budgets.errors import NotFound, Unavailable
from budgets.governance import datasets

if TYPE_CHECKING:
    from budgets.database.connection import Database
    from server.runtime.settings import Settings
    from server.runtime.stores import Stores

FRESH_SECONDS = 1.0
SLOW_SECONDS = 5.0

CHECKS = LEDGER, KEY, STORES = "ledger", "signing key", "stores"


class Readiness:
    """What was found when somebody last looked. Threads share it."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._found: tuple[str, ...] = ()
        self._began = self._ended = float("-inf")

    def failed(self, database: Database, settings: Settings, stores: Stores) -> tuple[str, ...]:
        """Return what cannot be used: LEDGER, KEY, STORES, or nothing."""
        if self._looking.acquire(blocking=self._ended == float("-inf")):
            try:
                if time.monotonic() - self._ended > FRESH_SECONDS:
                    self._began = time.monotonic()
                    self._found = tuple(_look(database, settings, stores))
                    self._ended = time.monotonic()
                return self._found
            finally:
                self._looking.release()
        slow = time.monotonic() - self._began > SLOW_SECONDS
        return tuple(dict.fromkeys((*self._found, LEDGER))) if slow else self._found


def _look(database: Database, settings: Settings, stores: Stores) -> list[str]:
    try:
        database.require_writable()
        with database.read() as transaction:
            editions = [datasets.current(transaction, name) for name in datasets.names(transaction)]
    except (Unavailable, NotFound):
        return [LEDGER]
    failed = []
    try:
        signing.key_in_force(database, settings.key_path)
    except Unavailable:
        failed.append(KEY)
    if not all(stores.keeps(edition) for edition in editions):
        failed.append(STORES)
    return failed
