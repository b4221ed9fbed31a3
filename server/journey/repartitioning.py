"""A repartition as the admin sees it: the edition in service gets another number of parts, without an import.

    lock --> new files beside the old ones --> compared --> entry of the log --> new list --> old files deleted

The lock is the one of imports, so that nothing else builds or deletes meanwhile. Until the new list is in place, one
rename, the old parts are the edition; from then on the new ones are. A server that has the old files open ends its
queries on them, and opens the new ones for the next query (`server/runtime/stores.py`). Whatever a killed repartition
left behind (new files without a list, or old ones) is deleted by the next one and named by `rowless doctor`.

The entry comes before the rename, because no act may be without an entry. If the machine dies between the two, the log
shows a repartition that did not happen. Nobody is misled by that: both lists give the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgets.audit import log
from budgets.governance import datasets
from budgets.identity import people
from queries import processors
from queries.catalog import parts
from queries.catalog.parts import BadParts
from queries.errors import ImportFailed
from queries.store import inspection, repartition
from server.errors import StoreUnavailable
from server.runtime import stores
from server.runtime.home import building
from server.runtime.scans import engines
from server.runtime.settings import SPARK

if TYPE_CHECKING:
    from pathlib import Path

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.governance.datasets import Edition
    from queries.catalog.parts import Parts
    from queries.store.ingest import Progress
    from queries.store.inspection import Inspected
    from server.runtime.services import Services


@dataclass(frozen=True)
class Listed:
    """The parts of an edition, with exact numbers of persons: for the admin alone."""

    edition: Edition
    parts: tuple[Inspected, ...]


def parts_of(services: Services, dataset: str, by: Actor) -> Listed:
    """Return the parts of the edition in service. Each reading is an entry of the log, because the numbers are exact.

    Raises Forbidden, NotFound, StoreUnavailable.
    """
    people.require_role(by, "admin")
    with services.database.write() as transaction:
        edition, folder, present = _in_service(services, transaction, dataset)
        summary = f"the parts of edition {edition.number} of {dataset} were read"
        log.append(transaction, by, "dataset.parts.read", f"dataset:{dataset}", summary)
    return _listed(edition, folder, present)


def remake(
    services: Services, dataset: str, into: int, by: Actor, progress: Progress, *, elsewhere: bool = False
) -> Listed:
    """Give the edition in service `into` parts in place of those it has.

    More parts than this machine has memory for are refused unless they are scanned `elsewhere`, as Spark's are: their
    queries would be charged and fail. Raises Forbidden, NotFound, StoreUnavailable, ImportFailed (an import runs; the
    parts are damaged, or the new ones do not hold what they hold). Then nothing was changed.
    """
    people.require_role(by, "admin")
    settings = services.settings
    most = engines.parts_most(settings.memory_limit)
    if into > most and not elsewhere and settings.engine != SPARK:
        raise ImportFailed(
            f"nothing was changed: with ROWLESS_MEMORY_LIMIT = {settings.memory_limit} this machine can open {most} "
            "parts at most. Take fewer parts, raise the limit, or use --elsewhere if other machines scan them"
        )
    with services.database.read() as transaction:
        datasets.current(transaction, dataset)  # raises NotFound
    with building.alone(settings.home, services.database, dataset):
        with services.database.read() as transaction:
            edition, folder, present = _in_service(services, transaction, dataset)
        _require_all(folder, present)
        repartition.delete(repartition.leftovers(folder, present))
        made = repartition.repartition(
            folder,
            present,
            into,
            memory_limit=settings.memory_limit,
            threads=processors.usable(),
            progress=progress,
        )
        try:
            with services.database.write() as transaction:
                _record(transaction, edition, into, by)
            parts.keep(folder, made)
        except BaseException:
            repartition.delete(folder / part.file for part in made.parts)
            raise
        repartition.delete(repartition.leftovers(folder, made))
        return _listed(edition, folder, made)


def _in_service(services: Services, transaction: sa.Connection, dataset: str) -> tuple[Edition, Path, Parts]:
    edition = datasets.current(transaction, dataset)
    folder = stores.folder_of(services.settings.home, dataset, edition.folder)
    try:
        return edition, folder, parts.kept(folder)
    except BadParts as error:
        raise StoreUnavailable(str(error)) from error


def _require_all(folder: Path, present: Parts) -> None:
    """Raise ImportFailed if a part is missing: then what looks left behind may be what is missed."""
    missing = parts.missing(folder, present)
    if missing:
        raise ImportFailed(f"{folder / missing[0]} is missing; nothing was changed. rowless doctor says what to do")


def _record(transaction: sa.Connection, edition: Edition, into: int, by: Actor) -> None:
    log.append(
        transaction,
        by,
        "dataset.parts",
        f"dataset:{edition.dataset}",
        f"edition {edition.number} of {edition.dataset} was divided into {into} parts",
        facts={"edition": edition.number, "parts": into},
    )


def _listed(edition: Edition, folder: Path, present: Parts) -> Listed:
    return Listed(edition, tuple(inspection.inspect(folder, present, lambda _what, _done: None, hashes=False)))
