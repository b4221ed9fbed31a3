"""Slots that fit the question: chosen from public figures, the same for neighbours, replays and restarts; overruns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from queries.execution.scan_time import Rates
from server.journey import answer, profile
from server.runtime import health
from server.runtime.scans import rates, slots
from server.runtime.scans.slots import AHEAD, SAFETY, Fitting
from tests.server.journey.test_repartitioning import run
from tests.server.journey.test_slot import StillClock, query
from tests.serving import PATIENTS, Home, application, ask, make_home, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Place

SLOW = Rates(fixed=0.2, part=0.05, column=1e-5, join=1e-5, group=1e-5, noise=1e-4, row=1e-4)
VISITS = ask(PATIENTS, 1.0, "visits")
RARE = {
    "column": "person",
    "op": "in",
    "value": {"persons": "visits", "where": {"column": "code", "op": "=", "value": "C1"}},
}
ABSENT = {**RARE, "value": {"persons": "visits", "where": {"column": "code", "op": "=", "value": "nobody has this"}}}


def slot_ms(place: Place, body: Any) -> int:
    """Return the slot that an estimate tells."""
    found: int = place.client("ada").good("POST", "/studies/s/estimates", body)["slot_ms"]
    return found


@pytest.mark.parametrize(
    ("foretold", "expected"),
    [(0.0, 0.25), (0.06, 0.25), (0.07, 0.5), (1.0, 3.75), (1.001, 4.0), (100.0, 375.0), (10_000.0, 375.0)],
)
def test_a_slot_is_the_least_multiple_with_room(home: Home, foretold: float, expected: float) -> None:
    """Three times what was foretold fits before the answer is settled; no slot is longer than a scan may take."""
    assert (SAFETY, AHEAD) == (3, 0.2)
    fitting = Fitting(home.settings(slot_ms="250"), SLOW)
    assert fitting._fit(lambda _: foretold) == pytest.approx(expected)
    assert Fitting(home.settings(slot_ms="250"), None)._fit(lambda _: foretold) == 0.25
    assert Fitting(home.settings(slot_ms="0"), SLOW)._fit(lambda _: foretold) == 0


def test_slot_depends_on_public_figures_alone(tmp_path: Path) -> None:
    """Over other data of one manifest, and whether a text is there or not, the slots are the same; a manifest changes them."""
    found = []
    for name, visits, expected in (
        ("one", None, ""),
        ("other", [f"{n},male,2021-01-01,1.5,3,true,Z{n}" for n in range(2_000)], ""),
        ("declared", None, "events_expected = 500000\n"),
    ):
        (tmp_path / name).mkdir()
        changes = {"[tables.visits]\n": f"[tables.visits]\n{expected}"}
        home = make_home(tmp_path / name / "home", write_clinic(tmp_path / name, visits, **changes))
        rates.keep(home.path, SLOW)
        with application(home, slot_ms="250") as place:
            place.open_study("s", "clinic")
            bodies = (VISITS, *(ask(PATIENTS, 1.0, "visits", where=where) for where in (RARE, ABSENT)))
            found.append([slot_ms(place, body) for body in bodies])
    plain, rare, absent = found[0]
    assert plain < rare == absent
    assert found[1] == found[0]
    assert found[2][0] > plain
    assert found[2][1] > rare  # the persons of the cohort are found among the events


def test_parts_lengthen_the_slot_of_the_next_question(home: Home) -> None:
    """A running server tells the longer slot as soon as the edition has more parts."""
    rates.keep(home.path, SLOW)
    with application(home, slot_ms="250") as place:
        place.open_study("s", "clinic")
        before = slot_ms(place, VISITS)
        assert run(home, "dataset", "parts", "clinic", "--into", "11").exit_code == 0
        needed = SAFETY * 10 * SLOW.part / (1 - AHEAD)
        assert slot_ms(place, VISITS) - before == pytest.approx(1000 * needed, abs=250)


def test_every_end_of_a_question_has_its_slot(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer, its replay (also after a restart) and a failure leave at the end of the slot that the estimate told."""
    rates.keep(home.path, SLOW)
    left = []
    for restart in range(2):
        with application(home, slot_ms="250") as place:
            if not restart:
                place.open_study("s", "clinic")
            told = slot_ms(place, VISITS)
            assert told > 1_000
            for body, fault in ((VISITS, False), (VISITS, False), (ask(PATIENTS, 0.5 + restart, "visits"), True)):
                clock = StillClock()
                with monkeypatch.context() as patch:
                    patch.setattr(slots, "time", clock)
                    if fault:
                        patch.setattr(answer, "compute", lambda *_: 1 / 0)
                    query(place.client("ada"), body, "s")
                left.append(round((clock.now - 1000.0) * 1000) - told)
    assert left == [0] * 6


