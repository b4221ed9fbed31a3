"""Incidence rates: what is counted of each person, the most that one person moves, the rate and its interval."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from queries.binding import dates
from queries.catalog import manifest, parts
from queries.errors import InvalidQuery
from queries.execution import aggregates, kernel
from queries.execution.duckdb import Store
from queries.language.nodes import ByValue, Comparison, PerPerson, Privacy, Query, Rate, Related, Survival, Value
from queries.plan import CONFIDENCE
from queries.planning import planner
from queries.release import assembly
from queries.spelling import json_writing, sql
from queries.statistics import estimates, rates
from queries.store import ingest
from server.api.requests.query import QuerySchema
from tests.laws import tries
from tests.privacy.noise import fewest
from tests.queries.registry import (
    NANO,
    REGISTRY,
    VISITS,
    Person,
    day,
    exact,
    planned,
    random_people,
    related,
    rows,
    write,
)
from tests.queries.sources import silent
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

A, X = Comparison("code", "=", "a"), Comparison("drug", "=", "x")
TO = Related("drugs", X)
SEEN = Value("max", "day", where=Comparison("urgent", "=", False))
TABLE = PerPerson("visits", (("wait", Value("days_to", to=TO)), ("seen", SEEN)), A)
DAYS, ENDS = 30, "2020-02-20"


def rate_of(days: int = DAYS, ends: str = ENDS, censored: str | None = None, **more: Any) -> Query:
    """Return a query for a rate."""
    return Query(TABLE, (("r", Rate("wait", days, ends, censored)),), **more)


def at_risk(person: Person, days: int, end: int, *, own: bool) -> tuple[int, int] | None:
    """Return whether a person has the event, and the days at risk, from plain days; None if not followed."""
    visits = [row for row in rows(person, "visits") if row["code"] == "a"]
    starts = [day(row["day"]) for row in visits if row["day"]]
    seen = [day(row["day"]) for row in visits if row["day"] and row["urgent"] is False]
    last = min(end, max(seen)) if own and seen else end
    if not starts or last < min(starts):
        return None
    most = min(days, last - min(starts))
    waits = [other - min(starts) for other in related(person, TO) if other >= min(starts)]
    happened = bool(waits) and min(waits) <= most
    return int(happened), min(waits) if happened else most


def visit(days: int, code: int = 1) -> tuple[int, ...]:
    """Return a visit on a day."""
    return tuple({"day": days, "code": code}.get(name, 1) for name in VISITS)


# Persons with the event on their first day, on the last one that counts, and on the day after it.
LAST_DAYS = [Person((1, 1), (visit(4),), ((1 + wait, 1, 1),)) for wait in (0, DAYS, DAYS + 1)]


@pytest.mark.parametrize("censored", [None, "seen"])
def test_each_person_counts_with_their_event_and_days(tmp_path: Path, censored: str | None) -> None:
    """As plain Python says, by group, whatever the store's ranges."""
    for seed in range(3):
        people = [*LAST_DAYS, *random_people(np.random.default_rng(seed), 60, 8)]
        asked = planned(rate_of(censored=censored, group_by=(ByValue("sex"),)))
        wanted = np.zeros((2, 2), dtype=np.int64)
        for person in people:
            found = at_risk(person, DAYS, day(ENDS), own=censored is not None)
            if found is not None:
                wanted[:, person.own[0] - 1] += found
        store = write(tmp_path / f"{seed}.duckdb", people)
        for cut in (None, 31):
            assert np.array_equal(np.array(exact(store, [asked], cut=cut)[0]), wanted)
        assert wanted.min() > 0


# What one person moves


WORST = Person((1, 1), (visit(1), visit(1), visit(40)), ())  # never has the event, and is at risk for all days
SOON = Person((1, 1), (visit(4),), ((1, 1, 1),) * 5)  # has it on the first day, several times


def moved(asked: Plan, store: Path, persons: int) -> list[NDArray[np.int64]]:
    """Return how far each person moves the cells of each measure: all persons but one, for each of them."""
    engine = Store(store, memory_limit="300MB", threads=1, query_seconds=60)
    try:
        (person, codes), *others = engine.stream(asked)
        assert others == []
        whole = kernel.bound(asked, [(person, codes)])
        found = []
        for one in range(persons):
            kept = person != one
            part = [(np.ascontiguousarray(person[kept]), {n: np.ascontiguousarray(c[kept]) for n, c in codes.items()})]
            found.append(np.array([np.abs(a - b).sum() for a, b in zip(whole, kernel.bound(asked, part), strict=True)]))
        return found
    finally:
        engine.close()


