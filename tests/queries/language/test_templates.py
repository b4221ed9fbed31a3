from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from queries.errors import OutsideProtocol
from queries.language import nodes, templates
from queries.language.templates import Template
from queries.planning import policy
from queries.planning.policy import Protocol
from queries.spelling import json_writing, sql
from server.api.requests.query import AskSchema
from server.api.requests.templates import parse_templates

if TYPE_CHECKING:
    from collections.abc import Mapping

CODE = {"parameter": "code", "type": "category", "values": ["A", "B"]}
YEAR = {"parameter": "year", "type": "number", "range": [1, 5]}
DAY = {"parameter": "day", "type": "date", "range": ["2020-01-01", "2020-12-31"]}
BY_SEX = {
    "from": "visits",
    "where": {
        "all": [
            {"column": "code", "op": "=", "value": CODE},
            {"any": [{"column": "year", "op": ">=", "value": YEAR}, {"column": "day", "op": "<", "value": DAY}]},
        ]
    },
    "group_by": ["sex"],
    "select": {"people": {"count": "persons"}},
}
ASKED_SQL = (
    "SELECT sex, COUNT(DISTINCT person) AS people FROM visits "
    "WHERE code = 'A' AND (year >= 2 OR day < DATE '2020-05-01') GROUP BY sex"
)


def template(query: Mapping[str, Any], name: str = "one", max_epsilon: float | None = None) -> Template:
    """Return a template as the server reads and keeps it."""
    body = {"name": name, "query": query, **({} if max_epsilon is None else {"max_epsilon": max_epsilon})}
    (kept,) = parse_templates([body])
    return Template(kept["name"], kept["query"], kept.get("epsilon_nano_max"))


def condition(column: str, op: str, value: Any) -> dict[str, Any]:
    """Return a comparison."""
    return {"column": column, "op": op, "value": value}


def asked(where: Any, **changes: Any) -> nodes.Query:
    """Return a request's tree."""
    query = {"from": "visits", "select": {"people": {"count": "persons"}}, "where": where, **changes}
    found: nodes.Query = AskSchema().load({"query": query, "privacy": {"epsilon": 1}})["query"]
    return found


def match(query: nodes.Query, *among: Template) -> str:
    """Return the name of the template that a query is one of."""
    return templates.match((json_writing.to_json(query),), among).name


def differs(query: nodes.Query, *among: Template) -> OutsideProtocol:
    """Return why a query is none of some templates."""
    with pytest.raises(OutsideProtocol) as refused:
        match(query, *among)
    return refused.value


def where(code: Any = "A", year: Any = 2, day: Any = "2020-05-01") -> dict[str, Any]:
    """Return the condition that a request on the template has, in the template's own order."""
    either = {"any": [condition("year", ">=", year), condition("day", "<", day)]}
    return {"all": [condition("code", "=", code), either]}


def by_sex(condition: Any) -> nodes.Query:
    """Return a request on the template."""
    return asked(condition, group_by=["sex"])


@pytest.mark.parametrize("code", ["A", "B"])
@pytest.mark.parametrize("year", [1, 2, 5, 2.5, 5.0])
@pytest.mark.parametrize("day", ["2020-01-01", "2020-12-31"])
def test_any_of_the_declared_values_may_be_asked(code: str, year: float, day: str) -> None:
    """A query is the template's with each of the values that its parameters may have, to the ends of their ranges."""
    assert match(by_sex(where(code, year, day)), template(BY_SEX)) == "one"


@pytest.mark.parametrize(
    ("condition", "pointer"),
    [
        (where(code="C"), "/query/where/all/0/value"),
        (where(code=1), "/query/where/all/0/value"),
        (where(year=0), "/query/where/all/1/any/0/value"),
        (where(year=5.5), "/query/where/all/1/any/0/value"),
        (where(year="2"), "/query/where/all/1/any/0/value"),
        (where(year=True), "/query/where/all/1/any/0/value"),
        (where(day="2019-12-31"), "/query/where/all/1/any/1/value"),
        (where(day="2021-01-01"), "/query/where/all/1/any/1/value"),
        (where(day="2020-1-1"), "/query/where/all/1/any/1/value"),
        (where(day="2020"), "/query/where/all/1/any/1/value"),
    ],
)
def test_template_parameter_of_other_type_or_range_refused(condition: Any, pointer: str) -> None:
    """A value of another type, or beyond what is declared, is refused at its place with what it may be."""
    refused = differs(by_sex(condition), template(BY_SEX))
    assert refused.pointer == pointer
    assert "its parameter" in refused.message


def test_sql_is_held_against_the_same_tree() -> None:
    """The same query in SQL is the same query."""
    assert match(sql.parse(ASKED_SQL), template(BY_SEX)) == "one"
    assert differs(sql.parse(ASKED_SQL.replace("'A'", "'C'")), template(BY_SEX)).pointer == "/query/where/all/0/value"


