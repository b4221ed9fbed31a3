"""The answer slot: whatever comes after the charge leaves at the beat, and nothing else waits for it."""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.admission import gate as admission
from server.journey import answer, paid
from server.runtime.scans import slots
from server.runtime.scans.slots import Slot
from tests.serving import PATIENTS, Place, application, ask, every_place_taken, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.admission.gate import Entry
    from tests.serving import Client, Home, Reply

SLOT_MS = 250
LONG_MS = 60_000  # the longest slot there is: no scan of these tests comes near its first beat
RESOLUTION = 1e-6  # seconds; what adding up floats may lose
CROWD = 100_000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures that are wanted out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@dataclass
class StillClock:
    """A clock for `server.runtime.scans.slots` that stands still but for what the test, or a sleep, moves it on."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move the clock on, and refuse what the real one refuses."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class RealClock:
    """The real clock for `server.runtime.scans.slots`, which keeps when it was looked at and how long was slept."""

    sleeps: bool = True  # False: say that the time has passed, but do not spend it
    looked: list[float] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        """Return the time and keep it."""
        self.looked.append(time.monotonic() + (0 if self.sleeps else sum(self.slept)))
        return self.looked[-1]

    def sleep(self, seconds: float) -> None:
        """Sleep, and keep for how long."""
        self.slept.append(seconds)
        if self.sleeps:
            time.sleep(seconds)

    def beats(self, slot_ms: int) -> float:
        """Return after how many slots the one request since the clock was made left, as it was planned."""
        assert len(self.slept) in (1, 2)  # what is settled waits for that first
        return (self.looked[-1] - self.looked[0] + self.slept[-1]) * 1000 / slot_ms


def query(client: Client, body: dict[str, Any], study: str = "flu", **headers: str) -> Reply:
    """Ask a query."""
    return client.post(f"/studies/{study}/queries", body, **headers)


def failing(*_: object) -> Any:
    """Fail as a scan might. A planted fault."""
    raise RuntimeError("no memory")


# The arithmetic


@pytest.mark.parametrize(
    ("elapsed", "slot_ms", "waited"),
    [
        (2**-20, 250, 0.25 - 2**-20),
        (0.125, 250, 0.125),
        (0.25, 250, 0.0),  # at the beat itself
        (0.25 + 2**-20, 250, 0.25 - 2**-20),
        (1.125, 250, 0.125),
        (0.5, 60_000, 59.5),
        (61.0, 60_000, 59.0),
    ],
)
def test_a_wait_ends_at_the_next_beat(
    monkeypatch: pytest.MonkeyPatch, elapsed: float, slot_ms: int, waited: float
) -> None:
    """A request waits for the first multiple of the slot since it began that is not over yet."""
    clock = StillClock()
    monkeypatch.setattr(slots, "time", clock)
    Slot(slot_ms / 1000, clock.now - elapsed).wait()
    assert clock.slept == [waited]


@given(st.floats(0, 100_000), st.integers(1, LONG_MS))
@example(math.nextafter(510.822, math.inf), 333)  # just over a beat, by less than the division can tell
@example(math.nextafter(0.021, math.inf), 7)
def test_any_wait_ends_at_the_next_beat(elapsed: float, slot_ms: int) -> None:
    """Whenever an answer is ready, it leaves at a multiple of the slot, less than one slot later, and never fails."""
    clock = StillClock(now=elapsed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "time", clock)
        Slot(slot_ms / 1000, 0.0).wait()
    beats = clock.now * 1000 / slot_ms
    assert beats == pytest.approx(round(beats), rel=1e-12, abs=1e-9)
    assert 0 <= clock.now - elapsed <= slot_ms / 1000 + RESOLUTION


@given(st.floats(0, 100_000), st.integers(1, LONG_MS))
def test_what_is_settled_is_settled_a_fifth_of_a_slot_before_a_beat(elapsed: float, slot_ms: int) -> None:
    """Whenever a scan ends, it is settled so long before a beat, less than a slot later, and leaves at that very beat."""
    clock = StillClock(now=elapsed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "time", clock)
        Slot(slot_ms / 1000, 0.0).wait(slots.AHEAD)
        settled = clock.now * 1000 / slot_ms
        Slot(slot_ms / 1000, 0.0).wait()
    beats = clock.now * 1000 / slot_ms
    assert beats == pytest.approx(round(beats), rel=1e-12, abs=1e-9)
    assert settled == pytest.approx(round(beats) - 0.2, rel=1e-12, abs=1e-9)
    assert 0 <= clock.slept[0] <= slot_ms / 1000 + RESOLUTION


def test_slot_0_waits_for_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a slot there is no wait, not even one of no length."""
    clock = StillClock()
    monkeypatch.setattr(slots, "time", clock)
    Slot(0, clock.now - 0.1).wait()
    assert clock.slept == []


