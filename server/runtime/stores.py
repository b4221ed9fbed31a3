"""The stores of the editions: imports make them, queries keep them open.

A home holds datasets/NAME/FOLDER/, one folder for each edition. A folder counts only once the ledger names it. The next
import deletes what an interrupted import left behind.
"""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from budgets import formalities
from budgets.amounts import delta_atto, epsilon_nano
from budgets.governance import dataset_terms, datasets
from budgets.ledger import justification, profiles
from budgets.ledger.limits import Budget
from queries.catalog import parts, vocabularies
from queries.catalog.manifest import read_manifest
from queries.catalog.parts import BadParts
from queries.catalog.schema import allowed_noise
from queries.contribution import profile
from queries.errors import EngineFailed, ImportFailed, ManifestError, TooMuchLost
from queries.store import ingest, losses, reports
from queries.store.made_up import rehearsal
from server.errors import StoreUnavailable
from server.runtime.home import building
from server.runtime.remembered import Remembered
from server.runtime.scans.engines import Engines

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database
    from budgets.formalities import Formalities
    from budgets.governance.datasets import Edition
    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Dataset
    from queries.execution.engine import Engine
    from queries.store.ingest import Progress
    from queries.store.reports import ImportReport
    from server.runtime.settings import Settings

CATALOGS_MAX = 8  # of an edition, each with other profiles
PLANS_MAX = 256  # of an edition
EDITIONS_KEPT = 2  # the edition in service, and the one before it, which a query may still read


@dataclass(frozen=True)
class OpenEdition:
    """An edition that is ready for queries."""

    edition: Edition
    dataset: Dataset
    engine: Engine
    seen: tuple[int, int, int] | None = None  # which list of parts the engine has open (`parts.seen`)
    catalogs: Remembered[Catalogs] = field(default_factory=lambda: Remembered(CATALOGS_MAX), compare=False)
    plans: Remembered[Any] = field(default_factory=lambda: Remembered(PLANS_MAX), compare=False)  # of `preparing.py`


@dataclass(frozen=True)
class Catalogs:
    """An edition's public schema with each profile that fits it, the one in use first, and last without any.

    `profiles` are the ids of all profiles that were looked at. A profile never changes, so they and the noise that
    queries may have tell two lists apart.
    """

    profiles: tuple[str, ...]
    known: tuple[Dataset, ...]


class Stores:
    """The open editions of a server. Threads share it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.engines = Engines(settings)
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
        self.engines.close()

    def current(self, transaction: sa.Connection, dataset: str) -> OpenEdition:
        """Return the edition in service; open it on first use. Raises NotFound, StoreUnavailable."""
        return self.edition(datasets.current(transaction, dataset))

    def keeps(self, edition: Edition) -> bool:
        """Return whether an edition's store still exists."""
        folder = folder_of(self._settings.home, edition.dataset, edition.folder)
        while True:
            seen = parts.seen(folder)
            try:
                if not parts.missing(folder, parts.kept(folder)):
                    return True
            except BadParts:
                pass
            if parts.seen(folder) == seen:  # else the parts were made anew while we looked for the old ones
                return False

    def edition(self, edition: Edition) -> OpenEdition:
        """Return an edition; open it on first use, and anew once its parts were made anew.

        Queries that are under way end on the files that they have open. Raises StoreUnavailable if it cannot be opened.
        """
        seen = parts.seen(folder_of(self._settings.home, edition.dataset, edition.folder))
        with self._lock:
            present = self._open.get(edition.folder)
            if present is None or present.seen != seen:
                present = self._open_edition(edition)
                # The dataset's edition that was open before closes when the last query that reads it ends.
                self._open = {f: o for f, o in self._open.items() if o.edition.dataset != edition.dataset}
                self._open[edition.folder] = present
            return present

    def ready(self, store: OpenEdition) -> OpenEdition:
        """Open an edition's files, or those that took their place since. Raises EngineFailed, StoreUnavailable."""
        while True:
            try:
                store.engine.open()
            except EngineFailed:
                present = self.edition(store.edition)
                if present.seen == store.seen:
                    raise
                store = present
            else:
                return store

    def opens(self, edition: Edition) -> bool:
        """Return whether an edition can be opened."""
        try:
            self.edition(edition)
        except StoreUnavailable:
            return False
        return True

    def made_up(self, store: OpenEdition) -> OpenEdition:
        """Return an edition with data made up from its catalog instead of its own; make it on first use.

        Making it takes a quarter of a second. It has a lock of its own, so queries do not wait for it. Raises
        EngineFailed.
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
        where = f"edition {edition.number} of {edition.dataset}"
        if not self.keeps(edition):
            raise StoreUnavailable(f"the store of {where} is missing")
        seen = parts.seen(folder)  # before the list is read: if it changes in between, the next query finds that out
        try:
            declared = read_manifest(folder / ingest.MANIFEST)
            dataset = declared.served(vocabularies.kept(folder))
            listed = parts.kept(folder)
        except (ManifestError, OSError, ValueError, BadParts) as error:
            raise StoreUnavailable(f"the store of {where} cannot be opened") from error
        return OpenEdition(edition, dataset, self.engines.of(folder, listed, dataset), seen)


def catalogs(transaction: sa.Connection, opened: OpenEdition) -> Catalogs:
    """Return what is publicly known of an edition.

    An earlier edition's profile counts only as far as it fits the present tables and columns.
    """
    of_edition = opened.edition.dataset, opened.edition.number
    ids, declared = profiles.ids_in_use(transaction, *of_edition), in_force(transaction, opened)

    def make() -> Catalogs:
        bought = profiles.in_use(transaction, *of_edition)
        fitting = (profile.with_profile(declared, profile.read(one.body)) for one in bought)
        return Catalogs(ids, (*fitting, declared))

    return opened.catalogs.of((ids, declared.noise), make)


def in_force(transaction: sa.Connection, opened: OpenEdition) -> Dataset:
    """Return an edition's public schema with the noise that queries may have now.

    That is what an approver approved, as far as the manifest does not narrow it. If the manifest allows nothing of
    it, what was approved stays until the manifest's is approved. Where noise is not one of the terms yet, the manifest
    says it.
    """
    declared, approved = opened.dataset, dataset_terms.noise_of(transaction, opened.edition.dataset)
    if approved is None or approved == declared.noise:
        return declared
    return replace(declared, noise=allowed_noise(declared.noise, approved) or approved)


def folder_of(home: Path, dataset: str, folder: str) -> Path:
    """Return the folder of an edition's files."""
    return building.home_of(home) / dataset / folder


