"""Whether the time of an answer tells that a person with 100,000 events is there. Run by `make audit`: it takes minutes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from scipy import stats

from budgets.identity import people
from queries.language import nodes
from server.journey import answer
from server.journey.preparing import Request
from tests.serving import Place, application, make_home, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

SLOT_MS = 50  # well above the scan of either
OTHERS = [f"{n % 60},female,2020-03-15,{n}.25,{n % 90},true,C{n % 7}" for n in range(300)]
CROWD = ["61,female,2020-03-15,1.25,30,true,C1"] * 100_000
EPSILON_NANO = 10**6


def ask_once(place: Place, turn: int) -> float:
    """Ask a question that was not asked before and return how long the answer took, in seconds."""
    query = nodes.Query("visits", ((f"n{turn}", nodes.Count("events")),))
    with place.services.database.read() as transaction:
        ada = people.user(transaction, "ada")
    began = time.perf_counter()
    assert not answer.answer(place.services, ada, "flu", Request(query, nodes.Privacy(EPSILON_NANO)))["replayed"]
    return time.perf_counter() - began


def latencies(folder: Path, calls: int, slot_ms: int) -> tuple[list[float], list[float]]:
    """Return the latencies over D and over D', asked in turns so that the machine's moods are shared."""
    found: tuple[list[float], list[float]] = ([], [])
    homes = []
    for name, visits in (("without", OTHERS), ("joined", OTHERS + CROWD)):
        (folder / name).mkdir()
        homes.append(make_home(folder / name / "home", write_clinic(folder / name, visits)))
    with application(homes[0], slot_ms=str(slot_ms)) as one, application(homes[1], slot_ms=str(slot_ms)) as other:
        for place in (one, other):
            place.open_study("flu", "clinic")
        for turn in range(calls + 5):
            for place, into in zip((one, other), found, strict=True):
                into.append(ask_once(place, turn))
    return found[0][5:], found[1][5:]


@pytest.mark.audit
def test_the_time_of_an_answer_does_not_tell_who_is_there(tmp_path: Path) -> None:
    """With the slot on, 2 x 5,000 latencies over neighbours look like one sample: two that are one differ so once in 10^6 runs."""
    without, joined = latencies(tmp_path, 5_000, SLOT_MS)
    assert stats.ks_2samp(without, joined).pvalue > 1e-6


@pytest.mark.audit
def test_without_the_slot_the_time_would_tell(tmp_path: Path) -> None:
    """The same measurement tells the neighbours apart when the slot is off: it has the power to."""
    without, joined = latencies(tmp_path, 2_000, 0)
    assert stats.ks_2samp(without, joined).pvalue < 1e-6
