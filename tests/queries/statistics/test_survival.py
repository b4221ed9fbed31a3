"""Survival curves: what is counted of each person, the curve against SciPy's Kaplan-Meier, and the band's word."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from sqlglot import exp

from queries.errors import InvalidQuery
from queries.execution import aggregates
from queries.language.nodes import ByValue, Comparison, Count, PerPerson, Query, Related, Survival, Value
from queries.release import assembly
from queries.spelling import json_writing, sql
from queries.statistics import survival
from server.api.requests.query import QuerySchema
from server.views.csv import release_csv
from tests.laws import tries
from tests.queries.registry import LAST, VISITS, Person, day, exact, planned, random_people, related, rows, write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

A, X = Comparison("code", "=", "a"), Comparison("drug", "=", "x")
TO = Related("drugs", X)
EDGES = (0, 5, 10, 30, 60)
LAST_SEEN = Value("max", "day", where=Comparison("urgent", "=", False))
TABLE = PerPerson("visits", (("wait", Value("days_to", to=TO)), ("seen", LAST_SEEN)), A)
UNIX = day("1970-01-01")


def curve_of(
    edges: tuple[int, ...] = EDGES, ends: str | None = None, censored: str | None = None, **more: Any
) -> Query:
    """Return a query for a curve."""
    return Query(TABLE, (("s", Survival("wait", edges, ends, censored)),), **more)


def own_end(person: Person, end: int) -> int:
    """Return until when a person is followed who is lost from sight after their last visit that was not urgent."""
    seen = [row for row in rows(person, "visits") if row["code"] == "a" and row["urgent"] is False and row["day"]]
    return min([end, max(day(row["day"]) for row in seen)]) if seen else end


def outcome(person: Person, edges: tuple[int, ...], end: int) -> int | None:
    """Return the number a person is counted in, from plain days."""
    starts = [day(row["day"]) for row in rows(person, "visits") if row["code"] == "a" and row["day"]]
    if not starts or end < min(starts):
        return None
    followed = end - min(starts)
    waits = [other - min(starts) for other in related(person, TO) if other >= min(starts)]
    happened = bool(waits) and min(waits) <= followed
    time = min(waits) if happened else followed
    for place, (low, high) in enumerate(itertools.pairwise(edges)):
        if low <= time < high:
            return 2 * place + (not happened)
    return 2 * (len(edges) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("censored", [None, "seen"])
@pytest.mark.parametrize("ends", [None, "2020-02-10", "2020-01-05"])
def test_each_person_is_counted_once_by_what_became_of_them(
    tmp_path: Path, ends: str | None, censored: str | None
) -> None:
    """Event, end of follow-up or beyond, by interval: as plain Python says, whatever the store's ranges."""
    end = UNIX + LAST + 9 if ends is None else day(ends)
    for seed in range(4):
        people = random_people(np.random.default_rng(seed), 60, 8)
        asked = planned(curve_of(ends=ends, censored=censored, group_by=(ByValue("sex"),)))
        wanted = np.zeros((2, 2 * len(EDGES) - 1), dtype=np.int64)
        for person in people:
            found = outcome(person, EDGES, end if censored is None else own_end(person, end))
            if found is not None:
                wanted[person.own[0] - 1, found] += 1
        store = write(tmp_path / f"{seed}.duckdb", people)
        for cut in (None, 31):
            assert np.array_equal(exact(store, [asked], cut=cut)[0][0].reshape(2, -1), wanted)
        assert wanted.sum() > 10
        assert asked.measures[0].mechanism.sensitivity_l1 == 1


def test_a_person_with_a_row_for_each_event_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: neither the engine nor the kernel keeps to one row, and a person is in several intervals."""
    whole = aggregates._days_to

    def ungrouped(*given: Any) -> exp.Select:
        select = whole(*given)
        select.set("group", None)
        least = select.find(exp.Min)
        assert least is not None
        least.replace(least.this)
        return select

    drugs = tuple((1 + wait, 1, 1) for wait in (2, 7, 20, 40))
    visits = (tuple({"day": 1, "code": 1}.get(name, 1) for name in VISITS),)
    store = write(tmp_path / "s.duckdb", [Person((1, 1), visits, drugs)])
    asked = planned(curve_of())
    assert exact(store, [asked])[0][0].sum() == asked.measures[0].mechanism.sensitivity_l1 == 1
    monkeypatch.setattr(aggregates, "_days_to", ungrouped)
    lenient = replace(asked, cells_per_person=9, events_per_cell=9)
    assert exact(store, [lenient])[0][0].sum() > 1
    assert exact(store, [asked])[0][0].sum() == 1  # the kernel alone holds too


def simulated(persons: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return counts by what became of persons, with events and ends of follow-up on the same days."""
    time, end = random.geometric(0.03, persons), random.integers(0, 120, persons)
    happened = time <= end
    events = np.bincount(time[happened & (time < 100)], minlength=100)
    ends = np.bincount(end[~happened & (end < 100)], minlength=100)
    counts = np.column_stack([events, ends]).ravel()
    return np.append(counts, persons - counts.sum())


