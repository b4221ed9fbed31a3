from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from server.cli.lazy import LazyGroup
from server.cli.main import main
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENGINE = {"numba", "numpy", "duckdb", "opendp", "pyarrow", "sqlglot"}
LEDGER = {"sqlalchemy", "alembic", "psycopg"}
WEB = {"flask", "marshmallow", "gunicorn"}


def groups(group: LazyGroup, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], LazyGroup]]:
    """Yield each lazy group with the words that call it."""
    yield path, group
    for name, lazy in group.lazy.items():
        command = lazy.load()
        if isinstance(command, LazyGroup):
            yield from groups(command, (*path, name))


def loaded_by(*arguments: str, **variables: str) -> set[str]:
    """Return the packages that a command, run as a process of its own, has loaded at its end."""
    program = (
        "import sys, atexit; from server.cli.__main__ import run; "
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)); "
        f"sys.argv = ['rowless', *{arguments!r}]; run()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stderr.split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["audit", "--help"]])
def test_version_and_help_load_no_command(arguments: list[str]) -> None:
    """The version and the lists of commands need neither the engine, the ledger nor the web."""
    loaded = loaded_by(*arguments)
    assert {"server", "click"} <= loaded
    assert loaded.isdisjoint({*ENGINE, *LEDGER, *WEB, "budgets", "queries"})


def test_completing_a_command_loads_none() -> None:
    """The shell asks at each press of a key: names of commands come without the engine, the ledger or the web."""
    typed = {"_ROWLESS_COMPLETE": "bash_complete", "COMP_WORDS": "rowless ", "COMP_CWORD": "1"}
    assert loaded_by(**typed).isdisjoint({*ENGINE, *LEDGER, *WEB, "budgets", "queries"})


# The function that the shell calls, in a real bash, as its manual says that it is called.
COMPLETING = """
eval "$(_ROWLESS_COMPLETE=bash_source rowless)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_rowless_completion rowless
echo "${COMPREPLY[*]}"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["st"], "study"),
        (["audit", "ver"], "verify"),
        (["study", "app"], "approve"),
        (["query", "--require"], "--require-drowned"),
        (["dataset", "advise", "hospital", "--opinion", ""], "favourable conditional unfavourable"),
    ],
    ids=" ".join,
)
def test_bash_completes_commands_options_and_their_values(typed: list[str], offered: str, tmp_path: Path) -> None:
    """What docs/admin.md has in ~/.bashrc completes, also in groups whose commands are imported when they are called."""
    assert shutil.which("bash"), "the completion is a function of bash"
    program = tmp_path / "rowless"
    program.write_text(f"#!{sys.executable}\nfrom server.cli.__main__ import run\nrun()\n")
    program.chmod(0o755)
    ended = subprocess.run(
        ["bash", "-c", COMPLETING, "bash", "rowless", *typed],
        env=environment(PATH=f"{tmp_path}:{os.environ['PATH']}", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == offered, ended.stderr


def test_verify_loads_no_engine_and_no_ledger() -> None:
    """Checking an export needs neither the engine, the ledger nor the web."""
    loaded = loaded_by("audit", "verify", "--help")
    assert "cryptography" in loaded
    assert loaded.isdisjoint({*ENGINE, *LEDGER, *WEB})


def test_group_lists_every_command_with_its_first_sentence() -> None:
    """The line of each command in its group's help is the first sentence of its own help."""
    seen = set()
    for path, group in groups(main):
        shown = " ".join(CliRunner().invoke(main, [*path, "--help"]).output.split())
        for name, lazy in group.lazy.items():
            command = lazy.load()
            assert command.name == name
            assert command.help is not None
            assert lazy.summary == " ".join(command.help.split("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."
            assert f"{name} {lazy.summary}" in shown
            seen.add((*path, name))
    assert {("query",), ("audit", "verify")} <= seen


def test_help_of_every_command_is_set_in_paragraphs() -> None:
    """Each paragraph begins below the usage, with lines of one indentation and no gaps where the source has its ends."""
    seen = 0
    waiting: list[tuple[tuple[str, ...], click.Command]] = [((), main)]
    while waiting:
        path, command = waiting.pop()
        shown = CliRunner().invoke(main, [*path, "--help"]).output
        text = shown.partition("\n\n")[2].partition("\nOptions:\n")[0]
        for line in filter(None, text.split("\n")):
            assert re.fullmatch(r"  \S+( \S+)*", line), (path, line)
            seen += 1
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                waiting.append(((*path, name), found))
    assert seen > 100


def test_unknown_command_is_misuse() -> None:
    """A name that no command has is refused with exit code 2, in a group of commands as well."""
    for path in ([], ["audit"]):
        ended = CliRunner().invoke(main, [*path, "nonsense"])
        assert ended.exit_code == 2
        assert "No such command 'nonsense'" in ended.output
    with pytest.raises(click.exceptions.NoArgsIsHelpError):
        main.make_context("rowless", [])
