"""The page about the Python client: its examples run, in their order, as one program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.serving import ROOT

if TYPE_CHECKING:
    from tests.serving import Server

PAGE = ROOT / "docs" / "clients" / "python.md"
CLIENT = ROOT / "clients" / "python"


def examples(page: str) -> list[str]:
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_the_examples_of_the_manual_run(server: Server) -> None:
    """What the page tells to write does what it says, and prints what stands beside it."""
    program = "\n".join(examples(PAGE.read_text()))
    shown = re.findall(r"print\(.*\)  # (.*)$", program, re.MULTILINE)
    tokens = {"ROWLESS_TOKEN": "ada", "ADMIN_TOKEN": "admin", "DPO_TOKEN": "dora", "APPROVER_TOKEN": "vera"}
    variables = {name: server.home.tokens[user] for name, user in tokens.items()}
    variables |= {
        "ROWLESS_URL": f"http://127.0.0.1:{server.port}",
        "PYTHONPATH": str(CLIENT),
        "PATH": os.environ["PATH"],
    }
    ended = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == shown[0]
    assert "female" in ended.stdout.splitlines()[1]


def test_the_first_example_is_short() -> None:
    """From the import to a plotted answer it is at most ten lines, on the page and in the README of the package."""
    for page in (PAGE, CLIENT / "README.md"):
        first = examples(page.read_text())[0]
        assert ".plot()" in first
        assert len([line for line in first.splitlines() if line.strip()]) <= 10
