"""What a killed session leaves on this machine is deleted by the next one; what runs is left alone."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

from queries.execution.spark.session import HELD, SCRATCH, delete_left

if TYPE_CHECKING:
    from pathlib import Path


def test_only_what_nobody_holds_is_deleted(tmp_path: Path) -> None:
    """A killed session's copies of parts go; a running session's stay, and so do folders of others."""
    killed, running, foreign = (tmp_path / name for name in (f"{SCRATCH}killed", f"{SCRATCH}running", "else"))
    for folder in (killed, running, foreign):
        (folder / "blockmgr").mkdir(parents=True)
        (folder / "blockmgr" / "part.duckdb").write_bytes(b"rows of persons")
        (folder / HELD).touch()
    with (running / HELD).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        delete_left(tmp_path)
    assert not killed.exists()
    assert (running / "blockmgr" / "part.duckdb").exists()
    assert (foreign / "blockmgr" / "part.duckdb").exists()
