"""Code lists of a study, over HTTP: kept in its protocol, asked for by name, the same question as their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from tests.serving import Place

ILL = {"column": "health", "op": "in", "value": {"list": "ill"}}


def asked(where: Any, **more: Any) -> dict[str, Any]:
    """Return a request with a filter."""
    return {**ask(PATIENTS, 0.5, "years", where=where), **more}


def test_a_list_stands_for_its_codes(place: Place) -> None:
    """By its name in JSON and SQL or written out: one question, one charge, and the answer shows the codes."""
    place.open_study("lists", protocol={"code_lists": {"ill": ["poor", "fair"], "begins": ["po", "fa"]}})
    ada = place.client("ada")
    answer = ada.good("POST", "/studies/lists/queries", asked(ILL))
    assert answer["query"]["where"] == {"column": "health", "op": "in", "value": ["poor", "fair"]}
    assert "list" not in answer["sql"].lower()
    text = "SELECT COUNT(DISTINCT person) AS patients FROM years WHERE "
    for where in ("health IN CODES('ill')", "health IN ('fair', 'poor')", "STARTS_WITH(health, CODES('begins'))"):
        said = ada.good("POST", "/studies/lists/queries", {"sql": text + where, "privacy": {"epsilon": 0.5}})
        assert said["replayed"], where
    assert ada.good("GET", "/studies/lists")["protocol"]["code_lists"]["ill"] == ["poor", "fair"]


def test_a_list_of_another_study_is_refused_before_any_charge(place: Place) -> None:
    """With its place, for estimates and rehearsals too."""
    place.open_study("lists", protocol={"code_lists": {"other": ["poor"]}})
    for study in ("flu", "lists"):
        for way in ("queries", "estimates", "rehearsals"):
            refused = place.client("ada").post(f"/studies/{study}/{way}", asked(ILL))
            assert (refused.status, refused.json()["pointer"]) == (422, "/query/where/value/list")
    sql = {"sql": "SELECT COUNT(*) FROM years WHERE health IN CODES('ill')", "privacy": {"epsilon": 0.5}}
    refused = place.client("ada").post("/studies/lists/queries", sql)
    assert (refused.status, refused.json()["pointer"]) == (422, "/sql")
    assert place.home.charges() == []


def test_a_strict_protocol_takes_lists_and_codes(place: Place) -> None:
    """A template with a list is met by the list and, written with codes, by them."""
    body = asked(ILL)["query"]
    written = asked({**ILL, "value": ["poor", "fair"]})["query"]
    protocol = {"strict": True, "code_lists": {"ill": ["poor", "fair"]}}
    for study, query in (("named", body), ("written", written)):
        place.open_study(study, protocol={**protocol, "templates": [{"name": "t", "query": query}]})
        assert place.client("ada").good("POST", f"/studies/{study}/queries", asked(ILL))["rows"]
    assert place.client("ada").post("/studies/written/queries", asked({**ILL, "value": ["poor"]})).status == 403


@pytest.mark.parametrize(
    ("lists", "place_of"),
    [
        ({"a b": ["x"]}, "/a b"),
        ({"a": []}, "/a"),
        ({"a": "x"}, "/a"),
        ({"a": ["x", 1]}, "/a/1"),
        ({"a": ["x", ""]}, "/a/1"),
        ({"a": ["x", "x"]}, "/a"),
        ({"a": [str(n) for n in range(15_001)]}, ""),
        ({f"a{n}": ["x"] for n in range(101)}, ""),
        (["x"], ""),
    ],
)
def test_odd_lists_are_refused_with_their_place(place: Place, lists: Any, place_of: str) -> None:
    """When a protocol is sent."""
    refused = place.client("admin").request("PATCH", "/studies/flu", {"protocol": {"code_lists": lists}})
    assert (refused.status, refused.json()["pointer"]) == (422, f"/protocol/code_lists{place_of}")
