"""Requests that were answered a moment ago and are sent again: nothing is planned anew, and everything is checked anew."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from budgets.database import clock
from queries.planning import planner
from server.journey import answer
from server.web import problems
from tests.server.runtime.test_tallies import Clock
from tests.serving import PATIENTS, UNADVISED, application, ask, import_file, write_demo_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving import Client, Home, Place, Reply

WAYS = ("queries", "estimates")
QUESTION = ask({"visits": {"sum": "visits", "bounds": [0, 20]}}, 0.1, group_by=["site"])
STATEMENTS = {"queries": 7, "estimates": 8}  # of the ledger, sign-in and the approved noise included


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application in which Ada has asked for an estimate and its answer, until both are only counted."""
    with application(home) as opened:
        opened.open_study(protocol={})
        again(opened)
        yield opened


def send(place: Place, way: str, body: Any = QUESTION, **headers: str) -> Reply:
    """Send a body as Ada."""
    return place.client("ada").post(f"/studies/flu/{way}", body, **headers)


def again(place: Place, body: Any = QUESTION) -> dict[str, Any]:
    """Send a body until all that can be remembered of it is, and return its estimate and its answer."""
    found = {}
    for way in WAYS:
        for _ in range(3):
            reply = send(place, way, body)
            assert reply.status in (200, 201), reply
            found[way] = reply.json()
    return found


def admin(place: Place, method: str, path: str, body: Any = None) -> None:
    """Let the admin do something."""
    place.client("admin").good(method, path, body)


def suspend(place: Place) -> None:
    """Suspend the study."""
    place.client("dora").good("POST", "/studies/flu/suspend", {"reason": "now"})


def close(place: Place) -> None:
    """Close the study."""
    place.client("dora").good("POST", "/studies/flu/close", {"reason": "now"})


def remove(place: Place) -> None:
    """End Ada's membership."""
    admin(place, "DELETE", "/studies/flu/members/ada")


def edit(place: Place) -> None:
    """Change the terms, which nobody has approved yet."""
    admin(place, "PATCH", "/studies/flu", {"purpose": "another"})


def narrow(place: Place) -> None:
    """Change the protocol to other tables, and approve it."""
    admin(place, "PATCH", "/studies/flu", {"protocol": {"tables": ["persons"]}})
    place.client("vera").good("POST", "/studies/flu/approve", {"reason": "less", **UNADVISED})


def revoke(place: Place) -> None:
    """Revoke all of Ada's tokens."""
    for token in place.client("admin").good("GET", "/tokens")["items"]:
        if token["user"] == "ada":
            admin(place, "DELETE", f"/tokens/{token['id']}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        (suspend, 403, "not-approved"),
        (close, 403, "not-approved"),
        (edit, 403, "not-approved"),
        (remove, 404, "not-found"),
        (narrow, 403, "outside-protocol"),
        (revoke, 401, "unauthenticated"),
    ],
)
def test_what_was_answered_a_moment_ago_is_refused(
    place: Place, act: Callable[[Place], None], way: str, status: int, code: str
) -> None:
    """A study that may not ask any more, a former member, another protocol, a revoked token: nothing is remembered for them.

    The refusal is an entry, as it is of a request that nobody sent before.
    """
    act(place)
    before = place.home.last_entry()
    refused = send(place, way)
    assert (refused.status, refused.code) == (status, code)
    assert len(place.home.actions(before)) == 1
    place.home.assert_sound()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("days", "status"), [(89, 403), (91, 401)])
def test_what_ends_is_over(home: Home, monkeypatch: pytest.MonkeyPatch, way: str, days: int, status: int) -> None:
    """After the study's last day its replay is refused, and after the token's end everything of it."""
    time = Clock()
    with application(home) as place:
        monkeypatch.setattr(clock, "moment", time)
        place.open_study(ends=clock.text(time())[:10])
        again(place)
        time.pass_by(days * 86_400)
        assert send(place, way).status == status


def test_an_estimate_shows_the_budget_of_now(place: Place) -> None:
    """The same estimate shows what was spent meanwhile, and a budget that was changed."""
    first = again(place)["estimates"]
    assert first["release"] is not None
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25))
    spent = send(place, "estimates").json()
    assert spent["budget"]["spent"]["epsilon"] == pytest.approx(first["budget"]["spent"]["epsilon"] + 0.25)
    assert spent["queries_left"] < first["queries_left"]
    admin(place, "PUT", "/studies/flu/budget", {"epsilon": 0.4, "reason": "less"})
    lower = send(place, "estimates").json()
    assert lower["budget"]["epsilon"] == 0.4
    assert lower["queries_left"] == 0
    replayed = send(place, "queries").json()
    assert replayed["budget"] == lower["budget"]
    assert {name: lower[name] for name in ("columns", "cost", "sql")} == {
        name: first[name] for name in ("columns", "cost", "sql")
    }


