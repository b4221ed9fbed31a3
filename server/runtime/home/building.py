"""Folders of editions in construction: who builds in them, and which a killed import left behind.

An import must never delete what another one builds. Three things see to that:

- A lock for each dataset lets one import or check run at a time. It is a file lock, and on a ledger in PostgreSQL also
  a lock of the database, because file locks may not reach other hosts that share the home.
- Each folder has a mark beside it, `.FOLDER.building`, from before the folder is made until the ledger names it. The
  builder locks the mark and touches it every minute. The mark of a builder on this machine is dead once its lock is
  free. The mark of another machine is dead once nobody has touched it for an hour.
- A folder that the ledger does not name is deleted only if its mark is dead; if it has none, only by an import of the
  same dataset.
"""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shutil
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budgets.governance import datasets
from queries.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    import sqlalchemy as sa

    from budgets.database.connection import Database

BEAT_SECONDS = 60.0
SILENT_SECONDS = 3_600.0  # after so long without a beat, the builder on another machine is dead
MARK = ".building"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Unfinished:
    """A folder that the ledger does not name. `alive` is True while an import may still build in it."""

    folder: Path
    marked: bool
    alive: bool


def home_of(home: Path) -> Path:
    """Return the folder of all datasets."""
    return home / "datasets"


@contextmanager
def alone(home: Path, database: Database, dataset: str) -> Iterator[Path]:
    """Let nobody else import, check or repartition a dataset meanwhile. Yield the folder of its editions.

    Raises ImportFailed if another one runs.
    """
    parent = home_of(home) / dataset
    parent.parent.mkdir(parents=True, exist_ok=True)
    with _alone(parent.parent / f".{dataset}.importing", dataset), database.alone(f"import {dataset}") as free:
        if not free:
            raise _taken(dataset)
        yield parent


@contextmanager
def new_folder(home: Path, database: Database, dataset: str) -> Iterator[Path]:
    """Make a folder for a new edition, locked against other imports. On failure nothing is left behind.

    Raises ImportFailed if another import or check of the dataset runs.
    """
    with alone(home, database, dataset) as parent:
        parent.mkdir(exist_ok=True)
        try:
            with _marked(parent / secrets.token_hex(8)) as folder:
                yield folder
        finally:
            with suppress(OSError):  # not empty: it holds editions
                parent.rmdir()


def unfinished(transaction: sa.Connection, home: Path, dataset: str | None = None) -> list[Unfinished]:
    """Return the folders that the ledger does not name, of one dataset or of all."""
    found = []
    for parent in _folders_in(home_of(home)):
        if dataset not in {None, parent.name}:
            continue
        # Looked at before the ledger is read: a builder takes its mark away after the ledger names the folder.
        marks = {_folder_of(mark) for mark in parent.glob(f".*{MARK}")}
        folders = [Unfinished(one, one in marks, _is_alive(one)) for one in {*_folders_in(parent), *marks}]
        named = set(datasets.folders(transaction, parent.name))
        found += [one for one in folders if one.folder.name not in named]
    return sorted(found, key=lambda one: one.folder)


def delete_unfinished(database: Database, home: Path) -> None:
    """Delete what killed imports left behind, of all datasets. What another import builds stays."""
    with database.read() as transaction:
        found = unfinished(transaction, home)
    for one in found:
        if one.marked and not one.alive:
            delete(one.folder)


def delete_unnamed(database: Database, home: Path, dataset: str) -> None:
    """Delete a dataset's folders that neither the ledger nor an import needs, also those without a mark."""
    with database.read() as transaction:
        found = unfinished(transaction, home, dataset)
    for one in found:
        if not one.alive:
            delete(one.folder)


def delete(folder: Path) -> None:
    """Delete an edition's folder and its mark, as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        _mark_of(folder).unlink(missing_ok=True)


def _folders_in(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []


def _taken(dataset: str) -> ImportFailed:
    return ImportFailed(
        f"another import or check of {dataset} is running, or its parts are made anew; "
        "start this one again after it has ended"
    )


@contextmanager
def _alone(path: Path, dataset: str) -> Iterator[None]:
    """Hold a lock that the system frees when this process ends in any way. Raises ImportFailed if it is taken."""
    while True:
        with path.open("w") as lock:
            if not _lock(lock):
                raise _taken(dataset)
            if not _is_still(lock, path):
                continue  # the process that held the lock deleted the file in between
            try:
                yield
            finally:
                if _is_still(lock, path):
                    path.unlink(missing_ok=True)
            return


def _lock(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


# Marks


def _mark_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{MARK}")


def _folder_of(mark: Path) -> Path:
    return mark.with_name(mark.name.removeprefix(".").removesuffix(MARK))


@contextmanager
def _marked(folder: Path) -> Iterator[Path]:
    """Make a folder that is marked as in construction until the block ends. On failure delete it."""
    mark = _mark_of(folder)
    with mark.open("x") as held:
        _lock(held)
        held.write(_machine())
        held.flush()
        ended = threading.Event()
        beating = threading.Thread(target=_beat, args=(mark, ended), daemon=True)
        beating.start()
        try:
            folder.mkdir()
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            ended.set()
            beating.join()
            mark.unlink(missing_ok=True)


def _beat(mark: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with suppress(OSError):
            os.utime(mark)


def _is_alive(folder: Path) -> bool:
    """Return whether an import may still build in a folder."""
    try:
        with _mark_of(folder).open("r+") as mark:  # on NFS a lock needs a file that is open for writing
            if mark.read() == _machine():
                return not _lock(mark)
            return time.time() - os.fstat(mark.fileno()).st_mtime < SILENT_SECONDS
    except FileNotFoundError:
        return False


def _machine() -> str:
    """Return what tells this machine from others, also after it was started anew. Containers on it have the same."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
