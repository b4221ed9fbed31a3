from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from queries import nodes, sql
from queries.nodes import ByBins, ByPeriod, ByValue, Comparison, Count, Mean, Query, Sum
from tests.queries.clinic import Event, bounded, planned
from tests.queries.sources import clinic_source

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden.sql")

QUERIES = {
    "every statistic": Query(
        "visits",
        (("people", Count("persons")), ("n", Count("events")), ("total", Sum("visits")), ("average", Mean("balance"))),
    ),
    "clamped": Query("visits", (("total", Sum("visits", (0, 30))), ("average", Mean("balance", (-0.5, 99.75))))),
    "keys": Query(
        "visits",
        (("n", Count("events")),),
        group_by=(ByValue("sex"), ByValue("region", "where"), ByPeriod("day", "quarter"), ByBins("visits", (0, 5, 10))),
    ),
    "filters": Query(
        "visits",
        (("n", Count("events")),),
        nodes.All(
            (
                Comparison("visits", ">=", 2),
                nodes.Any((Comparison("sex", "=", "male"), Comparison("region", "is_null"))),
                nodes.Not(nodes.All((Comparison("urgent", "=", True), Comparison("visits", "!=", 3)))),
                Comparison("day", "between", ("2020-02-01", "2020-03-01")),
                Comparison("diagnosis", "in", ("it's", 'say "x"; --')),
            )
        ),
    ),
    "words of SQL": Query("order", (("select", Sum("group")),), Comparison("from", "<", 1), (ByValue("table"),)),
}


def golden() -> dict[str, str]:
    """Return the expected SQL of each query, by its name."""
    parts = GOLDEN.read_text(encoding="utf-8").split("-- ")[1:]
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_reads_as_the_sql_one_would_write(name: str) -> None:
    """Golden pairs: the SQL shown with an answer."""
    assert sql.to_sql(QUERIES[name]) == golden()[name]


@pytest.mark.parametrize("name", QUERIES)
def test_the_sql_is_sql(name: str) -> None:
    """What is shown parses, and a name that is a word of SQL is quoted."""
    assert parse_one(sql.to_sql(QUERIES[name]), dialect="duckdb") is not None


def test_the_examples_in_the_docstrings_hold() -> None:
    """The doctests of this module run."""
    result = doctest.testmod(sql)
    assert result.attempted > 0
    assert result.failed == 0


@given(st.text(min_size=1, max_size=30))
def test_a_text_stays_one_literal(text: str) -> None:
    """Whatever a researcher writes into a value is shown as that value and never as SQL."""
    shown = sql.to_sql(Query("visits", (("n", Count("events")),), Comparison("diagnosis", "=", text)))
    (literal,) = [node for node in parse_one(shown, dialect="duckdb").walk() if node.key == "literal"]
    assert literal.this == text


@pytest.fixture(scope="module")
def uncoded() -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold some of the clinic's events as a custodian would."""
    with duckdb.connect() as connection:
        connection.register("source", clinic_source(EVENTS))
        connection.execute("CREATE TABLE visits AS SELECT *, patient AS person FROM source")
        yield connection


EVENTS = [
    Event(person, (1 + person % 2, 0, (person + n) % 4, 1, 1, n % 11, 37 * (person + n) % 800, 5, n % 3, 1 + n))
    for person in range(40)
    for n in range(person % 13)
]


@pytest.mark.parametrize(
    "statistic",
    [
        Count("persons"),
        Count("events"),
        Sum("visits"),
        Sum("visits", (2, 5)),
        Sum("balance"),
        Sum("balance", (-50, -10.25)),
    ],
)
def test_the_sql_says_what_is_computed(uncoded: duckdb.DuckDBPyConnection, statistic: nodes.Statistic) -> None:
    """Run over the data, the SQL that is shown gives the cells before the noise, where no bound cuts anything off."""
    query = Query("visits", (("s", statistic),), group_by=(ByValue("region"),))
    plan = planned(ByValue("region"), cells=4, events=1000, s=statistic)
    (exact,) = bounded(plan, EVENTS)
    column = plan.measures[0].column
    cells = {
        plan.keys[0].label(place): units if column is None else column.value(units)
        for place, units in enumerate(exact.tolist())
    }
    assert dict(uncoded.execute(sql.to_sql(query)).fetchall()) == cells


@pytest.mark.parametrize("name", QUERIES)
def test_the_json_form_is_json(name: str) -> None:
    """What a release shows of the query survives JSON."""
    shown = nodes.to_json(QUERIES[name])
    assert json.loads(json.dumps(shown)) == shown
    assert set(shown) <= {"from", "where", "group_by", "select", "bounds"}


def test_the_json_form_shows_what_was_asked() -> None:
    """Names, edges, bounds and pairs appear as the researcher wrote them; what was not given is left out."""
    query = Query(
        "visits",
        (("t", Sum("visits", (0, 5))), ("m", Mean("visits")), ("n", Count("persons"))),
        nodes.Not(nodes.Any((Comparison("visits", "in", (1, 2.0)), Comparison("sex", "is_null")))),
        (ByValue("sex"), ByValue("sex", "again"), ByBins("visits", (0, 2.5), "b"), ByPeriod("day", "year")),
        nodes.Bounds(None, 3),
    )
    assert nodes.to_json(query) == {
        "from": "visits",
        "where": {
            "not": {"any": [{"column": "visits", "op": "in", "value": [1, 2.0]}, {"column": "sex", "op": "is_null"}]}
        },
        "group_by": [
            "sex",
            {"column": "sex", "as": "again"},
            {"column": "visits", "bins": [0, 2.5], "as": "b"},
            {"column": "day", "period": "year"},
        ],
        "select": {"t": {"sum": "visits", "bounds": [0, 5]}, "m": {"mean": "visits"}, "n": {"count": "persons"}},
        "bounds": {"events_per_cell": 3},
    }
