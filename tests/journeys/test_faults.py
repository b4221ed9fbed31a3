"""Sudden death at each point of a query's journey, on both databases: with a key and without, and twenty times in an audit.

Whatever the point: no release without its charge, no second charge on a retry, no gap in the audit log, and the answer
that was stored is the one that stays.
"""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

import pytest

from tests.journeys.doomed import POINTS
from tests.serving import ask, serving, wait_until_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Postgres
    from tests.serving import Client, Home, Reply, Server

TIMES, TIMES_OF_AN_AUDIT = 2, 20  # each point is deterministic: half of the turns have a key, and half have none
EPSILON_NANO = 10_000_000


def body(turn: int) -> dict[str, Any]:
    """Return a query that differs from all others."""
    return ask({f"n{turn}": {"count": "persons"}}, 0.01, "visits", group_by=["sex"])


@pytest.fixture(scope="module", params=["template", "shared_template"], ids=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a home whose server dies where it is told to; each point has a study of its own."""
    made: Home = request.getfixturevalue(request.param)
    postgres: Postgres | None = request.getfixturevalue("postgres_server") if made.database else None
    database = postgres and postgres.create(made.ledger.rpartition("/")[2])
    home = made.copy(tmp_path_factory.mktemp("doomed") / "home", database)
    with serving(home, program=("tests.journeys.doomed", *POINTS)) as running:
        yield running
    home.assert_sound()
    if postgres and database:
        postgres.drop(database)


def ask_the_doomed(client: Client, study: str, turn: int, **headers: str) -> Reply | None:
    """Ask, and return nothing when the server died over it."""
    try:
        return client.post(f"/studies/{study}/queries", body(turn), **headers)
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.parametrize("point", POINTS)
def test_server_killed_at_each_point_leaves_whole_steps(
    server: Server, point: str, pytestconfig: pytest.Config
) -> None:
    """Killed at a point, the server leaves whole steps; the retry is charged no second time and answered."""
    times = TIMES_OF_AN_AUDIT if pytestconfig.getoption("--audit") else TIMES
    home, ada = server.home, server.client("ada")
    charged, stored = point != "reserving", point == "settled"
    taken = home.used_nano("dataset", "clinic")
    server.open_study(point, "clinic", epsilon=9.0)
    for turn in range(times):
        (home.path / "doom").write_text(point)
        key = {"Idempotency_Key": f"turn-{turn}"} if turn % 2 else {}
        before = home.last_entry()
        assert ask_the_doomed(ada, point, turn, **key) is None
        assert not (home.path / "doom").exists()
        assert home.used_nano("study", point) == EPSILON_NANO * (turn + charged)
        assert home.used_nano("dataset", "clinic") == taken + EPSILON_NANO * (turn + charged)
        died_with = releases(home, point)
        assert len(died_with) == turn + stored
        logged = ["query.reserve"] * charged + ["query.release"] * stored
        assert home.actions(before) == logged
        wait_until_up(server)
        again = ada.post(f"/studies/{point}/queries", body(turn), **key)
        assert again.status == 201, again
        assert again.json()["replayed"] == stored
        assert home.used_nano("study", point) == EPSILON_NANO * (turn + 1)
        assert home.reserved(point) == turn + 1
        once_more = ada.post(f"/studies/{point}/queries", body(turn), **key).json()
        assert once_more["replayed"]
        assert once_more["rows"] == again.json()["rows"]
        assert set(died_with) <= set(releases(home, point))
    assert len(releases(home, point)) == times
    assert home.rows("SELECT count(*) FROM charges WHERE kind = 'settle' AND study = ?", point) == [(times,)]
    home.assert_sound()


def releases(home: Home, study: str) -> list[tuple[str, str]]:
    """Return a study's releases as they are stored."""
    return home.rows("SELECT id, body FROM releases WHERE study = ?", study)
