"""Which requests begin: few at once, in the order of their arrival; who steps aside lets another one in."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from server.admission import running
from server.listening.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 30.0  # seconds until something has happened that happens at once
NEVER = 1000.0  # a patience that no test waits for


class Request:
    """What a connection is to the threads: it begins, and ends when it is told to."""

    def __init__(self, begun: list[Request], does: Callable[[], None] = lambda: None) -> None:
        self._begun, self._does = begun, does
        self.begins, self.ends = threading.Event(), threading.Event()

    def service(self) -> None:
        """Answer."""
        self._begun.append(self)
        self._does()
        self.begins.set()
        assert self.ends.wait(SOON)

    def cancel(self) -> None:
        """Nothing is left to cancel."""


@pytest.fixture
def started() -> Iterator[Callable[..., Threads]]:
    """Return a function that starts eight threads; they are stopped at the end."""
    all_of: list[Threads] = []

    def start(patience: float = NEVER) -> Threads:
        all_of.append(Threads(most=2, patience=patience))
        all_of[-1].set_thread_count(8)
        return all_of[-1]

    yield start
    for one in all_of:
        one.shutdown(timeout=SOON)
        assert not one.threads


def added(threads: Threads, *requests: Request) -> None:
    """Hand requests to the threads, one after the other."""
    for request in requests:
        threads.add_task(request)


def ended(*requests: Request) -> None:
    """Let requests end."""
    for request in requests:
        request.ends.set()


def test_two_run_and_the_others_follow_in_their_order(started: Callable[..., Threads]) -> None:
    """The third begins when one of the first two ends, and so on."""
    threads, begun = started(), list[Request]()
    requests = [Request(begun) for _ in range(6)]
    added(threads, *requests)
    for place, request in enumerate(requests):
        assert request.begins.wait(SOON)
        if place:  # one has ended for each that has begun since
            assert not any(later.begins.wait(0.02) for later in requests[place + 1 :])
            ended(requests[place - 1])
    ended(*requests)
    assert begun == requests


def test_who_steps_aside_lets_one_other_begin(started: Callable[..., Threads]) -> None:
    """It runs on, and counts no more: neither when it steps aside again nor when it ends."""
    threads, begun = started(), list[Request]()

    def step_aside_thrice() -> None:
        for _ in range(3):
            running.step_aside()

    aside = [Request(begun, step_aside_thrice) for _ in range(2)]
    requests = [Request(begun) for _ in range(4)]
    added(threads, *aside, *requests)
    for request in (*aside, *requests[:2]):
        assert request.begins.wait(SOON)
    ended(*aside)
    assert not requests[2].begins.wait(0.1)
    ended(requests[0])
    assert requests[2].begins.wait(SOON)
    assert not requests[3].begins.wait(0.1)
    ended(*requests)


def test_those_that_run_long_do_not_stop_the_others(started: Callable[..., Threads]) -> None:
    """One more begins whenever none has begun for as long as patience lasts."""
    threads, begun = started(patience=0.01), list[Request]()
    requests = [Request(begun) for _ in range(8)]
    added(threads, *requests)
    assert all(request.begins.wait(SOON) for request in requests)
    ended(*requests)


def test_error_of_a_request_leaves_its_place(started: Callable[..., Threads]) -> None:
    """The thread goes on, and so does whoever waits."""

    def fail() -> None:
        raise SystemExit

    threads, begun = started(), list[Request]()
    added(threads, *(Request(begun, fail) for _ in range(5)), last := Request(begun))
    assert last.begins.wait(SOON)
    ended(last)


def test_stepping_aside_means_nothing_where_nobody_counts() -> None:
    """A command and a test have no turn to give back, and a thread has none after its request."""
    running.step_aside()
    count: list[float] = []
    with running.counted(lambda: count.append(time.monotonic())):
        pass
    running.step_aside()
    assert len(count) == 1