# From the scan's beginning, whatever took the time before


@pytest.mark.parametrize(
    ("took", "left"), [(0.125, 0.25), (0.1875, 0.25), (0.21, 0.5), (0.25, 0.5), (0.3125, 0.5), (1.0625, 1.25)]
)
def test_a_scan_leaves_at_a_beat_since_it_began(
    home: Home, monkeypatch: pytest.MonkeyPatch, took: float, left: float
) -> None:
    """However long a scan takes, its answer leaves at the first beat since it began that leaves time to settle."""
    clock = slowed(home, monkeypatch, "scan", took)
    assert clock.now == pytest.approx(1000.0 + left, abs=RESOLUTION)
    assert clock.slept == pytest.approx([left - 0.05 - took, 0.05], abs=RESOLUTION)


@pytest.mark.parametrize("slow", ["prepare_reading", "replay_or_reserve"])
@pytest.mark.parametrize("took", [0.125, 0.24, 1.0625])
def test_what_comes_before_the_scan_does_not_shift_it_in_its_slot(
    home: Home, monkeypatch: pytest.MonkeyPatch, slow: str, took: float
) -> None:
    """A scan has its whole slot, however long planning or the ledger took: else a busy server put it at an edge."""
    clock = slowed(home, monkeypatch, slow, took)
    assert clock.now == pytest.approx(1000.0 + took + 0.25, abs=RESOLUTION)
    assert clock.slept == pytest.approx([0.2, 0.05], abs=RESOLUTION)


def slowed(home: Home, monkeypatch: pytest.MonkeyPatch, slow: str, took: float) -> StillClock:
    """Ask a query of which one step takes so long, and return the clock."""
    with application(home, slot_ms=str(SLOT_MS)) as place:
        place.open_study()
        clock, owner = StillClock(), answer if slow == "prepare_reading" else paid
        step = getattr(owner, slow)

        def slowly(*arguments: Any) -> Any:
            clock.now += took
            return step(*arguments)

        monkeypatch.setattr(slots, "time", clock)
        monkeypatch.setattr(owner, slow, slowly)
        assert query(place.client("ada"), ask(PATIENTS)).status == 201
        return clock


