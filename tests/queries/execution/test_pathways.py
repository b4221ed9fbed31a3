"""Cohorts and per-person tables through a real store and engine, against plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries.errors import InvalidQuery
from queries.execution import scan
from queries.language import nodes
from queries.language.nodes import (
    All,
    ByValue,
    Cohort,
    Comparison,
    Count,
    Histogram,
    Not,
    PerPerson,
    Proportion,
    Query,
    Related,
    Survival,
    Value,
)
from tests.laws import tries
from tests.privacy.checks import cells_violate
from tests.queries.registry import REGISTRY, exact, holds, member, planned, random_people, rows, value, write

if TYPE_CHECKING:
    from pathlib import Path

A, B, NULL = Comparison("code", "=", "a"), Comparison("code", "=", "b"), Comparison("code", "is_null")
X, Y = Comparison("drug", "=", "x"), Comparison("drug", "in", ("x", "y"))

COHORTS = {
    "any event": Cohort("drugs"),
    "with a condition": Cohort("visits", All((A, Comparison("cost", ">", 3)))),
    "at least three": Cohort("visits", at_least=3),
    "null": Cohort("visits", NULL, at_least=2),
    "after": Cohort("drugs", X, after=Related("visits", A)),
    "within": Cohort("drugs", Y, after=Related("visits", A, within_days=7)),
    "on the same day": Cohort("visits", A, after=Related("visits", B, within_days=0)),
    "without": Cohort("visits", A, without=Related("drugs", X)),
    "new": Cohort("drugs", X, without=Related("drugs", X, within_days=10)),
    "after and without": Cohort("visits", A, 1, Related("visits", B, 30), Related("drugs", Y, 20)),
}
VALUES = {
    "count": Value("count"),
    "count of some": Value("count", where=A),
    "sum": Value("sum", "cost"),
    "sum of some": Value("sum", "cost", where=A, bounds=(-3, 30)),
    "mean": Value("mean", "cost"),
    "min": Value("min", "cost"),
    "max": Value("max", "day"),
    "first": Value("first", "code"),
    "last": Value("last", "cost", where=B),
    "exists": Value("exists", where=All((A, Comparison("cost", ">", 2)))),
    "days": Value("days_to", to=Related("drugs", X)),
    "days within": Value("days_to", to=Related("drugs", Y, within_days=15)),
    "days to the like": Value("days_to", to=Related("visits", B), bounds=(0, 20)),
}


def people(seed: int, persons: int = 40, most: int = 12) -> list[Any]:
    """Return random persons."""
    return random_people(np.random.default_rng(seed), persons, most)


SEEDS = tries(1, audited=3)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return the stores of `people` by their seeds. Scans only read them."""
    folder = tmp_path_factory.mktemp("stores")
    return [write(folder / f"{seed}.duckdb", people(seed)) for seed in range(SEEDS)]


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("name", COHORTS)
def test_cohort_equals_plain_python(stores: list[Path], name: str, seed: int) -> None:
    """As a filter, negated, and as a proportion a cohort holds for those persons for whom plain Python says so."""
    cohort, everybody, store = COHORTS[name], people(seed), stores[seed]
    count = (("n", Count("persons")),)
    asked = [
        planned(Query("persons", count, cohort)),
        planned(Query("persons", count, All((Not(cohort), Comparison("sex", "=", "male"))))),
        planned(Query("persons", (("n", Proportion(cohort, "persons")),))),
    ]
    inside = [member(person, cohort) for person in everybody]
    assert 0 < sum(inside) < len(inside)
    outside = sum(person.own[0] == 2 and not one for person, one in zip(everybody, inside, strict=True))
    wanted = [[sum(inside)], [outside], [sum(inside), len(inside) - sum(inside)]]
    for cut in (None, 17):
        assert [one[0].tolist() for one in exact(store, asked, cut=cut)] == wanted


@pytest.mark.parametrize("name", COHORTS)
def test_a_cohort_filters_events_of_other_tables(tmp_path: Path, name: str) -> None:
    """The events of a cohort's persons count, and the contribution bounds hold for them as for any."""
    cohort, everybody = COHORTS[name], people(9)
    store = write(tmp_path / "store.duckdb", everybody)
    bounds = nodes.Bounds(events_per_cell=5)
    asked = planned(Query("visits", (("n", Count("events")),), cohort, bounds=bounds))
    assert exact(store, [asked])[0][0].tolist() == [
        sum(min(5, len(person.visits)) for person in everybody if member(person, cohort))
    ]


def table(*names: str, where: nodes.Predicate | None = None) -> PerPerson:
    """Return a per-person table of visits with some of the values, named v0, v1 and so on."""
    return PerPerson("visits", tuple((f"v{n}", VALUES[name]) for n, name in enumerate(names)), where)


