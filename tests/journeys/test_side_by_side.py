"""The tests run beside a demonstration in the same checkout: no test uses its port or its home, or can."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from server.runtime.settings import SETTINGS, load_settings
from tests import ports
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from pathlib import Path

PORT, HOME = SETTINGS["port"].default, SETTINGS["home"].default.removeprefix("./")
# The tests of the defaults, of the pages that name them, of a checkout that is a copy, and of what no archive may hold.
NAMED_BY = {
    PORT: {"server/runtime/test_settings.py", "deploy/test_proxy.py", "journeys/test_docs.py", "ports.py"},
    HOME: {"server/runtime/test_settings.py", "journeys/test_demo.py", "ports.py", "test_archives.py"},
}


@pytest.mark.parametrize("default", NAMED_BY)
def test_no_test_names_the_default(default: str) -> None:
    """The default port and home stand in no other test; a number of something else is written 8_000."""
    folder = ROOT / "tests"
    found = {
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        if re.search(rf"(?<![\w.-]){re.escape(default)}(?![\w-])", file.read_text())
    }
    assert found <= NAMED_BY[default]
    assert "server/runtime/test_settings.py" in found, "the pattern finds it"


def test_whoever_forgets_to_choose_has_a_port_that_is_taken_and_a_home_that_cannot_be() -> None:
    """In this process, and in those it starts, the defaults are out of reach: all tests run with the port taken."""
    for variables in (os.environ, environment()):
        named = {name for name in variables if name.startswith("ROWLESS_")}
        assert named == {"ROWLESS_HOME", "ROWLESS_PORT"}
        settings = load_settings(variables)
        assert settings.port != int(PORT)
        with socket.socket() as server, pytest.raises(OSError, match="in use"):
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((settings.host, settings.port))
        with pytest.raises(OSError, match="Not a directory"):
            settings.home.mkdir(parents=True)


def test_a_free_port_stays_free_for_whoever_was_given_it() -> None:
    """Nobody gets it who asks for any port, and its server can listen on it, stop, and listen again."""
    port = ports.free_port()
    assert len({ports.free_port() for _ in range(50)} - {port}) == 50
    for _ in range(2):
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            with socket.create_connection(("127.0.0.1", port)) as client:
                assert client.getsockname()[1] != port
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port))


def test_targets_that_install_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """`make demo` and `make test` in a fresh checkout make one environment, one after the other, whole."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "pyproject.toml").touch()
    # In place of Python's venv: an environment whose pip takes its time, and finds out if another runs.
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON.format(python=sys.executable, folder=tmp_path))
    python.chmod(0o755)
    targets = [".venv/installed", ".venv/installed-test", ".venv/installed-test"]
    running = [
        subprocess.Popen(
            ["make", f"PYTHON={python}", target], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for target in targets
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted((tmp_path / "done").read_text().split()) == [".", ".[test]", "venv"]


FAKE_PYTHON = """\
#!/bin/sh
cd {folder}
case "$*" in
    -c*) exec {python} "$@" ;;
    "-m venv"*) mkdir -p .venv/bin && cp python .venv/bin/python && echo venv >> done ;;
    *--version*) ;;
    *)
        mkdir busy || exit 1
        sleep 0.3
        for last in "$@"; do :; done
        echo "$last" >> done
        rmdir busy ;;
esac
"""
