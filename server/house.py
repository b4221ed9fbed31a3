"""What a server holds while it runs: the settings, the ledger, the open stores and the places for scans."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from budgets import checkpoint, people
from budgets.audit import SYSTEM
from budgets.database import Database
from server.errors import Busy
from server.stores import Stores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.settings import Settings

BUSY_SECONDS = 20.0


class Places:
    """How many scans may run at once. More would only take each other's memory and cores."""

    def __init__(self, places: int) -> None:
        self._free = threading.BoundedSemaphore(places)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold a place, waiting a while for it. Raises Busy."""
        if not self._free.acquire(timeout=BUSY_SECONDS):
            raise Busy("too many queries are running; try again soon")
        try:
            yield
        finally:
            self._free.release()


@dataclass(frozen=True)
class House:
    """The parts a request needs."""

    settings: Settings
    database: Database
    stores: Stores
    places: Places = field(default_factory=lambda: Places(max(2, os.cpu_count() or 1)))


def open_house(settings: Settings) -> House:
    """Open a home that `create_home` made. Raises SchemaOutdated."""
    database = Database(settings.database_url)
    database.require_current()
    return House(settings, database, Stores(settings))


@dataclass(frozen=True)
class NewHome:
    """What `create_home` made; `admin_token` is None when there was an admin already."""

    admin_token: str | None
    audit_key: str


def create_home(settings: Settings) -> NewHome:
    """Make the home folder, the ledger, the signing key and the first admin, whatever of them is missing."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    try:
        database.upgrade()
        audit_key = (
            checkpoint.verifier_key(settings.key_path)
            if settings.key_path.exists()
            else checkpoint.create_key(settings.key_path)
        )
        token = None
        with database.write() as transaction:
            if not people.users_of_role(transaction, "admin"):
                admin = people.add_user(transaction, "admin", "admin", SYSTEM)
                token = people.new_token(transaction, admin.name, SYSTEM).text
        return NewHome(token, audit_key)
    finally:
        database.close()
