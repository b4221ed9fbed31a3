"""Cancelling a query: it stays charged, it leaves at its beat, and nobody learns when its scan ended."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from budgets.identity import people
from queries.errors import EngineFailed
from queries.execution.stopping import Stop
from queries.language import nodes
from server.errors import Abandoned
from server.journey import answer
from server.journey.preparing import Request
from server.runtime.scans import slots
from tests.serving import PATIENTS, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving import Home, Place, Reply

SOON = 30.0
PATH = "/studies/flu/queries"


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application with beats and the study of Ada."""
    with application(home, slot_ms="250") as opened:
        opened.open_study()
        yield opened


def cancel(place: Place, user: str = "ada", key: str = "k") -> Reply:
    """Cancel the query with a key."""
    return place.client(user).request("DELETE", PATH, headers={"Idempotency-Key": key})


class HeldClock:
    """The clock of the slots, whose beats wait for the test and not for the time: a busy machine may need it all."""

    def __init__(self) -> None:
        self.beats = threading.Event()

    def monotonic(self) -> float:
        """Return the time."""
        return time.monotonic()

    def sleep(self, _seconds: float) -> None:
        """Wait until the test lets the beat come."""
        assert self.beats.wait(SOON)


def cancelled(place: Place, monkeypatch: pytest.MonkeyPatch, scan: Callable[..., Any], *, ended: bool = False) -> Reply:
    """Return the reply to a query whose scan goes as told, and which is cancelled during its scan or after its end."""
    scans, compute, clock = threading.Event(), answer.compute, HeldClock()
    monkeypatch.setattr(slots, "time", clock)

    def told(*arguments: Any) -> Any:
        if not ended:
            scans.set()
        found = scan(compute, *arguments)
        scans.set()
        return found

    monkeypatch.setattr(answer, "compute", told)
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(place.client("ada").post, PATH, ask(PATIENTS), Idempotency_Key="k")
        assert scans.wait(SOON)
        reply = cancel(place)
        assert (reply.status, reply.json()) == (202, {"cancelling": True})
        clock.beats.set()
        found = asked.result()
    monkeypatch.setattr(answer, "compute", compute)
    monkeypatch.setattr(slots, "time", time)
    return found


def test_cancelled_scan_stops_and_stays_charged(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that would go on is stopped; the charge is spent, and the same request gets its answer for it."""

    def goes_on(_compute: Any, _plan: Any, _store: Any, stop: Stop) -> None:
        deadline = time.monotonic() + SOON
        while not stop.is_told():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        raise EngineFailed("interrupted")

    logging.disable(logging.CRITICAL)
    try:
        reply = cancelled(place, monkeypatch, goes_on)
    finally:
        logging.disable(logging.NOTSET)
    assert (reply.status, reply.code) == (409, "cancelled")
    assert place.home.charges() == [("reserve", 1_000_000_000), ("settle", 1_000_000_000)]
    assert place.home.rows("SELECT id FROM releases") == []
    again = place.client("ada").post(PATH, ask(PATIENTS), Idempotency_Key="k")
    assert (again.status, again.json()["replayed"]) == (201, False)
    assert place.home.reserved() == 1
    place.home.assert_sound()


def test_scan_that_had_ended_is_thrown_away_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query whose scan ended before it was cancelled is cancelled all the same: it tells nothing of when that was."""
    reply = cancelled(place, monkeypatch, lambda compute, *arguments: compute(*arguments), ended=True)
    assert (reply.status, reply.code) == (409, "cancelled")
    assert place.home.rows("SELECT id FROM releases") == []
    assert place.home.actions().count("query.fail") == 1
    place.home.assert_sound()


def test_query_that_is_settled_cannot_be_cancelled(place: Place) -> None:
    """After the answer, or without any, there is nothing to cancel: 404, and the answer stays."""
    assert cancel(place).code == "not-found"
    assert place.client("ada").post(PATH, ask(PATIENTS), Idempotency_Key="k").status == 201
    assert cancel(place).code == "not-found"
    assert place.client("ada").post(PATH, ask(PATIENTS), Idempotency_Key="k").json()["replayed"]


def test_nobody_cancels_the_query_of_another(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another member with the same key is told that there is none, and the query is answered."""
    place.client("admin").good("PUT", "/studies/flu/members/ben")
    scans, compute = threading.Event(), answer.compute

    def told(*arguments: Any) -> Any:
        scans.set()
        return compute(*arguments)

    monkeypatch.setattr(answer, "compute", told)
    with ThreadPoolExecutor(1) as client:
        asked = client.submit(place.client("ada").post, PATH, ask(PATIENTS), Idempotency_Key="k")
        assert scans.wait(SOON)
        assert cancel(place, "ben").code == "not-found"
        assert cancel(place, key="other").code == "not-found"
        assert asked.result().status == 201


def test_cancelling_takes_a_key(place: Place) -> None:
    """Without the header it is refused with the place of what is missing."""
    reply = place.client("ada").request("DELETE", PATH)
    assert (reply.status, reply.code, reply.json()["pointer"]) == (422, "invalid-request", "/Idempotency-Key")


def test_a_stop_interrupts_what_runs_and_what_begins_later() -> None:
    """What is told to stop interrupts each scan once, also one that begins afterwards, and none that has ended."""
    stop, calls = Stop(), []
    with stop.interrupting(lambda: calls.append("ended")):
        pass
    with stop.interrupting(lambda: calls.append("runs")):
        stop.tell()
    with stop.interrupting(lambda: calls.append("later")):
        pass
    assert calls == ["runs", "later"]
    assert stop.is_told()


def test_query_of_a_client_that_left_is_not_charged(place: Place) -> None:
    """A client that leaves while its query is planned, after it got its place, is charged nothing."""
    with place.services.database.read() as transaction:
        ada = people.user(transaction, "ada")
    query = nodes.Query("years", (("patients", nodes.Count("persons")),))
    asked = Request(query, nodes.Privacy(epsilon_nano=1_000_000_000), has_left=lambda: True)
    with pytest.raises(Abandoned):
        answer.answer(place.services, ada, "flu", asked)
    assert place.home.charges() == []