def test_replays_and_failures_keep_the_beat_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay, a failed query and its second failure leave at the same beat as an answer."""
    with application(home, slot_ms=str(SLOT_MS)) as place:
        place.open_study()
        ada = place.client("ada")
        left = []
        with ExitStack() as faults:
            for body, status, fault in (
                (ask(PATIENTS), 201, False),
                (ask(PATIENTS), 201, False),
                (ask(PATIENTS, 0.5), 500, True),
                (ask(PATIENTS, 0.5), 500, True),
            ):
                if fault:
                    faults.enter_context(pytest.MonkeyPatch.context()).setattr(answer, "compute", failing)
                clock = StillClock()
                monkeypatch.setattr(slots, "time", clock)
                assert query(ada, body).status == status
                left.append(clock.now - 1000.0)
        assert left == [0.25] * 4
        assert place.home.actions().count("query.replay") == 1
        assert place.home.actions().count("query.fail") == 2


def test_no_answer_leaves_early(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real clock, answers, replays and failures, quick ones and slow ones, never leave before their beat."""
    with application(home, slot_ms="200") as place:
        place.open_study()
        ada, compute = place.client("ada"), answer.compute
        query(ada, ask(PATIENTS, 9.0))  # opens the store

        def slowly(*arguments: Any) -> Any:
            time.sleep(0.21)
            return compute(*arguments)

        for turn, (step, epsilon, status, least) in enumerate(
            [
                (compute, 1.0, 201, 1),
                (compute, 1.0, 201, 1),  # a replay
                (failing, 2.0, 500, 1),
                (slowly, 3.0, 201, 2),
            ]
        ):
            clock = RealClock()
            with monkeypatch.context() as patch:
                patch.setattr(answer, "compute", step)
                patch.setattr(slots, "time", clock)
                began = time.monotonic()
                assert query(ada, ask(PATIENTS, epsilon)).status == status, turn
                took = time.monotonic() - began
            beats = clock.beats(200)
            assert beats == pytest.approx(round(beats), abs=RESOLUTION), turn
            assert round(beats) >= least, turn
            assert took >= beats * 0.2 - RESOLUTION, turn


# What does not wait


@pytest.fixture
def slow_beat(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, StillClock]]:
    """Return an application with the longest slot, and the clock that says whether anything waited for it."""
    with application(home, slot_ms=str(LONG_MS)) as place:
        place.open_study()
        place.open_study("small", epsilon=0.5)
        place.open_study("draft", approve=False)
        place.open_study("narrow", protocol={"tables": ["persons"]})
        clock = StillClock()
        monkeypatch.setattr(slots, "time", clock)
        yield place, clock


def test_a_refusal_before_the_charge_does_not_wait(slow_beat: tuple[Place, StillClock]) -> None:
    """What is refused for its meaning, its study, its protocol or its cost is refused at once, and is not charged."""
    place, clock = slow_beat
    ada = place.client("ada")
    refusals = [
        (query(ada, ask(PATIENTS, table="nowhere")), 422, "invalid-query"),
        (query(ada, ask({"a": {"sum": "sex"}})), 422, "invalid-query"),
        (query(place.client("admin"), ask(PATIENTS)), 403, "forbidden"),
        (query(ada, ask(PATIENTS), "draft"), 403, "not-approved"),
        (query(ada, ask(PATIENTS), "narrow"), 403, "outside-protocol"),
        (query(place.client("ben"), ask(PATIENTS)), 404, "not-found"),
        (query(ada, ask(PATIENTS, 0.6), "small"), 409, "budget-exceeded"),
    ]
    for reply, status, code in refusals:
        assert (reply.status, reply.code) == (status, code)
    assert clock.slept == []
    assert place.home.charges() == []
    assert query(ada, ask(PATIENTS), Idempotency_Key="k").status == 201
    assert len(clock.slept) == 2, "an answer does wait, before it is settled and after"
    assert query(ada, ask(PATIENTS, 0.5), Idempotency_Key="k").code == "idempotency-conflict"
    assert len(clock.slept) == 2


def test_an_estimate_does_not_wait(slow_beat: tuple[Place, StillClock]) -> None:
    """An estimate touches no data, so its time tells nothing of them."""
    place, clock = slow_beat
    assert place.client("ada").post("/studies/flu/estimates", ask(PATIENTS)).status == 200
    assert clock.slept == []


def test_slot_0_answers_leave_at_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """With slot 0 an answer, a replay and a failure leave when they are ready."""
    with application(home, slot_ms="0") as place:
        place.open_study()
        clock = StillClock()
        monkeypatch.setattr(slots, "time", clock)
        ada = place.client("ada")
        assert [query(ada, ask(PATIENTS)).status for _ in range(2)] == [201, 201]
        monkeypatch.setattr(answer, "compute", failing)
        assert query(ada, ask(PATIENTS, 0.5)).status == 500
        assert clock.slept == []


# Who waits for a place


