"""Asking for margins, over HTTP and the command line: the price that is found, what is refused, what advice says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.server.api.test_openapi import JSON, validator
from tests.server.routes import document, operations
from tests.serving import PATIENTS, application, ask

if TYPE_CHECKING:
    from tests.serving import Client, Home, Place

COST = {"cost": {"mean": "cost", "bounds": [0, 2000]}}


@pytest.fixture
def ada(place: Place) -> Client:
    """Return the client of the study's member."""
    return place.client("ada")


def margins(margin: Any, select: Any = PATIENTS, query: dict[str, Any] | None = None, **privacy: Any) -> dict[str, Any]:
    """Return the body of a request for margins."""
    return {**ask(select, **(query or {})), "privacy": {"margin": margin, **privacy}}


def test_the_least_charge_for_a_margin(place: Place, ada: Client) -> None:
    """The contract's request: the answer has the margin, and is charged what the estimate said, not more."""
    body = margins({"patients": 10}, confidence=0.95)
    told = ada.good("POST", "/studies/flu/estimates", body)
    reply = ada.post("/studies/flu/queries", body)
    assert reply.status == 201
    said = reply.json()
    assert told["cost"] == said["cost"]
    assert said["cost"]["epsilon"] == 0.284348513
    (column,) = said["columns"]
    assert (column["margin"], column["confidence"]) == (10.0, 0.95)
    (row,) = said["rows"]
    assert row["patients"]["high"] - row["patients"]["value"] == 10
    assert place.home.charges() == [("reserve", 284_348_513), ("settle", 284_348_513)]


def test_the_same_margins_are_the_same_answer_free(place: Place, ada: Client) -> None:
    """However its numbers are spelled, a request for margins replays; another confidence or noise is another question."""
    select = {**PATIENTS, **COST}
    bodies = [
        margins({"patients": 10, "cost": {"margin": 40, "at": 1000}}, select),
        margins({"cost": {"at": 1000, "margin": 40.0}, "patients": 10.0}, select, confidence=0.95, noise="laplace"),
    ]
    first, again = (ada.post("/studies/flu/queries", body).json() for body in bodies)
    assert (again["replayed"], again["id"], again["rows"]) == (True, first["id"], first["rows"])
    assert place.home.reserved() == 1
    for other in ({"confidence": 0.9}, {"noise": "gaussian"}):
        assert not ada.post("/studies/flu/queries", {**bodies[0], "privacy": {**bodies[0]["privacy"], **other}}).json()[
            "replayed"
        ]
    place.home.assert_sound()


def test_gaussian_noise_is_bought_with_the_least_rho(ada: Client) -> None:
    """With `noise` gaussian there is no finite epsilon, and rho is what the margin needs."""
    said = ada.good("POST", "/studies/flu/estimates", margins({"patients": 10}, noise="gaussian"))
    assert said["cost"]["epsilon"] is None
    assert said["columns"][0]["mechanism"] == "discrete_gaussian"
    assert said["columns"][0]["margin"] == 10
    assert 0.017 < said["cost"]["rho"] < 0.018


def test_a_group_that_was_asked_for_is_shown(ada: Client) -> None:
    """A mean's margin over 300 events stands in the answer, at most as wide as asked."""
    said = ada.good("POST", "/studies/flu/estimates", margins({"cost": {"margin": 50, "at": 300}}, COST))
    assert 49.99 < said["columns"][0]["margins_at"]["300"] <= 50


def test_margins_name_statistics_of_sql(ada: Client) -> None:
    """In SQL the statistics have the names they have in the answer."""
    body = {
        "sql": "SELECT sex, COUNT(DISTINCT person) AS n, AVG(cost) FROM years GROUP BY sex",
        "privacy": {"margin": {"n": 12, "mean_cost": {"margin": 100, "at": 1000}}},
    }
    said = ada.good("POST", "/studies/flu/estimates", body)
    assert [column.get("margin") for column in said["columns"]] == [None, 12.0, None]


