"""Columns about professionals: refused wherever a query can name one, unless the study's protocol gives a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from queries.language import references
from queries.planning import policy
from server.api.requests.query import QuerySchema
from tests.server.pages.browsing import browser
from tests.serving import PATIENTS, UNADVISED, Place, application, ask, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator

    Json = dict[str, Any]

REASON = "to compare practices of one region"
IS_A = {"column": "code", "op": "in", "value": ["C1", "C2"]}
OLD = {"column": "age", "op": ">=", "value": 65}
PER_PERSON = {"per_person": "visits", "values": {"n": {"count": "events"}}}
# Of two marked columns, code and cost, each place where a query can name one.
PLACES: dict[str, Json] = {
    "/query/where/column": {"where": IS_A},
    "/query/where/all/1/column": {"where": {"all": [OLD, {"not": IS_A}]}, "at": "/query/where/all/1/not/column"},
    "/query/where/value/where/column": {
        "where": {"column": "person", "op": "in", "value": {"persons": "visits", "where": IS_A}}
    },
    "/query/where/value/after/where/column": {
        "where": {
            "column": "person",
            "op": "in",
            "value": {"persons": "visits", "after": {"of": "visits", "where": IS_A, "within_days": 30}},
        }
    },
    "/query/group_by/0": {"group_by": ["code"]},
    "/query/group_by/1/column": {"group_by": ["sex", {"column": "cost", "bins": [0, 100, 300]}]},
    "/query/select/x/sum": {"select": {"x": {"sum": "cost"}}},
    "/query/select/x/histogram": {"select": {"x": {"histogram": "cost", "bins": [0, 100]}}},
    "/query/select/x/quantile": {"select": {"x": {"quantile": "cost", "at": 0.5}}},
    "/query/select/x/where/column": {"select": {"x": {"count": "events", "where": IS_A}}},
    "/query/select/x/proportion/column": {"select": {"x": {"proportion": IS_A}}},
    "/query/from/where/column": {"from": {**PER_PERSON, "where": IS_A}},
    "/query/from/values/v/sum": {"from": {**PER_PERSON, "values": {"v": {"sum": "cost", "bounds": [0, 10]}}}},
    "/query/from/values/v/exists/column": {"from": {**PER_PERSON, "values": {"v": {"exists": IS_A}}}},
}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over a clinic in which two columns are about professionals, with two studies."""
    folder = tmp_path_factory.mktemp("professionals")
    marked = {
        f"[tables.visits.columns.{name}]\n": f"[tables.visits.columns.{name}]\nprofessional = true\n"
        for name in ("code", "cost")
    }
    with application(make_home(folder / "home", write_clinic(folder, **marked))) as place:
        place.open_study("flu", "clinic")
        place.open_study("practices", "clinic", protocol={"professionals": {"code": REASON}})
        yield place


def body(place: Json) -> Json:
    """Return the request that names a marked column in one place."""
    parts = {name: part for name, part in place.items() if name not in ("at", "select", "from")}
    asked = ask(place.get("select", PATIENTS), table="visits", **parts)
    asked["query"]["from"] = place.get("from", "visits")
    if "code" in place.get("group_by", ()):
        asked["privacy"]["delta"] = 1e-8  # its values are not declared
    return asked


@pytest.mark.parametrize("pointer", PLACES)
def test_each_place_is_refused_for_free(clinic: Place, pointer: str) -> None:
    """A query, an estimate and a rehearsal are refused with the place, and nothing is charged."""
    asked, charged = body(PLACES[pointer]), clinic.home.charges("flu")
    for way in ("queries", "estimates", "rehearsals"):
        reply = clinic.client("ada").post(f"/studies/flu/{way}", asked)
        assert (reply.status, reply.code) == (403, "outside-protocol"), (way, reply.body)
        assert reply.json()["pointer"] == PLACES[pointer].get("at", pointer)
    assert clinic.home.charges("flu") == charged


