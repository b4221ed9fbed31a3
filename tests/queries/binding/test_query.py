"""Binding a query: names and literals are resolved once, each fault has its place, and what follows reads no name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from queries.binding import dates
from queries.binding.query import bind
from queries.catalog.schema import Column, Dataset, Kind, frozen
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.nodes import ByValue, Cohort, Comparison, Count, PerPerson, Query, Related, Value
from queries.planning import fingerprint, planner
from queries.statistics import registry
from tests.queries.clinic import CLINIC, STATISTICS
from tests.queries.registry import FIRST, LAST, REGISTRY

CELLS_MAX = 10_000
UNIT = nodes.Privacy(10**9)
CURVE = Query(
    PerPerson("visits", (("wait", Value("days_to", to=Related("drugs"))),)),
    (("curve", nodes.Survival("wait", (0, 10, 20))), ("people", Count("persons"))),
)
QUERIES: list[tuple[Dataset, Query]] = [
    (CLINIC, Query("visits", (("x", one),), Comparison("urgent", "=", True), (ByValue("sex"), ByValue("unit"))))
    for several in STATISTICS.values()
    for one in several
]
QUERIES.append((REGISTRY, dates.fill_in(CURVE, REGISTRY.tables)))


def nameless(part: Any) -> Any:
    """Return a statistic with every name of a column in it replaced by one that the catalog does not have."""
    if isinstance(part, Comparison):
        return replace(part, column="nowhere")
    if isinstance(part, nodes.All | nodes.Any):
        return replace(part, parts=tuple(map(nameless, part.parts)))
    if isinstance(part, nodes.Not):
        return nodes.Not(nameless(part.part))
    named = {field.name: getattr(part, field.name) for field in fields(part)}
    other: dict[str, Any] = {
        "column": lambda _: "nowhere",
        "columns": lambda columns: ("nowhere",) * len(columns),
        "where": lambda where: None if where is None else nameless(where),
        "holds": nameless,
    }
    return replace(part, **{name: other[name](value) for name, value in named.items() if name in other})


@pytest.mark.parametrize(("dataset", "query"), QUERIES, ids=lambda one: "" if isinstance(one, Dataset) else None)
def test_a_plan_needs_no_name_of_the_query(dataset: Dataset, query: Query) -> None:
    """With every name of the query and of its statistics gone after binding, the plan asks the same at the same price."""
    bound = bind(query, dataset, CELLS_MAX, registry.bind)
    blind = replace(
        bound,
        query=Query("nowhere", ()),
        select=tuple(replace(one, node=nameless(one.node)) for one in bound.select),
    )
    assert blind.select != bound.select or all(isinstance(one.node, Count) for one in bound.select)
    plan, blindly = planner.plan_bound(bound, UNIT), planner.plan_bound(blind, UNIT)
    assert (
        fingerprint.of(blindly) == fingerprint.of(plan) == fingerprint.of(planner.plan(query, dataset, UNIT, CELLS_MAX))
    )
    assert (blindly.notes, blindly.cost) == (plan.notes, plan.cost)


COUNT = (("n", Count("events")),)
BAD = Comparison("nowhere", "=", 1)
WAIT = PerPerson("visits", (("wait", Value("days_to", to=Related("drugs"))),))
FAULTS: dict[str, Query] = {
    "/query/from": Query("nowhere", COUNT),
    "/query/from/per_person": Query(PerPerson("nowhere", (("n", Value("count")),)), COUNT),
    "/query/from/where/column": Query(PerPerson("visits", (("n", Value("count")),), BAD), COUNT),
    "/query/from/values/n/where/column": Query(PerPerson("visits", (("n", Value("count", where=BAD)),)), COUNT),
    "/query/from/values/sex": Query(PerPerson("visits", (("sex", Value("count")),)), COUNT),
    "/query/where/column": Query("visits", COUNT, BAD),
    "/query/where/any/1/not/column": Query(
        "visits", COUNT, nodes.Any((Comparison("urgent", "=", True), nodes.Not(BAD)))
    ),
    "/query/where/value/persons": Query("visits", COUNT, Cohort("nowhere")),
    "/query/where/value/where/column": Query("visits", COUNT, Cohort("drugs", BAD)),
    "/query/where/value/after/of": Query("visits", COUNT, Cohort("drugs", after=Related("nowhere"))),
    "/query/where/value/after/date": Query("visits", COUNT, Cohort("drugs", after=Related("visits", date="cost"))),
    "/query/group_by/1": Query("visits", COUNT, None, (ByValue("sex"), ByValue("nowhere"))),
    "/query/group_by/0/column": Query("visits", COUNT, None, (nodes.ByPeriod("nowhere", "month"),)),
    "/query/group_by/0": Query("visits", COUNT, None, (ByValue("sex", "n"),)),
    "/query/group_by": Query("visits", COUNT, None, (nodes.ByPeriod("day", "day"), ByValue("cost"), ByValue("born"))),
    "/query/select/x/mean": Query("visits", (("x", nodes.Mean("nowhere")),)),
    "/query/select/x/bounds/1": Query("visits", (("x", nodes.Sum("cost", (0, 0.3))),)),
    "/query/select/x/covariance/1": Query("visits", (("x", nodes.Covariance(("cost", "code"))),)),
    "/query/select/x/where/column": Query("visits", (("x", Count("events", where=BAD)),)),
    "/query/select/x/proportion/column": Query("visits", (("x", nodes.Proportion(BAD)),)),
    "/query/select/x/histogram": Query("visits", (("x", nodes.Histogram("nowhere")),)),
    "/query/select/x/k": Query("visits", (("x", nodes.Top("code", 9)),)),
    "/query/select/x/survival": Query(WAIT, (("x", nodes.Survival("sex", (0, 10))),)),
    "/query/select/x/bins/1": Query(WAIT, (("x", nodes.Survival("wait", (0, 0))),)),
    "/query/select/x/ends": Query(WAIT, (("x", nodes.Survival("wait", (0, 10), "2050-01-01")),)),
}


@pytest.mark.parametrize("pointer", FAULTS)
def test_query_fault_has_json_pointer(pointer: str) -> None:
    """What does not fit the catalog is refused with the JSON pointer of where it stands in the query."""
    with pytest.raises(InvalidQuery) as refusal:
        bind(dates.fill_in(FAULTS[pointer], REGISTRY.tables), REGISTRY, 5_000, registry.bind)
    assert refusal.value.pointer == pointer


def test_a_curve_adds_its_value_to_the_table_that_the_query_builds() -> None:
    """The per-person table has what the query builds first, then what became of each person; keys do not see it."""
    bound = bind(dates.fill_in(CURVE, REGISTRY.tables), REGISTRY, CELLS_MAX, registry.bind)
    assert bound.built is not None
    assert [value.word for value in bound.built.values] == ["days_to", "outcome"]
    assert bound.table is bound.built.table
    assert list(bound.table.columns) == ["sex", "born", "wait", "?curve"]
    assert [note.partition(":")[0] for note in bound.built.notes] == ["curve"]


def test_a_date_of_the_person_is_meant_only_by_name() -> None:
    """Events with one date of their own have that one, whatever dates their persons have; of two, one is named."""
    until = Column("until", Kind.DATE, of_person=True, low=FIRST, high=LAST)
    again = replace(REGISTRY.tables["visits"].columns["day"], name="again")

    def dataset(**more: Column) -> Dataset:
        tables = {name: replace(one, columns=frozen({**one.columns, **more})) for name, one in REGISTRY.tables.items()}
        return replace(REGISTRY, tables=frozen(tables))

    def bound(query: Query, of: Dataset) -> Any:
        found = bind(dates.fill_in(query, of.tables), of, CELLS_MAX, registry.bind)
        assert found.built is not None
        return found.built.values[0].date

    of_person = dataset(until=until)
    assert bound(CURVE, of_person).name == "day"
    named = replace(CURVE, source=PerPerson("visits", (("wait", Value("days_to", date="until", to=Related("drugs"))),)))
    assert bound(named, of_person).name == "until"
    with pytest.raises(InvalidQuery, match="has the dates day, again; name one"):
        bound(CURVE, dataset(until=until, again=again))
