"""How many requests run at once: two. Others that have arrived wait their turn, and what takes long steps aside.

Python runs one thread at a time. A request gives the lock of Python away some sixty times, whenever SQLite or the
network works for it. If thirty threads want the lock, another one takes it each time, and most of the time goes into
changing between threads. Of two requests, one runs while the other waits for the disk. The threads of
`server/listening/threads.py` begin requests by this rule.

A request steps aside before it waits (for a place, for a beat) and before it leaves Python for long (for a scan). It
does so once: from then on it is not counted, and another one begins. A query steps aside before its charge, so nobody's
turn depends on data. A request that takes long and does not step aside delays the others, but does not stop them: one
more begins whenever none has begun for PATIENCE_SECONDS.
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
