"""Alerts before formalities and studies end: 30 days before, on passing, each once."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from budgets.alerts import alerts, deadlines
from budgets.database import clock
from budgets.governance import dataset_terms, studies
from budgets.loss import NANO
from tests.budgets.world import FLU, FORMALITIES, TERMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.budgets.world import World

NOON = dt.datetime.now(dt.UTC).replace(hour=12)  # of the day on which the tests were collected


def day(days: int) -> str:
    """Return the day so many days from that of the tests."""
    return (NOON.date() + dt.timedelta(days=days)).isoformat()


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let it be noon, so that no day ends within a test; return what sets the clock so many days ahead."""

    def ahead(days: int) -> None:
        monkeypatch.setattr(clock, "moment", lambda: NOON + dt.timedelta(days=days))

    ahead(0)
    return ahead


def told(world: World) -> list[dict[str, Any]]:
    """Look for what is due, twice, and return the facts of all alerts of this kind."""
    for _ in range(2):
        with world.database.write() as transaction:
            deadlines.check(transaction)
    with world.database.read() as transaction:
        assert deadlines.due(transaction) == []
        return [one["facts"] for one in alerts.listed(transaction, kinds=[alerts.DEADLINES])]


def draft(world: World, **terms: Any) -> None:
    """Open a study as a draft."""
    with world.database.write() as transaction:
        studies.open_study(transaction, "hearts", FLU, replace(TERMS, **terms), NANO, None, world.admin)


def approve(world: World) -> None:
    """Approve the study."""
    with world.database.write() as transaction:
        studies.move(transaction, "hearts", "approve", "a reason", world.approver, without_advice="a test")


def test_an_expiry_is_told_30_days_before_and_once_it_passed(world: World, on: Callable[[int], None]) -> None:
    """Nothing on the 31st day before; one alert on the 30th; another on the day after the last one; none twice."""
    draft(world, formalities=replace(FORMALITIES, expires=day(31)))
    approve(world)
    assert told(world) == []
    on(1)
    near = {"of": "study", "owner": "hearts", "what": "formality", "day": day(31), "stage": "near"}
    assert told(world) == [near]
    on(31)
    assert told(world) == [near]
    on(32)
    assert told(world) == [near, {**near, "stage": "passed"}]
    world.check()


def test_the_last_day_and_the_end_of_the_processing_are_told(world: World) -> None:
    """A study that ends soon raises an alert for each of its ends, and its alert names the study and no person."""
    draft(world, ends=day(10), formalities=replace(FORMALITIES, ends=day(20)))
    approve(world)
    assert [(one["what"], one["day"]) for one in told(world)] == [("end", day(20)), ("study", day(10))]
    with world.database.read() as transaction:
        found = alerts.listed(transaction, kinds=[alerts.DEADLINES], study="hearts")
    assert [one["summary"] for one in found] == [
        f"the processing of the study hearts ends on {day(20)}",
        f"the last day of the study hearts is {day(10)}",
    ]


def test_a_dataset_is_told_and_a_renewal_is_told_anew(world: World) -> None:
    """A dataset's expiry raises an alert; once it is renewed, the new day raises its own."""
    for days in (5, 6):
        with world.database.write() as transaction:
            named = replace(FORMALITIES, expires=day(days))
            dataset_terms.propose(transaction, FLU, None, None, 0, "renewed", world.admin, named=named)
            dataset_terms.approve(transaction, FLU, "a reason", world.approver, without_advice="a test")
        assert [one["day"] for one in told(world)] == [day(n) for n in range(5, days + 1)]


def test_drafts_and_closed_studies_are_not_told(world: World) -> None:
    """A draft waits for a decision, which an ended formality refuses; a closed study has ended."""
    draft(world, ends=day(10))
    assert told(world) == []
    with world.database.write() as transaction:
        studies.move(transaction, "hearts", "close", "a reason", world.dpo)
    assert told(world) == []
