"""Queries that are in progress in this process and can be cancelled by who asked them.

A query is named by its study, its asker and the Idempotency-Key of its request. Cancelling frees the cores, and gives
nothing back: the charge is spent, and the answer leaves at its beat and says that it was cancelled.

Whether a query ends as cancelled depends on when its asker cancelled it, and not on its scan: a scan that has ended
before is thrown away, too, as long as its time to settle (a part of a slot before its beat) has not come. If a scan
that had ended could no longer be cancelled, an asker could read off when that was.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.execution.stopping import Stop

    Name = tuple[str, str, str]  # study, user, key


class Cancels:
    """The queries that can be cancelled. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[Name, list[Stop]] = {}

    @contextmanager
    def possible(self, name: Name | None, stop: Stop) -> Iterator[None]:
        """Let a query be cancelled while the block runs, if it has a name."""
        if name is None:
            yield
            return
        with self._lock:
            self._stops.setdefault(name, []).append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops[name].remove(stop)
                if not self._stops[name]:
                    del self._stops[name]

    def cancel(self, name: Name) -> bool:
        """Cancel a query, and return whether there was one in progress."""
        with self._lock:  # so that a query whose time to settle comes now was cancelled before it, or is not
            stops = self._stops.get(name, [])
            for stop in stops:
                stop.tell()
            return bool(stops)
