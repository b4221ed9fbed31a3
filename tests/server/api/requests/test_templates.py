from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from marshmallow import ValidationError

from server.api.requests.templates import parse_templates
from server.web.problems import findings
from tests.server.routes import NEW_STUDY, REASON
from tests.serving import PATIENTS, PROBLEM, UNADVISED, ask

if TYPE_CHECKING:
    from tests.serving import Place

AGE = {"parameter": "age", "type": "number", "range": [18, 65]}
SITE = {"parameter": "site", "type": "category", "values": ["1", "2"]}
QUERY = {
    "from": "years",
    "where": {"all": [{"column": "age", "op": ">=", "value": AGE}, {"column": "site", "op": "in", "value": SITE}]},
    "select": PATIENTS,
}
TEMPLATE = {"name": "elders", "query": QUERY, "max_epsilon": 0.5}
STRICT = {"templates": [TEMPLATE], "strict": True}


def where(age: float = 20, sites: tuple[str, ...] = ("2",)) -> dict[str, Any]:
    """Return the condition of a request on the template."""
    at = {"column": "site", "op": "in", "value": list(sites)}
    return {"all": [at, {"column": "age", "op": ">=", "value": age}]}


def wrong(value: Any) -> str:
    """Return the place at which templates are refused."""
    with pytest.raises(ValidationError) as refused:
        parse_templates(value)
    return next(findings(refused.value.messages, ""))[0]


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (5, ""),
        ({}, ""),
        ([5], "/0"),
        ([{**TEMPLATE, "x": 1}], "/0/x"),
        ([{"query": QUERY}], "/0/name"),
        ([{"name": "a b", "query": QUERY}], "/0/name"),
        ([{"name": "a"}], "/0/query"),
        ([{**TEMPLATE, "query": []}], "/0/query"),
        ([{**TEMPLATE, "query": {"from": "years"}}], "/0/query/select"),
        ([{**TEMPLATE, "query": {**QUERY, "select": {"a": {"max": "age"}}}}], "/0/query/select/a"),
        ([{**TEMPLATE, "max_epsilon": 0}], "/0/max_epsilon"),
        ([TEMPLATE, TEMPLATE], "/1/name"),
        ([{**TEMPLATE, "name": f"t{n}"} for n in range(101)], ""),
        ([{**TEMPLATE, "query": {**QUERY, "from": AGE}}], "/0/query/from"),
        ([{**TEMPLATE, "query": {**QUERY, "group_by": [AGE]}}], "/0/query/group_by/0"),
        (
            [{**TEMPLATE, "query": {**QUERY, "where": {"column": AGE, "op": "=", "value": 1}}}],
            "/0/query/where/column",
        ),
        (
            [{**TEMPLATE, "query": {**QUERY, "select": {"q": {"quantile": "age", "at": AGE}}}}],
            "/0/query/select/q/at",
        ),
    ],
)
def test_odd_templates_refused(value: Any, pointer: str) -> None:
    """A template is checked as the query that it stands for, and a parameter stands for values and edges alone."""
    assert wrong(value) == pointer


@pytest.mark.parametrize(
    ("parameter", "pointer"),
    [
        ({"parameter": "a"}, "/type"),
        ({"parameter": 5, "type": "number"}, "/parameter"),
        ({"parameter": "a", "type": "text"}, "/type"),
        ({"parameter": "a", "type": []}, "/type"),
        ({"parameter": "a", "type": "number", "x": 1}, "/x"),
        ({"parameter": "a", "type": "number", "values": []}, "/values"),
        ({"parameter": "a", "type": "number", "values": [1, "2"]}, "/values/1"),
        ({"parameter": "a", "type": "number", "values": [True]}, "/values/0"),
        ({"parameter": "a", "type": "boolean", "values": [1]}, "/values/0"),
        ({"parameter": "a", "type": "date", "values": ["2020-02-30"]}, "/values/0"),
        ({"parameter": "a", "type": "category", "values": [1]}, "/values/0"),
        ({"parameter": "a", "type": "category", "range": ["a", "b"]}, "/range"),
        ({"parameter": "a", "type": "number", "range": [1]}, "/range"),
        ({"parameter": "a", "type": "number", "range": [2, 1]}, "/range"),
        ({"parameter": "a", "type": "date", "range": ["2020-01-02", "2020-01-01"]}, "/range"),
        ({"parameter": "a", "type": "number", "range": [1, 2], "values": [1]}, "/range"),
    ],
)
def test_odd_template_parameters_refused(parameter: Any, pointer: str) -> None:
    """A parameter has a name, a type, and perhaps values or a range of that type."""
    query = {**QUERY, "where": {"column": "age", "op": ">=", "value": parameter}}
    assert wrong([{"name": "a", "query": query}]) == f"/0/query/where/value{pointer}"


