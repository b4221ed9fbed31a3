"""What all requests of a server share: the settings, the ledger, the open stores and the gates."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from budgets.audit import signing
from budgets.database.connection import Database, file_of
from budgets.errors import Unavailable
from budgets.governance import rules
from budgets.governance.roles import founding
from budgets.identity import people
from budgets.ledger import overruns
from server.admission.cancels import Cancels
from server.admission.gates import Gates
from server.errors import Busy, NoHome, SettingsError
from server.runtime.home import building, permissions
from server.runtime.home.clock_watch import ClockWatch
from server.runtime.metrics import Metrics
from server.runtime.readiness import Readiness
from server.runtime.scans.slots import Fitting
from server.runtime.settings import SETTINGS
from server.runtime.sign_ins import SignIns
from server.runtime.stores import Stores
from server.runtime.tallies import Tallies
from server.sign_in.code_flow import Arrivals
from server.sign_in.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from budgets.governance.roles.founding import Founders
    from queries.execution.scan_time import Rates
    from server.runtime.settings import Settings
    from server.sign_in.issuer import Issuer

BUSY_SECONDS = 20.0
LOST = "If it was lost, put a backup in its place (docs/operations.md, Backup); a new home begins with `rowless init`"


class Turns:
    """Lets only one request do the same thing at a time; the others wait for their turn."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: set[Hashable] = set()

    @contextmanager
    def one(self, what: Hashable) -> Iterator[None]:
        """Hold the turn for a thing; wait up to BUSY_SECONDS for it. Raises Busy."""
        with self._changed:
            if not self._changed.wait_for(lambda: what not in self._taken, BUSY_SECONDS):
                raise Busy("the same request is being answered right now; try again soon")
            self._taken.add(what)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(what)
                self._changed.notify_all()


@dataclass(frozen=True)
class Services:
    """What requests share."""

    settings: Settings
    database: Database
    stores: Stores
    gates: Gates
    readiness: Readiness = field(default_factory=Readiness)
    cancels: Cancels = field(default_factory=Cancels)
    turns: Turns = field(default_factory=Turns)
    metrics: Metrics = field(default_factory=Metrics)
    clock_watch: ClockWatch = field(default_factory=ClockWatch)
    rates: Rates | None = None  # None in commands that run beside a server
    scans: int = 1  # how many parts, or ranges of persons of one part, are scanned at once

    @property
    def fitting(self) -> Fitting:
        """Return the rule that chooses how long slots are."""
        return Fitting(self.settings, self.rates, self.scans)

    def count_overrun(self, dataset: str) -> None:
        """Count a scan that ended after its first slot, if the ledger can be written."""
        with suppress(Unavailable), self.database.write() as transaction:
            overruns.add(transaction, dataset)

    sign_ins: SignIns = field(default_factory=SignIns)
    issuer: Issuer | None = None
    arrivals: Arrivals = field(default_factory=Arrivals)
    throttle: Throttle = field(default_factory=lambda: Throttle(None, None))
    tallies: Tallies = field(default_factory=Tallies)

    def write_what_is_held(self) -> None:
        """Write the entries of the log that are held back, when the server stops."""
        self.sign_ins.write_what_is_held(self.database)
        self.tallies.write_what_is_held(self.database)

    def close(self) -> None:
        """Close the stores and the ledger. No query may be running."""
        self.write_what_is_held()
        self.stores.close()
        self.database.close()


def open_services(settings: Settings) -> Services:
    """Open the services over a home that `create_home` made. Raises NoHome, SchemaOutdated, SettingsError."""
    return Services(
        settings,
        open_ledger(settings),
        Stores(settings),
        settings.gates,
        issuer=settings.issuer(),
        throttle=Throttle.of(settings.token_rate, settings.address_rate),
    )


def open_ledger(settings: Settings) -> Database:
    """Open a home's ledger if its schema is current. Raises NoHome, SchemaOutdated, SettingsError."""
    permissions.keep_new_files_private()
    if not settings.home.is_dir():
        raise NoHome(f"there is no home in {settings.home}; create it with `rowless init`")
    permissions.require_own(settings.home)
    file = file_of(settings.database_url)
    if file is not None and not file.exists():  # SQLite would make an empty one
        raise SettingsError(f"{SETTINGS['database_url'].name}: there is no ledger {file}. {LOST}")
    try:
        database = Database(settings.database_url)
        database.require_current()
    except Unavailable as error:
        raise SettingsError(
            f"{SETTINGS['database_url'].name}: the ledger's database cannot be used: {error}"
        ) from error
    return database


@dataclass(frozen=True)
class NewHome:
    """What `create_home` made: tokens of first users by role, and what is still missing, in words."""

    tokens: Mapping[str, str]
    audit_key: str
    missing: str | None


def is_founded(settings: Settings) -> bool:
    """Return whether a home has users already. Raises SettingsError if it has lost its ledger."""
    permissions.keep_new_files_private()
    if settings.key_path.exists():
        _require_ledger(settings)
    file = file_of(settings.database_url)
    if not settings.home.is_dir() or (file is not None and not file.exists()):  # SQLite would make an empty one
        return False
    try:
        database = Database(settings.database_url)
    except Unavailable:
        return False
    try:
        if database.revisions()[0] is None:
            return False
        with database.read() as transaction:
            return people.has_users(transaction)
    except Unavailable:
        return False
    finally:
        database.close()


def create_home(settings: Settings, founders: Founders) -> NewHome:
    """Make what is missing of: the home folder, the ledger, the signing key and the first users.

    What is there becomes private. Raises Invalid, and SettingsError if the folder is not this user's own, or has lost
    its ledger.
    """
    if not is_founded(settings):
        founders.require_all()
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    permissions.make_private(settings.home)
    building.home_of(settings.home).mkdir(mode=0o700, exist_ok=True)
    path = settings.key_path
    database = Database(settings.database_url)
    try:
        # In one transaction: acts by the present rules must not come before the entry that begins them.
        database.upgrade(rules.begin)
        audit_key = signing.verifier_key(path) if path.exists() else signing.create_key(path)
        with database.write() as transaction:
            made = founding.found(transaction, founders, settings.identity_days)
            missing = founding.advice_on(founding.missing_roles(transaction))
        return NewHome(made, audit_key, missing)
    finally:
        database.close()


def _require_ledger(settings: Settings) -> None:
    """Raise SettingsError if a home that was in use lost its ledger, because a new one would forget what was spent."""
    file = file_of(settings.database_url)
    if file is None:
        database = Database(settings.database_url)
        present, _ = database.revisions()
        database.close()
        lost = present is None
    else:
        lost = not file.exists() or file.stat().st_size == 0
    if lost:
        raise SettingsError(
            f"{settings.home} has a signing key but no ledger, and a new ledger would forget what was spent. {LOST} in "
            "another folder"
        )
