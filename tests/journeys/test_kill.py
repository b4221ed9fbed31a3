from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from server.demo.observatory import Shape, write_observatory
from tests.serving import Home, ask, make_home, serving, wait_until_up

if TYPE_CHECKING:
    from tests.serving import Reply, Server


@pytest.fixture(scope="module")
def observatory(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with data so many that a scan takes a good part of a second. Each test copies it."""
    folder = tmp_path_factory.mktemp("observatory")
    written = write_observatory(folder, Shape(persons=150_000, seed=5))
    return make_home(folder / "home", written.manifest)


def long_query(epsilon: float) -> dict[str, Any]:
    """Return a query of many statistics in many cells."""
    select: dict[str, Any] = {f"s{n}": {"mean": "cost", "bounds": [0, 10 + n]} for n in range(24)}
    return ask(select, epsilon, "consultations", group_by=["diagnosis", "sex"], bounds={"cells_per_person": 20})


class Asked(threading.Thread):
    """A request under way; `reply` stays None when the server dies over it."""

    def __init__(self, server: Server, body: dict[str, Any], **headers: str) -> None:
        super().__init__()
        self._client, self._body, self._headers = server.client("ada"), body, headers
        self.reply: Reply | None = None

    def run(self) -> None:
        """Ask, and perhaps never hear of it again."""
        try:
            self.reply = self._client.post("/studies/long/queries", self._body, **self._headers)
        except (OSError, http.client.HTTPException):
            self.reply = None


def wait_for_charge(home: Home, count: int) -> None:
    """Return as soon as the ledger holds so many charges."""
    deadline = time.monotonic() + 300
    while home.reserved() < count:
        assert time.monotonic() < deadline, "the query was never charged"
        time.sleep(0.001)


def test_kill_9_in_the_middle_of_a_query(observatory: Home, home: Home) -> None:
    """Killed at several moments of a query: the charge stands, no release lacks its charge, a retry resumes free."""
    home = observatory.copy(home.path.with_name("killed"))
    with serving(home) as server:
        server.open_study("long", "observatory", epsilon=3.0)
    cut_short = 0
    for turn, delay_ms in enumerate((0, 15, 40, 80, 0), start=1):
        body = long_query(0.2 * turn)
        key = {"Idempotency_Key": f"turn-{turn}"} if turn % 2 else {}
        with serving(home) as server:
            asked = Asked(server, body, **key)
            asked.start()
            wait_for_charge(home, turn)
            time.sleep(delay_ms / 1000)
            server.kill()
            asked.join()
        ((charge, settled),) = home.rows(
            "SELECT c.id, (SELECT count(*) FROM charges s WHERE s.reserve_id = c.id) FROM charges c "
            "WHERE c.kind = 'reserve' ORDER BY c.rowid DESC LIMIT 1"
        )
        released = home.rows("SELECT id FROM releases WHERE charge = ?", charge)
        assert not released or settled, "a release was stored and its charge was not settled"
        cut_short += not settled
        home.assert_sound()
        used = home.used_nano("study", "long")
        with serving(home) as server:
            # What the crash left open was closed as spent before the server answered anybody.
            assert home.rows("SELECT count(*) FROM charges WHERE reserve_id = ?", charge) == [(1,)]
            again = server.client("ada").post("/studies/long/queries", body, **key)
            assert again.status == 201, again
            assert again.json()["replayed"] == bool(released)
            assert home.rows("SELECT charge FROM releases WHERE id = ?", again.json()["id"]) == [(charge,)]
            assert server.client("ada").post("/studies/long/queries", body, **key).json()["replayed"]
        assert home.reserved() == turn
        assert home.used_nano("study", "long") == used == home.used_nano("dataset", "observatory")
        home.assert_sound()
    assert cut_short >= 2, "the server was hardly ever killed in the middle of a query"
    assert home.actions().count("query.recover") == cut_short


def test_a_killed_worker_is_replaced(home: Home) -> None:
    """When only the worker dies the next one answers the same request on the charge that was paid."""
    with serving(home, program=("tests.journeys.doomed", "slow")) as server:
        server.open_study("long", "clinic", epsilon=3.0)
        for turn in (1, 2):
            body = ask({"s": {"mean": "cost"}}, 0.25 * turn, "visits")
            (home.path / "doom").touch()  # the scan goes on as long as it is there
            asked = Asked(server, body)
            asked.start()
            wait_for_charge(home, turn)
            os.kill(server.worker(), signal.SIGKILL)
            asked.join()
            assert asked.reply is None
            (home.path / "doom").unlink()
            wait_until_up(server)
            again = server.client("ada").post("/studies/long/queries", body)
            assert again.status == 201, again
            assert home.reserved() == turn
            home.assert_sound()
    assert home.used_nano("study", "long") == 750_000_000


def test_a_client_that_goes_away_has_paid(observatory: Home, home: Home) -> None:
    """A client that hangs up in the middle finds its answer later, charged once."""
    home = observatory.copy(home.path.with_name("left"))
    with serving(home) as server:
        server.open_study("long", "observatory", epsilon=3.0)
        body = long_query(0.1)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        try:
            token = home.tokens["ada"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            connection.request("POST", "/api/v1/studies/long/queries", json.dumps(body), headers)
            wait_for_charge(home, 1)
        finally:
            connection.close()
        later = server.client("ada").post("/studies/long/queries", body)
        assert later.status == 201, later
        assert home.reserved() == 1
    home.assert_sound()


def test_a_stopped_server_finishes_what_it_began(observatory: Home, home: Home) -> None:
    """SIGTERM lets a query that is under way finish: its client has the answer, and nothing is left open."""
    home = observatory.copy(home.path.with_name("stopped"))
    with serving(home) as server:
        server.open_study("long", "observatory", epsilon=3.0)
        asked = Asked(server, long_query(0.1))
        asked.start()
        wait_for_charge(home, 1)
        server.process.terminate()
        asked.join()
        assert server.process.wait(300) == 0
    assert asked.reply is not None
    assert asked.reply.status == 201
    assert [kind for kind, _ in home.charges()] == ["reserve", "settle"]
    home.assert_sound()