def test_a_parameter_is_declared_once() -> None:
    """The same name again means the same parameter; another declaration of it is refused."""
    again = {"parameter": "age"}

    def two(second: Any) -> Any:
        parts = [{"column": "age", "op": ">=", "value": AGE}, {"column": "year", "op": "<", "value": second}]
        return [{"name": "a", "query": {**QUERY, "where": {"all": parts}}}]

    assert parse_templates(two(again)) == parse_templates(two(AGE))
    assert wrong(two({**AGE, "range": [18, 66]})) == "/0/query/where/all/1/value/parameter"


def test_template_nested_too_deeply_refused() -> None:
    """A template is no way around the limit of nesting."""
    deep: Any = {"column": "age", "op": ">=", "value": 1}
    for _ in range(300):
        deep = {"not": deep}
    with pytest.raises(ValidationError, match="nests deeper"):
        parse_templates([{"name": "a", "query": {**QUERY, "where": deep}}])


def test_shown_protocol_can_be_sent_again(place: Place) -> None:
    """A study shows its protocol as it could be sent: the same one again changes nothing."""
    place.open_study("s", protocol={**STRICT, "min_margin": 2.5, "max_epsilon": 1.0})
    admin = place.client("admin")
    shown = place.client("ada").good("GET", "/studies/s")["protocol"]
    assert shown == {**STRICT, "min_margin": 2.5, "max_epsilon": 1.0}
    assert admin.good("PATCH", "/studies/s", {"protocol": shown})["state"] == "approved"


@pytest.mark.parametrize(
    ("protocol", "pointer"),
    [
        ({"strict": True}, "/protocol/strict"),
        ({"strict": True, "templates": []}, "/protocol/strict"),
        ({"strict": 1, "templates": [TEMPLATE]}, "/protocol/strict"),
        ({"min_margin": 0}, "/protocol/min_margin"),
        ({"min_margin": "5"}, "/protocol/min_margin"),
        ({"templates": [{"name": "a"}]}, "/protocol/templates/0/query"),
    ],
)
def test_a_protocol_that_cannot_be(shared: Place, protocol: Any, pointer: str) -> None:
    """What a protocol says is checked, with the place."""
    reply = shared.client("admin").post("/studies", {**NEW_STUDY, "protocol": protocol})
    assert (reply.status, reply.code, reply.json()["pointer"]) == (422, "invalid-request", pointer)