def test_a_thousand_neighbours_move_no_more_than_declared(tmp_path: Path) -> None:
    """From the store on: no person more than 1 event and `days` days, and the worst person exactly these."""
    people = [WORST, SOON, *random_people(np.random.default_rng(5), tries(300, audited=1000), 8)]
    asked = planned(rate_of(group_by=(ByValue("sex"),)))
    assert [one.mechanism.sensitivity_l1 for one in asked.measures] == [1, DAYS]
    found = np.array(moved(asked, write(tmp_path / "s.duckdb", people), len(people)))
    assert found.max(axis=0).tolist() == [1, DAYS]
    assert found[0].tolist() == [0, DAYS]
    assert found[1].tolist() == [1, 0]


def test_days_that_nobody_bounds_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: neither engine nor kernel bound the days, and the worst person adds more than declared."""
    whole = aggregates._at_risk

    def unbounded(days: Any, followed: Any, value: Any) -> Any:
        return whole(days, followed, replace(value, edges=(0, 10_000)))

    monkeypatch.setattr(aggregates, "_at_risk", unbounded)
    asked = planned(rate_of())
    (output,) = asked.outputs
    events, days = output.measures
    (factor,) = days.factors
    mutant = replace(output, measures=(events, replace(days, factors=(replace(factor, high=10_000),))))
    store = write(tmp_path / "s.duckdb", [WORST, SOON])
    assert moved(replace(asked, outputs=(mutant,)), store, 2)[0][1] > days.mechanism.sensitivity_l1
    assert moved(asked, store, 2)[0][1] == DAYS  # the kernel alone bounds them too


# The rate and its interval


@pytest.fixture(scope="module")
def rossi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dataset, Store]]:
    """Import 432 persons who were released from prison, and followed for a year (Rossi, Berk and Lenihan 1980)."""
    case, folder = ROOT / "tests" / "cases" / "survival-rossi", tmp_path_factory.mktemp("rossi")
    declared = manifest.parse((case / "manifest.toml").read_text(encoding="utf-8"), case)
    ingest.build(declared, folder, memory_limit="300MB", threads=1, progress=silent)
    engine = Store(folder / parts.WHOLE, memory_limit="300MB", threads=1, query_seconds=600)
    yield declared.dataset, engine
    engine.close()


def waits() -> list[tuple[int, bool]]:
    """Return the days to the arrest within a year of each person, or those of the year, and which it is."""
    folder = ROOT / "tests" / "cases" / "survival-rossi"
    with (folder / "arrest.csv").open(encoding="utf-8") as file:
        arrested = {row["id"]: dt.date.fromisoformat(row["date"]) for row in csv.DictReader(file)}
    with (folder / "release.csv").open(encoding="utf-8") as file:
        freed = {row["id"]: dt.date.fromisoformat(row["start"]) for row in csv.DictReader(file)}
    last = dt.date.fromisoformat(YEAR_END)
    days = [((arrested.get(one, last) - start).days, one in arrested) for one, start in freed.items()]
    return [(min(wait, (last - dt.date(2000, 1, 1)).days), happened) for wait, happened in days]


YEAR_END = "2000-12-30"
RELEASED = PerPerson("release", (("wait", Value("days_to", to=Related("arrest"))),))


def answered(rossi: tuple[Dataset, Store], statistic: Any) -> Any:
    """Return what is answered at an epsilon of 10,000."""
    dataset, engine = rossi
    query = dates.fill_in(Query(RELEASED, (("r", statistic),)), dataset.tables)
    asked = planner.plan(query, dataset, Privacy(10_000 * NANO), 100_000)
    cells = kernel.bound_in_parts(asked, engine.ranges(), engine.stream)
    (row,) = assembly.rows(asked, assembly.add_noise(asked, cells))
    return row["r"]


def test_the_rate_of_a_file_is_events_over_person_years(rossi: tuple[Dataset, Store]) -> None:
    """To 4 digits at a large epsilon, as lifelines and statsmodels divide them."""
    times = waits()
    assert len(times) == 432
    truth = sum(happened for _, happened in times) / sum(wait for wait, _ in times) * 365.25
    assert answered(rossi, Rate("wait", 400, YEAR_END))["value"] == pytest.approx(truth, rel=5e-5)


def test_the_curve_of_a_file_is_kaplan_and_meiers(rossi: tuple[Dataset, Store]) -> None:
    """To 4 digits on every day, with the ends of follow-up on one day with an event or none."""
    times = waits()
    found = answered(rossi, Survival("wait", tuple(range(365)), YEAR_END))["survival"]
    censored = stats.CensoredData(
        uncensored=[wait for wait, happened in times if happened],
        right=[wait for wait, happened in times if not happened],
    )
    known = stats.ecdf(censored).sf.evaluate([part["until"] - 1 for part in found])
    assert np.allclose([part["value"] for part in found], known, atol=5e-5)
    assert found[-1]["value"] < 0.75


PRIVACY = {"little": Privacy(NANO // 5), "much": Privacy(5 * NANO), "gaussian": Privacy(None, NANO // 50)}


@pytest.mark.parametrize("privacy", PRIVACY)
@pytest.mark.parametrize(("persons", "share"), [(30, 0.5), (300, 0.1), (3000, 0.02)])
def test_the_interval_covers_the_rate(privacy: str, persons: int, share: float) -> None:
    """In 95% of the releases at least, but for chance, for small and large groups, rare and frequent events."""
    asked = planner.plan(planned(rate_of(days=365, ends="2020-03-01")).query, REGISTRY, PRIVACY[privacy], 100_000)
    events, days = round(persons * share), round(persons * 250)
    truth = events / days * rates.YEAR
    releases = tries(4_000, audited=10_000)
    (output,) = asked.outputs
    noisy = [
        measure.mechanism.release(np.full(releases, number))
        for measure, number in zip(output.measures, (events, days), strict=True)
    ]

    def held(scale: float = 1.0) -> int:
        """Return how many intervals, stated for noise of `scale` times its scale, hold the rate."""
        stated = [replace(m, mechanism=replace(m.mechanism, scale=m.mechanism.scale * scale)) for m in output.measures]
        found: list[Any] = list(estimates.values(replace(output, measures=tuple(stated)), noisy, CONFIDENCE))
        assert len(found) == releases
        assert all(one["low"] <= one["value"] <= one["high"] for one in found)
        return sum(one["low"] <= truth <= one["high"] for one in found)

    assert held() >= fewest(releases) * releases
    if output.measures[0].mechanism.scale > 2:  # where steps do not matter
        assert held(0.5) < fewest(releases) * releases, "half the noise is caught"


def test_nobody_at_risk_says_nothing() -> None:
    """Without days the interval goes from no event to one a day."""
    asked = planned(rate_of())
    (row,) = assembly.rows(asked, [np.array([0]), np.array([-5])])
    assert row["r"] == {"value": 0, "low": 0, "high": rates.YEAR, "raw": {"events": 0, "person_days": -5}}


def test_a_rate_survives_sql_and_json() -> None:
    """A query read from its own SQL or JSON is the same tree."""
    for query in (rate_of(), rate_of(censored="seen")):
        dated = planned(query).query
        assert "RATE(wait, 30, CAST('2020-02-20' AS DATE)" in sql.to_sql(dated)
        assert sql.parse(sql.to_sql(dated)) == dated
        assert QuerySchema().load(json_writing.to_json(query)) == query


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        (Query("visits", (("r", Rate("cost", 9, ENDS)),)), "/query/select/r/rate"),
        (Query(TABLE, (("r", Rate("weight", 9, ENDS)),)), "/query/select/r/rate"),
        (rate_of(days=366 * 200 + 1), "/query/select/r/days"),
        (rate_of(ends="2020-13-01"), "/query/select/r/ends"),
        (rate_of(censored="wait"), "/query/select/r/censored"),
        (rate_of(censored="nothing"), "/query/select/r/censored"),
    ],
)
def test_a_fault_is_refused_with_its_place(query: Query, pointer: str) -> None:
    """Each refusal names its place."""
    with pytest.raises(InvalidQuery) as refused:
        planned(query)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    "text", ["RATE(wait)", "RATE(wait, 30)", "RATE(wait, 30, seen)", "RATE(wait, 0.5, DATE '2020-01-01')"]
)
def test_a_rate_without_its_parts_is_refused(text: str) -> None:
    """The bound and the last day must be given."""
    with pytest.raises(InvalidQuery, match="RATE"):
        sql.parse(f"SELECT {text} FROM visits")
