"""A server that dies at a chosen point of a query: python -m tests.journeys.doomed POINT [POINT ...].

It is `rowless serve` with a function of the journey wrapped at each point: when the file HOME/doom is there and names the
point (or none) the worker removes it and kills itself, as `kill -9` would, right after that function. gunicorn starts
another worker. At the point `slow` it does not die, but scans as long as the file is there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from budgets.ledger import charges
from queries import mechanisms
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.release import assembly
from server import serving
from server.journey import paid
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOOM = load_settings().home / "doom"


def die(point: str) -> None:
    """Die if it is time."""
    if DOOM.exists() and DOOM.read_text() in (point, ""):
        DOOM.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def dying_after(work: Callable[..., Any], point: str) -> Callable[..., Any]:
    """Return a function that does its work and dies."""

    def run(*args: Any, **kwargs: Any) -> Any:
        done = work(*args, **kwargs)
        die(point)
        return done

    return run


def dying_within(stream: Callable[..., Iterator[Any]], point: str) -> Callable[..., Iterator[Any]]:
    """Return a generator that dies after its first item."""

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for item in stream(*args, **kwargs):
            yield item
            die(point)

    return run


def waiting_within(stream: Callable[..., Iterator[Any]], _point: str) -> Callable[..., Iterator[Any]]:
    """Return a generator that waits after its first item until the file is gone."""

    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:
        for item in stream(*args, **kwargs):
            yield item
            while DOOM.exists():
                time.sleep(0.01)

    return run


# Point -> what is wrapped there, and how.
POINTS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "reserving": (charges, "reserve", dying_after),  # inside the reserving transaction
    "reserved": (paid, "replay_or_reserve", dying_after),
    "scanning": (Store, "stream", dying_within),
    "noised": (assembly, "add_noise", dying_after),
    "settling": (charges, "settle", dying_after),  # inside the settling transaction
    "settled": (paid, "settle", dying_after),  # committed, and the reply not sent
}

if __name__ == "__main__":
    slow = Store, "stream", waiting_within
    for point in sys.argv[1:]:
        owner, name, wrap = {**POINTS, "slow": slow}[point]
        setattr(owner, name, wrap(getattr(owner, name), point))
    kernel.warm()  # once, and not in each new worker
    mechanisms.warm()
    serving.serve(load_settings())
