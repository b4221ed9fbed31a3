from __future__ import annotations

from typing import TYPE_CHECKING

from tests.postgres import newest

if TYPE_CHECKING:
    from pathlib import Path


def test_newest_postgresql_of_debian_is_taken(tmp_path: Path) -> None:
    """Versions are compared as numbers, and a version without its programs does not count."""
    assert newest(tmp_path) is None
    for version in ("9", "15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch()
    (tmp_path / "16" / "lib").mkdir(parents=True)
    assert newest(tmp_path) == tmp_path / "15" / "bin"
