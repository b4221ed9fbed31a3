"""Processes of Rowless, each forked from one that has loaded it already: to load it takes seconds, to fork hundredths.

What runs is what `python -m PROGRAM` runs: with an environment, a session and open files of its own, and nothing
done before but imports. One thing differs: all have the same PYTHONHASHSEED. `test_demo.py` starts Python anew.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.process import BaseProcess

ROOT = Path(__file__).parent.parent

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload([__name__, "tests.preloaded"])


@dataclass(frozen=True)
class Process:
    """A process that was started, with what of `subprocess.Popen` the tests use."""

    forked: BaseProcess

    @property
    def pid(self) -> int:
        """Return its id, which is that of its session too."""
        assert self.forked.pid is not None
        return self.forked.pid

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self.forked.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it ends. Raises TimeoutExpired after so many seconds."""
        self.forked.join(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(self.forked.name, timeout or 0)
        return code

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.forked.terminate()


def start(program: str, *arguments: str, variables: Mapping[str, str], out: Path, err: Path) -> Process:
    """Start `python -m PROGRAM ARGUMENTS` in the project's folder; what it writes is added to the files."""
    told = (program, arguments, dict(variables), out, err)
    forked = _forking.Process(target=_run, args=told, name=program, daemon=True)
    forked.start()
    return Process(forked)


def run(
    program: str, *arguments: str, variables: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `python -m PROGRAM ARGUMENTS` in the project's folder to its end and return what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        code = start(program, *arguments, variables=variables, out=out, err=err).wait(timeout)
        return subprocess.CompletedProcess((program, *arguments), code, out.read_text(), err.read_text())


def _run(program: str, arguments: tuple[str, ...], variables: dict[str, str], out: Path, err: Path) -> None:
    """Become the program: this is what the forked process does."""
    os.setsid()
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    for path, descriptor in ((out, 1), (err, 2)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)
