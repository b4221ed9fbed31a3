"""A tool that runs in a process of its own: start it, ask it within a time limit, read how much memory it held."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import below

if TYPE_CHECKING:
    from benchmarks.peers.environments import Installed, Peer
    from benchmarks.peers.questions import Question

ROOT = Path(__file__).parents[2]
LOADING = 10  # how many times the limit of a question a tool may take to read the data


class LateError(Exception):
    """The tool did not answer within the limit."""


class EndedError(Exception):
    """The tool's process ended; the text is the last line that it wrote."""


@dataclass
class Tool:
    """A tool with its process, which is started when it is first asked and again after it had to be ended."""

    peer: Peer
    installed: Installed
    folder: Path
    limit: float
    loading: float = float("nan")  # seconds
    _process: subprocess.Popen[str] | None = None
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)
    _pid: int = 0
    _follower: threading.Thread = field(default_factory=threading.Thread)

    def ask(self, question: Question, epsilon: float) -> dict[str, Any]:
        """Return what the adapter answers. Raises LateError and EndedError, after which the process is gone."""
        self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        line = json.dumps({"question": asdict(question), "epsilon": epsilon})
        with suppress(BrokenPipeError):  # if it has ended, what it wrote last says why
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self._read(self.limit)

    def forget_peaks(self) -> None:
        """Let the peaks of memory begin anew, if it runs."""
        for pid in below(self._pid) if self._process else []:
            try:
                Path(f"/proc/{pid}/clear_refs").write_text("5")
            except OSError:
                continue

    def peak_mb(self) -> int:
        """Return the sum of the peaks of resident memory of its processes since `forget_peaks`."""
        return sum(map(_peak_kb, below(self._pid))) // 1024 if self._process else 0

    def abandon(self) -> None:
        """Close the way to its process, as happens where this one is killed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()

    def end(self) -> None:
        """End its process and all that it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._follower.join()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):  # of what it did not read any more
                        pipe.close()
            self._process = None

    def _start(self) -> None:
        if self._process is not None:
            return
        log = (self.folder / f"{self.peer.adapter}.log").open("w", encoding="utf-8")
        with log:
            self._process = subprocess.Popen(
                [str(self.installed.python), "-m", f"benchmarks.peers.adapters.{self.peer.adapter}", str(self.folder)],
                cwd=ROOT,
                env={**os.environ, **self.peer.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._lines = queue.Queue()
        self._follower = threading.Thread(target=_follow, args=(self._process, self._lines), daemon=True)
        self._follower.start()
        ready = self._read(LOADING * self.limit)
        self.loading, self._pid = ready["ready"], ready["pid"]

    def _read(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            self.end()
            raise LateError from None
        if line is None:
            self.end()
            said = (self.folder / f"{self.peer.adapter}.log").read_text(encoding="utf-8").strip().splitlines()
            raise EndedError(said[-1] if said else "it ended without a word")
        answered: dict[str, Any] = json.loads(line)
        return answered


def _follow(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


def _peak_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