@pytest.mark.parametrize(
    ("privacy", "pointer", "detail"),
    [
        ({"margin": {}}, "/privacy/margin", "at least one"),
        ({"margin": 10}, "/privacy/margin", "object"),
        ({"margin": {"patients": 0}}, "/privacy/margin/patients", "above 0"),
        ({"margin": {"patients": -1}}, "/privacy/margin/patients", "above 0"),
        ({"margin": {"patients": "10"}}, "/privacy/margin/patients", "number"),
        ({"margin": {"patients": None}}, "/privacy/margin/patients", "number"),
        ({"margin": {"patients": True}}, "/privacy/margin/patients", "number"),
        ({"margin": {"patients": [10]}}, "/privacy/margin/patients", "number"),
        ({"margin": {"patients": 10**400}}, "/privacy/margin/patients", "finite"),
        ({"margin": {"patients": 10, "a/b": 1}}, "/privacy/margin/a~1b", "name"),
        ({"margin": {"patient": 10}}, "/privacy/margin/patient", "did you mean patients?"),
        ({"margin": {"patients": {"margin": 10, "at": 100}}}, "/privacy/margin/patients", "groups of any size"),
        ({"margin": {"cost": 10}}, "/privacy/margin/cost", '{"margin": 10, "at": 1000}'),
        ({"margin": {"cost": {"margin": 10}}}, "/privacy/margin/cost/at", "missing"),
        ({"margin": {"cost": {"at": 10}}}, "/privacy/margin/cost/margin", "missing"),
        ({"margin": {"cost": {"margin": 0, "at": 10}}}, "/privacy/margin/cost/margin", "above 0"),
        ({"margin": {"cost": {"margin": 1, "at": 0}}}, "/privacy/margin/cost/at", "at least 1"),
        ({"margin": {"cost": {"margin": 1, "at": 1.5}}}, "/privacy/margin/cost/at", "whole"),
        ({"margin": {"cost": {"margin": 1, "at": 9, "x": 1}}}, "/privacy/margin/cost/x", "allowed"),
        ({"margin": {"cost": {"events": 0}}}, "/privacy/margin/cost/events", "above 0"),
        ({"margin": {"cost": {"margin": 1e-9, "at": 1}}}, "/privacy/margin/cost", "cannot be met"),
        ({"margin": {"patients": 10}, "confidence": 0.4}, "/privacy/confidence", "from 0.5 to 0.999"),
        ({"margin": {"patients": 10}, "confidence": 1}, "/privacy/confidence", "from 0.5 to 0.999"),
        ({"margin": {"patients": 10}, "confidence": "0.9"}, "/privacy/confidence", "number"),
        ({"margin": {"patients": 10}, "noise": "uniform"}, "/privacy/noise", "laplace or gaussian"),
        ({"margin": {"patients": 10}, "epsilon": 1}, "/privacy", "one of them"),
        ({"margin": {"patients": 10}, "rho": 1}, "/privacy", "one of them"),
        ({"epsilon": 1, "confidence": 0.9}, "/privacy/confidence", "margin only"),
        ({"rho": 1, "noise": "gaussian"}, "/privacy/noise", "margin only"),
        ({"confidence": 0.9}, "/privacy", "one of them"),
    ],
)
def test_odd_margins_refused_free_with_their_place(shared: Place, privacy: Any, pointer: str, detail: str) -> None:
    """What is wrong is named with its place and what to write; nothing is charged, by an estimate or a query."""
    body = {**ask({**PATIENTS, **COST}), "privacy": privacy}
    for way in ("estimates", "queries"):
        reply = shared.client("ada").post(f"/studies/flu/{way}", body)
        assert (reply.status, reply.code, reply.json()["pointer"]) == (422, "invalid-query", pointer), reply.json()
        assert detail in json.dumps(reply.json(), ensure_ascii=False).replace('\\"', '"')
    assert shared.home.charges() == []


# The study's protocol


@pytest.mark.parametrize(
    ("privacy", "cost"),
    [
        ({"margin": {"patients": 10}}, "epsilon 0.284349"),
        # Of rho as much as pure DP of the largest epsilon costs: 0.2^2 / 2 = 0.02.
        ({"margin": {"patients": 9}, "noise": "gaussian"}, "rho 0.0212"),
    ],
)
def test_margins_that_cost_more_than_the_protocol_allows(place: Place, privacy: Any, cost: str) -> None:
    """The largest epsilon of one query holds for what a margin costs: refused free, and one that costs less is answered."""
    place.open_study("p", protocol={"max_epsilon": 0.2})
    ada = place.client("ada")
    for way in ("estimates", "queries"):
        reply = ada.post(f"/studies/p/{way}", {**ask(PATIENTS), "privacy": privacy})
        assert (reply.status, reply.code) == (403, "outside-protocol")
        assert reply.json()["pointer"] == "/privacy/margin"
        assert f"would cost {cost}" in reply.json()["detail"]
    assert place.home.charges() == []
    wider = {**privacy, "margin": {"patients": 15}}
    assert ada.post("/studies/p/queries", {**ask(PATIENTS), "privacy": wider}).status == 201


# The document


GOOD = [
    margins({"patients": 10}),
    margins({"patients": 0.5}, confidence=0.5),
    margins({"patients": 10}, confidence=0.999, noise="gaussian"),
    margins({"patients": 10, "cost": {"margin": 5.5, "at": 1000}}, {**PATIENTS, **COST}),
    margins({"median": {"events": 50}}, {"median": {"quantile": "cost", "at": 0.5}}),
]
BAD = [
    *(margins(wrong) for wrong in (10, {}, {"patients": 0}, {"patients": "1"}, {"patients": {"at": 10}}, {"1a": 1})),
    *(margins({"patients": 1}, confidence=wrong) for wrong in (0.4, 1, "0.9", None)),
    margins({"patients": 1}, noise="none"),
    margins({"patients": {"events": 0}}),
    margins({"patients": {"margin": 1, "at": 1, "x": 1}}),
    margins({"patients": 1}, epsilon=1),
    {**ask(PATIENTS), "privacy": {"epsilon": 1, "confidence": 0.9}},
]


