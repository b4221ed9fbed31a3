"""A running `rowless demo`, for tests."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from server.runtime.settings import SETTINGS
from tests.serving import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_SECONDS = 300  # on a machine that does much else
TOKEN = re.compile(r"^  (researcher|admin|approver|DPO) +(rowless_[0-9a-f]{16}_[A-Za-z0-9_-]{43})", re.MULTILINE)


class Demo:
    """A running `rowless demo` and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def read_until(self, word: str | None) -> None:
        """Read what it prints until a word comes, or (None) until it ends."""
        while word is None or word not in self.text:
            line = self._lines.get(timeout=WAIT_SECONDS)
            if line is None:
                assert word is None, self.text
                return
            self.text += line


@contextmanager
def demo(code: Path, folder: Path, port: int, *arguments: str, **variables: str) -> Iterator[Demo]:
    """Run the demonstration of some code in a folder until the block ends, by default with the home of its defaults."""
    variables = {
        "PYTHONPATH": str(code),
        "PYTHONUNBUFFERED": "1",
        "ROWLESS_HOME": SETTINGS["home"].default,
        "ROWLESS_PORT": str(port),
        **variables,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "server.cli", "demo", *arguments],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        running = Demo(process)
        try:
            yield running
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(WAIT_SECONDS)