def import_manifest(
    settings: Settings,
    database: Database,
    manifest: Manifest,
    by: Actor,
    progress: Progress,
    *,
    accept_losses: bool = False,
    profile_nano: int = 0,
) -> tuple[Edition, ImportReport]:
    """Import a dataset's sources as its next edition. If it does not finish, nothing changes.

    `profile_nano` is the epsilon that profiles are proposed to take, if the dataset still waits for an approver.

    Raises ManifestError, ImportFailed (TooMuchLost: more than `loss_max` of the manifest, unless `accept_losses`),
    WrongState (the cap cannot be raised), and Invalid for a formality that is wrong, before anything is built.
    """
    declared, named = manifest.dataset, formalities_of(manifest)
    _require_justified(database, declared)
    building.delete_unfinished(database, settings.home)
    with building.new_folder(settings.home, database, declared.name) as folder:
        report = _build(settings, manifest, folder, progress)
        if not accept_losses:
            _require_few_losses(manifest, report)
        reports.keep(folder, report, manifest.path)
        with database.write() as transaction:
            _require_store(folder)
            edition = datasets.add_edition(
                transaction,
                dataset=declared.name,
                title=declared.title,
                epsilon_nano=epsilon_nano(declared.epsilon),
                delta_atto=delta_atto(declared.delta),
                overcommit=declared.overcommit,
                folder=folder.name,
                by=by,
                profile_nano=profile_nano,
                laplace_percent=declared.laplace_percent,
                justification=declared.justification,
                named=named,
                noise=declared.noise,
            )
        with database.read() as transaction:
            old = datasets.folders(transaction, declared.name)[EDITIONS_KEPT:]
        for name in old:
            building.delete(folder.parent / name)
        building.delete_unnamed(database, settings.home, declared.name)
    return edition, report


def formalities_of(manifest: Manifest) -> Formalities | None:
    """Return the formalities that a manifest names. Raises Invalid."""
    return None if manifest.formalities is None else formalities.read(manifest.formalities)


def _require_justified(database: Database, declared: Dataset) -> None:
    """Raise Invalid for a first import whose cap needs a justification: before all sources are read, not after."""
    with database.read() as transaction:
        if declared.name not in datasets.names(transaction):
            cap = epsilon_nano(declared.epsilon), delta_atto(declared.delta)
            justification.require(Budget(*cap, justification=declared.justification))


def _require_store(folder: Path) -> None:
    """Raise ImportFailed if an edition is not whole on disk, so that the ledger never names one that is not."""
    missing = [] if (folder / ingest.MANIFEST).is_file() else [ingest.MANIFEST]
    missing += parts.missing(folder, parts.kept(folder))
    if missing:
        raise ImportFailed(
            f"{folder / missing[0]} was deleted while the import ran; nothing was changed, start it again"
        )


def _require_few_losses(manifest: Manifest, report: ImportReport) -> None:
    found = losses.excessive(manifest, report)
    if found:
        raise TooMuchLost(
            f"{len(found)} losses are larger than loss_max; nothing was changed. Correct the manifest or the source, "
            "or use --accept-losses if these losses are expected:" + "".join(f"\n  {one}" for one in found)
        )


def check_manifest(
    settings: Settings, database: Database, manifest: Manifest, progress: Progress
) -> tuple[ImportReport, list[str]]:
    """Run an import and keep nothing. Return its report, and the losses for which an import would stop.

    Raises ManifestError, ImportFailed.
    """
    with building.new_folder(settings.home, database, manifest.dataset.name) as folder:
        report = _build(settings, manifest, folder, progress)
        shutil.rmtree(folder)
    return report, losses.excessive(manifest, report)


def check_sources(settings: Settings, manifest: Manifest, folder: Path) -> None:
    """Import a manifest's sources into an empty folder, whatever is lost, to see whether they can be. It needs no home.

    Raises ManifestError, ImportFailed.
    """
    _build(settings, manifest, folder, lambda _what, _done: None)


def _build(settings: Settings, manifest: Manifest, folder: Path, progress: Progress) -> ImportReport:
    engines = Engines(settings)
    try:
        return engines.build(manifest, folder, progress)
    finally:
        engines.close()