def test_a_replay_is_the_answer_itself(place: Place) -> None:
    """What is remembered of a request changes no byte of its answer, and charges nothing."""
    charged = place.home.charges()
    replayed = send(place, "queries")
    stored = again(place)["queries"]
    assert replayed.json() == stored
    assert stored["replayed"]
    with application(place.home) as fresh:  # nothing is remembered there
        first = fresh.client("ada").post("/studies/flu/queries", QUESTION)
        assert first.body == replayed.body
        assert fresh.client("ada").post("/studies/flu/estimates", QUESTION).body == send(place, "estimates").body
    assert place.home.charges() == charged


def test_another_edition_is_another_question(place: Place, tmp_path: Path) -> None:
    """After an import the same body is a new question about the new edition, with a charge of its own."""
    import_file(place.services, write_demo_manifest(tmp_path))
    assert send(place, "estimates").json()["release"] is None
    asked = send(place, "queries").json()
    assert (asked["edition"], asked["replayed"]) == (2, False)


def test_a_profile_that_was_bought_since_counts(place: Place) -> None:
    """A plan follows from the profile in use: the same body is planned anew after one was bought."""
    body = ask({"n": {"count": "events"}}, 0.1, group_by=["health"])
    before = again(place, body)["estimates"]
    with place.services.database.write() as transaction:
        transaction.execute(sa.text("UPDATE datasets SET profile_nano = 1000000000"))
    admin(place, "POST", "/datasets/rand-hie/profile", {"epsilon": 1})
    after = send(place, "estimates", body).json()
    told = [found["columns"][-1]["truncation"] for found in (before, after)]
    assert told[0] != told[1] == "profile"


def test_numbers_that_python_takes_for_equal_are_different_requests(place: Place) -> None:
    """2, 2.0 and true are three texts: none gets what another was remembered for."""
    for value, status in ((1, 200), (True, 422), (1.0, 200), ("1", 422), (1, 200)):
        body = ask(PATIENTS, 0.1, where={"column": "year", "op": ">=", "value": value})
        for _ in range(2):
            assert send(place, "estimates", body).status == status, value


def test_a_key_belongs_to_one_question(place: Place) -> None:
    """A key is tied to the first body that it comes with, also if that body has its answer; then it replays that alone."""
    key = {"Idempotency-Key": "k1"}
    for _ in range(3):
        assert send(place, "queries", **key).json()["replayed"]
    other = ask(PATIENTS, 0.1)
    again(place, other)
    for _ in range(2):
        assert send(place, "queries", other, **key).code == "idempotency-conflict"


def test_a_replay_waits_for_no_writer(place: Place) -> None:
    """While another transaction has the ledger's write lock, a counted replay is answered."""
    replies: list[int] = []
    with place.services.database.write():
        asking = threading.Thread(target=lambda: replies.append(send(place, "queries").status))
        asking.start()
        asking.join(10)
    assert replies == [201]
    asking.join()


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_planned_or_read_twice(place: Place, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The second of equal requests plans nothing, starts no thread, and needs few statements of the ledger."""

    def never(*_: object) -> None:
        raise AssertionError("it was done a moment ago")

    monkeypatch.setattr(planner, "plan", never)
    monkeypatch.setattr(answer, "_described", never)
    monkeypatch.setattr(threading.Thread, "start", never)
    with statements(place) as executed:
        assert send(place, way).status in (200, 201)
    assert len(executed) <= STATEMENTS[way], executed


def test_another_study_finds_nothing_remembered(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same body under another study is planned there too: its time must not tell that somebody asked it."""
    place.open_study("cold", protocol={})
    planned: list[object] = []
    plan = planner.plan

    def noted(*given: Any) -> Any:
        planned.append(given)
        return plan(*given)

    monkeypatch.setattr(planner, "plan", noted)
    ada = place.client("ada")
    assert ada.post("/studies/cold/queries", QUESTION).status == 201
    assert len(planned) == 1
    assert ada.post("/studies/cold/queries", QUESTION).status == 201
    assert len(planned) == 1


def test_rates_start_no_thread(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are counted by their token and address start no thread: twenty started nearly twenty before."""
    with application(home, token_rate="600/minute", address_rate="600/minute") as place:
        ada = place.client("ada")
        started: list[threading.Thread] = []
        start = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            started.append(thread)
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", noted)
        for _ in range(20):
            assert ada.get("/me").status == 200
    assert started == []


def test_a_body_is_read_by_its_type_each_time(place: Place) -> None:
    """A body that was read a moment ago is refused if it comes with another type."""
    client: Client = place.client("ada")
    reply = client.request("POST", "/studies/flu/estimates", QUESTION, headers={"Content-Type": "text/plain"})
    assert (reply.status, reply.code) == (415, problems.HTTP[415].code)


@contextmanager
def statements(place: Place) -> Iterator[list[str]]:
    """Collect the statements that are executed."""
    executed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    engine = place.services.database._engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
