"""A plan that needs no event but whose it is has the cells of its events, from one row for each person."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from queries.catalog.schema import PERSON, PERSONS
from queries.contribution.person_order import EVERYBODY
from queries.errors import EngineFailed
from queries.execution import event_numbers, kernel
from queries.execution.duckdb import Store
from queries.execution.engine import CellsOf, of_part
from queries.language.nodes import (
    All,
    Any,
    Bounds,
    ByBins,
    ByPeriod,
    ByValue,
    Cohort,
    Comparison,
    Count,
    Mean,
    Not,
    PerPerson,
    Proportion,
    Query,
    Sum,
    Value,
)
from tests.laws import tries
from tests.queries.execution.test_pathways import COHORTS, people
from tests.queries.registry import Person, planned, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from queries.language.nodes import Key, Predicate, Statistic
    from queries.plan import Plan

MALE, OLD = Comparison("sex", "=", "male"), Comparison("born", "<=", 1992)
UNKNOWN = Comparison("born", "is_null")
A = Comparison("code", "=", "a")
CONDITIONS = st.sampled_from([MALE, OLD, UNKNOWN, Not(OLD), Any((MALE, UNKNOWN)), *COHORTS.values()])
STATISTICS = st.one_of(
    st.sampled_from([Count("persons"), Count("events")]),
    st.builds(lambda unit, where: Count(unit, where=where), st.sampled_from(["persons", "events"]), CONDITIONS),
    st.builds(Proportion, CONDITIONS, st.sampled_from(["persons", "events"])),
)
QUERIES = st.builds(
    lambda statistics, where, keys, bounds: Query(
        "visits", tuple((f"s{place}", one) for place, one in enumerate(statistics)), where, tuple(keys), bounds
    ),
    st.lists(STATISTICS, min_size=1, max_size=3),
    st.one_of(st.none(), CONDITIONS, st.builds(lambda *both: All(both), CONDITIONS, CONDITIONS)),
    st.lists(
        st.sampled_from([ByValue("sex"), ByValue("born"), ByBins("born", (1990, 1992, 1993))]),
        max_size=2,
        unique_by=lambda key: key.column,
    ),
    st.builds(Bounds, st.integers(1, 3), st.integers(1, 14)),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store of random persons, of whom some have no visit and one has very many."""
    everybody = [*people(5), Person((2, 3), ((1, 2, 3, 1),) * 300, ())]
    engine = opened(write(tmp_path_factory.mktemp("numbers") / "store.duckdb", everybody))
    yield engine
    engine.close()


def opened(path: Path) -> Store:
    """Open a store."""
    return Store(path, memory_limit="300MB", threads=2, query_seconds=60)


def cells(engine: Store, plan: Plan) -> list[list[int]]:
    """Return the cells as an engine answers them."""
    return [one.tolist() for one in of_part(CellsOf(plan), engine)]


def of_events(engine: Store, plan: Plan) -> list[list[int]]:
    """Return the cells from the events themselves."""
    return [one.tolist() for one in kernel.bound(plan, engine.stream(plan))]


@settings(max_examples=tries(60, audited=1500), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(QUERIES)
def test_the_cells_are_those_of_the_events(store: Store, query: Query) -> None:
    """Whatever is counted, by which attributes, under which conditions and bounds, both ways give the same numbers."""
    plan = planned(query)
    assert event_numbers.suffice(plan)
    assert cells(store, plan) == of_events(store, plan)


COUNT = (("n", Count("events")),)


@pytest.mark.parametrize(
    ("select", "where", "keys"),
    [
        (COUNT, A, ()),
        (COUNT, All((MALE, A)), ()),
        (COUNT, None, (ByValue("code"),)),
        (COUNT, None, (ByValue("sex"), ByPeriod("day", "month"))),
        ((("n", Count("events", where=A)),), None, ()),
        ((("n", Proportion(A, "persons")),), None, ()),
        ((("n", Count("persons")), ("s", Sum("cost"))), None, ()),
        ((("m", Mean("born")),), None, ()),
    ],
)
def test_what_needs_an_event_reads_events(
    store: Store, select: tuple[tuple[str, Statistic], ...], where: Predicate | None, keys: Sequence[Key]
) -> None:
    """A key, a filter, a condition or a value of the event itself: the numbers of events do not suffice."""
    plan = planned(Query("visits", select, where, tuple(keys), Bounds(2, 2)))
    assert not event_numbers.suffice(plan)
    assert cells(store, plan) == of_events(store, plan)


def test_tables_of_one_row_for_each_person_have_no_numbers() -> None:
    """The table of persons, and a table that a question makes, are read as they are."""
    made = PerPerson("visits", (("n", Value("count")),))
    for table in (PERSONS, made):
        assert not event_numbers.suffice(planned(Query(table, (("n", Count("persons")),))))


def test_an_older_store_has_no_numbers_and_the_same_cells(store: Store, tmp_path: Path) -> None:
    """An edition from before the numbers were kept is answered from its events."""
    shutil.copy(store._store, tmp_path / "older.duckdb")
    with duckdb.connect(str(tmp_path / "older.duckdb")) as connection:
        connection.execute(f'ALTER TABLE {PERSONS} DROP COLUMN "{event_numbers.numbered("visits")}"')
    older = opened(tmp_path / "older.duckdb")
    plan = planned(Query("visits", COUNT, MALE, (ByValue("sex"),), Bounds(1, 3)))
    assert older.number_for(plan) is None
    assert store.number_for(plan) == event_numbers.numbered("visits")
    assert cells(older, plan) == cells(store, plan)
    older.close()


def test_no_number_counts_beyond_the_bound(store: Store, tmp_path: Path) -> None:
    """Whatever numbers a store holds, one person adds no more than the bound: the noise covers it."""
    shutil.copy(store._store, tmp_path / "wrong.duckdb")
    with duckdb.connect(str(tmp_path / "wrong.duckdb")) as connection:
        connection.execute(f'UPDATE {PERSONS} SET "{event_numbers.numbered("visits")}" = {2**32 - 1}')
        ((everybody,),) = connection.execute(f"SELECT count(*) FROM {PERSONS}").fetchall()
    wrong = opened(tmp_path / "wrong.duckdb")
    query = Query("visits", (*COUNT, ("p", Count("persons"))), None, (), Bounds(1, 3))
    assert cells(wrong, planned(query)) == [[3 * everybody], [everybody]]
    wrong.close()


@pytest.mark.parametrize("persons", [(0, 0), (0, 1, 1), (2, 1), (0, 1, 0)])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_person_with_two_rows_is_refused(persons: tuple[int, ...], batch: int) -> None:
    """A stream with one row for each person must be just that, within a batch and across batches."""
    plan = planned(Query("visits", COUNT, None, (), Bounds(1, 3)))
    column = event_numbers.numbered("visits")
    rows = [
        (np.array(part, dtype=np.int32), {column: np.ones(len(part), dtype=np.uint32)})
        for part in (persons[start : start + batch] for start in range(0, len(persons), batch))
    ]
    with pytest.raises(EngineFailed, match="not ordered by person"):
        kernel.bound(plan, rows, EVERYBODY, column)


def test_a_cohort_of_many_columns_is_read_beside_the_numbers(store: Store) -> None:
    """Cohorts are decided for each row here, as for each event elsewhere; they hold of persons."""
    plan = planned(Query("visits", COUNT, Cohort("drugs", Comparison("drug", "=", "x")), (ByValue("born"),)))
    assert event_numbers.suffice(plan)
    assert sum(cells(store, plan)[0]) > 0
    assert PERSON not in {key.column.name for key in plan.keys}
