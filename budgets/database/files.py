"""The files of a ledger in SQLite: whether those that are open are still those that the path names.

A process that has a file open does not notice when somebody deletes, moves or replaces it: it would go on writing where
nobody looks any more, and charges would be lost with it. Therefore each connection remembers which files it opened, and
each write transaction first compares them with the path. A ledger never shrinks, so a smaller file was truncated.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from budgets.errors import Unavailable

if TYPE_CHECKING:
    from pathlib import Path

# (device, inode) of the ledger and of its write-ahead log
Opened = tuple[tuple[int, int], tuple[int, int] | None]


class LedgerFile:
    """The file that one `Database` works on. Threads share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal = path.with_name(f"{path.name}-wal")
        self._first: tuple[int, int] | None = None
        self._size = 0
        self._looking = threading.Lock()

    def require_same(self) -> None:
        """Raise Unavailable unless the path names the file that was opened first. SQLite would make a missing one."""
        if self._first is not None and self._main() != self._first:
            raise self._lost("was replaced by another one")

    def opened(self) -> Opened:
        """Return what a connection has just opened, for `require_in_place`. Raises Unavailable."""
        self.require_same()
        self._first = self._main()
        try:
            return self._first, _identity(self._wal)
        except FileNotFoundError:  # on a file system without shared memory there is none
            return self._first, None

    def require_in_place(self, opened: Opened) -> None:
        """Raise Unavailable unless the path still names what a connection opened, with all that was written."""
        main, wal = opened
        if self._main() != main:
            raise self._lost("was replaced by another one")
        try:
            if wal is not None and _identity(self._wal) != wal:
                raise self._lost("has a write-ahead log that was replaced by another one")
        except FileNotFoundError:
            raise self._lost("has lost its write-ahead log") from None

    def _main(self) -> tuple[int, int]:
        """Return the identity of the file that the path names now, and notice if it shrank. Raises Unavailable."""
        with self._looking:
            try:
                found = self._path.stat()
            except FileNotFoundError:
                raise self._lost("is gone") from None
            if found.st_size < self._size:
                raise self._lost("was truncated")
            self._size = found.st_size
        return found.st_dev, found.st_ino

    def _lost(self, what: str) -> Unavailable:
        return Unavailable(
            f"the ledger {self._path} {what} while it was in use, so nothing is written any more. Stop the servers, "
            "put the file or a backup in its place (docs/operations.md, Backup), and start them again"
        )


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
