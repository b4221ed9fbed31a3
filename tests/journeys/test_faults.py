"""Sudden death at each point of a query's journey, on both databases, twenty times each.

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
    from tests.serving import Client, Home, Reply

TIMES = 20
EPSILON_NANO = 10_000_000


def body(turn: int) -> dict[str, Any]:
    """Return a query that differs from all others."""
    return ask({f"n{turn}": {"count": "persons"}}, 0.01, "visits", group_by=["sex"])


def ask_the_doomed(client: Client, turn: int, **headers: str) -> Reply | None:
    """Ask, and return nothing when the server died over it."""
    try:
        return client.post("/studies/s/queries", body(turn), **headers)
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.parametrize("point", POINTS)
def test_sudden_death(either_home: Home, point: str) -> None:
    """Killed at a point, the server leaves whole steps; the retry is charged no second time and answered."""
    home = either_home
    charged, stored = point != "reserving", point == "settled"
    with serving(home, program=("tests.journeys.doomed", point)) as server:
        server.open_study("s", "clinic", epsilon=9.0)
        ada = server.client("ada")
        for turn in range(TIMES):
            (home.path / "doom").touch()
            key = {"Idempotency_Key": f"turn-{turn}"} if turn % 2 else {}
            before = home.last_entry()
            assert ask_the_doomed(ada, turn, **key) is None
            assert not (home.path / "doom").exists()
            assert home.used_nano("study", "s") == EPSILON_NANO * (turn + charged)
            assert home.used_nano("dataset", "clinic") == EPSILON_NANO * (turn + charged)
            died_with = home.rows("SELECT id, body FROM releases")
            assert len(died_with) == turn + stored
            logged = ["query.reserve"] * charged + ["query.release"] * stored
            assert home.actions(before) == logged
            wait_until_up(server)
            again = ada.post("/studies/s/queries", body(turn), **key)
            assert again.status == 201, again
            assert again.json()["replayed"] == stored
            assert home.used_nano("study", "s") == EPSILON_NANO * (turn + 1)
            assert home.reserved() == turn + 1
            once_more = ada.post("/studies/s/queries", body(turn), **key).json()
            assert once_more["replayed"]
            assert once_more["rows"] == again.json()["rows"]
            assert set(died_with) <= set(home.rows("SELECT id, body FROM releases"))
        assert len(home.rows("SELECT id FROM releases")) == TIMES
        home.assert_sound()
    assert home.rows("SELECT count(*) FROM charges WHERE kind = 'settle'") == [(TIMES,)]
    home.assert_sound()
