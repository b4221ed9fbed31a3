"""The checks of `rowless doctor` on a home."""

from __future__ import annotations

import datetime as dt
import json
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from budgets.alerts import clocks
from budgets.audit import log, signing
from budgets.database import clock
from budgets.database.connection import Database, file_of
from budgets.errors import BudgetsError, Unavailable
from budgets.governance import datasets
from budgets.governance.roles import founding
from budgets.ledger import accounts, charges, overruns
from budgets.verify.conduct import Conduct
from budgets.verify.spending import Spending
from queries.catalog import parts
from queries.catalog.parts import BadParts
from queries.errors import EngineFailed, QueriesError
from queries.store import inspection, repartition
from server.errors import ServerError, SettingsError, StoreUnavailable
from server.runtime.home import building, permissions
from server.runtime.services import LOST
from server.runtime.settings import SPARK
from server.runtime.stores import Stores, folder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import sqlalchemy as sa

    from budgets.governance.datasets import Edition
    from queries.store.ingest import Progress
    from server.runtime.settings import Settings

OVERRUN_DAYS = 30
DAMAGED = "Stop the servers, keep a copy for the DPO, and restore a backup (docs/operations.md, Backup)"


class Unhealthy(ServerError):
    """A check failed."""


@dataclass(frozen=True)
class Check:
    """One check and what it found."""

    name: str
    ok: bool
    finding: str


def examine(settings: Settings, progress: Progress | None = None) -> list[Check]:
    """Run every check. If the schema is outdated, stop there, because the later checks need it.

    With `progress` all of every store is read to compare its hash, which takes a second or more for each gigabyte.
    """
    if not settings.home.is_dir():
        return [Check("home", False, f"there is no folder {settings.home}; run rowless init")]
    permissions.keep_new_files_private()
    try:
        permissions.require_own(settings.home)
    except SettingsError as error:  # files that another user writes beside the ledger would stop the server
        return [Check("home", False, str(error))]
    return [
        _home(settings),
        *_examine_ledger(settings, progress),
    ]  # opening the ledger makes and deletes files beside it


def _examine_ledger(settings: Settings, progress: Progress | None) -> list[Check]:
    file = file_of(settings.database_url)
    if file is not None and not (file.exists() and file.stat().st_size):
        return [Check("ledger", False, f"{file} is missing or empty. {LOST}")]
    try:
        database = Database(settings.database_url)
        present, wanted = database.revisions()
    except Unavailable as error:
        return [Check("ledger", False, f"its database cannot be used: {error}. {LOST}")]
    try:
        schema = Check(
            "schema", present == wanted, f"revision {present or 'none'}, wanted {wanted}; rowless init upgrades it"
        )
        if not schema.ok:
            return [schema]
        with database.read() as transaction:
            return [
                Check("schema", True, f"revision {present}"),
                _key(settings),
                _audit(transaction),
                _sums(transaction),
                _recount(transaction),
                _roles(transaction),
                _open_charges(transaction),
                _overruns(transaction),
                _clock(transaction),
                _unfinished(settings, transaction),
                *_stores(settings, transaction, progress),
            ]
    finally:
        database.close()


def _home(settings: Settings) -> Check:
    found = list(permissions.problems(settings))
    if found:
        return Check("home", False, f"{'; '.join(permissions.shown(found))}. rowless init makes the home private")
    return Check("home", True, f"only its owner can read {settings.home}")


