from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from budgets.actors import SYSTEM
from budgets.audit import signing
from queries.statistics import registry
from tests.server.api.requests.test_schemas import WRONG
from tests.server.routes import ADVICE, BODIES, NEW_STUDY, PROPOSAL, REASON, document, filled, operations
from tests.serving import (
    EVERY_STATISTIC,
    PATIENTS,
    PREFIX,
    PROBLEM,
    ROOT,
    Client,
    Home,
    Place,
    Reply,
    application,
    ask,
    through_app,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.serving import Send

JSON = "application/json"
MORE = ("additionalProperties", True)  # what a later version may add, and this one has to describe


@pytest.fixture(scope="module")
def served(shared: Place) -> dict[str, Any]:
    """Return the document."""
    return document(shared)


def closed(part: Any) -> Any:
    """Return a part of the document in which no reply may have members beside those that are described."""
    if isinstance(part, dict):
        return {name: False if (name, one) == MORE else closed(one) for name, one in part.items()}
    return [closed(one) for one in part] if isinstance(part, list) else part


def validator(served: dict[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """Return what checks values against a schema of the document: every member has to be described."""
    return Draft202012Validator({"components": closed(served["components"]), **schema})


def resolved(served: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or what it refers to."""
    while "$ref" in part:
        found: Any = served
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def test_the_document_is_openapi_3_1(served: dict[str, Any]) -> None:
    """The document is valid OpenAPI 3.1."""
    assert served["openapi"].startswith("3.1.")
    errors = [
        f"{'/'.join(map(str, error.path))}: {error.message}" for error in OpenAPIV31SpecValidator(served).iter_errors()
    ]
    assert errors == []


def test_every_schema_is_json_schema(served: dict[str, Any]) -> None:
    """Every component is a valid schema of JSON Schema 2020-12, and every reference leads somewhere."""
    for schema in served["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)

    def walk(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for value in part.values():
                yield from walk(value)
        elif isinstance(part, list):
            for value in part:
                yield from walk(value)

    for reference in walk(served):
        assert resolved(served, {"$ref": reference}), reference


def test_every_operation_is_described(served: dict[str, Any]) -> None:
    """Each operation has a summary and a documented success, and each path parameter is declared."""
    for (method, path), operation in operations(served).items():
        assert operation.get("summary"), (method, path)
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)


def test_errors_are_documented_as_problems(served: dict[str, Any]) -> None:
    """Each error that an operation documents is an RFC 9457 problem document."""
    for (method, path), operation in operations(served).items():
        for status, response in operation["responses"].items():
            if not status.startswith("2"):
                content = resolved(served, response)["content"]
                assert list(content) == [PROBLEM], (method, path, status)
                assert content[PROBLEM]["schema"] == {"$ref": "#/components/schemas/Problem"}, (method, path, status)


# A walk through everything, each reply held against the document


class Walk:
    """Sends requests to an application and keeps what came back."""

    def __init__(self, place: Place, served: dict[str, Any]) -> None:
        self.place, self.templates = place, list(operations(served))
        self.seen: dict[tuple[str, str], list[Reply]] = {route: [] for route in self.templates}
        self._send: Send = through_app(place.app)

    def client(self, name: str) -> Client:
        """Return the client of a user, over this walk."""
        return Client(self.send, self.place.home.tokens.get(name, name))

    def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """Send a request and keep the reply under its route."""
        reply = self._send(method, path, body, headers)
        self.seen[self.route(method, path)].append(reply)
        return reply

    def route(self, method: str, path: str) -> tuple[str, str]:
        """Return the route of a path."""
        steps = path.partition("?")[0].removeprefix(PREFIX).split("/")

        def fits(template: str) -> bool:
            parts = template.split("/")
            return len(parts) == len(steps) and all(p == s or p[:1] == "{" for p, s in zip(parts, steps, strict=True))

        found = [route for route in self.templates if route[0] == method and fits(route[1])]
        return min(found, key=lambda route: route[1].count("{"))


@pytest.fixture(scope="module")
def walk(template: Home, served: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """Walk through every route as every role, with good and bad requests."""
    logging.disable(logging.CRITICAL)
    with application(template.copy(tmp_path_factory.mktemp("walk") / "home")) as place:
        walked = Walk(place, served)
        admin, dora, ada, ben = map(walked.client, ("admin", "dora", "ada", "ben"))
        # The good way
        admin.good("POST", "/datasets/rand-hie/profile", {"epsilon": 0.5})
        for client in (admin, dora, ada):
            for path in (
                "/health",
                "/health/live",
                "/health/ready",
                "/me",
                "/datasets",
                "/datasets/rand-hie",
                "/datasets/clinic",
                "/studies",
            ):
                client.good("GET", path)
        admin.good(
            "POST", "/studies", {**NEW_STUDY, "name": "flu", "delta": 1e-7, "epsilon": 5, "justification": "a test"}
        )
        terms = {"starts": "2020-01-01", "ends": "2099-12-31"}
        columns = ["sex", "visits", "age", "health", "site"]
        protocol = {"tables": ["years"], "columns": columns, "statistics": list(registry.WORDS)}
        admin.good("PATCH", "/studies/flu", {**terms, "protocol": {**protocol, "max_epsilon": 2.5}})
        admin.good("PUT", "/studies/flu/members/ada")
        vera = walked.client("vera")
        admin.good(
            "POST",
            "/datasets/clinic/propose",
            {"profile": 0.5, "delta": 1e-5, "justification": "a test", "reason": "new persons"},
        )
        dora.good("POST", "/datasets/clinic/advise", {"opinion": "favourable", "reason": "good"})
        vera.good("POST", "/datasets/clinic/approve", {"reason": "good"})
        dora.good("POST", "/studies/flu/advise", ADVICE)
        vera.good("POST", "/studies/flu/approve", REASON)
        for action in ("suspend", "resume"):
            dora.good("POST", f"/studies/flu/{action}", REASON)
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 6.0, "justification": "a test", **REASON})
        admin.good("GET", "/studies/flu")
        dora.good("GET", "/studies/flu/budget")
        admin.good("PATCH", "/studies/flu", {"protocol": {**protocol, "max_epsilon": 2.6}, "title": "Another"})
        for path in ("/studies/flu/changes", "/studies?waiting=true"):
            vera.good("GET", path)
        admin.good("PATCH", "/studies/flu", {"protocol": {**protocol, "max_epsilon": 2.5}})
        dora.good("POST", "/studies/flu/advise", ADVICE)
        vera.good("POST", "/studies/flu/approve", REASON)
        dora.good("POST", "/studies/flu/budget/advise", ADVICE)
        dora.post("/studies/flu/budget/advise", {**ADVICE, "opinion": "none"})
        vera.good("POST", "/studies/flu/budget/approve", REASON)
        statistics = {**PATIENTS, "v": {"sum": "visits"}, "m": {"mean": "visits", "bounds": [0, 20]}}
        every = ask(EVERY_STATISTIC, 0.25)
        for body in (ask(PATIENTS), ask(statistics, 0.5, group_by=["sex"]), ask({"n": {"count": "events"}}), every):
            ada.good("POST", "/studies/flu/estimates", body)
            ada.good("POST", "/studies/flu/rehearsals", body)
            release = ada.good("POST", "/studies/flu/queries", body)["id"]
            ada.good("POST", "/studies/flu/queries", body)
            for accept in (JSON, "text/csv"):
                ada.get(f"/studies/flu/releases/{release}", Accept=accept)
                ada.get(f"/studies/flu/releases/{release}?post=round,clamp", Accept=accept)
        ada.good("GET", f"/studies/flu/releases/{release}/certificate")
        signing.rotate(place.services.database, place.services.settings.key_path, SYSTEM)
        ada.good("GET", f"/studies/flu/releases/{release}/certificate")
        for path in ("/studies/flu", "/studies/flu/budget", "/studies/flu/releases", "/studies/flu/releases?limit=1"):
            for client in (admin, dora, ada):
                client.good("GET", path)
        for accept in (JSON, "text/csv", "application/jsonl"):
            dora.get("/audit/entries?limit=3", Accept=accept)
        for path in ("/studies/flu/report", "/datasets/rand-hie/report", "/datasets/clinic/report"):
            for accept in (JSON, "text/html"):
                dora.get(path, Accept=accept)
        for accept in (JSON, "text/plain"):
            dora.get("/audit/checkpoint", Accept=accept)
        dora.good("POST", "/audit/verification", {})
        dora.good("GET", "/datasets/rand-hie/charges?limit=2")
        for asked in ("inclusion?index=3", "inclusion?index=3&size=9", "consistency?from=3", "consistency?from=3&to=9"):
            dora.good("GET", f"/audit/proofs/{asked}")
        for asked in ("", "?epsilon=1", "?epsilon=1&delta=1e-6", "?epsilon=0", "?epsilon=x"):
            vera.get(f"/guarantee{asked}")
        admin.good("POST", "/users", {"name": "eve", "role": "admin"})
        token = admin.good("POST", "/users/eve/tokens")
        admin.good("DELETE", f"/tokens/{token['token_id']}")
        admin.good("DELETE", "/users/eve")
        for proposal in (PROPOSAL, {"act": "token", "user": "dora"}):
            made = admin.good("POST", "/proposals", proposal)
            for client in (admin, dora, vera):
                client.good("GET", "/proposals")
            vera.good("POST", f"/proposals/{made['id']}/confirm")
        made = admin.good("POST", "/proposals", {"act": "remove", "user": PROPOSAL["user"]})
        dora.good("DELETE", f"/proposals/{made['id']}")
        for asked in ("", "?due=true", "?limit=1"):
            dora.good("GET", f"/audit/identities{asked}")
        dora.good("POST", "/audit/identities/erase", {})
        admin.good("DELETE", "/studies/flu/members/ada")
        admin.good("PUT", "/studies/flu/members/ada")
        # The other ways
        for method, path in walked.templates:
            body = BODIES.get((method, path))
            for client in (walked.client("nobody"), admin, dora, ada, ben):
                client.request(method, filled(path, study="nowhere", name="nobody"), body)
                if path != "/studies/{study}/close":
                    client.request(method, filled(path, user="dora"), {"x": 1} if body else None)
            if body:
                admin.request(method, filled(path), raw=b"{")
                ada.request(method, filled(path), raw=b"{" + b" " * 300_000)
                ada.request(method, filled(path), raw=b"{}", headers={"Content-Type": "text/plain"})
        for wrong, _ in WRONG:
            ada.request("POST", "/studies/flu/estimates", raw=json.dumps(wrong).encode())
        for query in (ask(PATIENTS, 2.6), ask(PATIENTS, table="persons"), ask({"c": {"sum": "cost"}})):
            ada.post("/studies/flu/queries", query)
        for turn in range(3):
            ada.post("/studies/flu/queries", ask({f"p{turn}": {"count": "persons"}}, 2.5))
        ada.post("/studies/flu/queries", ask(PATIENTS), Idempotency_Key="k")
        ada.post("/studies/flu/queries", ask(PATIENTS, 0.5), Idempotency_Key="k")
        ada.post("/studies/flu/queries", ask(PATIENTS), Idempotency_Key="")
        for query in ("search=female", "search=fem&column=years.sex&limit=1", "search=f", "search=fem&column=nothing"):
            ada.get(f"/datasets/rand-hie/codes?{query}")
        ada.get("/studies?limit=0")
        ada.get("/studies?nope=1")
        ada.get(f"/studies/flu/releases/{release}?post=up")
        for way in ("estimates", "rehearsals", "queries"):
            ada.good("POST", f"/studies/flu/{way}", {**ask(statistics, 0.5), "post": ["clamp", "consistent"]})
        admin.post("/studies", {**NEW_STUDY, "name": "flu"})
        for text in ("Not personal for who reads it.", ""):
            read = vera.good("GET", "/studies/flu/report")["digest"]
            vera.post("/studies/flu/report/conclusion", {"text": text, "seen": read})
        vera.post("/studies/flu/report/conclusion", {"text": "Old.", "seen": "0" * 64})
        admin.good("POST", "/studies/flu/close", REASON)
        ada.post("/studies/flu/queries", ask(PATIENTS))
        dora.post("/studies/flu/advise", ADVICE)
        dora.post("/studies/flu/budget/advise", ADVICE)
        vera.post("/studies/flu/approve", REASON)
        vera.post("/studies/flu/budget/approve", REASON)
        for path in ("suspend", "resume", "close"):
            dora.post(f"/studies/flu/{path}", REASON)
        yield walked
    logging.disable(logging.NOTSET)


def test_the_walk_has_been_everywhere(walk: Walk) -> None:
    """Every route gave a success and an error, and the walk met every status that it should."""
    for route, replies in walk.seen.items():
        # Accounts need an issuer: tests/server/sign_in has their successes.
        in_progress = route == ("DELETE", "/studies/{study}/queries")  # only what is in progress can be cancelled
        assert in_progress or route[1].endswith("/account") or any(reply.status < 300 for reply in replies), route
        assert route[1].startswith(("/health", "/sign-in")) or any(reply.status >= 400 for reply in replies), route
    met = {reply.status for replies in walk.seen.values() for reply in replies}
    assert {200, 201, 204, 400, 401, 403, 404, 409, 413, 415, 422} <= met
    codes = {reply.code for replies in walk.seen.values() for reply in replies if reply.status >= 400}
    assert {
        *("malformed", "unauthenticated", "forbidden", "not-approved", "outside-protocol", "not-found", "wrong-state"),
        *("budget-exceeded", "idempotency-conflict", "invalid-query", "invalid-request", "already-exists", "too-large"),
    } <= codes


def test_every_action_of_the_walk_stands_in_the_docs(walk: Walk) -> None:
    """docs/ledger.md names each action of which the walk left an entry."""
    page = (ROOT / "docs" / "ledger.md").read_text(encoding="utf-8")
    for (action,) in walk.place.home.rows("SELECT DISTINCT action FROM audit_entries"):
        group, _, what = action.rpartition(".")
        assert f"`{action}`" in page or (group == "dataset.profile" and f"`{what}`" in page), action


def test_no_request_of_the_walk_broke_the_server(walk: Walk) -> None:
    """None of the walk's requests, good or bad, was a server error."""
    for route, replies in walk.seen.items():
        assert [reply for reply in replies if reply.status >= 500] == [], route


def test_every_success_is_as_documented(walk: Walk, served: dict[str, Any]) -> None:
    """Each success has a documented status and content type, and its JSON is valid under the documented schema."""
    wrong = set()
    for (method, path), operation in operations(served).items():
        for reply in walk.seen[method, path]:
            if reply.status >= 300:
                continue
            response = operation["responses"].get(str(reply.status))
            content = None if response is None else resolved(served, response).get("content", {})
            if content is None:
                wrong.add(f"{method} {path}: {reply.status} is not documented")
            elif reply.body and reply.content_type not in content:
                wrong.add(f"{method} {path}: {reply.content_type} is not documented")
            elif reply.content_type == JSON and reply.body:
                errors = validator(served, content[JSON]["schema"]).iter_errors(reply.json())
                wrong.update(f"{method} {path}: {error.json_path} {error.message[:80]}" for error in errors)
    assert wrong == set()


def test_every_error_is_a_problem(walk: Walk, served: dict[str, Any]) -> None:
    """Each error of the walk is a problem document, valid under the schema Problem, and says its own status."""
    problems = validator(served, {"$ref": "#/components/schemas/Problem"})
    count = 0
    for route, replies in walk.seen.items():
        for reply in replies:
            if reply.status >= 400:
                assert reply.content_type == PROBLEM, (route, reply)
                problems.validate(reply.json())
                assert reply.json()["status"] == reply.status
                assert reply.json()["type"] == f"urn:rowless:problem:{reply.code}"
                count += 1
    assert count > 200


def test_documented_errors_fit_what_comes(walk: Walk, served: dict[str, Any]) -> None:
    """Each error of the walk is valid under what its operation documents for its status and content type."""
    wrong = set()
    for (method, path), operation in operations(served).items():
        for reply in walk.seen[method, path]:
            if reply.status < 400:
                continue
            responses = operation["responses"]
            response = responses.get(str(reply.status), responses.get("default"))
            content = {} if response is None else resolved(served, response).get("content", {})
            if reply.content_type not in content:
                wrong.add(f"{method} {path}: {reply.status} as {reply.content_type} is not documented")
                continue
            errors = validator(served, content[reply.content_type]["schema"]).iter_errors(reply.json())
            wrong.update(f"{method} {path}: {error.json_path} {error.message[:80]}" for error in errors)
    assert wrong == set()


# Requests: the document and the server agree on what is a good one

YEAR = {"column": "year", "op": ">=", "value": 2}
GOOD_BODIES = [
    ask(PATIENTS),
    ask(PATIENTS, 1),
    {**ask(PATIENTS), "privacy": {"rho": 0.01}},
    ask({"a": {"count": "events"}, "b": {"sum": "cost"}, "c": {"mean": "cost", "bounds": [0, 10.5]}}),
    ask(EVERY_STATISTIC),
    *(ask({name: statistic}) for name, statistic in EVERY_STATISTIC.items()),
    ask(PATIENTS, where=YEAR),
    ask(PATIENTS, where={"all": [YEAR, {"any": [YEAR, {"not": YEAR}]}]}),
    ask(PATIENTS, where={"column": "sex", "op": "in", "value": ["male", "female"]}),
    ask(PATIENTS, where={"column": "year", "op": "between", "value": [1, 2]}),
    ask(PATIENTS, where={"column": "education", "op": "is_null"}),
    ask(PATIENTS, where={"column": "child", "op": "=", "value": False}),
    ask(PATIENTS, group_by=[]),
    ask(PATIENTS, group_by=["sex", {"column": "age", "bins": [0, 18, 65]}, {"column": "site", "as": "place"}]),
    ask(PATIENTS, bounds={}),
    ask(PATIENTS, bounds={"cells_per_person": 2, "events_per_cell": 3}),
    {**ask(PATIENTS), "post": []},
    {**ask(PATIENTS), "post": ["round", "clamp", "consistent"]},
]
# What no schema can say: names of the catalog, kinds of values, order, steps, depth, sizes, units.
SEMANTIC = (
    *(
        "/query/from",
        "/privacy/epsilon",
        "/query/where/value",
        "/query/where/column",
        "/query/where/op",
        "/query/group_by",
    ),
)


def schema_of_queries(served: dict[str, Any]) -> Draft202012Validator:
    """Return what checks the body of a query against the document."""
    operation = operations(served)["POST", "/studies/{study}/queries"]
    return validator(served, operation["requestBody"]["content"][JSON]["schema"])


@pytest.mark.parametrize("body", GOOD_BODIES, ids=range(len(GOOD_BODIES)))
def test_what_the_server_takes_the_document_allows(shared: Place, served: dict[str, Any], body: Any) -> None:
    """A query that the server estimates is valid under the request schema."""
    assert shared.client("ada").post("/studies/flu/estimates", body).status == 200
    schema_of_queries(served).validate(body)


def test_what_is_wrong_in_its_shape_the_document_forbids(served: dict[str, Any]) -> None:
    """Of the bodies that the server refuses, those wrong in their shape are invalid under the request schema too."""
    schema = schema_of_queries(served)
    shapes = [
        *([], "query", 7, None, {}, {"query": ask(PATIENTS)["query"]}, {**ask(PATIENTS), "extra": 1}),
        *({**ask(PATIENTS), "privacy": {"epsilon": wrong}} for wrong in (0, -1, "1", True, None, [1], {}, 1e7)),
        *(ask(wrong) for wrong in ({}, {"a": 1}, {"a": {}}, {"a": {"max": "cost"}}, {"1a": {"count": "persons"}})),
        *(ask({"a": wrong}) for wrong in ({"count": "rows"}, {"count": True}, {"count": "persons", "sum": "cost"})),
        *(ask({"a": {"median": "cost"}}), ask({"a": {"quantile": "cost"}}), ask({"a": {"top": "site"}})),
        *(ask({"a": {"quantile": "cost", "at": wrong}}) for wrong in (0, 1, -1, "0.5", True, None, [], [0], ["0.5"])),
        *(ask({"a": {"top": "site", "k": wrong}}) for wrong in (0, -1, 1.5, "2", True, None, [1])),
        *(ask({"a": {"histogram": "age", "bins": wrong}}) for wrong in (5, "x", [], [None], {})),
        *(ask({"a": {"histogram": wrong}}) for wrong in (5, None, ["age"])),
        *(ask({"a": {"covariance": wrong}}) for wrong in ("age", [], ["age"], ["age", "visits", "cost"], ["age", 1])),
        *(
            ask({"a": {"correlation": ["age", "visits"], "bounds": wrong}})
            for wrong in ([0, 1], [[0, 1]], [[0, 1], None], [[0, 1], [0]], [[0, 1], [0, "1"]], [[0, 1], [0, 1], [0, 1]])
        ),
        *(ask({"a": {"proportion": wrong}}) for wrong in ("sex", {}, [YEAR], {"not": [YEAR]})),
        ask({"a": {"proportion": YEAR, "of": "rows"}}),
        ask({"a": {"proportion": YEAR, "where": YEAR}}),
        ask({"a": {"proportion": YEAR, "bounds": [0, 1]}}),
        ask({"a": {"count": "events", "where": []}}),
        ask({"a": {"sum": "cost", "where": []}}),
        ask({"a": {"top": "site", "k": 1, "where": []}}),
        *(ask({"a": {**one, "x": 1}}) for one in EVERY_STATISTIC.values()),
        *(ask({"a": {"sum": "cost", "bounds": wrong}}) for wrong in (5, [0], [0, 1, 2], ["0", 5], [0, True])),
        *(ask(PATIENTS, where=wrong) for wrong in ([], "x", {}, {"all": []}, {"any": {}}, {"not": [YEAR]})),
        *(ask(PATIENTS, where={**YEAR, **wrong}) for wrong in ({"op": "~"}, {"x": 1}, {"value": None}, {"value": [1]})),
        *(ask(PATIENTS, where={**YEAR, "op": "in", "value": wrong}) for wrong in (1, [], [None])),
        ask(PATIENTS, where={**YEAR, "op": "is_null"}),
        *(ask(PATIENTS, group_by=wrong) for wrong in ("sex", {}, [1], [{}], [{"column": "sex", "x": 1}])),
        ask(PATIENTS, group_by=[{"column": "age", "bins": [0, 5], "period": "year"}]),
        ask(PATIENTS, group_by=[{"column": "age", "bins": []}]),
        *({**ask(PATIENTS), "post": wrong} for wrong in ("round", None, ["up"], [1], [None], ["clamp", "clamp"])),
        *(ask(PATIENTS, bounds=wrong) for wrong in (5, {"x": 1}, {"events_per_cell": 0}, {"events_per_cell": "1"})),
    ]
    for body in shapes:
        assert not schema.is_valid(body), body


def test_what_the_document_allows_fails_for_its_meaning_alone(served: dict[str, Any]) -> None:
    """A refused body that the document allows was refused for what it means, not for its shape."""
    schema = schema_of_queries(served)
    allowed = [(body, pointer) for body, pointer in WRONG if schema.is_valid(body)]
    for body, pointer in allowed:
        meaning = pointer.startswith((*SEMANTIC, "/query/select/", "/query/where/all", "/query/where/not"))
        assert meaning or pointer in ("/query", "/query/bounds"), (body, pointer)
    assert 20 < len(allowed) < len(WRONG) / 2


@pytest.mark.parametrize("route", BODIES, ids=" ".join)
def test_good_bodies_of_every_route_are_allowed(served: dict[str, Any], route: tuple[str, str]) -> None:
    """The body that the tests send to a route is valid under its schema, and one with an unknown field is not."""
    schema = validator(served, operations(served)[route]["requestBody"]["content"][JSON]["schema"])
    schema.validate(BODIES[route])
    assert not schema.is_valid({**BODIES[route], "unknown": 1})


@pytest.mark.parametrize("field", ["delta", "starts", "ends"])
def test_openapi_marks_nullable_fields_of_study(shared: Place, served: dict[str, Any], field: str) -> None:
    """The server and the document agree on which fields of a new study may be null."""
    body = {**NEW_STUDY, "name": f"null-{field}", field: None}
    schema = validator(served, operations(served)["POST", "/studies"]["requestBody"]["content"][JSON]["schema"])
    assert schema.is_valid(body) == (shared.client("admin").post("/studies", body).status == 201)
