"""How long planning may work for one request: estimates are free, and each one plans several alternatives.

The seconds are those of this thread's processor, not of a clock on the wall. Thus a query is refused for its own size,
and never because other requests, or other people's scans, keep the machine busy.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

_limit: ContextVar[tuple[float, float] | None] = ContextVar("limit", default=None)  # when it ends; its length


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the planning in this context work for so many seconds of this thread's processor."""
    token = _limit.set((time.thread_time() + seconds, seconds))
    try:
        yield
    finally:
        _limit.reset(token)


def require() -> None:
    """Raise InvalidQuery if planning has worked for longer than it may. Without a limit it may work for ever."""
    limit = _limit.get()
    if limit is not None and time.thread_time() > limit[0]:
        raise InvalidQuery(
            "/query", f"takes more than {limit[1]:g} seconds to estimate: ask for fewer statistics or conditions"
        )
