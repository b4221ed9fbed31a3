"""Stopping a scan from another thread: its time is over, or its asker has cancelled it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Stop:
    """Whether a scan is to stop. It is told once and stays told. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told = False
        self._interrupts: list[Callable[[], None]] = []

    def is_told(self) -> bool:
        """Return whether the scan is to stop."""
        return self._told

    def tell(self) -> None:
        """Stop what runs, and what begins later."""
        with self._lock:
            self._told = True
            for interrupt in self._interrupts:
                interrupt()

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call `interrupt` if this is told while the block runs, or was told before."""
        with self._lock:
            self._interrupts.append(interrupt)
            if self._told:
                interrupt()
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)