def test_the_document_says_what_a_request_for_margins_is(shared: Place) -> None:
    """What the server takes is valid under the OpenAPI document, what is wrong in its shape is not."""
    served = document(shared)
    operation = operations(served)["POST", "/studies/{study}/queries"]
    schema = validator(served, operation["requestBody"]["content"][JSON]["schema"])
    for body in GOOD:
        assert shared.client("ada").post("/studies/flu/estimates", body).status == 200
        schema.validate(body)
    for body in BAD:
        assert shared.client("ada").post("/studies/flu/estimates", body).status == 422
        assert not schema.is_valid(body), body


# Advice


def test_an_estimate_advises_and_a_release_does_not(place: Place, ada: Client) -> None:
    """An estimate says in words what dominates the error; a release is the answer alone."""
    body = ask({**PATIENTS, **COST}, 0.5, group_by=["year"], bounds={"cells_per_person": 5, "events_per_cell": 1})
    told = ada.good("POST", "/studies/flu/estimates", body)
    served = document(place)
    schema = operations(served)["POST", "/studies/{study}/estimates"]["responses"]["200"]["content"][JSON]["schema"]
    validator(served, schema).validate(told)
    assert [line.partition(":")[0] for line in told["advice"][:2]] == ["patients", "cost"]
    assert "cells_per_person 2" in told["advice"][0]
    assert "advice" not in ada.post("/studies/flu/queries", body).json()


def test_rho_is_advised_by_the_studys_own_budget(place: Place) -> None:
    """In a study of epsilon 1 (rho 0.0229) a query of 0.5 is half of it: rho 0.0115 is compared, if it is better."""
    place.open_study("small", epsilon=1.0)
    body = ask(
        PATIENTS, 0.5, group_by=["year", {"column": "age", "bins": [0, 18, 40, 65]}], bounds={"cells_per_person": 15}
    )
    told = place.client("ada").good("POST", "/studies/small/estimates", body)
    (said,) = (line for line in told["advice"] if line.startswith("rho"))
    rho = told["budget"]["rho"] / 2
    assert said.startswith(
        f"rho {rho:.3g} is as large a part of the study's budget as this query's epsilon, and would give"
    )
    place.open_study("pure", epsilon=1.0, delta=0)
    told = place.client("ada").good("POST", "/studies/pure/estimates", body)
    assert not any(line.startswith("rho") for line in told["advice"])


# The command line


def test_margins_on_the_command_line(home: Home) -> None:
    """--margin finds the price, --estimate shows it with the advice; what is misspelled is misuse or refused."""
    with application(home) as place:
        place.open_study("s", epsilon=3.0)

    def run(*options: str) -> Any:
        return CliRunner().invoke(main, ["query", "s", "--sql", text, *options], env=home.environment())

    text = "SELECT sex, COUNT(DISTINCT person) AS n, AVG(cost) AS cost FROM years GROUP BY sex"
    told = run("--margin", "n=10", "--margin", "cost=200@1000", "--confidence", "0.9", "--estimate")
    assert told.exit_code == 0, told.output
    assert "margins at 90%:\n  n: ± 10\n" in told.stdout
    advice = told.stdout.partition("\nAdvice:\n")[2]
    assert "  - n: the noise, ±10, " in advice
    answered = run("--margin", "n=10", "--margin", "cost=2000@1000", "--json")
    assert answered.exit_code == 0, answered.output
    columns = {column["name"]: column for column in json.loads(answered.stdout)["columns"]}
    assert columns["n"]["margin"] == 10
    assert 1999 < columns["cost"]["margins_at"]["1000"] <= 2000
    for options in (["n"], ["n=x"], ["n=1@"], ["n=1@2events"]):
        assert run("--margin", *options).exit_code == 2
    assert run("--margin", "n=1", "--margin", "n=2").exit_code == 2
    for options, place_of in (
        (["n=-1"], "/privacy/margin/n"),
        (["m=1"], "/privacy/margin/m"),
        (["cost=1"], "/privacy/margin/cost"),
    ):
        refused = run("--margin", *options)
        assert (refused.exit_code, place_of in refused.stderr) == (1, True), refused.output
    assert run("--margin", "n=10", "--epsilon", "1").exit_code == 1
    gaussian = run("--margin", "n=10", "--noise", "gaussian", "--estimate")
    assert "This would cost rho " in gaussian.stdout


def test_a_quantile_on_the_command_line(home: Home) -> None:
    """A quantile's margin is a number of events, when it is asked and when it is shown."""
    with application(home) as place:
        place.open_study("s", epsilon=3.0)
    file = home.path / "median.json"
    body = {"query": {"from": "years", "select": {"median": {"quantile": "cost", "at": 0.5}}}}
    file.write_text(json.dumps({**body, "privacy": {"margin": {"median": {"events": 200}}}}))
    told = CliRunner().invoke(main, ["query", "s", str(file), "--estimate"], env=home.environment())
    assert told.exit_code == 0, told.output
    assert "median: to within about 200 events further down or up" in told.stdout