@pytest.mark.parametrize("where", [None, A], ids=["all", "some"])
@pytest.mark.parametrize("name", VALUES)
def test_per_person_value_equals_plain_python(stores: list[Path], name: str, where: nodes.Predicate | None) -> None:
    """Each person's value has the code that plain Python finds, clamped to its bounds; who has no event has no row."""
    for seed, store in enumerate(stores):
        everybody = people(seed)
        asked = planned(
            Query(table(name, where=where), (("n", Count("persons")),), None, (ByValue("v0"), ByValue("sex")))
        )
        column = asked.table.columns["v0"]
        wanted = np.zeros((asked.keys[0].size, 2), dtype=np.int64)
        for person in everybody:
            if not any(holds(where, row) for row in rows(person, "visits")):
                continue
            found = value(person, "visits", where, VALUES[name])
            code = 0
            if found is not None:
                labels = [column.label(code) for code in range(1, column.size + 1)]
                if column.numeric:
                    found = min(max(found, labels[0]), labels[-1])
                code = (
                    1 + int(np.argmin([abs(one - found) for one in labels]))
                    if column.numeric
                    else 1 + labels.index(found)
                )
            wanted[asked.keys[0].index(code), person.own[0] - 1] += 1
        for cut in (None, 23):
            assert np.array_equal(exact(store, [asked], cut=cut)[0][0].reshape(-1, 2), wanted)


def test_values_are_filtered_and_summed_like_columns(tmp_path: Path) -> None:
    """The outer query filters by values and attributes, sums, and counts each person once."""
    everybody = people(4)
    store = write(tmp_path / "store.duckdb", everybody)
    where = All((Comparison("v0", ">", 2), Comparison("sex", "=", "female"), COHORTS["after"]))
    asked = planned(Query(table("count", "sum"), (("n", Count("events")), ("s", nodes.Sum("v1", (0, 20)))), where))
    some = [p for p in everybody if len(p.visits) > 2 and p.own[0] == 1 and member(p, COHORTS["after"])]
    sums = [value(p, "visits", None, VALUES["sum"]) for p in some]
    assert some
    total = sum(min(max(one, 0), 20) for one in sums if one is not None)
    assert [cells.tolist() for cells in exact(store, [asked])[0]] == [[len(some)], [int(total * 2)]]


ASKED = [
    Query(
        table(*VALUES),
        (("h", Histogram("v0")), ("s", nodes.Sum("v2")), ("m", nodes.Mean("v10"))),
        None,
        (ByValue("v7"),),
    ),
    Query(table("count", where=A), (("n", Count("persons")),), COHORTS["new"], (ByValue("v0"),)),
    Query(table("days", where=A), (("s", Survival("v0", (0, 5, 10, 30, 60))),), None, (ByValue("sex"),)),
    Query(
        table("days", "max", where=A),
        (
            ("s", Survival("v0", (0, 5, 10, 30, 60), "2020-02-20", "v1")),
            ("r", nodes.Rate("v0", 30, "2020-02-20", "v1")),
        ),
        None,
        (ByValue("sex"),),
    ),
    *(
        Query(
            "visits",
            (("n", Count("events")), ("p", Proportion(cohort))),
            Not(cohort),
            (ByValue("code"),),
            nodes.Bounds(2, 3),
        )
        for cohort in COHORTS.values()
    ),
]


@pytest.mark.parametrize(
    ("seeds", "extreme"),
    [
        pytest.param(1, False, id="random"),
        pytest.param(72, False, id="a thousand pairs", marks=pytest.mark.audit),
        pytest.param(1, True, id="the worst person"),
    ],
)
def test_one_person_moves_the_cells_by_no_more_than_planned(tmp_path: Path, seeds: int, extreme: bool) -> None:
    """Through the engine each person, and one of thousands of events, moves every measure within its sensitivity."""
    plans = [planned(query) for query in ASKED]
    moved = 0
    for seed in range(seeds):
        everybody = people(seed, persons=6 if extreme else 14, most=20)
        if extreme:
            day = [(1 + n % 61, 1 + n % 3, 1 + n % 97, n % 3) for n in range(4000)]
            drugs = [(1 + n % 61, 1 + n % 2, 1 + n % 9) for n in range(4000)]
            everybody[2] = type(everybody[2])((1, 1), tuple(day), tuple(drugs))
        here = exact(write(tmp_path / f"{seed}.duckdb", everybody), plans)
        for person in range(tries(7, audited=14)) if not extreme else [2]:
            without = [None if n == person else one for n, one in enumerate(everybody)]
            there = exact(write(tmp_path / f"{seed}-{person}.duckdb", without), plans)
            for plan, with_, less in zip(plans, here, there, strict=True):
                assert cells_violate(plan, with_, less) == set(), plan.query
                moved += any(map(np.any, map(np.subtract, with_, less)))
    assert moved >= 3


