"""Whoever asks of the data steps aside before the charge, so that nobody's turn tells how long a scan took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.admission import running
from tests.serving import PATIENTS, Place, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home

MADE, READ_AGAIN, ESTIMATED = 201, 201, 200


@pytest.fixture
def place(home: Home) -> Iterator[Place]:
    """Return an application without beats, with the study of Ada."""
    with application(home, slot_ms="0") as opened:
        opened.open_study()
        yield opened


def charges_when_aside(place: Place, user: str, path: str, body: object, status: int) -> list[int]:
    """Send a request, and return how many charges there were when it stepped aside; nothing if it did not."""
    found: list[int] = []
    with running.counted(lambda: found.append(charges(place.home))):
        reply = place.client(user).post(path, body)
        assert reply.status == status, reply
        return list(found)


def charges(home: Home) -> int:
    """Return how many charges the ledger has."""
    return sum(len(home.rows(f"SELECT id FROM {table}")) for table in ("charges", "profile_charges"))


def test_a_query_steps_aside_before_its_charge(place: Place) -> None:
    """Who reads its answer again within the minute asks no data, and does not."""
    assert charges_when_aside(place, "ada", "/studies/flu/queries", ask(PATIENTS), MADE) == [0]
    assert charges(place.home) > 0
    charges_when_aside(place, "ada", "/studies/flu/queries", ask(PATIENTS), READ_AGAIN)
    assert charges_when_aside(place, "ada", "/studies/flu/queries", ask(PATIENTS), READ_AGAIN) == []


def test_the_buying_of_a_profile_steps_aside_before_its_charge(place: Place) -> None:
    """It scans too."""
    assert charges_when_aside(place, "admin", "/datasets/rand-hie/profile", {"epsilon": 1.0}, MADE) == [0]


def test_a_rehearsal_steps_aside_and_an_estimate_does_not(place: Place) -> None:
    """One scans made-up data, the other nothing."""
    assert charges_when_aside(place, "ada", "/studies/flu/rehearsals", ask(PATIENTS), ESTIMATED) == [0]
    assert charges_when_aside(place, "ada", "/studies/flu/estimates", ask(PATIENTS), ESTIMATED) == []


def test_whoever_waits_for_a_beat_steps_aside(home: Home) -> None:
    """With beats a replay sleeps as long as its first answer took."""
    with application(home, slot_ms="50") as opened:
        opened.open_study()
        for _ in range(3):
            assert len(charges_when_aside(opened, "ada", "/studies/flu/queries", ask(PATIENTS), MADE)) == 1
