"""A running server notices a clock that cannot be right, and doctor says what to do."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from budgets.alerts import alerts, clocks
from budgets.database import clock
from budgets.database.connection import Database
from budgets.identity import people
from server.runtime.health import examine
from server.runtime.home.clock_watch import EVERY_SECONDS, ClockWatch
from tests.serving import PATIENTS, Home, application, ask, serving

if TYPE_CHECKING:
    from server.runtime.health import Check


@dataclass
class Times:
    """A clock that can be set, and the time that passes whatever the clock does."""

    wall: float = 1_000_000.0
    steady: float = 0.0

    def sleep(self, seconds: float, *, jump: float = 0) -> None:
        """Let time pass, and set the clock ahead."""
        self.steady += seconds
        self.wall += seconds + jump


def clock_alerts(home: Home) -> list[str]:
    """Return how the clock was wrong, by the log."""
    database = Database(home.ledger)
    with database.read() as transaction:
        found = [alert["facts"]["how"] for alert in alerts.listed(transaction, kinds=[alerts.CLOCK])]
    database.close()
    return found


def clock_check(home: Home) -> Check:
    """Return what doctor finds about the clock."""
    (found,) = [check for check in examine(home.settings()) if check.name == "clock"]
    return found


def test_a_jump_is_noticed_within_a_minute(home: Home) -> None:
    """Drift is none, a jump is one alert and a line of doctor."""
    times = Times()
    watch = ClockWatch(lambda: times.wall, lambda: times.steady)
    database = Database(home.ledger)
    for _ in range(20):
        times.sleep(EVERY_SECONDS, jump=1)
        watch.look(database)
    assert clock_alerts(home) == []
    assert clock_check(home).ok
    times.sleep(EVERY_SECONDS / 2, jump=7_200)
    watch.look(database)
    assert clock_alerts(home) == [], "it looks once a minute"
    for _ in range(3):
        times.sleep(EVERY_SECONDS)
        watch.look(database)
    database.close()
    assert clock_alerts(home) == ["ahead"]
    found = clock_check(home)
    assert not found.ok
    assert "ahead by 2 hours" in found.finding


def test_a_server_tells_that_its_clock_is_behind_the_log(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its start, once, whoever starts it; and doctor names the log's last entry."""
    with application(home) as place:
        place.open_study("ended", ends=clock.today())
        with monkeypatch.context() as patched:
            patched.setattr(clock, "moment", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=30))
            with place.services.database.write() as transaction:
                people.add_user(transaction, "late", "researcher", people.user(transaction, "admin"))
    found = clock_check(home)
    assert not found.ok
    assert "30 days behind" in found.finding
    for _ in range(2):
        with serving(home) as server:
            reply = server.client("ada").post("/studies/ended/queries", ask(PATIENTS))
            assert (reply.status, reply.code) == (403, "not-approved")
            listed = server.client("dora").good("GET", "/alerts?kind=clock")["items"]
            assert [alert["facts"]["how"] for alert in listed] == ["behind"]
            assert listed[0]["facts"]["seconds"] > clocks.TOLERATED_SECONDS
    home.assert_sound()
