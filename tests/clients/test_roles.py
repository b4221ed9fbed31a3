"""Every role does its work with the client, and every route of the API has a method."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rowless_client
from rowless_client import BudgetExceeded, Conflict, InvalidQuery, NotAllowed, NotFound, Rowless, Unauthenticated, table
from rowless_client.connection import addresses

from tests.clients.proxy import Proxy
from tests.server.routes import CONTRACT, operations
from tests.serving import FORMALITIES, PREFIX, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home, Server

SOURCE = Path(rowless_client.__file__).parent
TERMS = {"title": "T", "purpose": "P", "legal_basis": "L", "formalities": FORMALITIES, "epsilon": 2.0}


def calls() -> Iterator[tuple[str, str, str]]:
    """Yield method, path and the source of the function for each call of the API that the client's source has."""
    for file in SOURCE.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and len(node.args) > 1:
                    method, path = (one.value if isinstance(one, ast.Constant) else one for one in node.args[:2])
                    if isinstance(path, ast.Name):
                        path = "/studies/{study}/releases/{release}"  # RELEASE
                    elif isinstance(path, ast.JoinedStr):
                        path = "/studies/{study}/releases/{release}/certificate"
                    if method in ("GET", "POST", "PUT", "PATCH", "DELETE") and isinstance(path, str):
                        yield str(method), path, ast.unparse(function)


def test_every_route_has_a_method(server: Server) -> None:
    """The client's source calls each route of the OpenAPI document, and none that is not in it."""
    served = operations(server.client(None).good("GET", "/openapi.json"))
    assert {(method, path) for method, path, _ in calls()} == set(served)


def test_every_member_of_a_request_can_be_given(server: Server) -> None:
    """Each member of a body and of a query string is a word of the method that sends it."""
    document = server.client(None).good("GET", "/openapi.json")
    words: dict[tuple[str, str], str] = {}
    asking = (SOURCE / "query" / "asking.py").read_text()
    pages = (SOURCE / "connection" / "http.py").read_text()  # limit, cursor and Idempotency-Key
    for method, path, source in calls():
        words[method, path] = words.get((method, path), "") + source + pages
    for path in ("estimates", "rehearsals", "queries"):
        words["POST", f"/studies/{{study}}/{path}"] += asking
    missing = [
        (route, name)
        for route, operation in operations(document).items()
        for name in members(document, operation)
        if not re.search(rf"\b{re.escape(name)}\b", words[route])
    ]
    assert missing == []


