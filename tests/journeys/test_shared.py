"""Several servers on several ports, one ledger: on a SQLite file as on PostgreSQL."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.serving import CROWDED, ask, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Postgres
    from tests.serving import Client, Home, Reply, Server

SERVERS, REQUESTS = 4, 200


@contextlib.contextmanager
def several(home: Home, count: int, **settings: str) -> Iterator[list[Server]]:
    """Run several servers over one home and one ledger."""
    with contextlib.ExitStack() as running:
        yield [running.enter_context(serving(home, **settings)) for _ in range(count)]


def at_once(asked: list[tuple[Client, str, dict[str, Any]]]) -> list[Reply]:
    """Send all requests at the same moment and return the replies in their order."""
    barrier = threading.Barrier(len(asked))
    replies: dict[int, Reply] = {}

    def run(number: int) -> None:
        client, study, body = asked[number]
        barrier.wait()
        replies[number] = client.post(f"/studies/{study}/queries", body)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [replies[number] for number in range(len(asked))]


def named(number: int, epsilon: float) -> dict[str, Any]:
    """Return a query that differs from all others."""
    return ask({f"n{number}": {"count": "persons"}}, epsilon, "visits")


def test_exactly_one_of_200_gets_the_last_unit(either_home: Home) -> None:
    """200 queries at four servers race for what pays one of them: one is answered, and the sums equal the rows."""
    home = either_home
    with several(home, SERVERS, **CROWDED) as servers:
        servers[0].open_study("s", "clinic", epsilon=1.0)
        clients = [server.client("ada") for server in servers]
        assert clients[1].post("/studies/s/queries", named(1000, 0.5)).status == 201
        replies = at_once([(clients[n % SERVERS], "s", named(n, 0.5)) for n in range(REQUESTS)])
        assert sorted({(reply.status, reply.code if reply.status != 201 else "") for reply in replies}) == [
            (201, ""),
            (409, "budget-exceeded"),
        ]
        assert [reply.status for reply in replies].count(201) == 1
        budgets = [client.good("GET", "/studies/s/budget") for client in clients]
        assert all(budget == budgets[0] for budget in budgets)
        assert budgets[0]["remaining"]["epsilon"] == 0
    assert home.used_nano("study", "s") == home.used_nano("dataset", "clinic") == 1_000_000_000
    assert len(home.rows("SELECT id FROM releases")) == 2
    home.assert_sound()


def test_one_question_at_four_servers_is_charged_once(either_home: Home) -> None:
    """One question asked of all servers at once is one charge, one release and one answer; later all replay it."""
    home = either_home
    with several(home, SERVERS, **CROWDED) as servers:
        servers[0].open_study("s", "clinic", epsilon=1.0)
        clients = [server.client("ada") for server in servers]
        replies = at_once([(clients[n % SERVERS], "s", named(1, 0.5)) for n in range(40)])
        # All three attempts of the charge may be under way at once: who comes then is told to send it again soon.
        told = [reply for reply in replies if reply.status != 201]
        assert {(reply.status, reply.code) for reply in told} <= {(503, "busy")}
        assert all(int(reply.headers["retry-after"]) > 0 for reply in told)
        replies = [reply for reply in replies if reply.status == 201]
        assert len(replies) > 20
        assert len({str(reply.json()["rows"]) for reply in replies}) == 1
        for client in clients:
            assert client.post("/studies/s/queries", named(1, 0.5)).json()["replayed"]
    assert home.charges("s") == [("reserve", 500_000_000), ("settle", 500_000_000)]
    home.assert_sound()


def test_change_at_one_server_holds_at_the_others(either_home: Home) -> None:
    """A suspension, a member and a token that one server takes note of hold at the other from the next request on."""
    home = either_home
    with several(home, 2) as (one, two):
        one.open_study("s", "clinic", epsilon=1.0)
        assert two.client("ada").post("/studies/s/queries", named(1, 0.1)).status == 201
        two.client("dora").good("POST", "/studies/s/suspend", {"reason": "a complaint"})
        assert one.client("ada").post("/studies/s/queries", named(2, 0.1)).code == "not-approved"
        one.client("dora").good("POST", "/studies/s/resume", {"reason": "settled"})
        assert two.client("ada").post("/studies/s/queries", named(2, 0.1)).status == 201
        one.client("admin").good("DELETE", "/studies/s/members/ada")
        assert two.client("ada").post("/studies/s/queries", named(3, 0.1)).status == 404
    home.assert_sound()


def test_a_server_that_starts_leaves_the_others_queries_alone(either_home: Home, tmp_path: Path) -> None:
    """A server that starts closes open charges as spent; the query of another that is under way is answered all the same."""
    home = either_home
    with serving(home, program=("tests.journeys.doomed", "slow")) as one:
        one.open_study("s", "clinic", epsilon=1.0)
        (home.path / "doom").touch()
        replies: list[Reply] = []
        asking = threading.Thread(
            target=lambda: replies.append(one.client("ada").post("/studies/s/queries", named(1, 0.5)))
        )
        asking.start()
        while home.reserved() == 0:
            time.sleep(0.005)
        with serving(home) as two:
            assert [kind for kind, _ in home.charges("s")] == ["reserve", "settle"]
            (home.path / "doom").unlink()
            asking.join()
            assert replies[0].status == 201
            again = two.client("ada").post("/studies/s/queries", named(1, 0.5)).json()
            assert again["replayed"]
            assert again["rows"] == replies[0].json()["rows"]
    assert home.used_nano("study", "s") == 500_000_000
    home.assert_sound()


def test_a_server_outlives_a_restart_of_its_database(
    shared_template: Home, postgres_server: Postgres, tmp_path: Path
) -> None:
    """While PostgreSQL is down every request is 503; when it is back the same server answers, with no hand's work."""
    home = shared_template.copy(tmp_path / "home", postgres_server.create(shared_template.ledger.rpartition("/")[2]))
    with serving(home) as server:
        server.open_study("s", "clinic", epsilon=1.0)
        ada = server.client("ada")
        first = ada.post("/studies/s/queries", named(1, 0.25))
        assert first.status == 201
        postgres_server.stop()
        try:
            for reply in (
                ada.post("/studies/s/queries", named(2, 0.25)),
                ada.get("/studies/s/budget"),
                ada.post("/studies/s/queries", named(1, 0.25)),
            ):
                assert (reply.status, reply.code) == (503, "unavailable")
                assert reply.headers["retry-after"]
                assert "127.0.0.1" not in reply.body.decode()
        finally:
            postgres_server.start()
        assert ada.post("/studies/s/queries", named(1, 0.25)).json()["rows"] == first.json()["rows"]
        assert ada.post("/studies/s/queries", named(2, 0.25)).status == 201
    assert home.used_nano("study", "s") == 500_000_000
    home.assert_sound()
    assert home.database is not None
    postgres_server.drop(home.database)
