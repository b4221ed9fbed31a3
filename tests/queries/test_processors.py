"""How many processors there are, where a container has fewer than its machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from queries import processors

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("limit", "period", "expected"),
    [
        ("200000", "100000", 2),
        ("150000", "100000", 2),
        ("10000", "100000", 1),
        ("max", "100000", processors.MANY),
        ("-1", "100000", processors.MANY),
        ("x", "y", processors.MANY),
        ("100", "0", processors.MANY),
    ],
)
def test_a_quota_is_read_in_both_versions(tmp_path: Path, limit: str, period: str, expected: int) -> None:
    """What `--cpus` of a container sets, rounded up; whatever cannot be read is no quota."""
    two, one = tmp_path / "two", tmp_path / "one"
    two.mkdir()
    (two / "cpu.max").write_text(f"{limit} {period}\n")
    (one / "cpu").mkdir(parents=True)
    (one / "cpu" / "cpu.cfs_quota_us").write_text(f"{limit}\n")
    (one / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    assert [processors.quota(two), processors.quota(one)] == [expected, expected]
    assert processors.quota(tmp_path / "nowhere") == processors.MANY


def test_the_least_of_affinity_and_quota_is_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processors that the process may not use do not count, nor time on them that it has not."""
    monkeypatch.setattr(processors, "GROUPS", tmp_path)
    found = []
    for cores, limit in (({0, 3, 5}, "max"), ({0, 3, 5}, "200000"), ({0}, "400000")):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: cores)
        (tmp_path / "cpu.max").write_text(f"{limit} 100000\n")
        processors.usable.cache_clear()
        found.append(processors.usable())
    processors.usable.cache_clear()
    assert found == [3, 2, 1]
