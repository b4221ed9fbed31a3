"""How many requests run at once: two. Others that have arrived wait their turn, and what takes long steps aside.

Python runs one thread at a time. A request hands its lock back some sixty times, whenever SQLite or the network works
for it. If thirty threads want the lock, another one takes it each time, and the processor spends more time on changing
between threads than on requests. Of two, one runs while the other waits for the disk. The threads of
`server/listening/threads.py` begin requests by this rule.

A request that is going to wait (for a place, for a beat) or to leave Python for long (for a scan) steps aside before,
once and for good: from then on it runs beside the others. A query does so before its charge, so nobody's turn depends
on data. Who takes long without stepping aside delays the others and does not stop them: one more begins whenever none
has begun for PATIENCE_SECONDS.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 2
PATIENCE_SECONDS = 0.02

_current = threading.local()


@contextmanager
def counted(ended: Callable[[], None]) -> Iterator[None]:
    """Run one request in this thread; call `ended` when it steps aside, or else at its end."""
    _current.ended = ended
    try:
        yield
    finally:
        step_aside()


def step_aside() -> None:
    """Let another request run in place of this thread's. Does nothing a second time, or where none is counted."""
    ended: Callable[[], None] | None = getattr(_current, "ended", None)
    if ended is not None:
        _current.ended = None
        ended()