def test_a_strict_study_asks_its_templates_alone(place: Place) -> None:
    """In strict mode a template's query runs, in JSON and in SQL, and all else is refused with its place, free."""
    place.open_study("s", protocol=STRICT)
    ada = place.client("ada")
    good = ask(PATIENTS, 0.5, where=where())
    in_sql = {
        "sql": "SELECT COUNT(DISTINCT person) AS patients FROM years WHERE age >= 20 AND site IN ('2')",
        "privacy": {"epsilon": 0.5},
    }
    first = ada.good("POST", "/studies/s/queries", good)
    again = ada.good("POST", "/studies/s/queries", in_sql)
    assert (again["id"], again["replayed"]) == (first["id"], True)
    ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.25, where=where(65, ("1", "2"))))
    charged = place.home.charges()
    for way in ("estimates", "rehearsals", "queries"):
        for body, pointer in (
            (ask(PATIENTS, 0.5), "/query"),
            (ask(PATIENTS, 0.5, where=where(17)), "/query/where/all/1/value"),
            (ask(PATIENTS, 0.5, where=where(20, ("2", "3"))), "/query/where/all/0/value/1"),
            (ask(PATIENTS, 0.5, where=where(), group_by=["sex"]), "/query/group_by"),
            (ask(PATIENTS, 0.6, where=where()), "/privacy/epsilon"),
            ({**good, "privacy": {"margin": {"patients": 1}}}, "/privacy/margin"),
            ({**in_sql, "sql": in_sql["sql"].replace("20", "70")}, "/sql"),  # type: ignore[attr-defined]
        ):
            reply = ada.post(f"/studies/s/{way}", body)
            assert (reply.status, reply.content_type, reply.code) == (403, PROBLEM, "outside-protocol"), body
            assert reply.json()["pointer"] == pointer
    assert place.home.charges() == charged


def test_templates_that_are_not_strict_are_offers(place: Place) -> None:
    """Without strict mode other queries run too."""
    place.open_study("s", protocol={"templates": [TEMPLATE]})
    assert place.client("ada").post("/studies/s/queries", ask(PATIENTS, 1.0)).status == 201


def test_protocol_min_margin_holds_for_counts(place: Place) -> None:
    """A count, histogram or top has at least the protocol's margin at 95%, whatever confidence was asked for."""
    place.open_study("s", protocol={"min_margin": 6})
    ada = place.client("ada")
    assert ada.good("POST", "/studies/s/estimates", ask(PATIENTS, 0.5))["columns"][0]["margin"] == 6.0
    exact = [
        (ask(PATIENTS, 0.6), "patients"),
        (ask({"n": {"count": "events"}}, 10, bounds={"events_per_cell": 1}), "n"),
        (ask({"h": {"histogram": "age", "bins": [0, 40]}}, 20, bounds={"events_per_cell": 1}), "h"),
        (ask({"t": {"top": "site", "k": 1}}, 100, bounds={"events_per_cell": 1}), "t"),
        ({**ask(PATIENTS), "privacy": {"rho": 5}}, "patients"),
        ({**ask(PATIENTS), "privacy": {"margin": {"patients": 3}}}, "patients"),
        ({**ask(PATIENTS), "privacy": {"margin": {"patients": 6}, "confidence": 0.999}}, "patients"),
    ]
    for body, name in exact:
        for way in ("estimates", "rehearsals", "queries"):
            reply = ada.post(f"/studies/s/{way}", body)
            assert (reply.status, reply.code) == (403, "outside-protocol"), body
            assert reply.json()["pointer"] == f"/query/select/{name}"
    assert place.home.charges() == []
    assert ada.post("/studies/s/queries", ask(PATIENTS, 0.5)).status == 201
    assert ada.post("/studies/s/queries", ask({"m": {"mean": "age"}}, 5.0)).status == 201


def test_a_new_protocol_holds_once_it_is_approved(place: Place) -> None:
    """A narrower protocol stops what the wider one allowed, even an answer given before; that stays to be read."""
    place.open_study("s")
    admin, ada = map(place.client, ("admin", "ada"))
    release = ada.good("POST", "/studies/s/queries", ask(PATIENTS))["id"]
    admin.good("PATCH", "/studies/s", {"protocol": STRICT})
    refused = ada.post("/studies/s/queries", ask(PATIENTS))
    assert (refused.status, refused.code) == (403, "not-approved")
    assert ada.good("GET", f"/studies/s/releases/{release}")["id"] == release
    place.client("vera").good("POST", "/studies/s/approve", {**REASON, **UNADVISED})
    refused = ada.post("/studies/s/queries", ask(PATIENTS))
    assert (refused.status, refused.code) == (403, "outside-protocol")
    assert ada.good("GET", f"/studies/s/releases/{release}")["id"] == release