def test_a_place_that_was_forgotten_is_noticed(clinic: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the check, what was refused is priced."""
    monkeypatch.setattr(policy, "check_professionals", lambda *_: None)
    asked = body(PLACES["/query/select/x/where/column"])
    assert clinic.client("ada").post("/studies/flu/estimates", asked).status == 200


def test_sql_is_refused_with_line_and_column(clinic: Place) -> None:
    """In SQL too, whatever the case of the name."""
    sql = "SELECT sex, COUNT(DISTINCT person) AS n FROM visits WHERE CODE = 'C1' GROUP BY sex"
    reply = clinic.client("ada").post("/studies/flu/estimates", {"sql": sql, "privacy": {"epsilon": 1}})
    assert (reply.status, reply.code) == (403, "outside-protocol")


def test_a_reason_in_the_protocol_allows_a_column(clinic: Place) -> None:
    """The column with a reason may be used, the other one not, and the log has which were used."""
    ada = clinic.client("ada")
    made = ada.good("POST", "/studies/practices/queries", body(PLACES["/query/where/column"]))
    assert ada.post("/studies/practices/estimates", body(PLACES["/query/select/x/sum"])).code == "outside-protocol"
    facts = [
        json.loads(entry)["facts"]
        for (entry,) in clinic.home.rows("SELECT body FROM audit_entries WHERE action = 'query.release'")
        if json.loads(entry)["subject"] == made["id"]
    ]
    assert [one["professionals"] for one in facts] == [["code"]]
    clinic.home.assert_sound()


def test_whoever_decides_sees_the_reason(clinic: Place) -> None:
    """The catalog marks the columns; the approver's page, the study and its report have the reason; so has a change."""
    columns = clinic.client("ada").good("GET", "/datasets/clinic")["tables"]["visits"]["columns"]
    assert [name for name, about in columns.items() if about.get("professional")] == ["cost", "code"]
    shown = clinic.client("vera").good("GET", "/studies/practices")
    assert shown["protocol"] == {"professionals": {"code": REASON}}
    clinic.open_study("waiting", "clinic", approve=False, protocol={"professionals": {"code": REASON}})
    assert REASON in browser(clinic, "vera").get("/studies/waiting/decide").words()
    report = json.dumps(clinic.client("dora").good("GET", "/studies/practices/report"))
    assert REASON in report
    assert "And professionals, in the columns code; cost:" in report


def test_the_form_offers_what_may_be_asked(clinic: Place) -> None:
    """The form of a question has no column about professionals, but those with a reason."""
    here = browser(clinic, "ada")
    form = {"table": "visits", "side": "form", "s-0-what": "sum", "s-0-column": "", "g-0-column": ""}
    offered = {study: here.post(f"/studies/{study}/ask", form).text for study in ("flu", "practices")}
    assert all('value="age"' in text and 'value="cost"' not in text for text in offered.values())
    assert ('value="code"' in offered["flu"], 'value="code"' in offered["practices"]) == (False, True)
    assert "about professionals" in here.get("/datasets/clinic").words()


@pytest.mark.parametrize("wrong", [{"code": ""}, {"code": None}, {"": "why"}, ["code"], "code", {"code": 5}])
def test_a_reason_is_a_text(clinic: Place, wrong: Any) -> None:
    """A column is allowed with a reason or not at all."""
    body_ = {"name": "w", "dataset": "clinic", "epsilon": 1.0, "title": "T", "purpose": "P", "legal_basis": "L"}
    reply = clinic.client("admin").post("/studies", {**body_, "protocol": {"professionals": wrong}})
    assert reply.status == 422
    assert reply.json()["pointer"].startswith("/protocol/professionals")


def test_a_change_of_reasons_waits_for_an_approval(clinic: Place) -> None:
    """A column that an admin adds may be used once an approver has approved the new terms."""
    clinic.open_study("changing", "clinic")
    clinic.client("admin").good("PATCH", "/studies/changing", {"protocol": {"professionals": {"cost": REASON}}})
    asked = body(PLACES["/query/select/x/sum"])
    assert clinic.client("ada").post("/studies/changing/estimates", asked).code == "not-approved"
    clinic.client("vera").good("POST", "/studies/changing/approve", {"reason": "it may", **UNADVISED})
    assert clinic.client("ada").post("/studies/changing/estimates", asked).status == 200


def test_places_are_all_that_queries_have() -> None:
    """Each place above is one that names the marked column, as the query's references say."""
    for pointer, place in PLACES.items():
        query = QuerySchema().load(body(place)["query"])
        named = {at for at, column in references.columns(query) if column in ("code", "cost")}
        assert named == {place.get("at", pointer)}