def test_spellings_of_a_condition_are_one() -> None:
    """Parts in another order, groups in groups, groups of one and double negation are the same condition."""
    code, year, day = condition("code", "=", "A"), condition("year", ">=", 2), condition("day", "<", "2020-05-01")
    for spelled in (
        {"all": [{"any": [day, year]}, code]},
        {"all": [{"all": [code]}, {"any": [{"any": [year]}, day]}]},
        {"all": [{"not": {"not": code}}, {"any": [year, day]}]},
        {"all": [{"all": [{"all": [code, {"any": [year, day]}]}]}]},
    ):
        assert match(by_sex(spelled), template(BY_SEX)) == "one"
        # And the other way round: it does not matter in which of them the template was written.
    other = {**BY_SEX, "where": {"all": [{"any": [condition("day", "<", DAY), condition("year", ">=", YEAR)]}, code]}}
    assert match(by_sex(where()), template(other)) == "one"


def test_template_with_and_does_not_match_or() -> None:
    """A query that says `any` where the template says `all` does not match it."""
    other = {"any": where()["all"]}
    assert differs(by_sex(other), template(BY_SEX)).pointer == "/query/where"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"from": "persons"}, "/query/from"),
        ({"group_by": ["age"]}, "/query/group_by/0"),
        ({"group_by": ["sex", "age"]}, "/query/group_by"),
        ({"group_by": [{"column": "sex", "as": "gender"}]}, "/query/group_by/0"),
        ({"select": {"people": {"count": "events"}}}, "/query/select/people/count"),
        ({"select": {"n": {"count": "persons"}}}, "/query/select"),
        ({"select": {"people": {"count": "persons"}, "n": {"count": "events"}}}, "/query/select/n"),
        (
            {"select": {"people": {"count": "persons", "where": condition("sex", "=", "f")}}},
            "/query/select/people/where",
        ),
        ({"bounds": {"cells_per_person": 2}}, "/query/bounds"),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, Any], pointer: str) -> None:
    """What else differs is refused at its place: table, keys, statistics, their names and filters, bounds."""
    refused = differs(asked(where(), **{"group_by": ["sex"], **changes}), template(BY_SEX))
    assert refused.pointer == pointer


def test_query_without_part_of_template_refused_at_its_place() -> None:
    """A query without a part that the template has is refused there: it would be another question."""
    assert differs(by_sex(condition("code", "=", "A")), template(BY_SEX)).pointer == "/query/where"
    query = asked(where())
    assert (differs(query, template(BY_SEX)).pointer, "group_by" in str(differs(query, template(BY_SEX)))) == (
        "/query",
        True,
    )


def test_the_nearest_template_is_the_one_that_is_named() -> None:
    """Of several templates that with the fewest differences says what is wrong, and any of them may be met."""
    other = {"from": "persons", "select": {"n": {"count": "persons"}}}
    both = template(other, "other"), template(BY_SEX, "by_sex")
    assert "by_sex" in differs(by_sex(where(code="C")), *both).message
    assert match(by_sex(where()), *both) == "by_sex"
    refused = differs(
        AskSchema().load({"query": {**other, "group_by": ["x"]}, "privacy": {"epsilon": 1}})["query"], *both
    )
    assert ("other" in refused.message, refused.pointer) == (True, "/query/group_by")


def test_one_parameter_has_one_value() -> None:
    """A parameter that stands in two places has the same value in both."""
    twice = {
        "from": "visits",
        "where": condition("code", "=", CODE),
        "select": {"people": {"count": "persons", "where": condition("other", "=", {"parameter": "code"})}},
    }

    def query(one: str, two: str) -> nodes.Query:
        select = {"people": {"count": "persons", "where": condition("other", "=", two)}}
        return asked(condition("code", "=", one), select=select)

    assert match(query("A", "A"), template(twice)) == match(query("B", "B"), template(twice)) == "one"
    assert differs(query("A", "B"), template(twice)).pointer == "/query/select/people/where/value"


def test_a_parameter_for_a_whole_list() -> None:
    """In the place of the list of an `in`, a parameter stands for any list of its values, in any order."""
    whole = template({**BY_SEX, "group_by": [], "where": condition("code", "in", CODE)})
    for values in (["A"], ["B", "A"], ["A", "B"]):
        assert match(asked(condition("code", "in", values)), whole) == "one"
    assert match(sql.parse("SELECT COUNT(DISTINCT person) AS people FROM visits WHERE code IN ('B', 'A')"), whole)
    assert differs(asked(condition("code", "in", ["A", "C"])), whole).pointer == "/query/where/value/1"
    assert differs(asked(condition("code", "=", "A")), whole).pointer.startswith("/query/where/")


def test_a_refusal_names_some_of_many_values() -> None:
    """A parameter with thousands of values does not make a refusal of thousands of words."""
    many = {**CODE, "values": [f"v{n}" for n in range(5000)]}
    for op, value in (("=", "x"), ("in", ["v1", "x"])):
        refused = differs(
            asked(condition("code", op, value)), template({**BY_SEX, "where": condition("code", op, many)})
        )
        assert "v9 and 4990 others" in refused.message
        assert len(refused.message) < 300


