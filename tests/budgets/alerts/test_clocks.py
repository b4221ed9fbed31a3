"""A clock that is turned back or jumps: the log stays in order, nothing opens again, and one alert says so."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from budgets.alerts import alerts, clocks
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries
from budgets.errors import NotApproved
from budgets.governance import studies
from budgets.identity import people, tokens
from tests.budgets.world import ANNA, FLU, TERMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.budgets.world import World


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what sets the clock to so many seconds after the test's start."""
    start = clock.moment()

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(clock, "moment", lambda: start + dt.timedelta(seconds=seconds))

    return set_clock


DAY = 86_400.0


def write(world: World) -> None:
    """Write an entry."""
    with world.database.write() as transaction:
        log.append(transaction, world.admin, "test", "test", "a test")


def told(world: World, jumped: float = 0) -> list[dict[str, Any]]:
    """Check the clock; return all alerts about it."""
    with world.database.write() as transaction:
        clocks.check(transaction, jumped)
        return alerts.listed(transaction, kinds=[alerts.CLOCK])


def test_a_clock_far_behind_is_told_once(world: World, after: Callable[[float], None]) -> None:
    """Three days behind raise one alert while time stands still in the log, and the check of the log accepts it."""
    after(3 * DAY)
    write(world)
    after(0)
    (alert,) = told(world)
    assert alert["facts"] == {"how": "behind", "seconds": round(3 * DAY)}
    assert "3 days" in alert["summary"]
    for _ in range(3):
        assert told(world) == [alert]
    after(5 * DAY)
    assert told(world) == [alert], "the clock has caught up"
    write(world)
    after(DAY)
    assert len(told(world)) == 2, "another time"
    world.check()


@pytest.mark.parametrize("seconds", [-clocks.TOLERATED_SECONDS + 1, 0, clocks.TOLERATED_SECONDS - 1])
def test_clocks_of_hosts_may_differ_a_little(world: World, after: Callable[[float], None], seconds: float) -> None:
    """A few minutes are no alert."""
    after(max(0, seconds))
    write(world)
    after(0)
    assert told(world, seconds) == []


@pytest.mark.parametrize(("jumped", "how"), [(3_600.0, "ahead"), (-3_600.0, "back")])
def test_clock_jump_alert_once_a_day(world: World, after: Callable[[float], None], jumped: float, how: str) -> None:
    """A clock that is set ahead or back while a server runs."""
    after(0)
    (alert,) = told(world, jumped)
    assert alert["facts"] == {"how": how, "seconds": 3_600}
    assert told(world, jumped) == [alert]
    after(2 * DAY)
    assert len(told(world, jumped)) == 2
    world.check()


def test_log_dates_stay_in_order_whatever_the_clock(world: World, after: Callable[[float], None]) -> None:
    """Whatever the clock does, no entry is dated before the one before it."""
    for seconds in (0, 10 * DAY, -10 * DAY, DAY, -DAY, 11 * DAY, 0):
        after(seconds)
        write(world)
        told(world)
    with world.database.read() as transaction:
        bodies = transaction.execute(sa.select(audit_entries.c.body).order_by(audit_entries.c.position)).scalars()
        times = [json.loads(body)["time"] for body in bodies]
    assert times == sorted(times)
    world.check()


def test_a_study_that_ended_stays_ended(world: World, after: Callable[[float], None]) -> None:
    """A clock that is turned back to before a study's last day does not open its budget again."""
    ends = (clock.moment() + dt.timedelta(days=1)).date().isoformat()
    with world.database.write() as transaction:
        studies.open_study(transaction, "s", FLU, replace(TERMS, ends=ends), 100, None, world.admin)
        present = studies.move(transaction, "s", "approve", "it may", world.approver, without_advice="a test")
    with world.database.read() as transaction:
        studies.require_open(transaction, present)
    after(10 * DAY)
    write(world)
    for seconds in (10 * DAY, 0, -DAY):
        after(seconds)
        with world.database.read() as transaction, pytest.raises(NotApproved):
            studies.require_open(transaction, present)


def test_a_token_that_expired_stays_expired(world: World, after: Callable[[float], None]) -> None:
    """The log's last entry is proof that its time is over."""
    with world.database.write() as transaction:
        text = people.new_token(transaction, ANNA, world.admin).text
        assert tokens.authenticate(transaction, text) is not None
    after(400 * DAY)
    write(world)
    for seconds in (400 * DAY, 0, -DAY):
        after(seconds)
        with world.database.read() as transaction:
            assert tokens.authenticate(transaction, text) is None
            assert tokens.is_expired(transaction, text)
