"""When refusals and failed sign-ins are a burst, and when one ends: with a clock that the test sets."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.actors import ANONYMOUS
from budgets.alerts import bursts
from budgets.audit import log
from budgets.database import clock
from budgets.errors import FourEyes
from budgets.governance import approval, studies
from budgets.loss import NANO
from tests.databases import rows

if TYPE_CHECKING:
    from budgets.actors import Actor
    from tests.budgets.world import World


class _Clock:
    """The time, as the test has it: what `clock.now` and the look back of `bursts` go by."""

    def __init__(self) -> None:
        self.moment = dt.datetime(2031, 5, 4, 12, tzinfo=dt.UTC)

    def pass_by(self, **span: float) -> None:
        self.moment += dt.timedelta(**span)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    """Stop the clock."""
    stopped = _Clock()

    class Stopped(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return stopped.moment

    monkeypatch.setattr(dt, "datetime", Stopped)
    return stopped


def refuse(world: World, actor: Actor, study: str | None = None) -> None:
    """Write a refusal as whoever refuses does."""
    with world.database.write() as transaction:
        log.append(transaction, actor, "query.refuse", "study", "a query was refused", study=study)
        bursts.after_refusal(transaction, actor)


def fail(world: World, **facts: Any) -> bool:
    """Write a failed sign-in and say whether there is a burst."""
    with world.database.write() as transaction:
        log.append(transaction, ANONYMOUS, "sign-in.fail", "token", "wrong", facts=facts)
        return bursts.after_failed_sign_in(transaction)


def raised(world: World, kind: str) -> list[dict[str, Any]]:
    """Return the alerts of a kind in the log."""
    found = rows(world.url, "SELECT body FROM audit_entries WHERE action = ? ORDER BY position", f"alert.{kind}")
    return [json.loads(body) for (body,) in found]


def test_twenty_refusals_of_one_user_are_a_burst(people_only: World, time: _Clock) -> None:
    """The 20th within ten minutes raises one alert, without a name; those after it, none; another user has their own."""
    for number in range(19):
        refuse(people_only, people_only.anna, "flu")
        refuse(people_only, people_only.ben, "flu" if number else "other")
        time.pass_by(seconds=30)
    assert raised(people_only, "refusals") == []
    for _ in range(30):
        refuse(people_only, people_only.anna, "flu")
    (alert,) = raised(people_only, "refusals")
    assert (alert["actor"], alert["study"], alert["subject"]) == (
        "system",
        "flu",
        f"user:{people_only.anna.commitment}",
    )
    assert alert["facts"] == {
        "actor": people_only.anna.commitment,
        "role": "researcher",
        "count": 20,
        "minutes": 10,
    }
    assert people_only.anna.name not in json.dumps(alert)
    refuse(people_only, people_only.ben, "flu")
    assert [one["study"] for one in raised(people_only, "refusals")] == ["flu", None]  # of more than one study


def test_refusals_that_are_spread_out_are_no_burst(people_only: World, time: _Clock) -> None:
    """With 19 in any ten minutes no alert comes, however many there are in all, nor for other entries of the user."""
    for _ in range(60):
        refuse(people_only, people_only.anna)
        with people_only.database.write() as transaction:
            log.append(transaction, people_only.anna, "query.estimate", "study", "an estimate")
        time.pass_by(seconds=33)  # 18.2 in ten minutes
    assert raised(people_only, "refusals") == []


def test_ten_quiet_minutes_end_a_burst(people_only: World, time: _Clock) -> None:
    """A burst that goes on for an hour is one alert; after ten minutes without any the next 20 are another."""
    for _ in range(200):
        refuse(people_only, people_only.anna)
        time.pass_by(seconds=20)
    assert len(raised(people_only, "refusals")) == 1
    time.pass_by(minutes=9, seconds=35)  # 9:55 after the last
    refuse(people_only, people_only.anna)
    for _ in range(25):
        refuse(people_only, people_only.anna)
    assert len(raised(people_only, "refusals")) == 1
    time.pass_by(minutes=10)
    for _ in range(19):
        refuse(people_only, people_only.anna)
    assert len(raised(people_only, "refusals")) == 1
    refuse(people_only, people_only.anna)
    assert len(raised(people_only, "refusals")) == 2


def test_refused_approvals_count(world: World) -> None:
    """Refusals for want of a second person are refusals, with an alert in the transaction of the 20th."""
    world.open_study("s", NANO, state="draft")
    world.edit(f"UPDATE studies SET opened_by = '{world.approver.commitment}'")
    for number in range(20):
        assert len(raised(world, "refusals")) == 0, number
        with pytest.raises(FourEyes), approval.deciding(world.database) as transaction:
            studies.move(transaction, "s", "approve", "because", world.approver, without_advice="a test")
    (alert,) = raised(world, "refusals")
    assert (alert["study"], alert["facts"]["role"]) == ("s", "approver")


def test_five_failed_sign_ins_are_a_burst(people_only: World, time: _Clock) -> None:
    """The fifth within ten minutes raises an alert and says that there is a burst, until ten quiet minutes end it."""
    for _ in range(10):
        assert not fail(people_only)
        time.pass_by(minutes=2, seconds=31)  # four in any ten minutes
    time.pass_by(minutes=10)
    assert [fail(people_only) for _ in range(7)] == [False] * 4 + [True] * 3
    assert len(raised(people_only, "sign-ins")) == 1
    for _ in range(20):
        time.pass_by(minutes=9)
        assert fail(people_only)
    assert len(raised(people_only, "sign-ins")) == 1
    time.pass_by(minutes=10)
    assert not fail(people_only)
    assert raised(people_only, "sign-ins")[0]["facts"] == {"count": 5, "minutes": 10}


def test_an_entry_of_several_counts_as_several(people_only: World, time: _Clock) -> None:
    """Failures that were written together count each; those that ended before the ten minutes do not."""
    old = clock.now()
    time.pass_by(minutes=11)
    assert not fail(people_only, count=500, to=old, **{"from": old})
    assert not fail(people_only)
    assert fail(people_only, count=3, to=clock.now(), **{"from": clock.now()}) is False
    assert fail(people_only)
    assert raised(people_only, "sign-ins")[0]["facts"] == {"count": 5, "minutes": 10}