def test_the_values_of_a_list_have_no_order() -> None:
    """A list without parameters is met in any order, and with no value more or less."""
    fixed = template({**BY_SEX, "group_by": [], "where": condition("code", "in", ["A", "B", "C"])})
    assert match(asked(condition("code", "in", ["C", "A", "B"])), fixed) == "one"
    assert differs(asked(condition("code", "in", ["A", "B", "D"])), fixed).pointer == "/query/where/value/2"
    assert differs(asked(condition("code", "in", ["A", "B"])), fixed).pointer == "/query/where/value"


def test_edges_of_bins_may_be_parameters() -> None:
    """A parameter may stand for an edge of bins, in keys and in histograms."""
    middle = {"parameter": "middle", "type": "number", "values": [18, 21]}
    binned = template(
        {
            "from": "visits",
            "group_by": [{"column": "age", "bins": [0, middle, 120]}],
            "select": {"h": {"histogram": "age", "bins": [0, middle]}},
        }
    )

    def query(edge: int, other: int) -> nodes.Query:
        select = {"h": {"histogram": "age", "bins": [0, other]}}
        body = {"from": "visits", "group_by": [{"column": "age", "bins": [0, edge, 120]}], "select": select}
        found: nodes.Query = AskSchema().load({"query": body, "privacy": {"epsilon": 1}})["query"]
        return found

    assert match(query(18, 18), binned) == match(query(21, 21), binned) == "one"
    assert differs(query(19, 18), binned).pointer == "/query/group_by/0/bins/1"
    assert differs(query(18, 21), binned).pointer == "/query/select/h/bins/1"


def test_cohorts_and_tables_of_persons_are_compared_whole() -> None:
    """What stands within a cohort or a table built of persons is part of the query like all else."""
    cohort = {"persons": "drugs", "where": condition("drug", "=", CODE), "after": {"of": "visits", "within_days": 90}}
    source = {"per_person": "visits", "values": {"n": {"count": "events"}}, "where": condition("code", "=", CODE)}
    whole = {
        "from": source,
        "where": {"column": "person", "op": "in", "value": cohort},
        "select": {"people": {"count": "persons"}},
    }

    def query(drug: str, days: int, code: str) -> nodes.Query:
        inner = {**cohort, "where": condition("drug", "=", drug), "after": {"of": "visits", "within_days": days}}
        body = {
            **whole,
            "from": {**source, "where": condition("code", "=", code)},
            "where": {**whole["where"], "value": inner},  # type: ignore[dict-item]
        }
        found: nodes.Query = AskSchema().load({"query": body, "privacy": {"epsilon": 1}})["query"]
        return found

    assert match(query("A", 90, "A"), template(whole)) == "one"
    assert differs(query("C", 90, "A"), template(whole)).pointer == "/query/where/value/where/value"
    assert differs(query("A", 91, "A"), template(whole)).pointer == "/query/where/value/after/within_days"
    assert differs(query("A", 90, "B"), template(whole)).pointer == "/query/where/value/where/value"


def test_template_literal_true_does_not_match_1() -> None:
    """A literal of another type is another literal, even where Python takes them for equal."""
    fixed = template({**BY_SEX, "group_by": [], "where": condition("urgent", "=", True)})
    assert match(asked(condition("urgent", "=", True)), fixed) == "one"
    assert differs(asked(condition("urgent", "=", 1)), fixed).pointer == "/query/where/value"


# In a protocol


def test_strict_and_without_templates_nothing_may_be_asked() -> None:
    """No template is no permission."""
    with pytest.raises(OutsideProtocol):
        policy.check(by_sex(where()), nodes.Privacy(1), Protocol(templates=()))


def test_template_limits_epsilon() -> None:
    """The smaller of the template's and the protocol's largest epsilon holds."""
    one = template(BY_SEX, max_epsilon=0.5)
    assert one.epsilon_nano_max == 500_000_000
    for of_protocol, most in ((None, 500_000_000), (10**9, 500_000_000), (10**8, 10**8)):
        protocol = Protocol(epsilon_nano_max=of_protocol, templates=(one,))
        limits = policy.check(by_sex(where()), nodes.Privacy(most), protocol)
        assert limits.epsilon_nano_max == most
        with pytest.raises(OutsideProtocol) as refused:
            policy.check(by_sex(where()), nodes.Privacy(most + 1), protocol)
        assert refused.value.pointer == "/privacy/epsilon"


def test_the_lists_hold_for_templates_too() -> None:
    """A template does not open what the protocol's lists leave out."""
    with pytest.raises(OutsideProtocol) as refused:
        policy.check(by_sex(where()), nodes.Privacy(1), Protocol(tables=frozenset(), templates=(template(BY_SEX),)))
    assert refused.value.pointer == "/query/from"


def test_either_form_of_a_query_may_match() -> None:
    """A query may be met as it was asked or with what it left unsaid filled in."""
    filled, other = by_sex(where()), by_sex(where("C"))
    protocol = Protocol(templates=(template(BY_SEX),))
    policy.check(filled, nodes.Privacy(1), protocol, other)
    policy.check(other, nodes.Privacy(1), protocol, filled)
    with pytest.raises(OutsideProtocol):
        policy.check(other, nodes.Privacy(1), protocol, other)
