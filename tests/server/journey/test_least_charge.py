"""The least that a question costs, over HTTP: refused alike by estimates, rehearsals and queries, before any charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.serving import FORMALITIES, PATIENTS, ask

if TYPE_CHECKING:
    from typing import Any

    from tests.serving import Place


@pytest.mark.parametrize("way", ["estimates", "rehearsals", "queries"])
@pytest.mark.parametrize(
    ("privacy", "pointer", "least"),
    [
        ({"epsilon": 0.000999999}, "/privacy/epsilon", "0.001"),
        ({"rho": 0.000000499}, "/privacy/rho", "5e-07"),
    ],
)
def test_a_smaller_offer_is_refused_everywhere(
    place: Place, way: str, privacy: dict[str, Any], pointer: str, least: str
) -> None:
    """With its place and the least, and nothing is charged."""
    refused = place.client("ada").post(f"/studies/flu/{way}", {**ask(PATIENTS), "privacy": privacy})
    assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-query", pointer)
    assert f"at least {least}," in refused.json()["detail"]
    assert place.home.charges() == []


def test_wide_margins_cost_the_least(place: Place) -> None:
    """Margins that would cost less are bought for the least: the charge, the note and the narrower margin say so."""
    body = {**ask(PATIENTS), "privacy": {"margin": {"patients": 10**9}}}
    said = place.client("ada").good("POST", "/studies/flu/queries", body)
    assert said["cost"]["epsilon"] == 0.001
    assert any("least that a question costs" in note for note in said["notes"])
    assert said["columns"][0]["margin"] < 10**5
    assert place.home.charges() == [("reserve", 1_000_000), ("settle", 1_000_000)]


def test_a_protocol_that_allows_less_than_any_question_costs_is_refused(place: Place) -> None:
    """When a study is opened and when it is edited, for the protocol and each template, with the place."""
    admin = place.client("admin")
    new = {
        "name": "new",
        "dataset": "rand-hie",
        "epsilon": 1.0,
        "title": "T",
        "purpose": "P",
        "legal_basis": "L",
        "formalities": FORMALITIES,
    }
    template = {"name": "t", "query": {"from": "years", "select": PATIENTS}, "max_epsilon": 0.0009}
    for protocol, pointer in (
        ({"max_epsilon": 0.0009}, "/protocol/max_epsilon"),
        ({"templates": [template]}, "/protocol/templates/0/max_epsilon"),
    ):
        for method, path, body in (("POST", "/studies", new), ("PATCH", "/studies/flu", {})):
            refused = admin.request(method, path, {**body, "protocol": protocol})
            assert (refused.status, refused.json()["pointer"]) == (422, pointer)
            assert "epsilon 0.001" in refused.json()["detail"]
    assert admin.get("/studies/new").status == 404
    assert admin.good("GET", "/studies/flu")["state"] == "approved"
    assert admin.request("POST", "/studies", {**new, "protocol": {"max_epsilon": 0.001}}).status == 201


def test_a_profile_has_the_same_least(place: Place) -> None:
    """What a custodian buys too."""
    refused = place.client("admin").post("/datasets/rand-hie/profile", {"epsilon": 0.0009})
    assert (refused.status, refused.json()["pointer"]) == (422, "/epsilon")
    assert place.home.rows("SELECT * FROM profile_charges") == []


def test_catalog_tells_least_charge(place: Place) -> None:
    """The catalog tells every role the least that a question costs."""
    assert place.client("ada").good("GET", "/datasets/rand-hie")["epsilon_min"] == 0.001