def _key(settings: Settings) -> Check:
    path = settings.key_path
    if not path.is_file():
        return Check("signing key", False, f"there is no {path}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode != 0o600:
        return Check("signing key", False, f"{path} has mode {mode:o}, not 600")
    return _try("signing key", lambda: f"verifier key {signing.verifier_key(path)}")


def _audit(transaction: sa.Connection) -> Check:
    found = [*log.problems(transaction), *log.tree_problems(transaction)]
    good = "every entry follows the one before, and the tree matches the entries"
    return Check("audit log", not found, f"{'; '.join(found[:3])}. {DAMAGED}" if found else good)


def _sums(transaction: sa.Connection) -> Check:
    found = list(accounts.discrepancies(transaction))
    words = f"{'; '.join(found)}. {DAMAGED}" if found else "every sum equals its charges"
    return Check("accounts", not found, words)


def _recount(transaction: sa.Connection) -> Check:
    """Read the log as the independent check does, and compare its sums with the accounts.

    A forger who cut off or changed the log and made chain and tree anew would have to change the accounts, too.
    """
    spending, conduct, found = Spending(), Conduct(), list[str]()
    for position, body in enumerate(log.every_body(transaction, log.size(transaction))):
        try:
            entry = json.loads(body)
            found += [f"entry {position}: {what}" for what in (*spending.read(entry), *conduct.read(entry))]
        except (ValueError, AttributeError):
            return Check("recount", False, f"entry {position} is not a valid entry")
    recounted = {
        owner: (one.epsilon, one.rho, one.delta, one.gaussian, one.unbounded)
        for owner, one in spending.accounts.items()
    }
    kept = accounts.used(transaction)
    found += [
        f"{' '.join(owner)}: the log adds up to {recounted.get(owner)}, the account has {kept.get(owner)}"
        for owner in sorted(recounted.keys() | kept.keys())
        if recounted.get(owner) != kept.get(owner)
    ]
    return Check(
        "recount",
        not found,
        f"{'; '.join(found[:3])}. {DAMAGED}"
        if found
        else "the log alone gives the same sums, and every step was in order",
    )


def _roles(transaction: sa.Connection) -> Check:
    """Check that there is somebody of each role without which nothing can be decided."""
    missing = founding.advice_on(founding.missing_roles(transaction))
    return Check("roles", missing is None, missing or "there is an admin, a DPO and an approver")


def _open_charges(transaction: sa.Connection) -> Check:
    open_ = len(charges.unresolved(transaction))
    return Check("open charges", True, f"{open_} (queries that are running, or that a crash left open)")


def _overruns(transaction: sa.Connection) -> Check:
    since = (dt.datetime.now(dt.UTC) - dt.timedelta(days=OVERRUN_DAYS)).date().isoformat()
    found = overruns.counts(transaction, since)
    counts = "; ".join(f"{count} of {dataset}" for dataset, count in found.items()) or "none"
    return Check("slots", True, f"scans that ended after their first slot in the last {OVERRUN_DAYS} days: {counts}")


def _clock(transaction: sa.Connection) -> Check:
    behind = clocks.behind_seconds(transaction)
    if behind > clocks.TOLERATED_SECONDS:
        return Check(
            "clock",
            False,
            f"it is {clocks.in_words(behind)} behind the log's last entry, of {log.last_at(transaction)}. If it is "
            "wrong, set it. If it was ahead when that entry was written, the log dates nothing earlier than that, and "
            "what ends is over by then: make new tokens, and give studies new dates",
        )
    jump = clocks.last_jump(transaction, clock.days_ago(1))
    if jump is not None:
        moved = f"{jump['how']} by {clocks.in_words(jump['seconds'])}"
        return Check(
            "clock", False, f"it moved {moved} at {jump['time']}; see that a time service sets it, and only that"
        )
    return Check("clock", True, "it is not behind the log's last entry")


def _unfinished(settings: Settings, transaction: sa.Connection) -> Check:
    found = building.unfinished(transaction, settings.home)
    running = [str(one.folder) for one in found if one.alive]
    left = [str(one.folder) for one in found if not one.alive]
    if left:
        words = f"killed imports left behind {', '.join(left)}; the next import of the dataset deletes it"
        return Check("imports", False, words)
    return Check("imports", True, f"under way in {', '.join(running)}" if running else "none was left unfinished")


def _stores(settings: Settings, transaction: sa.Connection, progress: Progress | None) -> Iterator[Check]:
    stores = Stores(settings)
    for name in datasets.names(transaction):
        edition = datasets.current(transaction, name)
        yield _try(f"dataset {name}", lambda edition=edition: _store(settings, stores, edition, progress))  # type: ignore[misc]


def _store(settings: Settings, stores: Stores, edition: Edition, progress: Progress | None) -> str:
    """Compare an edition's parts with their list, and open them; a server opens them only for its first query."""
    folder = folder_of(settings.home, edition.dataset, edition.folder)
    while True:
        seen = parts.seen(folder)
        try:
            found = _parts(folder, None if progress is None else partial(_shown, progress, edition.dataset))
            engine = stores.edition(edition).engine
            try:
                if settings.engine != SPARK:  # no cluster starts only to look; the parts were opened above
                    engine.open()
            finally:
                engine.close()
        except (StoreUnavailable, EngineFailed):
            if parts.seen(folder) == seen:  # else the parts were made anew meanwhile
                raise
        else:
            unasked = "; the cluster was not asked" if settings.engine == SPARK else ""
            return f"edition {edition.number} opens; {found}{unasked}"


def _parts(folder: Path, progress: Progress | None) -> str:
    """Return what the parts of an edition are, in words. Raises StoreUnavailable with what is wrong."""
    try:
        listed = parts.kept(folder)
    except BadParts as error:
        raise StoreUnavailable(f"{folder}: {error}") from error
    found = inspection.inspect(folder, listed, progress or _silent, hashes=progress is not None)
    faults = [one.fault for one in found if one.fault is not None]
    if faults:
        raise StoreUnavailable(
            f"in {folder}, {inspection.in_words(faults)}. Put the very files back from a copy, if any"
        )
    size = f"{len(found)} part{'' if len(found) == 1 else 's'}"
    left = repartition.leftovers(folder, listed)
    leaving = f"; a stopped repartition left {len(left)} files in {folder}, which the next one deletes" if left else ""
    if not any(one.part.sha256 for one in found):
        return f"{size}, without hashes: rowless dataset parts NAME --into 1 makes them{leaving}"
    return f"{size}{', each as its hash says' if progress is not None else ', hashes not compared'}{leaving}"


def _shown(progress: Progress, dataset: str, what: str, done: float) -> None:
    """Show the progress of each dataset by itself."""
    progress(f"{what} of {dataset}", done)


def _silent(_what: str, _done: float) -> None:
    """Take progress and show none."""


def _try(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, True, check())
    except (StoreUnavailable, EngineFailed) as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        return Check(name, False, f"{error}{cause}. Run rowless import again: the budget stays as it was")
    except (BudgetsError, QueriesError, OSError, ValueError) as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        return Check(name, False, f"{error}{cause}")
