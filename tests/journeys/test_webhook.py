"""Alerts to a webhook from real servers: one that hangs holds up no query, and kill -9 loses no alert."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.databases import change
from tests.receiver import SECRET, receiving
from tests.serving import PATIENTS, Client, ask, serving, through_http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres
    from tests.receiver import Receiver
    from tests.serving import Home


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Run a receiver."""
    with receiving() as running:
        yield running


def spend(ada: Client, epsilon: float, year: int) -> float:
    """Ask a question of its own and return how long the answer took."""
    where = {"column": "year", "op": "=", "value": year}
    began = time.monotonic()
    reply = ada.post("/studies/small/queries", ask(PATIENTS, epsilon, where=where))
    assert reply.status == 201, reply
    return time.monotonic() - began


def waiting(home: Home) -> list[int]:
    """Return the positions of the alerts that wait."""
    return [position for (position,) in home.rows("SELECT position FROM deliveries ORDER BY position")]


def until_told(home: Home) -> None:
    """Wait until nothing waits."""
    end = time.monotonic() + 120
    while waiting(home):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_webhook_that_hangs_holds_up_no_query(home: Home, receiver: Receiver) -> None:
    """While the receiver keeps its connection open and says nothing, queries are answered; the alert is taken once it answers."""
    receiver.open.clear()
    with serving(home, **receiver.settings()) as server:
        server.open_study("small", "rand-hie", epsilon=1.0)
        ada = server.client("ada")
        spend(ada, 0.6, 1)
        receiver.wait_for(1, answered=False)  # it has the alert, and keeps the sender waiting
        took = [spend(ada, 0.05, year) for year in (2, 3, 4, 5)]  # passes 80% meanwhile
        assert max(took) < 9, "the sender gives up after 10 seconds"
        assert receiver.sent == []
        assert len(waiting(home)) == 2
        receiver.open.set()
        first, second = (one.verified()["data"] for one in receiver.wait_for(2))
        until_told(home)
    assert [one["facts"]["threshold"] for one in (first, second)] == [50, 80]
    logged = home.rows("SELECT position, leaf_hash FROM audit_entries WHERE action = 'alert.budget' ORDER BY position")
    assert [(one["index"], one["leaf_hash"]) for one in (first, second)] == logged
    home.assert_sound()


def test_server_killed_during_delivery_delivers_alert_again(home: Home, receiver: Receiver) -> None:
    """Kill -9 while the receiver has not answered: after a restart the alert comes again, under the same id."""
    receiver.open.clear()
    with serving(home, **receiver.settings()) as server:
        server.open_study("small", "rand-hie", epsilon=1.0)
        spend(server.client("ada"), 0.6, 1)
        receiver.wait_for(1, answered=False)
        server.kill()
    receiver.open.set()
    assert len(waiting(home)) == 1
    with serving(home, **receiver.settings()):
        time.sleep(3)
        assert len(receiver.arrived) == 1, "it is put off, lest two servers tell it at once"
        change(home.ledger, "UPDATE deliveries SET next_at = '2020-01-01T00:00:00.000Z'")  # a minute passes
        receiver.wait_for(2, answered=False)
        until_told(home)
    first, again = receiver.arrived
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body
    assert again.verified()["data"]["facts"]["threshold"] == 50


def test_an_alert_from_before_the_kill_is_told_after_it(either_home: Home, receiver: Receiver) -> None:
    """An alert that was raised while the server had no webhook, and was killed, is told by the next one that has."""
    with serving(either_home) as server:
        server.open_study("small", "rand-hie", epsilon=1.0)
        spend(server.client("ada"), 0.6, 1)
        server.kill()
    with serving(either_home, **receiver.settings()):
        assert receiver.wait_for(1)[0].verified()["data"]["study"] == "small"
        until_told(either_home)


def test_two_servers_tell_each_alert_once(
    shared_template: Home, postgres_server: Postgres, tmp_path: Path, receiver: Receiver
) -> None:
    """Of two servers on one PostgreSQL with alerts in quick succession, each alert is told by one of them."""
    database = postgres_server.create(shared_template.ledger.rpartition("/")[2])
    home = shared_template.copy(tmp_path / "home", database)
    with serving(home, **receiver.settings()) as one, serving(home, **receiver.settings()) as other:
        for number in range(12):
            name = f"s{number}"
            one.open_study(name, "rand-hie", epsilon=1.0)
            client = (one, other)[number % 2].client("ada")
            assert client.post(f"/studies/{name}/queries", ask(PATIENTS, 0.6)).status == 201
        receiver.wait_for(12)
        until_told(home)
        time.sleep(2.5)  # one more look of each
    told = sorted(sent.verified()["data"]["index"] for sent in receiver.sent)
    assert told == [
        p for (p,) in home.rows("SELECT position FROM audit_entries WHERE action = 'alert.budget' ORDER BY 1")
    ]
    assert len(told) == 12
    postgres_server.drop(database)


def test_server_waiting_for_webhook_stops_in_time(home: Home, receiver: Receiver) -> None:
    """On SIGTERM a server that waits for a webhook ends within seconds, and failed sign-ins it held back are in the log."""
    receiver.open.clear()
    with serving(home, **receiver.settings()) as server:
        server.open_study("small", "rand-hie", epsilon=1.0)
        spend(server.client("ada"), 0.6, 1)
        receiver.wait_for(1, answered=False)
        stranger = Client(through_http(server.port), f"rowless_0123456789abcdef_{'A' * 43}")
        for _ in range(30):
            assert stranger.get("/me").status == 401
        began = time.monotonic()
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(300)
        assert time.monotonic() - began < 8
    entries = home.rows("SELECT body FROM audit_entries WHERE action = 'sign-in.fail' ORDER BY position")
    assert len(entries) == 6
    assert '"count":25' in entries[-1][0]
    assert len(waiting(home)) == 2  # the budget's and the burst's


def test_neither_address_nor_secret_is_in_the_servers_log(home: Home, receiver: Receiver) -> None:
    """What a failed delivery leaves in the application's log names the entry and the reason, not where it went."""
    receiver.status = 503
    with serving(home, **receiver.settings()) as server:
        server.open_study("small", "rand-hie", epsilon=1.0)
        spend(server.client("ada"), 0.6, 1)
        receiver.wait_for(1)
        time.sleep(0.5)
    said = home.path.with_suffix(".log").read_text()
    assert "(attempt 1): it answered with 503" in said
    assert "token=secret" not in said
    assert SECRET not in said
    without_processes = re.sub(r"\bpid: ?\d+|(?<=Listening at: )\S+ \(\d+\)", "", said)
    assert not re.search(rf"\b{receiver.port}\b", without_processes), "digits within an id are none of its port"