def members(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    """Yield the names of what an operation takes beside its path."""
    yield from (one["name"] for one in operation.get("parameters", []) if one.get("in") != "path" and "name" in one)
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        yield from properties(document, body["schema"])


def properties(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Yield the members of a schema, by whatever references it is made."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    yield from schema.get("properties", {})
    for part in (*schema.get("allOf", []), *schema.get("oneOf", []), *schema.get("anyOf", [])):
        yield from properties(document, part)


@pytest.mark.filterwarnings("ignore::rowless_client.cautions.Caution")
def test_all_roles_do_their_work(home: Home) -> None:
    """From a proposed cap to a verified log, with the client alone: every route of the contract is called."""
    with serving(home) as server, Proxy(server.port) as proxy:
        admin, dora, vera, ada = (Rowless(proxy.url, home.tokens[name]) for name in ("admin", "dora", "vera", "ada"))
        approve_a_dataset(admin, dora, vera)
        open_a_study(admin, dora, vera)
        ask(ada, admin)
        decide_again(admin, dora, vera)
        manage_users(admin, dora, ada)
        read_the_log(dora)
        everybody(ada, admin)
        called = {(request.method, route_of(request.method, request.path)) for request in proxy.requests}
    assert called == set(CONTRACT)
    home.assert_sound()


def route_of(method: str, path: str) -> str:
    """Return the route of the contract that an address belongs to: the one with the fewest names in it."""
    fitting = [
        route for known, route in CONTRACT if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path)
    ]
    return min(fitting, key=lambda route: route.count("{"))


def approve_a_dataset(admin: Rowless, dora: Rowless, vera: Rowless) -> None:
    """Propose another cap, advise on it, approve what was read, and buy a profile."""
    admin.dataset("rand-hie").propose("more questions", epsilon=9_000.0, delta=1e-6, profile=0.2)
    seen = dora.dataset("rand-hie").catalog.terms["waiting"]["digest"]
    dora.dataset("rand-hie").advise("favourable", "public data", seen=seen)
    assert vera.dataset("rand-hie").approve("it may", seen=seen)["budget"]["epsilon"] == 9_000.0
    assert admin.dataset("rand-hie").buy_profile(0.1)["profile"]["cost"]["epsilon"] == 0.1
    assert vera.dataset("rand-hie").shares()
    assert [charge.study for charge in vera.dataset("rand-hie").charges(order="newest", limit=1)] == [None]
    assert admin.dataset("rand-hie").editions()[0]["edition"] == 1
    assert dora.dataset("rand-hie").report()
    assert dora.dataset("rand-hie").report_page().startswith("<!")
    assert dora.dataset("rand-hie").report(version="public")["log"] is None
    assert dora.dataset("rand-hie").methods().steps
    assert dora.dataset("rand-hie").notice()["name"] == "rand-hie"
    assert "Ce qui est fait de vos données" in dora.dataset("rand-hie").notice_page("fr")


def open_a_study(admin: Rowless, dora: Rowless, vera: Rowless) -> None:
    """Lead a study from a draft to its approval, with a member."""
    study = admin.open_study("flu", "rand-hie", **TERMS, delta=1e-6, starts="2020-01-01", ends="2099-12-31")
    assert study.add_member("ada").members == ["ada"]
    study.edit(title="Another")
    assert [one.name for one in vera.studies(waiting=True)] == ["flu"]
    dora.study("flu").advise("conditional", "a year at most")
    assert vera.study("flu").approve("it may", seen=vera.study("flu").info.digest).state == "approved"
    assert vera.study("flu").changes().changes == []


def ask(ada: Rowless, admin: Rowless) -> None:
    """Estimate, rehearse, ask and cite. Errors tell the code, the place and what stood there."""
    study = ada.study("flu")
    question = study.table("years").by("sex").count_persons("n")
    assert study.estimate(question, epsilon=0.5).affordable
    assert study.rehearse(question, epsilon=0.5).is_rehearsal
    answer = study.ask(question, epsilon=0.5)
    assert study.release(answer.id).rows == study.release(answer.id, post=["round"]).rows == answer.rows
    first = {"order_by": [{"column": "n", "descending": True}], "limit": 1}
    largest = max(row["n"]["value"] for row in answer)
    for shown in (
        study.ask(question, epsilon=0.5, show=first),
        study.ask(question, epsilon=0.5, show="ORDER BY n DESC LIMIT 1"),
        study.release(answer.id, show=first),
        answer.processed(show="ORDER BY n DESC LIMIT 1"),
    ):
        assert ([row["n"]["value"] for row in shown], shown.id) == ([largest], answer.id)
    assert "note: shown are 1 of 2 rows" in answer.csv(show=first)
    assert "<svg" in answer.svg(show=first)
    assert [one.id for one in study.releases(limit=5)] == [answer.id]
    assert answer.certificate().content
    assert study.budget.remaining["epsilon"] == 1.5
    assert study.templates == []
    assert [one.code for one in study.codes("FEM", column="years.sex")] == ["female"]
    assert [one.columns for one in ada.dataset("rand-hie").codes("fem", limit=1)] == [["persons.sex"]]
    assert study.cancel("a key of no query") is False
    with pytest.raises(BudgetExceeded) as over:
        study.ask(question, epsilon=1.9)
    assert (over.value.cost["epsilon"], over.value.remaining["epsilon"]) == (1.9, 1.5)
    with pytest.raises(InvalidQuery) as invalid:
        study.ask(table("years").where(table("years").sex == "femal").count_persons(), epsilon=0.1)
    assert (invalid.value.code, invalid.value.pointer) == ("invalid-query", "/query/where/value")
    assert invalid.value.part == "femal"
    assert "female" in invalid.value.detail
    with pytest.raises(NotFound):
        ada.study("none")
    with pytest.raises(NotAllowed):
        ada.users.list()
    with pytest.raises(Unauthenticated):
        Rowless(ada.url, "rowless_wrong").study("flu")
    with pytest.raises(Conflict, match="already-exists"):
        admin.open_study("flu", "rand-hie", **TERMS)


def decide_again(admin: Rowless, dora: Rowless, vera: Rowless) -> None:
    """Approve a raise that waits; suspend, resume, report on and close the study."""
    admin.study("flu").change_budget(3.0, "more questions", delta=1e-6, justification="for rare diseases")
    dora.study("flu").advise_on_budget("favourable", "they are careful", seen=dora.study("flu").info.raise_digest)
    assert vera.study("flu").approve_budget("it may")["budget"]["epsilon"] == 3.0
    assert dora.study("flu").suspend("a question").state == "suspended"
    assert dora.study("flu").resume("answered").state == "approved"
    report = vera.study("flu").report()
    vera.study("flu").conclude("Not personal for its readers.", seen=report.digest, parties={"thief": "The cap."})
    assert dora.study("flu").methods().releases[0]["columns"]
    assert dora.study("flu").report().digest == report.digest
    assert '<html lang="fr"' in dora.study("flu").report_page("fr")
    assert admin.study("flu").remove_member("ada").members == []
    assert admin.study("flu").close("done").state == "closed"


def manage_users(admin: Rowless, dora: Rowless, ada: Rowless) -> None:
    """Add and remove users and tokens; propose and confirm what takes two persons."""
    eve = admin.users.add("eve", "researcher", days=5)
    assert Rowless(ada.url, eve.token).me.name == "eve"
    reading = admin.users.new_token("eve", days=1, reads_only=True)
    assert Rowless(ada.url, reading.token).me.reads_only is True
    admin.users.revoke(reading.token_id)
    assert [one["id"] for one in admin.users.tokens("eve")] == [eve.token_id]
    with pytest.raises((Conflict, NotFound)):
        admin.users.end_account("eve")
    admin.users.remove("eve")
    assert "eve" not in [one.user for one in admin.users.list()]
    first = admin.proposals.make("add", "olga", role="dpo")
    second = dora.proposals.confirm(first.id)
    assert Rowless(ada.url, first.token_part + second.token_part).me.role == "dpo"
    waiting = admin.proposals.make("remove", "olga")
    assert [one.id for one in dora.proposals.list()] == [waiting.id]
    dora.proposals.withdraw(waiting.id)
    with pytest.raises(rowless_client.Refused):
        ada.link_account("no.good.token")


def read_the_log(dora: Rowless) -> None:
    """Read, export and verify the log, look at alerts and erase names that are due."""
    entries = dora.audit.entries(study="flu", action="query.release", order="newest", limit=1)
    assert [one.action for one in entries] == ["query.release"]
    assert len(dora.audit.entries(limit=1005, since="2020-01-01")) > 10
    exported = dora.audit.export(limit=3)
    assert exported.lines.count(b"\n") == 3
    checkpoint = dora.audit.checkpoint()
    assert exported.checkpoint.splitlines()[0] == checkpoint.origin
    assert dora.audit.prove_inclusion(0, checkpoint.size).root == checkpoint.root
    assert dora.audit.prove_consistency(1, checkpoint.size).root_to == checkpoint.root
    assert dora.audit.verify(key=checkpoint.key, older=[exported.checkpoint]).problems == []
    assert dora.audit.alerts(order="newest", kind="budget") == []
    assert dora.audit.identities(due=True) == []
    assert dora.audit.erase().erased == []


def everybody(ada: Rowless, admin: Rowless) -> None:
    """Ask what every role may know, and for the health of the server."""
    assert {one.name for one in ada.datasets()} == {"rand-hie", "clinic", "observatory"}
    assert ada.guarantee(0.5, delta=1e-6)
    assert ada.issuer().issuer is None
    assert ada.health().status == ada.live().status == "ok"
    assert ada.ready()
    assert admin.server().version


def test_prefix_is_that_of_the_server() -> None:
    """The client speaks to the version of the API that this repository serves."""
    assert addresses.PREFIX == PREFIX
