"""The form and the query in JSON are two spellings of one thing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.pages.frame.forms import number
from server.pages.researcher import builder
from server.pages.researcher.form import keys, statistics

COLUMNS = {
    "sex": {"type": "category"},
    "age": {"type": "integer"},
    "cost": {"type": "number"},
    "day": {"type": "date"},
    "urgent": {"type": "boolean"},
    "born": {"type": "date", "of_person": True},
}
TABLES = {"visits": {"columns": COLUMNS}, "drugs": {"columns": {"drug": {"type": "category"}, "on": {"type": "date"}}}}
NUMBERS = st.integers(-1000, 1000) | st.floats(-1000, 1000).map(lambda x: round(x, 2))


def of(strategies: dict[str, Any]) -> Any:
    """Return objects with these members."""
    return st.fixed_dictionaries(strategies)


CONDITIONS = st.one_of(
    of({"column": st.just("sex"), "op": st.sampled_from(["=", "!="]), "value": st.sampled_from(["female", "male"])}),
    of({"column": st.just("cost"), "op": st.sampled_from(["<", ">="]), "value": NUMBERS}),
    of({"column": st.just("age"), "op": st.just("between"), "value": st.lists(NUMBERS, min_size=2, max_size=2)}),
    of({"column": st.just("sex"), "op": st.just("in"), "value": st.lists(st.sampled_from(["a", "b c"]), min_size=1)}),
    of({"column": st.just("urgent"), "op": st.just("="), "value": st.booleans()}),
    of({"column": st.just("day"), "op": st.just("<="), "value": st.just("2020-05-01")}),
    of({"column": st.just("cost"), "op": st.just("is_null")}),
    of({"column": st.just("cost"), "op": st.sampled_from(["=", "<", ">="]), "value": st.just({"column": "age"})}),
    of({"column": st.just("sex"), "op": st.just("under"), "value": st.sampled_from(["f", "b c"])}),
)
NUMERIC = st.sampled_from(["age", "cost"])
STATISTICS = st.one_of(
    of({"count": st.sampled_from(["persons", "events"])}),
    of({"proportion": CONDITIONS}),
    of({"proportion": CONDITIONS, "of": st.just("persons")}),
    *(of({name: NUMERIC}) for name in statistics.OF_A_COLUMN),
    *(of({name: NUMERIC, "bounds": st.lists(NUMBERS, min_size=2, max_size=2)}) for name in statistics.OF_A_COLUMN),
    of({"quantile": NUMERIC, "at": st.just(0.5) | st.lists(st.just(0.25), min_size=2, max_size=3)}),
    of({"histogram": NUMERIC, "bins": st.lists(NUMBERS, min_size=2)}),
    of({"histogram": st.just("sex")}),
    of({"top": st.just("sex"), "k": st.integers(1, 9)}),
    of({"correlation": st.just(["age", "cost"])}),
    of({"slope": st.sampled_from([["age", "cost"], ["cost", "day"]])}),
)
KEYS = st.one_of(
    st.sampled_from(["sex", "urgent"]),
    of({"column": st.just("age"), "bins": st.lists(NUMBERS, min_size=2)}),
    of({"column": st.just("day"), "period": st.sampled_from(keys.PERIODS)}),
    of({"column": st.just("day"), "part": st.sampled_from(keys.PARTS)}),
)
QUERIES = st.fixed_dictionaries(
    {"from": st.just("visits"), "select": st.dictionaries(st.text("abc_", min_size=1), STATISTICS, min_size=1)},
    optional={
        "where": CONDITIONS | st.fixed_dictionaries({"all": st.lists(CONDITIONS, min_size=2, max_size=4)}),
        "group_by": st.lists(KEYS, min_size=1, max_size=3),
        "bounds": st.fixed_dictionaries({"events_per_cell": st.integers(1, 9)}),
    },
)

PER_PERSON: dict[str, Any] = {
    "seen": {"count": "events"},
    "paid": {"sum": "cost", "bounds": [0, 1000.5], "where": {"column": "urgent", "op": "=", "value": True}},
    "age": {"mean": "age"},
    "first_day": {"min": "day", "where": {"column": "sex", "op": "in", "value": ["a", "b c"]}},
    "last_day": {"max": "day"},
    "whose": {"first": "sex", "date": "day"},
    "rash": {"exists": {"column": "sex", "op": "=", "value": "a"}},
    "wait": {
        "days_to": {
            "of": "drugs",
            "where": {"column": "drug", "op": "under", "value": "M"},
            "within_days": 90,
            "date": "on",
        },
        "date": "day",
    },
}
OF_PERSONS = st.one_of(
    of({"count": st.just("persons")}),
    of({"mean": st.sampled_from(["paid", "seen", "age"])}),
    of({"proportion": of({"column": st.just("rash"), "op": st.just("="), "value": st.booleans()})}),
    of({"histogram": st.just("whose")}),
    st.fixed_dictionaries(
        {"rate": st.just("wait"), "days": st.integers(1, 999), "ends": st.just("2022-12-31")},
        optional={"censored": st.sampled_from(["last_day", "born"])},
    ),
    st.fixed_dictionaries(
        {"survival": st.just("wait"), "bins": st.lists(st.integers(0, 99), min_size=2)},
        optional={"censored": st.just("last_day"), "ends": st.just("2022-12-31")},
    ),
)
QUERIES_OF_PERSONS = st.fixed_dictionaries(
    {
        "from": st.fixed_dictionaries(
            {
                "per_person": st.just("visits"),
                "values": st.permutations(sorted(PER_PERSON)).map(
                    lambda names: {one: PER_PERSON[one] for one in names}
                ),
            },
            optional={"where": CONDITIONS},
        ),
        "select": st.dictionaries(st.text("abc_", min_size=1), OF_PERSONS, min_size=1),
    },
    optional={
        "where": st.sampled_from(
            [
                {"column": "last_day", "op": "<", "value": {"column": "born"}},
                {"column": "seen", "op": ">", "value": 3},
                {"column": "wait", "op": "is_null"},
            ]
        ),
        "group_by": st.lists(
            st.sampled_from(
                ["whose", "rash", {"column": "seen", "bins": [0, 5]}, {"column": "born", "period": "year"}]
            ),
            min_size=1,
        ),
    },
)


@given(QUERIES_OF_PERSONS)
def test_form_of_a_table_of_persons_builds_the_same_query(query: dict[str, Any]) -> None:
    """Conditions on events, values with their own conditions, and what is asked of them, in the same order."""
    fields = builder.to_fields(query, TABLES)
    assert fields is not None
    built = builder.to_query(fields, TABLES)
    assert built == query
    assert list(built["from"]["values"]) == list(query["from"]["values"])


@given(QUERIES)
def test_form_of_a_query_builds_the_same_query(query: dict[str, Any]) -> None:
    """What the form shows is what was asked, in the same order."""
    fields = builder.to_fields(query, TABLES)
    assert fields is not None
    built = builder.to_query(fields, TABLES)
    assert built == query
    assert list(built["select"]) == list(query["select"])


@pytest.mark.parametrize(
    "beyond",
    [
        *(
            {"from": {"per_person": "visits", **table}, "select": {"n": {"count": "persons"}}}
            for table in (
                {"values": {"n": {"min": "age", "bounds": [0, 5]}}},
                {"values": {"n": {"count": "events"}}, "where": {"any": []}},
                {"values": {"n": {"exists": {"not": {"column": "sex", "op": "=", "value": "a"}}}}},
                {"values": {"n": {"count": "events", "where": {"column": "person", "op": "in", "value": {}}}}},
                {"values": {"n": {"days_to": {"of": "drugs", "at_least": 2}}}},
            )
        ),
        {"from": "visits", "select": {"n": {"count": "persons", "where": {"column": "age", "op": ">", "value": 1}}}},
        {"from": "visits", "select": {"n": {"covariance": ["age", "cost"]}}},
        {"from": "visits", "select": {"n": {"count": "persons"}}, "where": {"not": {"column": "age", "op": "is_null"}}},
        {"from": "visits", "select": {"n": {"count": "persons"}}, "where": {"any": []}},
        {"from": "visits", "select": {"n": {"count": "persons"}}, "group_by": [{"column": "age", "width": 10}]},
        {"from": "visits", "select": {"n": {"count": "persons"}}, "group_by": [{"column": "sex", "as": "s"}]},
        {"from": "visits", "select": {"n": {"quantile": "age", "at": 0.5, "bounds": [0, 1]}}},
        {
            "from": "visits",
            "select": {"n": {"count": "persons"}},
            "where": {"column": "person", "op": "in", "value": {"persons": "visits"}},
        },
        *(
            {
                "from": "visits",
                "select": {"n": {"count": "persons"}},
                "where": {"column": "sex", "op": op, "value": value},
            }
            for op, value in (
                *(("in", values) for values in (["a, b"], ["a;b", "c"], ["", "A"])),
                *(("=", value) for value in (" A", "A\n", "")),
            )
        ),
        *(
            {"from": "visits", "select": {"n": {"count": "persons"}}, "group_by": [key]}
            for key in ("day", {"column": "day", "bins": ["2020-01-01", "2021-01-01"]})
        ),
    ],
)
def test_query_beyond_the_form_is_never_shown_in_it(beyond: dict[str, Any]) -> None:
    """A form that showed a part of it would ask another question."""
    assert builder.to_fields(beyond, TABLES) is None


@pytest.mark.parametrize("column", ["sex", "code", "age", "day", "urgent"])
def test_condition_without_a_value_is_no_comparison_with_an_empty_text(column: str) -> None:
    """It is sent without one, and the API says at its line what is missing: nobody pays for `code = ''` by mistake."""
    fields = {"table": "visits", "s-0-what": "persons", "f-0-column": column, "f-0-value": " "}
    columns = {**COLUMNS, "code": {"type": "category"}}
    query = builder.to_query(fields, {"visits": {"columns": columns}})
    assert query["where"] == {"column": column, "op": "="}
    assert builder.line_of(fields, "/query/where/value") == ("f", 0)


def test_numbers_are_read_as_people_type_them() -> None:
    """A decimal comma, spaces and English commas between thousands; what is no number stays for the API to refuse."""
    assert [number(text) for text in ("10,000", "-1,234,567.5", "0,500", "1,5")] == [10000, -1234567.5, 0.5, 1.5]
    assert [number(text) for text in ("0,5", "1 000", "1\u202f000,25", "7", "-2.5")] == [
        0.5,
        1000,
        1000.25,
        7,
        -2.5,
    ]
    assert number("many") == "many"


def test_pointer_leads_to_its_line() -> None:
    """Lines without a column are no part of the query, so that places in it are counted without them."""
    fields = {
        "table": "visits",
        "s-0-what": "persons",
        "s-4-what": "mean",
        "s-4-column": "cost",
        "g-0-column": "",
        "g-1-column": "sex",
        "f-3-column": "age",
        "f-7-column": "cost",
        "rows": "persons",
        "e-2-column": "",
        "e-3-column": "age",
        "e-5-column": "sex",
        "v-1-what": "count",
        "v-6-what": "max",
        "v-6-column": "day",
        "v-8-what": "max",
        "v-8-column": "day",
        "v-9-what": "count",
        "v-9-name": "a/b~",
    }
    places = {
        "/query/select/mean_cost/bounds": ("s", 4),
        "/query/select/persons": ("s", 0),
        "/query/group_by/0": ("g", 1),
        "/query/where/all/1/value": ("f", 7),
        "/query/where/value": ("f", 3),
        "/query/from": None,
        "/query/from/per_person": None,
        "/query/from/where/all/1/value": ("e", 5),
        "/query/from/where/value": ("e", 3),
        "/query/from/values/number/bounds": ("v", 1),
        "/query/from/values/max_day_2": ("v", 8),
        "/query/from/values/a~1b~0/where/value": ("v", 9),
        "/query/from/values/none": None,
        "/privacy/epsilon": None,
    }
    assert {pointer: builder.line_of(fields, pointer) for pointer in places} == places