def test_without_noise_the_curve_is_kaplan_and_meiers() -> None:
    """With intervals of a day it equals SciPy's estimate, also where events and ends of follow-up tie."""
    counts = simulated(5000, np.random.default_rng(1))
    found = survival.curve(counts[None, :].astype(float), range(101), 1e-9, 0.95, gaussian=False)
    times, ends = np.repeat(np.arange(100), counts[:-1:2]), np.repeat(np.arange(100), counts[1:-1:2])
    ends = np.append(ends, np.full(counts[-1], 100))
    known = stats.ecdf(stats.CensoredData(uncensored=times, right=ends)).sf
    assert np.allclose(found.value[0], known.evaluate(np.arange(100)), atol=1e-9)


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize(("persons", "scale"), [(300, 2.0), (3000, 5.0), (3000, 20.0)])
def test_survival_band_covers_curve(persons: int, scale: float, gaussian: bool) -> None:
    """In 10,000 releases the band holds the curve without noise in at least 94% at each interval."""
    random = np.random.default_rng(persons)
    edges = 10
    days = range(0, 7 * edges + 1, 7)
    counts = np.append(np.tile([0.06, 0.03], edges), 0.1) * persons
    truth = survival.curve(counts[None, :], days, 1e-9, 0.95, gaussian=gaussian).value[0]
    draw = random.normal if gaussian else random.laplace
    noise = np.round(draw(0, scale, (10_000, len(counts))))
    found = survival.curve(counts + noise, days, scale, 0.95, gaussian=gaussian)
    covered = np.mean((found.low <= truth) & (truth <= found.high), axis=0)
    assert covered.min() >= 0.94
    assert covered[0] <= 0.98
    if scale == 2.0 or (persons == 3000 and scale == 5.0):
        assert np.all(found.high[:, 0] - found.low[:, 0] < 0.5)
    half = survival.curve(counts + noise, days, scale / 2, 0.95, gaussian=gaussian)
    assert np.mean((half.low[:, 2] <= truth[2]) & (truth[2] <= half.high[:, 2])) < 0.90


@pytest.mark.parametrize("gaussian", [False, True], ids=["laplace", "gaussian"])
@pytest.mark.parametrize(("persons", "scale", "intervals"), [(300, 2.0, 100), (3000, 20.0, 100), (1000, 5.0, 40)])
def test_curve_of_rare_events_is_unbiased_and_covered(
    persons: int, scale: float, intervals: int, gaussian: bool
) -> None:
    """With fewer events in an interval than the noise is large: none of the negative numbers lowers the curve."""
    random = np.random.default_rng(persons)
    days = range(0, 7 * intervals + 1, 7)
    numbers = np.tile([0.2 / intervals, 0.3 / intervals], intervals) * persons
    counts = np.round(np.append(numbers, persons - numbers.sum()))
    truth = survival.curve(counts[None, :], days, 1e-9, 0.95, gaussian=gaussian).value[0]
    draw = random.normal if gaussian else random.laplace
    noise = np.round(draw(0, scale, (tries(4_000, audited=10_000), len(counts))))
    found = survival.curve(counts + noise, days, scale, 0.95, gaussian=gaussian)
    covered = np.mean((found.low <= truth) & (truth <= found.high), axis=0)
    assert covered.min() >= 0.94
    assert covered.max() <= 0.98
    assert np.abs((found.value - truth).mean(axis=0)).max() < 0.01
    assert np.all(np.diff(found.value, axis=1) <= 0)
    clamped = np.where(np.arange(len(counts)) % 2 == 0, np.maximum(counts + noise, 0), counts + noise)
    mutant = survival.curve(clamped, days, scale, 0.95, gaussian=gaussian)
    held = np.mean((mutant.low[:, -1] <= truth[-1]) & (truth[-1] <= mutant.high[:, -1]))
    assert held < 0.9 or intervals < 100


