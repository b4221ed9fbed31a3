"""How many processors this process may use.

The number of the machine's would be too many in a container: its processors may be fewer (affinity), or its time on
them limited (the quota of its control group, which `--cpus` sets). More threads than that only wait for each other.
"""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
MANY = 2**31


@functools.cache
def usable() -> int:
    """Return how many processors this process may use at once, at least 1."""
    return max(1, min(_allowed(), quota(GROUPS)))


def _allowed() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def quota(groups: Path) -> int:
    """Return how many processors' time the control group may take, rounded up; without a quota, MANY.

    `groups` is where groups are mounted. The format is that of version 2 (cpu.max: time and period, in microseconds) or
    that of version 1.
    """
    try:
        limit, period = (groups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = ((groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return MANY
    try:
        return math.ceil(int(limit) / int(period)) if int(limit) > 0 else MANY
    except (ValueError, ZeroDivisionError):  # "max"
        return MANY
