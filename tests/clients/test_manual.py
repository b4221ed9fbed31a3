"""The page about the Python client: its examples run, in their order, as one program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.serving import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Server

PAGE = ROOT / "docs" / "clients" / "python.md"
CLIENT = ROOT / "clients" / "python"


def examples(page: str) -> list[str]:
    """Return the blocks of Python of a page."""
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


# Whoever follows the page begins with numbers that mean something: a number that drowns in its noise ends the program.
NO_NOISE = "import rowless_client, warnings\nwarnings.simplefilter('error', rowless_client.Drowned)\n"


def run(program: str, server: Server, folder: Path) -> list[str]:
    """Run a program in a folder, with the tokens that the page names, and return the lines that it prints."""
    tokens = {"ROWLESS_TOKEN": "ada", "ADMIN_TOKEN": "admin", "DPO_TOKEN": "dora", "APPROVER_TOKEN": "vera"}
    variables = {name: server.home.tokens[user] for name, user in tokens.items()}
    variables |= {"ROWLESS_URL": address(server), "PYTHONPATH": str(CLIENT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def address(server: Server) -> str:
    """Return a server's address."""
    return f"http://127.0.0.1:{server.port}"


def test_the_examples_of_the_manual_run(demonstrated: Server, tmp_path: Path) -> None:
    """What the page tells to write does what it says, prints what stands beside it, and fits the demonstration's budget."""
    program = "\n".join(examples(PAGE.read_text()))
    (shown,) = re.findall(r"print\(error.code.*\)  # (.*)$", program, re.MULTILINE)
    told = run(NO_NOISE + program, demonstrated, tmp_path)
    assert re.fullmatch(r"sex +patients", told[0])
    assert re.fullmatch(r"female +3,\d{3} ± \d+", told[1])
    place = told.index(shown)
    assert "female" in told[place + 1]
    assert (tmp_path / "answer.svg").read_text().startswith("<svg")
    # Nothing is loaded into a page that was written inline: its only addresses are names of formats.
    assert "<script src=" not in (tmp_path / "answer.html").read_text()


def test_the_examples_of_the_readmes_run(server: Server, tmp_path: Path) -> None:
    """The first lines that somebody sees of the client give the columns that stand beside them."""
    for file in (ROOT / "README.md", CLIENT / "README.md"):
        (example,) = examples(file.read_text())
        program = re.sub(r"https?://[\w.:]+", address(server), example).replace(
            "rowless_...", server.home.tokens["ada"]
        )
        (columns,) = re.findall(r"to_pandas\(\)  # (.*)$", example, re.MULTILINE)
        assert run(f"{program}\nprint(', '.join(answer.to_pandas().columns))", server, tmp_path) == [columns]


def test_the_first_example_is_short() -> None:
    """From the import to a plotted answer it is at most ten lines, on the page and in the README of the package."""
    for page in (PAGE, CLIENT / "README.md"):
        first = examples(page.read_text())[0]
        assert ".plot()" in first
        assert len([line for line in first.splitlines() if line.strip()]) <= 10