def test_a_group_smaller_than_the_noise_says_nothing() -> None:
    """Of nobody, and of what noise alone made, the band is wide open; the curve stays between 0 and 1."""
    random = np.random.default_rng(3)
    noisy = random.laplace(0, 30, (500, 21))
    found = survival.curve(np.round(noisy), range(0, 110, 10), 30, 0.95, gaussian=False)
    assert np.all((found.value >= 0) & (found.value <= 1))
    assert np.mean((found.low[:, -1] == 0) & (found.high[:, -1] == 1)) > 0.95
    assert np.all((found.low <= found.value) & (found.value <= found.high))
    empty = survival.curve(np.zeros((1, 21)), range(0, 110, 10), 5, 0.95, gaussian=True)
    assert empty.high[0, -1] == 1


def test_an_answer_has_the_curve_its_band_and_its_numbers() -> None:
    """Rows, columns and CSV show each interval, and the raw numbers add up to what was released."""
    asked = planned(curve_of(group_by=(ByValue("sex"),)))
    noisy = assembly.add_noise(asked, [np.arange(18, dtype=np.int64) * 100])
    shown: Any = assembly.rows(asked, noisy)
    assert [part["until"] for part in shown[0]["s"]["survival"]] == list(EDGES[1:])
    assert shown[1]["s"]["raw"]["beyond"] == noisy[0][-1]
    assert [p["raw"]["events"] for p in shown[1]["s"]["survival"]] == noisy[0][9:-1:2].tolist()
    described: Any = assembly.columns(asked)
    key, column = described
    assert key["kind"] == "key"
    assert column["margin"] is None
    assert column["margins_at"]["100"] > column["margins_at"]["10000"] > 0
    lines = release_csv({"columns": [key, column], "rows": shown, "post": []}).splitlines()
    lines = [line for line in lines if not line.startswith("#")]
    assert lines[0].startswith("sex,s[5],s[5]_low,s[5]_high,s[10]")
    assert len(lines) == 3


def test_survival_survives_sql_and_json() -> None:
    """A survival query read from its own SQL or JSON is the same tree."""
    for query in (
        curve_of(),
        curve_of(ends="2020-02-01"),
        curve_of(censored="seen"),
        curve_of(EDGES, "2020-02-01", "seen"),
    ):
        dated = planned(query).query
        assert "SURVIVAL(wait, [0, 5, 10, 30, 60]" in sql.to_sql(dated)
        assert sql.parse(sql.to_sql(dated)) == dated
        assert QuerySchema().load(json_writing.to_json(query)) == query


REFUSED = {
    "/query/select/s/survival": Query(TABLE, (("s", Survival("weight", EDGES)),)),
    "/query/select/s/bins/0": curve_of((1, 5)),
    "/query/select/s/bins/1": curve_of((0, 0)),
    "/query/select/s/bins/2": curve_of((0, 1, "x")),
    "/query/select/s/bins": curve_of((0,)),
    "/query/select/s/ends": curve_of(ends="2020-13-01"),
}


@pytest.mark.parametrize("pointer", REFUSED)
def test_survival_fault_refused_with_its_place(pointer: str) -> None:
    """Each refusal names its place."""
    with pytest.raises(InvalidQuery) as refusal:
        planned(REFUSED[pointer])
    assert refusal.value.pointer == pointer


def test_a_curve_needs_a_value_that_is_a_time() -> None:
    """Not of a stored table, not of another value, not of one that stops looking after some days, not outside dates."""
    for query, word in (
        (Query("visits", (("s", Survival("cost", EDGES)),)), "per-person table"),
        (Query(PerPerson("visits", (("wait", Value("count")),)), (("s", Survival("wait", EDGES)),)), "days_to"),
        (
            Query(
                PerPerson("visits", (("wait", Value("days_to", to=Related("drugs", within_days=9))),)),
                (("s", Survival("wait", EDGES)), ("n", Count("persons"))),
            ),
            "within_days",
        ),
        (curve_of(ends="1999-01-01"), "must lie"),
    ):
        with pytest.raises(InvalidQuery, match=word):
            planned(query)