def test_place_is_free_only_when_the_answer_leaves(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query keeps its place until the beat of its answer: a request that waits for it learns no other end of the scan."""
    with application(home, slot_ms=str(SLOT_MS)) as place:
        place.open_study()
        gate = place.services.gates.query
        clock, leave, given = StillClock(), gate.leave_place, []

        def watched(entry: Entry) -> None:
            given.append(clock.now - 1000.0)
            leave(entry)

        def slowly(*arguments: Any) -> Any:
            clock.now += 0.0625
            return compute(*arguments)

        compute = answer.compute
        monkeypatch.setattr(slots, "time", clock)
        monkeypatch.setattr(answer, "compute", slowly)
        monkeypatch.setattr(gate, "leave_place", watched)
        assert query(place.client("ada"), ask(PATIENTS)).status == 201
        assert given == pytest.approx([0.25], abs=RESOLUTION)


def test_rehearsals_wait_for_no_scan(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every place for scans taken a rehearsal is answered at once, and with its own taken a query is."""
    monkeypatch.setattr(admission, "BEATS", 0)
    with application(home) as place:
        place.open_study()
        ada, gates = place.client("ada"), place.services.gates
        for taken, free in (("queries", "rehearsals"), ("rehearsals", "queries")):
            with every_place_taken({"queries": gates.query, "rehearsals": gates.rehearsal}[taken]):
                assert ada.post(f"/studies/flu/{taken}", ask(PATIENTS, 0.5)).code == "busy"
                assert ada.post(f"/studies/flu/{free}", ask(PATIENTS, 0.25)).status in (200, 201)


def test_a_rehearsal_leaves_at_a_beat_too(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan beside it takes its cores, so its time to the millisecond is not shown either."""
    with application(home, slot_ms=str(SLOT_MS)) as place:
        place.open_study()
        clock = StillClock()
        monkeypatch.setattr(slots, "time", clock)
        assert place.client("ada").post("/studies/flu/rehearsals", ask(PATIENTS)).status == 200
        assert sum(clock.slept) == pytest.approx(0.25, abs=RESOLUTION)


def test_the_same_question_at_once_is_scanned_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight that ask the same at the same moment get one answer from one scan, and use up no further attempt."""
    with application(home) as place:
        place.open_study()
        scans, compute, together = [], answer.compute, threading.Barrier(8)

        def slowly(*arguments: Any) -> Any:
            scans.append(1)
            time.sleep(0.3)
            return compute(*arguments)

        def run(_: int) -> Any:
            together.wait()
            return query(place.client("ada"), ask(PATIENTS)).json()

        monkeypatch.setattr(answer, "compute", slowly)
        with ThreadPoolExecutor(8) as threads:
            replies = list(threads.map(run, range(8)))
        assert len(scans) == 1
        assert [one["replayed"] for one in replies].count(False) == 1
        assert len({one["id"] for one in replies}) == 1
        assert "query.resume" not in place.home.actions()


# The hazard


def test_a_person_with_100_000_events_takes_no_further_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over D and over D', which has one person with 100,000 events more, every answer leaves on the first beat."""
    others = [f"{n % 60},female,2020-03-15,{n}.25,{n % 90},true,C{n % 7}" for n in range(300)]
    crowd = ["61,female,2020-03-15,1.25,30,true,C1"] * CROWD
    beats: dict[str, list[float]] = {}
    with ExitStack() as opened:
        places = {}
        for name, visits in (("without", others), ("joined", others + crowd)):
            (tmp_path / name).mkdir()
            home = make_home(tmp_path / name / "home", write_clinic(tmp_path / name, visits))
            places[name] = opened.enter_context(application(home, slot_ms=str(LONG_MS)))
            places[name].open_study("flu", "clinic")
        for turn in range(5):
            for name, place in places.items():
                clock = RealClock(sleeps=False)
                monkeypatch.setattr(slots, "time", clock)
                body = ask({f"n{turn}": {"count": "events"}}, 0.1, "visits")
                assert query(place.client("ada"), body).status == 201
                beats.setdefault(name, []).append(clock.beats(LONG_MS))
    assert [round(beat, 6) for beat in beats["without"] + beats["joined"]] == [1.0] * 10
