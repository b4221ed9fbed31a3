"""Free acts that are repeated: which are entries, which are counted, and that none is lost."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from budgets.audit import log
from budgets.database import clock
from budgets.errors import Unavailable
from budgets.identity import people
from server.runtime.tallies import Act
from tests.server.pages.browsing import browser
from tests.serving import PATIENTS, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving import Home, Place


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application with the study of Ada."""
    with application(home) as opened:
        opened.open_study()
        yield opened


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = dt.datetime.now(dt.UTC)

    def __call__(self) -> dt.datetime:
        """Return the time."""
        return self.at

    def pass_by(self, seconds: float) -> None:
        """Let time pass."""
        self.at += dt.timedelta(seconds=seconds)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a clock in place of the ledger's."""
    moved = Clock()
    monkeypatch.setattr(clock, "moment", moved)
    return moved


def counts(home: Home, action: str) -> list[dict[str, Any]]:
    """Return the facts of the entries of an action."""
    bodies = home.rows("SELECT body FROM audit_entries WHERE action = ? ORDER BY position", action)
    return [json.loads(body)["facts"] for (body,) in bodies]


def test_estimates_within_a_minute_are_one_entry_and_one_count(place: Place, time: Clock) -> None:
    """Fifty estimates are the first one's entry and, after a minute, one entry with the number of the others."""
    ada = place.client("ada")
    for number in range(50):
        ada.good("POST", "/studies/flu/estimates", ask(PATIENTS, 1 + number / 100))
        time.pass_by(0.5)
    assert place.home.actions().count("query.estimate") == 1
    assert counts(place.home, "query.estimate.count") == []
    time.pass_by(60)
    ada.good("GET", "/me")
    (counted,) = counts(place.home, "query.estimate.count")
    assert counted["count"] == 49
    assert counted["from"] < counted["to"]
    ada.good("POST", "/studies/flu/estimates", ask(PATIENTS))
    assert place.home.actions().count("query.estimate") == 2
    place.home.assert_sound()


def test_each_kind_and_each_user_is_counted_alone(place: Place, time: Clock) -> None:
    """Replays, rehearsals and readings have counts of their own, and so has another member."""
    place.client("admin").good("PUT", "/studies/flu/members/ben")
    for client in (place.client("ada"), place.client("ben")):
        for _ in range(3):
            release = client.good("POST", "/studies/flu/queries", ask(PATIENTS))["id"]
            client.good("POST", "/studies/flu/rehearsals", ask(PATIENTS))
            client.good("GET", f"/studies/flu/releases/{release}")
    actions = place.home.actions()
    assert [actions.count(f"query.{what}") for what in ("release", "replay", "rehearse")] == [1, 2, 2]
    assert actions.count("release.read") == 2
    time.pass_by(61)
    place.client("dora").good("GET", "/me")
    assert sorted(facts["count"] for facts in counts(place.home, "query.replay.count")) == [1, 2]
    assert [facts["count"] for facts in counts(place.home, "query.rehearse.count")] == [2, 2]
    assert [facts["count"] for facts in counts(place.home, "release.read.count")] == [2, 2]
    place.home.assert_sound()


READINGS = {"admin": ("user.read", "token.read", "dataset.import.read"), "dora": ("audit.read", "identity.read")}


@pytest.mark.parametrize("name", READINGS)
def test_ten_glances_at_the_start_page_are_one_entry_and_one_count(place: Place, time: Clock, name: str) -> None:
    """Of each list that a page reads: the first glance is an entry at once, the others have one number. Later it is anew."""
    here = browser(place, name)
    paths = {"admin": ("/", "/admin/users", "/admin/datasets/rand-hie"), "dora": ("/", "/names")}[name]
    for _ in range(10):
        for path in paths:
            assert here.get(path).status == 200
        time.pass_by(1)
    assert [place.home.actions().count(action) for action in READINGS[name]] == [1] * len(READINGS[name])
    time.pass_by(60)
    place.client("ada").good("GET", "/me")
    for action in READINGS[name]:
        (facts,) = counts(place.home, f"{action}.count")
        # The sign-in leads to the start page, and the page of names reads two lists.
        assert facts["count"] == {"token.read": 10, "audit.read": 10, "identity.read": 19}.get(action, 9), action
        assert facts["from"] < facts["to"]
    for path in paths:
        here.get(path)
    assert [place.home.actions().count(action) for action in READINGS[name]] == [2] * len(READINGS[name])
    place.home.assert_sound()


