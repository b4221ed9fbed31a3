"""The last results of what depends on nothing but its key: plans, catalogs, bodies that were read.

Nothing that may be refused, charged or written is remembered, and no number that changes: a result comes from here only
after sign-in, permission and limits were looked up for this request.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

V = TypeVar("V")


class Remembered(Generic[V]):
    """At most so many results; the one that was not asked for for longest is forgotten first. Threads share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._results: dict[Hashable, V] = {}  # the one that was asked for last is the last

    def find(self, key: Hashable) -> V | None:
        """Return the result of a key, or None if it is not remembered."""
        with self._lock:
            if key not in self._results:
                return None
            found = self._results[key] = self._results.pop(key)
            return found

    def keep(self, key: Hashable, result: V) -> None:
        """Remember a result."""
        with self._lock:
            self._results[key] = result
            if len(self._results) > self._most:
                del self._results[next(iter(self._results))]

    def of(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the result of a key, made on first use; what `make` raises is not remembered."""
        found = self.find(key)
        if found is None:
            found = make()  # without the lock: two threads may make the same
            self.keep(key, found)
        return found
