"""Pairs of questions that differ in whether one row, value or text is there, in every place where a condition may stand.

The store has two tables of events and persons with one row each. One single person has the largest cost, the first and
the last day, the one null, the one event of a kind and the one event with a text; nobody has what the pair's other
half asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from queries.binding import dates
from queries.language import nodes
from queries.language.nodes import (
    All,
    ByBins,
    ByValue,
    Cohort,
    Comparison,
    Count,
    Not,
    PerPerson,
    Query,
    Related,
    Value,
)
from queries.planning import planner
from tests.queries.sources import build

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from queries.catalog.schema import Dataset
    from queries.plan import Plan
    from tests.queries.sources import Built

HEAD = """
[dataset]
name = "pairs"
epsilon = 10
persons_max = 200000000
[person]
id = "patient"
source = "persons.parquet"
[person.columns.sex]
type = "category"
values = ["f", "m"]
"""
TABLE = """
[tables.{0}]
source = "{0}.parquet"
[tables.{0}.columns.day]
type = "date"
bounds = [2000-01-01, 2025-01-01]
[tables.{0}.columns.cost]
type = "integer"
bounds = [0, 20000]
[tables.{0}.columns.text]
type = "category"
nullable = true
[tables.{0}.columns.kind]
type = "category"
values = ["A", "B", "C", "D"]
[tables.{0}.columns.full]
type = "integer"
bounds = [0, 100]
nullable = true
[tables.{0}.columns.holey]
type = "integer"
bounds = [0, 100]
nullable = true
"""
TEXTS, FIRST, LAST, COST = 300, "2009-09-13", "2020-02-07", 5000

COUNT = (("n", Count("events")),)
# what is asked of: somebody's, nobody's
PAIRS: dict[str, tuple[nodes.Predicate, nodes.Predicate]] = {
    "largest": (Comparison("cost", ">=", COST), Comparison("cost", ">=", COST + 1)),
    "first day": (Comparison("day", "<=", FIRST), Comparison("day", "<=", "2009-09-12")),
    "last day": (Comparison("day", ">=", LAST), Comparison("day", ">=", "2020-02-08")),
    "null": (Comparison("holey", "is_null"), Comparison("full", "is_null")),
    "kind": (Comparison("kind", "=", "C"), Comparison("kind", "=", "D")),
    "text": (Comparison("text", "=", "rare"), Comparison("text", "=", "nobody's")),
    "beginning": (Comparison("text", "under", "rar"), Comparison("text", "under", "raw")),
    "list": (
        Comparison("text", "in", ("rare", *(f"nobody's {n}" for n in range(1500)))),
        Comparison("text", "in", tuple(f"nobody's {n}" for n in range(1501))),
    ),
}


def questions(where: nodes.Predicate) -> dict[str, Query]:
    """Return a question for each place where a condition may stand."""
    days_to, waited = Value("days_to", to=Related("drugs", where)), (ByBins("v", (0, 100, 1000)),)
    costly = Cohort("drugs", after=Related("events", within_days=90))
    return {
        "filter": Query("events", COUNT, where),
        "filter of a sum": Query("events", (("s", nodes.Sum("cost", (0, 100))),), where, (ByValue("kind"),)),
        "filter beside a cohort": Query("events", COUNT, All((where, costly))),
        "own filter": Query("events", (("n", Count("events", where=where)),)),
        "proportion": Query("events", (("p", nodes.Proportion(where)),)),
        "median": Query("events", (("m", nodes.Quantile("cost", (0.5,))),), where),
        "in": Query("events", COUNT, Cohort("drugs", where)),
        "not in": Query("events", COUNT, Not(Cohort("drugs", where))),
        "at least": Query("persons", COUNT, Cohort("events", where, at_least=2)),
        "after": Query("persons", COUNT, Cohort("events", after=Related("drugs", where, within_days=90))),
        "those after": Query("persons", COUNT, Cohort("events", where, after=Related("drugs", within_days=90))),
        "without": Query("persons", COUNT, Cohort("events", without=Related("drugs", where, within_days=90))),
        "those without": Query("persons", COUNT, Cohort("events", where, without=Related("drugs", within_days=90))),
        "built, outer": Query(_built(Value("count")), COUNT, All((Comparison("v", ">", 2), Cohort("drugs", where)))),
        "built, inner": Query(_built(Value("count"), where), COUNT),
        "built, exists": Query(_built(Value("exists", where=where)), COUNT),
        "days to": Query(_built(days_to), COUNT, None, waited),
        "days of those": Query(_built(Value("days_to", to=Related("drugs")), where), COUNT, None, waited),
        "survival": Query(_built(days_to), (("s", nodes.Survival("v", (0, 30, 365, 3650))),)),
        "survival, censored": Query(
            _followed(days_to), (("s", nodes.Survival("v", (0, 30, 365), "2019-12-31", "last")),)
        ),
        "rate": Query(_followed(days_to), (("r", nodes.Rate("v", 365, "2019-12-31", "last")),)),
        "values compared": Query(
            PerPerson("events", (("v", Value("max", "cost", where)), ("w", Value("min", "cost")))),
            COUNT,
            Comparison("v", ">", nodes.OtherColumn("w")),
        ),
    }


def _built(value: Value, where: nodes.Predicate | None = None) -> PerPerson:
    return PerPerson("events", (("v", value),), where)


def _followed(days_to: Value) -> PerPerson:
    """Return a table with the days to an event and the last day on which each person is seen."""
    return PerPerson("events", (("v", days_to), ("last", Value("max", "day"))))


def every_pair(dataset: Dataset, names: Collection[str]) -> Iterator[tuple[str, Plan, Plan]]:
    """Yield what a pair is called and the plans of its two questions, for those that are named."""
    for name in sorted(names):
        pair, _, place = name.partition(": ")
        somebody, nobody = (questions(where)[place] for where in PAIRS[pair])
        yield name, planned(somebody, dataset), planned(nobody, dataset)


def planned(query: Query, dataset: Dataset) -> Plan:
    """Return the plan of a question."""
    return planner.plan(dates.fill_in(query, dataset.tables), dataset, nodes.Privacy(10**9), 1_000_000)


def store(folder: Path, events: int) -> Built:
    """Import a store of so many events, and a quarter as many in the other table."""
    persons = max(1, events // 10)
    sources = {f"{table}.parquet": _events(rows, persons) for table, rows in _tables(events).items()}
    sources["persons.parquet"] = pa.table(
        {"patient": np.arange(persons), "sex": np.array(["f", "m"])[np.arange(persons) % 2]}
    )
    return build(folder, "".join(map(TABLE.format, _tables(events))), sources, head=HEAD)


def _tables(events: int) -> dict[str, int]:
    return {"events": events, "drugs": events // 4}


def _events(rows: int, persons: int) -> pa.Table:
    random = np.random.default_rng(rows)
    single = rows // 3  # the row of the single person
    cost = np.minimum(random.lognormal(4, 1, rows), COST - 1000).astype(np.int32)
    day = random.integers(14600, 18200, rows).astype(np.int32)  # from 2009-12-22 to 2019-10-31
    text = np.minimum(random.zipf(1.3, rows), TEXTS).astype(np.int32)
    kind = random.integers(0, 2, rows).astype(np.int32)
    cost[single], text[single], kind[single] = COST, 0, 2
    day[single], day[single + 1] = _day(LAST), _day(FIRST)
    full = random.integers(0, 100, rows).astype(np.int32)
    texts = pa.array(["rare", *(f"text {n}" for n in range(1, TEXTS + 1))])
    return pa.table(
        {
            "patient": random.integers(0, persons, rows),
            "day": pa.array(day).cast(pa.date32()),
            "cost": cost,
            "text": pa.DictionaryArray.from_arrays(pa.array(text), texts),
            "kind": pa.DictionaryArray.from_arrays(pa.array(kind), pa.array(["A", "B", "C"])),
            "full": full,
            "holey": pa.array(full, mask=np.arange(rows) == single),
        }
    )


def _day(text: str) -> int:
    return int(np.datetime64(text).astype("datetime64[D]").astype(np.int32))
