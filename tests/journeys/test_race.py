from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving import CROWDED, Home, ask, make_home, serving, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Client, Reply

CLIENTS = 64


@pytest.fixture
def capped(tmp_path: Path) -> Home:
    """Return a home whose one dataset has a cap of epsilon 1 and lets studies be promised more than that together."""
    return make_home(tmp_path / "home", write_clinic(tmp_path, **{"epsilon = 10000.0": "epsilon = 1.0"}))


def race(clients: list[tuple[Client, str, dict[str, Any]]]) -> list[Reply]:
    """Ask all queries at the same moment and return the replies."""
    barrier = threading.Barrier(len(clients))
    replies: list[Reply] = []

    def run(client: Client, study: str, body: dict[str, Any]) -> None:
        barrier.wait()
        replies.append(client.post(f"/studies/{study}/queries", body))

    threads = [threading.Thread(target=run, args=one) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == len(clients)
    return replies


def named(number: int, epsilon: float) -> dict[str, Any]:
    """Return a query that differs from all others."""
    return ask({f"n{number}": {"count": "persons"}}, epsilon, "visits")


def test_the_last_tenth_of_a_budget_is_never_overspent(home: Home) -> None:
    """64 distinct queries race for what pays seven of them: seven are answered, the rest refused, not a nano more."""
    with serving(home, **CROWDED) as server:
        server.open_study("s", "clinic", epsilon=1.0)
        ada = server.client("ada")
        assert ada.post("/studies/s/queries", named(1000, 0.9)).status == 201
        replies = race([(ada, "s", named(n, 0.014)) for n in range(CLIENTS)])
        won = [reply.json() for reply in replies if reply.status == 201]
        lost = [reply for reply in replies if reply.status != 201]
        assert len(won) == 7
        assert {(reply.status, reply.code) for reply in lost} == {(409, "budget-exceeded")}
        assert all(reply.json()["remaining"]["epsilon"] < 0.014 for reply in lost)
        assert sum(round(said["cost"]["epsilon"] * 1e9) for said in won) == 7 * 14_000_000
        assert home.used_nano("study", "s") == 900_000_000 + 7 * 14_000_000
        assert len(home.charges("s")) == 2 * 8
        # What is left can still be spent to the last nano, and then nothing.
        assert ada.post("/studies/s/queries", named(1001, 0.002)).status == 201
        assert home.used_nano("study", "s") == 1_000_000_000
        assert ada.post("/studies/s/queries", named(1002, 0.001)).code == "budget-exceeded"
    home.assert_sound()


def test_two_studies_never_pass_the_datasets_cap(capped: Home) -> None:
    """Two studies with the whole cap each race for it: together they get what the dataset has, and no more."""
    with serving(capped, **CROWDED) as server:
        for study in ("one", "two"):
            server.open_study(study, "clinic", epsilon=1.0)
        ada = server.client("ada")
        replies = race([(ada, ("one", "two")[n % 2], named(n, 0.07)) for n in range(CLIENTS)])
        lost = [reply for reply in replies if reply.status != 201]
        assert len(replies) - len(lost) == 14
        assert {(reply.status, reply.code, reply.json()["account"]) for reply in lost} == {
            (409, "budget-exceeded", "dataset")
        }
        assert capped.used_nano("dataset", "clinic") == 14 * 70_000_000
        assert capped.used_nano("study", "one") + capped.used_nano("study", "two") == 14 * 70_000_000
    capped.assert_sound()


def test_one_question_from_many_clients_is_charged_once(home: Home) -> None:
    """64 clients with one question share one charge and one answer."""
    with serving(home, **CROWDED) as server:
        server.open_study("s", "clinic", epsilon=1.0)
        ada = server.client("ada")
        replies = race([(ada, "s", named(1, 0.5))] * CLIENTS)
        assert {reply.status for reply in replies} == {201}
        assert len({str(reply.json()["rows"]) for reply in replies}) == 1
    assert home.charges("s") == [("reserve", 500_000_000), ("settle", 500_000_000)]
    home.assert_sound()
