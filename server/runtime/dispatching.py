"""The thread that tells alerts to the webhook. No request ever waits for it.

It looks every few seconds for what is due (`budgets/alerts/outbox.py`), also for what other processes raised, claims
one alert after the other and sends it outside of any transaction. Whatever goes wrong, it goes on.
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

log = logging.getLogger("rowless")

LOOK_SECONDS = 2.0
STOP_SECONDS = 2.0  # what is being sent when the server stops is left to the next attempt


class Dispatcher:
    """Tells alerts, from `start` to `stop`."""

    def __init__(self, database: Database, address: Address, key: bytes) -> None:
        self._database = database
        self._address = address
        self._key = key
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rowless-webhook", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is being sent or a moment."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                while not self._stopping.is_set() and self.deliver_one():
                    pass
            except Unavailable as error:
                log.warning("alerts cannot be told to the webhook, for the ledger cannot be used: %s", error)
            except Exception:
                log.exception("alerts cannot be told to the webhook")
            self._stopping.wait(LOOK_SECONDS)

    def deliver_one(self) -> bool:
        """Try the oldest alert that is due; return whether there was one. Raises Unavailable."""
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
            log.warning(
                "the alert in entry %s was not taken by the webhook (attempt %s): %s",
                delivery.position,
                delivery.attempts,
                problem,
            )
        return True