def test_alerts_by_other_filters_are_another_reading(place: Place, time: Clock) -> None:
    """The entry says what was asked for, and so does the count of it."""
    dora = place.client("dora")
    for path in ("/alerts", "/alerts?kind=clock", "/alerts?kind=clock", "/alerts?kind=clock"):
        dora.good("GET", path)
    assert counts(place.home, "audit.read") == [{}, {"kind": "clock"}]
    time.pass_by(61)
    dora.good("GET", "/me")
    (facts,) = counts(place.home, "audit.read.count")
    assert (facts["kind"], facts["count"]) == ("clock", 2)


def test_reading_whose_entry_cannot_be_written_is_no_first_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read, and the next reading has the entry."""
    with monkeypatch.context() as broken:
        broken.setattr(log, "append", fail)
        assert place.client("admin").get("/users").status == 503
    place.client("admin").good("GET", "/users")
    assert place.home.actions()[-1] == "user.read"


def read_release(place: Place) -> int:
    """Read the release of the only question again, and return the status."""
    ((release,),) = place.home.rows("SELECT id FROM releases")
    return place.client("ada").get(f"/studies/flu/releases/{release}").status


def replay(place: Place) -> int:
    """Ask the question again, and return the status."""
    return place.client("ada").post("/studies/flu/queries", ask(PATIENTS, 0.5)).status


def estimate(place: Place) -> int:
    """Estimate the question, and return the status."""
    return place.client("ada").post("/studies/flu/estimates", ask(PATIENTS, 0.5)).status


@pytest.mark.parametrize(
    ("again", "action"), [(read_release, "release.read"), (replay, "query.replay"), (estimate, "query.estimate")]
)
@pytest.mark.parametrize("at", ["append", "commit"])
def test_free_act_whose_entry_was_lost_has_one_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch, again: Callable[[Place], int], action: str, at: str
) -> None:
    """Also if the ledger failed only when it was to commit: what is returned within the minute is in the log."""
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    before = place.home.last_entry()
    with monkeypatch.context() as broken:
        if at == "append":
            broken.setattr(log, "append", fail)
        else:
            broken.setattr(sa.Transaction, "commit", fail)
        assert again(place) == 503
    assert action not in place.home.actions(before)
    assert again(place) in (200, 201)
    assert place.home.actions(before).count(action) == 1


def fail(*_arguments: object, **_options: object) -> None:
    """Fail as a ledger that cannot be written does."""
    raise Unavailable("the disk is full")


def test_count_of_a_suspended_study_is_in_order(place: Place, time: Clock) -> None:
    """A count that is written after the study was suspended and the member removed is no breach of the rules."""
    for _ in range(2):
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
        place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS))
    place.client("dora").good("POST", "/studies/flu/suspend", {"reason": "because"})
    place.client("admin").good("DELETE", "/studies/flu/members/ada")
    time.pass_by(61)
    place.client("dora").good("GET", "/me")
    assert len(counts(place.home, "query.replay.count")) == 1
    place.home.assert_sound()


def test_counts_are_written_when_the_server_stops(home: Home) -> None:
    """What was counted within the last minute is in the log after the server has closed."""
    with application(home) as opened:
        opened.open_study()
        for _ in range(5):
            opened.client("ada").good("POST", "/studies/flu/estimates", ask(PATIENTS))
    assert [facts["count"] for facts in counts(home, "query.estimate.count")] == [4]


def test_no_act_is_lost_between_threads(place: Place) -> None:
    """Of 200 estimates in eight threads each is an entry or in a count."""

    def run() -> None:
        for _ in range(25):
            place.services.tallies.is_first(act)

    with place.services.database.read() as transaction:
        ada = people.user(transaction, "ada")
    act = Act(ada, "query.estimate", "study:flu", "flu", "queries were estimated")
    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    place.services.tallies.write_what_is_held(place.services.database)
    assert [facts["count"] for facts in counts(place.home, "query.estimate.count")] == [199]
    place.home.assert_sound()
