"""The thread that sends alerts to the webhook. No request ever waits for it.

Every few seconds it looks for alerts that are due (`budgets/alerts/outbox.py`), including those that other processes
raised. It claims one after the other and sends each outside of any transaction. No failure stops it.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from budgets.alerts import outbox
from budgets.errors import Unavailable
from server import webhook

if TYPE_CHECKING:
    from budgets.database.connection import Database
    from server.webhook import Address

logger = logging.getLogger("rowless")

LOOK_SECONDS = 2.0
STOP_SECONDS = 2.0  # an alert that is still being sent when the server stops is sent again later


class Dispatcher:
    """Sends alerts, from `start` to `stop`."""

    def __init__(self, database: Database, address: Address, key: bytes) -> None:
        self._database = database
        self._address = address
        self._key = key
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rowless-webhook", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; wait at most STOP_SECONDS for an alert that is being sent."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                while not self._stopping.is_set() and self.deliver_one():
                    pass
            except Unavailable as error:
                logger.warning("alerts cannot be sent to the webhook, because the ledger cannot be used: %s", error)
            except Exception:
                logger.exception("alerts cannot be sent to the webhook")
            self._stopping.wait(LOOK_SECONDS)

    def deliver_one(self) -> bool:
        """Try to send the oldest alert that is due, and return whether there was one. Raises Unavailable."""
        with self._database.read() as transaction:
            if not outbox.due(transaction):
                return False
        with self._database.write() as transaction:
            delivery = outbox.claim(transaction)
        if delivery is None:
            return False
        sent = webhook.body(delivery)
        problem = webhook.post(self._address, webhook.headers(self._key, delivery, sent, int(time.time())), sent)
        if problem is None:
            with self._database.write() as transaction:
                outbox.done(transaction, delivery.position)
        else:
            logger.warning(
                "the webhook did not take the alert in entry %s (attempt %s): %s",
                delivery.position,
                delivery.attempts,
                problem,
            )
        return True
