"""The stores of the editions: making them (import) and keeping them open (queries).

A home holds datasets/NAME/FOLDER/, one folder for each edition. A folder counts only once the ledger names it; what an
interrupted import left behind is deleted by the next one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from budgets.amounts import delta_atto, epsilon_nano
from budgets.errors import NotFound
from budgets.governance import datasets
from budgets.ledger import profiles
from queries.catalog.manifest import read_manifest
from queries.contribution import profile
from queries.errors import ImportFailed, TooMuchLost
from queries.execution.duckdb import Engine
from queries.store import ingest, losses, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database
    from budgets.governance.datasets import Edition
    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Dataset
    from queries.store.ingest import ImportReport, Progress
    from server.runtime.settings import Settings

EDITIONS_KEPT = 2  # the one in service and the one before it, which a query may still be reading


@dataclass(frozen=True)
class OpenEdition:
    """An edition ready for queries."""

    edition: Edition
    dataset: Dataset
    engine: Engine


class Stores:
    """The open editions of a server. Threads share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._open: dict[str, OpenEdition] = {}
        self._making = threading.Lock()
        self._made_up: dict[str, OpenEdition] = {}

    def close(self) -> None:
        """Close every engine."""
        with self._lock, self._making:
            for opened in (*self._open.values(), *self._made_up.values()):
                opened.engine.close()
            self._open.clear()
            self._made_up.clear()

    def current(self, transaction: sa.Connection, dataset: str) -> OpenEdition:
        """Return the edition in service, opening it on first use. Raises NotFound."""
        return self.edition(datasets.current(transaction, dataset))

    def keeps(self, edition: Edition) -> bool:
        """Say whether an edition's store is still there."""
        return (folder_of(self._settings.home, edition.dataset, edition.folder) / ingest.STORE).is_file()

    def edition(self, edition: Edition) -> OpenEdition:
        """Return an edition, opening it on first use. Raises NotFound when its store was deleted since."""
        with self._lock:
            present = self._open.get(edition.folder)
            if present is None:
                present = self._open_edition(edition)
                # The one that was open so far closes when the last query that reads it lets go.
                self._open = {f: o for f, o in self._open.items() if o.edition.dataset != edition.dataset}
                self._open[edition.folder] = present
            return present

    def made_up(self, store: OpenEdition) -> OpenEdition:
        """Return an edition with data made up from its catalog in place of its own, made on first use.

        Raises EngineFailed. It takes a quarter of a second, and another lock: queries do not wait for it.
        """
        folder, dataset = store.edition.folder, store.edition.dataset
        with self._making:
            present = self._made_up.get(folder)
            if present is None:
                engine = rehearsal.engine(
                    store.dataset,
                    memory_limit=self._settings.memory_limit,
                    query_seconds=self._settings.query_seconds,
                )
                present = replace(store, engine=engine)
                self._made_up = {f: o for f, o in self._made_up.items() if o.edition.dataset != dataset}
                self._made_up[folder] = present
            return present

    def _open_edition(self, edition: Edition) -> OpenEdition:
        folder = folder_of(self._settings.home, edition.dataset, edition.folder)
        if not self.keeps(edition):
            raise NotFound(f"edition {edition.number} of {edition.dataset} is no longer kept")
        dataset = read_manifest(folder / ingest.MANIFEST).dataset
        engine = Engine(
            folder / ingest.STORE,
            memory_limit=self._settings.memory_limit,
            threads=os.cpu_count() or 1,
            query_seconds=self._settings.query_seconds,
            persons_max=dataset.persons_max,
        )
        return OpenEdition(edition, dataset, engine)


def catalogs(transaction: sa.Connection, opened: OpenEdition) -> list[Dataset]:
    """Return an edition's public schema with each profile that describes it, the one in use first; last without.

    Of a profile of an earlier edition only what fits the present tables and columns is used.
    """
    bought = profiles.in_use(transaction, opened.edition.dataset, opened.edition.number)
    return [*(profile.with_profile(opened.dataset, profile.read(one.body)) for one in bought), opened.dataset]


def folder_of(home: Path, dataset: str, folder: str) -> Path:
    """Return where an edition's files lie."""
    return home / "datasets" / dataset / folder


def import_manifest(
    settings: Settings,
    database: Database,
    manifest: Manifest,
    by: Actor,
    progress: Progress,
    *,
    accept_losses: bool = False,
) -> tuple[Edition, ImportReport]:
    """Import a dataset's sources as its next edition. Nothing changes unless it finishes.

    Raises ManifestError, ImportFailed (TooMuchLost: more than `loss_max` of the manifest, unless `accept_losses`),
    WrongState (the cap cannot be raised).
    """
    declared = manifest.dataset
    with _building(settings.home, declared.name) as folder:
        report = _build(settings, manifest, folder, progress)
        found = [] if accept_losses else losses.excessive(manifest, report)
        if found:
            raise TooMuchLost(
                f"{len(found)} losses beyond loss_max; nothing was changed. Mend the manifest or the source, or say "
                "--accept-losses if that is how it is:" + "".join(f"\n  {one}" for one in found)
            )
        with database.write() as transaction:
            edition = datasets.add_edition(
                transaction,
                dataset=declared.name,
                title=declared.title,
                epsilon_nano=epsilon_nano(declared.epsilon),
                delta_atto=delta_atto(declared.delta),
                overcommit=declared.overcommit,
                folder=folder.name,
                by=by,
            )
        with database.read() as transaction:
            kept = datasets.folders(transaction, declared.name)
        _delete_others(folder.parent, kept[:EDITIONS_KEPT])
    return edition, report


def check_manifest(settings: Settings, manifest: Manifest, progress: Progress) -> tuple[ImportReport, list[str]]:
    """Do all that an import does and keep nothing; return what it would report, and the losses it would stop for.

    Raises ManifestError, ImportFailed.
    """
    with _building(settings.home, manifest.dataset.name) as folder:
        report = _build(settings, manifest, folder, progress)
        shutil.rmtree(folder)
    return report, losses.excessive(manifest, report)


def _build(settings: Settings, manifest: Manifest, folder: Path, progress: Progress) -> ImportReport:
    return ingest.build(
        manifest, folder, memory_limit=settings.memory_limit, threads=os.cpu_count() or 1, progress=progress
    )


@contextmanager
def _building(home: Path, dataset: str) -> Iterator[Path]:
    """Make a folder for a new edition, in which nobody else builds or deletes meanwhile; on failure nothing is left."""
    parent = home / "datasets" / dataset
    new = [folder for folder in (parent, parent.parent) if not folder.exists()]
    parent.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(parent.parent / f".{dataset}.importing", dataset):
            folder = folder_of(home, dataset, secrets.token_hex(8))
            try:
                folder.mkdir(parents=True)
                yield folder
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            finally:
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()
    finally:
        for made in new[1:]:
            with suppress(OSError):  # what others put there stays
                made.rmdir()


@contextmanager
def _alone(path: Path, dataset: str) -> Iterator[None]:
    """Hold a lock that the kernel frees when this process ends, however it ends. Raises ImportFailed if it is held."""
    while True:
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ImportFailed(
                    f"another import or check of {dataset} is running; start this one again when it has ended"
                ) from None
            try:
                same = os.path.samestat(os.fstat(lock.fileno()), path.stat())
            except FileNotFoundError:
                same = False
            if not same:
                continue  # whoever held it deleted the file in between
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _delete_others(parent: Path, kept: Sequence[str]) -> None:
    for old in parent.iterdir():
        if old.name not in kept:
            shutil.rmtree(old, ignore_errors=True)