def test_others_do_not_change_what_counts_of_a_person(tmp_path: Path) -> None:
    """Where the engine has to sort, a person's first events are the same whoever else is there."""
    random = np.random.default_rng(5)
    alone = random_people(random, 1, 0)[0]
    events = tuple((1 + n % 60, 1 + int(random.integers(0, 3)), 1 + n % 90, 1) for n in range(500))
    alone = type(alone)((1, 1), events, ((5, 1, 1),))
    asked = planned(
        Query("visits", (("s", nodes.Sum("cost")),), Cohort("drugs"), (ByValue("code"),), nodes.Bounds(2, 40))
    )
    (wanted,) = exact(write(tmp_path / "alone.duckdb", [None] * 3 + [alone]), [asked])
    assert np.any(wanted[0])
    for others in (1, 30):
        crowd = random_people(random, others, 400)
        (both,) = exact(
            write(tmp_path / f"{others}.duckdb", [*crowd[:3], *[None] * (3 - len(crowd[:3])), alone, *crowd[3:]]),
            [asked],
        )
        less = [*crowd[:3], *[None] * (3 - len(crowd[:3])), None, *crowd[3:]]
        (rest,) = exact(write(tmp_path / f"{others}-less.duckdb", less), [asked])
        assert np.array_equal(both[0] - rest[0], wanted[0])


REFUSED = {
    "/query/where/value/persons": Query("visits", (("n", Count("events")),), Cohort("drug")),
    "/query/where/value/where/column": Query("visits", (("n", Count("events")),), Cohort("drugs", A)),
    "/query/where/value/date": Query("visits", (("n", Count("events")),), Cohort("drugs", date="day")),
    "/query/where/value/after/of": Query("visits", (("n", Count("events")),), Cohort("drugs", after=Related("pills"))),
    "/query/where/value/after/date": Query(
        "visits", (("n", Count("events")),), Cohort("drugs", after=Related("persons"))
    ),
    "/query/where/value/where/value": Query("visits", (("n", Count("events")),), Cohort("drugs", Cohort("visits"))),
    "/query/from/per_person": Query(PerPerson("visit", (("n", Value("count")),)), (("n", Count("events")),)),
    "/query/from/values/n/sum": Query(PerPerson("visits", (("n", Value("sum", "code")),)), (("n", Count("events")),)),
    "/query/from/values/n/max": Query(PerPerson("visits", (("n", Value("max", "code")),)), (("n", Count("events")),)),
    "/query/from/values/sex": Query(PerPerson("visits", (("sex", Value("count")),)), (("n", Count("events")),)),
    "/query/from/values/n/bounds/1": Query(
        PerPerson("visits", (("n", Value("min", "cost", bounds=(0, 41))),)), (("n", Count("events")),)
    ),
    "/query/from/values/n/bounds": Query(
        PerPerson("visits", (("n", Value("count", bounds=(3, 3))),)), (("n", Count("events")),)
    ),
    "/query/from/values/n/date": Query(
        PerPerson("visits", (("n", Value("first", "code", date="code")),)), (("n", Count("events")),)
    ),
    "/query/from/values/n/days_to/of": Query(
        PerPerson("visits", (("n", Value("days_to", to=Related("x"))),)), (("n", Count("events")),)
    ),
    "/query/from/where/value": Query(
        PerPerson("visits", (("n", Value("count")),), Cohort("drugs")), (("n", Count("events")),)
    ),
    "/query/select/s/sum": Query(table("count"), (("s", nodes.Sum("cost")),)),
    "/query/group_by/0": Query(table("count"), (("s", Count("persons")),), None, (ByValue("code"),)),
}


@pytest.mark.parametrize("pointer", REFUSED)
def test_pathway_fault_refused_with_its_place(pointer: str) -> None:
    """Tables, columns, dates and bounds that are not there, and cohorts within cohorts."""
    with pytest.raises(InvalidQuery) as refusal:
        planned(REFUSED[pointer])
    assert refusal.value.pointer == pointer


def test_a_person_has_one_row_and_one_cell() -> None:
    """A per-person table needs no contribution bounds, whatever the query says, and says how values were clamped."""
    asked = planned(Query(table("count", "sum"), (("n", Count("events")),), None, (ByValue("v0"),), nodes.Bounds(7, 9)))
    assert (asked.cells_per_person, asked.events_per_cell) == (1, 1)
    assert asked.measures[0].mechanism.sensitivity_l1 == 1
    assert any("v0 was not given bounds" in note for note in asked.notes)
    assert REGISTRY.tables["visits"].one_row_per_person is False


@pytest.mark.parametrize("name", COHORTS)
def test_a_table_that_the_engine_builds_is_sorted(name: str) -> None:
    """With a cohort in its filter or without: only a table of persons has joins, and it is told its order.

    On small data the engine keeps the order by itself, so that only the text can tell.
    """
    count = Count("events")
    for cohort in (COHORTS[name], None):
        built = scan.scan(planned(Query(table("count"), (("n", count),), cohort)), lambda _table, _column, _texts: [])
        assert built.sql("duckdb").endswith(' ORDER BY "person"')
