"""Bins as people write them: a CASE with open ends and labels of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import pytest

from queries.errors import InvalidQuery
from queries.language.nodes import Bounds, ByBins
from queries.release import answer_columns, assembly, showing
from queries.spelling import sql
from tests.queries.clinic import CLINIC, bounded, noiseless, plan_of
from tests.queries.spelling.test_sql import EVENTS, uncoded

__all__ = ["uncoded"]  # the fixture

CASES: dict[str, tuple[Any, ...]] = {
    "WHEN visits < 3 THEN 'few' WHEN visits < 6 THEN 'some' WHEN visits >= 6 THEN 'many' END": (0, 3, 6, 10),
    "WHEN visits < 3 THEN 'few' WHEN visits >= 3 AND visits < 6 THEN 'some' END": (0, 3, 6),
    "WHEN visits >= 3 AND visits < 6 THEN 'some' WHEN visits >= 6 THEN 'many' END": (3, 6, 10),
    "WHEN balance < 0 THEN 'debt' WHEN balance >= 0 THEN '[0, 250.25)' END": (-100, 0, 250.25),
    "WHEN day < DATE '2020-01-18' THEN 'a' WHEN day >= DATE '2020-01-18' THEN 'b' END": (
        "2020-01-15",
        "2020-01-18",
        "2021-03-11",
    ),
}


def asked(case: str) -> str:
    """Return a question with a CASE as its key."""
    return f"SELECT CASE {case} AS k, COUNT(*) AS n FROM visits GROUP BY k"


@pytest.mark.parametrize("case", CASES)
def test_open_bins_reach_to_the_declared_bounds(uncoded: duckdb.DuckDBPyConnection, case: str) -> None:
    """An open end is the column's bound: the CASE as it was written counts in DuckDB what the answer counts."""
    query, show = sql.read(asked(case))
    assert sql.read(sql.to_sql(query, show)) == (query, show)
    query = sql.resolved(query, CLINIC.tables)
    (key,) = query.group_by
    assert isinstance(key, ByBins)
    assert (key.edges, key.open_below, key.open_above) == (CASES[case], False, False)
    plan = plan_of(replace(query, bounds=Bounds(100, 1000)))
    rows = assembly.rows(plan, noiseless(plan, bounded(plan, EVENTS)))
    shown = {"sql": sql.to_sql(query), "notes": [], "rows": rows}
    ours = {
        row["k"]: row["n"]["value"]
        for row in showing.arrange(shown, showing.bind(show, answer_columns.planned(plan)))["rows"]
    }
    theirs = dict(uncoded.execute(asked(case)).fetchall())
    assert {label: n for label, n in ours.items() if label is not None} == {
        label: n for label, n in theirs.items() if label is not None
    }


def test_open_bins_need_declared_bounds() -> None:
    """A value that the query builds has no declared bounds, nor has a category an order; a template names both ends."""
    built = (
        "SELECT CASE WHEN v < 3 THEN 'few' WHEN v >= 3 THEN 'many' END AS v, COUNT(*) AS n FROM (SELECT person, "
        "AVG(visits) AS v FROM visits GROUP BY person) GROUP BY 1"
    )
    for text, says in (
        (built, "name both ends"),
        (asked("WHEN sex < 3 THEN 'few' END"), "has no order|name both ends"),
    ):
        query = sql.resolved(sql.read(text)[0], CLINIC.tables)
        with pytest.raises(InvalidQuery, match=says):
            plan_of(query)
    with pytest.raises(InvalidQuery, match="belong to an answer|name both ends"):
        sql.parse(asked("WHEN visits >= 3 THEN 'many' END"))
    with pytest.raises(InvalidQuery, match="ELSE would also take rows without a value"):
        sql.read(asked("WHEN visits < 3 THEN 'few' ELSE 'many' END"))
