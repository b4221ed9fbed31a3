"""Scans are in person order, also where the engine would put them in another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
from sqlglot import exp

from queries.catalog.schema import PERSON, PERSONS
from queries.execution import scan
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.language.nodes import Cohort, Comparison, Count, Not, PerPerson, Proportion, Query, Related, Value
from tests.queries.execution.test_pathways import COHORTS, VALUES
from tests.queries.registry import planned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from queries.plan import Plan

ROWS = (("n", Count("events")),)
ALIKE = nodes.Any((Cohort("drugs"), Comparison("code", "=", "a")))
BUILT = {
    **{name: Query(PerPerson("visits", (("v", value),)), ROWS) for name, value in VALUES.items()},
    "of some events": Query(PerPerson("visits", (("v", Value("count")),), Comparison("code", "=", "a")), ROWS),
    "of a cohort": Query(PerPerson("visits", (("v", Value("count")),)), ROWS, Cohort("drugs")),
    "survival": Query(
        PerPerson("visits", (("v", Value("days_to", to=Related("drugs"))),)), (("c", nodes.Survival("v", (0, 5, 30))),)
    ),
}
FILTERED = {
    **{name: Query("visits", ROWS, cohort) for name, cohort in COHORTS.items()},
    **{f"not {name}": Query("visits", ROWS, Not(cohort)) for name, cohort in COHORTS.items()},
    "or a comparison": Query("visits", ROWS, ALIKE),
    "in a statistic": Query("visits", (("n", Count("events", where=ALIKE)),)),
    "in a split": Query("visits", (("n", Proportion(Cohort("drugs"))),)),
}


def order_of(select: exp.Select) -> list[tuple[str, bool]]:
    """Return what the outermost SELECT is sorted by: the names, and whether they descend."""
    order = select.args.get("order")
    return [] if order is None else [(one.this.name, bool(one.args.get("desc"))) for one in order.expressions]


@pytest.mark.parametrize("persons", [None, range(5, 50)], ids=["everybody", "a range"])
@pytest.mark.parametrize("name", BUILT)
def test_a_table_of_persons_is_sorted_by_person(name: str, persons: range | None) -> None:
    """Whatever is built: a GROUP BY has no order of its own. A person has one row, so that the person is enough."""
    asked = planned(BUILT[name])
    assert order_of(scan.scan(asked, lambda _table, _column, _texts: [], persons)) == [(PERSON, False)]


@pytest.mark.parametrize("persons", [None, range(5, 50)], ids=["everybody", "a range"])
@pytest.mark.parametrize("name", FILTERED)
def test_a_scan_of_a_table_has_no_join(name: str, persons: range | None) -> None:
    """Whatever the cohort and wherever it stands: the scan only reads and compares, so that nothing changes its order."""
    select = scan.scan(planned(FILTERED[name]), lambda _table, _column, _texts: [], persons)
    assert list(select.find_all(exp.Join, exp.Subquery, exp.In, exp.Exists, exp.Order)) == []
    assert [table.name for table in select.find_all(exp.Table)] == ["visits"]


EVENTS, PRESCRIPTIONS = 200_000, 2_000


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return an engine of four threads over a store large enough for it to put rows in another order."""
    store = tmp_path_factory.mktemp("large") / "store.duckdb"
    with duckdb.connect(str(store)) as connection:
        connection.execute(f'CREATE TABLE "{PERSONS}" AS SELECT i::INTEGER AS person FROM range({EVENTS // 2}) t(i)')
        for table, rows, columns in (
            (
                "visits",
                EVENTS,
                "(1 + i % 60)::USMALLINT AS day, (i % 4)::UTINYINT AS code, (i % 60)::UTINYINT AS cost, 1::UTINYINT AS urgent",
            ),
            (
                "drugs",
                PRESCRIPTIONS,
                "(1 + i % 60)::USMALLINT AS given, (1 + i % 3)::UTINYINT AS drug, 1::UTINYINT AS pack",
            ),
        ):
            connection.execute(
                f'CREATE TABLE "{table}" AS SELECT (i * {EVENTS // 2} // {rows})::INTEGER AS person, '
                f"1::UTINYINT AS sex, 1::UTINYINT AS born, {columns} FROM range({rows}) t(i)"
            )
    opened = Store(store, memory_limit="500MB", threads=4, query_seconds=60)
    yield opened
    opened.close()


def persons_of(engine: Store, plan: Plan) -> NDArray[np.int32]:
    """Return the person of each row of a scan, in its order."""
    return np.concatenate([person for person, _ in engine.stream(plan)])


def test_the_engine_sorts_what_it_would_have_put_in_another_order(engine: Store) -> None:
    """A table of persons over a hundred thousand persons comes in order; the same scan without its ORDER BY does not."""
    plan = planned(BUILT["count"])
    found = persons_of(engine, plan)
    assert np.array_equal(found, np.arange(EVENTS // 2))
    unsorted = scan.scan(plan, lambda _table, _column, _texts: [])
    assert unsorted.args.pop("order") is not None
    engine.close()
    with duckdb.connect(engine._store, read_only=True, config={"threads": 4}) as connection:
        rows = connection.execute(unsorted.sql("duckdb")).fetchnumpy()[PERSON]
    assert sorted(rows) == found.tolist()
    assert (np.diff(rows) < 0).any(), "the data are large enough to tell"


@pytest.mark.parametrize("name", ["any event", "not any event", "in a statistic", "after", "new"])
def test_cohorts_keep_the_order_over_many_events(engine: Store, name: str) -> None:
    """Four streams over two hundred thousand events: persons ascend, and each person's events are as they were stored."""
    plan = planned(replace(FILTERED[name], group_by=(nodes.ByValue("code"),)))
    read = [(person, codes["code"]) for persons in engine.ranges() for person, codes in engine.stream(plan, persons)]
    person, code = (np.concatenate(column) for column in zip(*read, strict=True))
    assert len(person) > PRESCRIPTIONS / 100
    assert (np.diff(person) >= 0).all()
    # The event with the number i is of the person i // 2 and has the code i % 4.
    first = person[1:] != person[:-1]
    assert np.array_equal(code[1:][~first], 2 * (person[1:][~first] % 2) + 1)
    assert not first.all()