def test_profile_purchase_fits_its_slot(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a custodian buys has a slot by the same figures."""
    rates.keep(home.path, SLOW)
    with application(home, slot_ms="250") as place:
        clock = StillClock()
        monkeypatch.setattr(slots, "time", clock)
        assert place.client("admin").post("/datasets/clinic/profile", {"epsilon": 1}).status == 201
        assert clock.now - 1000.0 > 1


def test_overruns_are_counted_for_the_admin_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that missed its first slot is counted by day, where only doctor sees it, and nothing else is changed by it."""
    with application(home, slot_ms="250") as place:
        place.open_study("s", "clinic")
        before, entries, compute = place.home.last_entry(), [], answer.compute
        for epsilon, took in ((1.0, 0.1), (0.5, 0.21), (0.25, 0.9)):
            clock = StillClock()

            def slowly(*arguments: Any, clock: StillClock = clock, took: float = took) -> Any:
                clock.now += took
                return compute(*arguments)

            with monkeypatch.context() as patch:
                patch.setattr(slots, "time", clock)
                patch.setattr(answer, "compute", slowly)
                assert query(place.client("ada"), ask(PATIENTS, epsilon, "visits"), "s").status == 201
            entries.append([action for action in place.home.actions(before) if action.startswith("query.")])
            before = place.home.last_entry()
        assert entries == [["query.reserve", "query.release"]] * 3
        assert [scans for _, _, scans in place.home.rows("SELECT * FROM overruns")] == [2]
        clock = StillClock()
        with monkeypatch.context() as patch:
            patch.setattr(slots, "time", clock)

            def slow_profile(*arguments: Any) -> Any:
                clock.now += 1.0
                return made(*arguments)

            made = profile.compute
            patch.setattr(profile, "compute", slow_profile)
            assert place.client("admin").post("/datasets/clinic/profile", {"epsilon": 1}).status == 201
        assert place.client(None).good("GET", "/health") == {"status": "ok"}
    (check,) = [one for one in health.examine(home.settings()) if one.name == "slots"]
    assert check.ok
    assert check.finding.endswith("in the last 30 days: 3 of clinic")


def measure() -> Rates:
    """Measure this machine, as a test may have it measured."""
    return rates.measure("1GB")


def test_rates_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are above 0, kept in the home, and measured anew where the file is damaged or of another machine."""
    measured = rates.of_home(tmp_path, measure)
    assert all(value > 0 for value in vars(measured).values())
    file = tmp_path / rates.FILE
    monkeypatch.setattr(rates, "measure", lambda _: SLOW)
    assert rates.of_home(tmp_path, measure) == measured
    others = json.loads(file.read_text())
    file.write_text(json.dumps({"another machine": others.popitem()[1]}))
    assert rates.of_home(tmp_path, measure) == SLOW
    assert len(json.loads(file.read_text())) == 2
    odd = json.dumps({machine: {"fixed": "x"} for machine in json.loads(file.read_text())})
    for damage in ("{", "[]", '{"x": 1}', odd):
        file.write_text(damage)
        assert rates.of_home(tmp_path, measure) == SLOW


def test_without_a_slot_nothing_is_measured(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose slot is off starts at once, and an estimate says 0."""
    monkeypatch.setattr(rates, "measure", lambda _: 1 / 0)
    with application(home) as place:
        place.open_study("s", "clinic")
        assert slot_ms(place, VISITS) == 0
        assert replace(place.services, rates=SLOW).fitting.settings.slot_ms == 0
