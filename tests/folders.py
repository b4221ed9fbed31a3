"""Where the tests put their files: in memory where there is room, because a ledger writes each transaction to the disk.

On a disk that takes 8 milliseconds to write, a third of the tests' time would be waiting for it. No test pulls the plug:
what is killed is a process, and what a process wrote is there whether or not the disk has it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM_BYTES = 4 * 2**30  # many times what the tests need at once


def choose() -> None:
    """Take MEMORY for temporary files, in the processes that tests start too, unless the user chose a folder by TMPDIR."""
    if "TMPDIR" not in os.environ and is_fit(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def is_fit(folder: Path) -> bool:
    """Return True for a folder with room, in which files can be made and run (PostgreSQL's programs are copied there)."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    told = os.statvfs(folder)
    return told.f_bavail * told.f_frsize >= ROOM_BYTES and not told.f_flag & os.ST_NOEXEC
