"""A repartition that dies at a chosen point: python -m tests.journeys.dividing POINT DATASET INTO.

It is `rowless dataset parts DATASET --into INTO` with a function wrapped, which kills the process as `kill -9` would.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.catalog import parts
from queries.store import repartition
from server.cli.main import main
from server.journey import repartitioning

if TYPE_CHECKING:
    from collections.abc import Callable

# Point -> what is wrapped, the call at which it dies, and whether that call is made first.
POINTS: dict[str, tuple[Any, str, int, bool]] = {
    "at the first new file": (repartition, "_copy", 1, True),
    "after some new files": (repartition, "_write", 2, True),
    "after all new files": (repartition, "_require_equal", 1, False),
    "before the entry": (repartitioning, "_record", 1, False),
    "in the entry's transaction": (repartitioning, "_record", 1, True),
    "before the new list": (parts, "keep", 1, False),
    "with the new list written": (Path, "replace", 1, False),
    "after the new list": (parts, "keep", 1, True),
    "while the old files are deleted": (repartition, "delete", 2, False),
}


def dying(work: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    """Return a function that dies at a call of it, before or after its work."""
    calls = 0

    def run(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = work(*args, **kwargs)
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    return run


if __name__ == "__main__":
    point, dataset, into = sys.argv[1:]
    owner, name, at, after = POINTS[point]
    setattr(owner, name, dying(getattr(owner, name), at, after=after))
    main(["dataset", "parts", dataset, "--into", into])
