"""How much memory a process and all below it hold."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Most:
    """The most memory that was held at one time."""

    megabytes: int = 0


@contextmanager
def most_held() -> Iterator[Most]:
    """Watch, twice a second, how much memory this process and all below it hold together."""
    done, most = threading.Event(), Most()

    def watch() -> None:
        while not done.wait(0.5):
            most.megabytes = max(most.megabytes, held(os.getpid()) // 2**20)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield most
    finally:
        done.set()
        watcher.join()


def held(root: int) -> int:
    """Return the proportional memory of a process and all below it, in bytes: what two share is counted once."""
    total = 0
    for pid in below(root):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def below(root: int) -> list[int]:
    """Return a process and all below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.read_text().split(" (", 1)
            parents[int(number)] = int(rest.rsplit(") ", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
    found = []
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            found.append(pid)
    return found
