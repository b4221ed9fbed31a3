"""The Dockerfile, without an engine to build it: what it copies is there, and what it runs runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def test_files_of_the_container_are_sent_to_its_build() -> None:
    """Each file and folder that is copied exists, and .dockerignore lets it through."""
    copied = [name for line in re.findall(r"^COPY (?!--)(.*)$", TEXT, re.MULTILINE) for name in line.split()[:-1]]
    assert {"pyproject.toml", "queries", "budgets", "server"} <= set(copied)
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [name for name in copied if not (ROOT / name).exists() or f"!{name}" not in sent] == []


def test_kernel_is_compiled_by_the_line_of_the_container() -> None:
    """The line that compiles the kernel while the container is built runs."""
    (line,) = re.findall(r'^RUN python -c "(.*)"$', TEXT, re.MULTILINE)
    assert "warm()" in line
    subprocess.run([sys.executable, "-c", line], cwd=ROOT, check=True, timeout=300)
