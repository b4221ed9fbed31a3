"""The threads that answer requests: many, because most wait for places and beats, of which few begin at once."""

from __future__ import annotations

import time
from typing import Protocol

from waitress.task import ThreadedTaskDispatcher

from server.admission import running


class Answering(Protocol):
    """What has requests to answer: a connection."""

    def service(self) -> None:
        """Answer one request."""


class Threads(ThreadedTaskDispatcher):
    """Begins requests in the order of their arrival, while fewer than `most` run (`server/admission/running.py`)."""

    def __init__(self, most: int = running.MOST, patience: float = running.PATIENCE_SECONDS) -> None:
        super().__init__()
        self._most = most
        self._patience = patience
        self._running = 0
        self._began = 0.0  # when the last request began, on the monotonic clock
        self._watched = False  # one thread waits for the end of everybody's patience

    def add_task(self, task: Answering) -> None:
        """Let a connection's request begin in its turn."""
        with self.lock:
            self.queue.append(task)
            self._wake()

    def handler_thread(self, thread_no: int) -> None:
        """Answer requests until the threads are to stop."""
        while (task := self._next(thread_no)) is not None:
            with running.counted(self._ended):
                try:
                    task.service()
                except BaseException:  # as in waitress: whatever it is, the thread goes on
                    self.logger.exception("a request ended in an error")

    def _next(self, thread_no: int) -> Answering | None:
        """Wait for a request's turn and return it; None to stop."""
        with self.lock:
            while not self.stop_count:
                seconds = self._seconds_left()
                if self.queue and seconds <= 0:
                    task: Answering = self.queue.popleft()
                    self._running += 1
                    self._began = time.monotonic()
                    self._wake()
                    return task
                self.active_count -= 1
                if self.queue and not self._watched:
                    self._watched = True
                    self.queue_cv.wait(seconds)
                    self._watched = False
                else:
                    self.queue_cv.wait()
                self.active_count += 1
            self.active_count -= 1
            self.stop_count -= 1
            self.threads.discard(thread_no)
            self.thread_exit_cv.notify()
            return None

    def _ended(self) -> None:
        with self.lock:
            self._running -= 1
            self._wake()

    def _wake(self) -> None:
        """Wake one thread if a request may begin now, or if nobody watches for when it may."""
        if self.queue and (not self._watched or self._seconds_left() <= 0):
            self.queue_cv.notify()

    def _seconds_left(self) -> float:
        """Return how long the next request has to wait unless another one ends or steps aside."""
        return 0.0 if self._running < self._most else self._began + self._patience - time.monotonic()
