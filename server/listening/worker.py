"""gunicorn's worker: serves with waitress until it is told to stop, then finishes what it has begun."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.workers.base import Worker
from waitress import wasyncore

from server.listening import channel

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

POLL_SECONDS = 1.0
LINGER_SECONDS = 0.1  # between looks at what is still being answered, while the worker stops
HANDLES = channel.CONNECTIONS_MAX + 500  # file handles: connections, stores, ledger, answers that wait in files


class WaitressWorker(Worker):
    """Serves an application that says in `config` how many threads it needs and what to do before the last answers.

    gunicorn's setting `threads` has the number of threads. `worker_exit` is called after the last answer.
    """

    _servers: tuple[channel.Server, ...] = ()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on a signal, at once: a wait that a signal interrupts would otherwise go on to its end."""
        super().handle_exit(sig, frame)
        for server in self._servers:
            server.pull_trigger()

    def run(self) -> None:
        """Serve until a signal, or until the master is gone."""
        _allow_handles(HANDLES)
        sockets = [one.sock for one in self.sockets]
        servers, threads, watched = channel.listen(self.wsgi, sockets, self.cfg.threads)
        self._servers = tuple(servers)
        while self.alive and self.ppid == os.getppid():
            self.notify()
            _poll(watched, POLL_SECONDS)
        for server in servers:
            server.stop_accepting()
        stopping: Callable[[], None] | None = getattr(self.app, "stopping", None)
        if stopping is not None:
            stopping()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while sum(server.close_idle() for server in servers) and time.monotonic() < deadline:
            self.notify()
            _poll(watched, LINGER_SECONDS)
        threads.shutdown(timeout=0)


def _poll(watched: dict[int, Any], seconds: float) -> None:
    wasyncore.loop(timeout=seconds, use_poll=True, map=watched, count=1)


def _allow_handles(wanted: int) -> None:
    """Raise the limit of open files as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
