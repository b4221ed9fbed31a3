"""What an approver has to look at again: the list of what waits, and each field that is not as it was approved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.serving import FORMALITIES, UNADVISED

if TYPE_CHECKING:
    from tests.serving import Place

AGREED = {"reason": "it may", **UNADVISED}


def changes(place: Place, study: str = "flu") -> dict[str, tuple[Any, Any]]:
    """Return before and after of each field that changed."""
    found = place.client("vera").good("GET", f"/studies/{study}/changes")["changes"]
    return {one["field"]: (one["before"], one["after"]) for one in found}


def test_each_field_that_is_not_as_approved_is_shown_with_before_and_after(shared: Place) -> None:
    """Terms, parts of the protocol, limits; what was changed back is no change, and an approval ends them all."""
    admin, vera = map(shared.client, ("admin", "vera"))
    shared.open_study("walk", epsilon=5.0, protocol={"tables": ["years"], "max_epsilon": 1.0})
    assert changes(shared, "walk") == {}
    assert vera.good("GET", "/studies/walk/changes")["approved"]["by"] == "vera"
    admin.good("PATCH", "/studies/walk", {"title": "New", "ends": "2030-01-01"})
    admin.good("PATCH", "/studies/walk", {"protocol": {"max_epsilon": 0.5, "min_margin": 4}})
    admin.good("PUT", "/studies/walk/budget", {"epsilon": 7.0, "justification": "a test", "reason": "more"})
    assert changes(shared, "walk") == {
        "title": ("T", "New"),
        "ends": (None, "2030-01-01"),
        "protocol/tables": (["years"], None),
        "protocol/max_epsilon": (1.0, 0.5),
        "protocol/min_margin": (None, 4.0),
        "budget/epsilon": (5.0, 7.0),
    }
    admin.good("PATCH", "/studies/walk", {"title": "T", "ends": None, "protocol": {"tables": ["years"]}})
    assert changes(shared, "walk") == {"protocol/max_epsilon": (1.0, None), "budget/epsilon": (5.0, 7.0)}
    vera.good("POST", "/studies/walk/approve", AGREED)
    assert changes(shared, "walk") == {}


def test_a_raise_that_was_approved_is_no_change(shared: Place) -> None:
    """The limit that counts is the one that an approver agreed to last, be it with the terms or alone."""
    admin, vera = map(shared.client, ("admin", "vera"))
    shared.open_study("raised", epsilon=1.0)
    admin.good("PUT", "/studies/raised/budget", {"epsilon": 2.0, "justification": "a test", "reason": "more"})
    assert changes(shared, "raised") == {}
    assert vera.good("GET", "/studies/raised/changes")["raise_reason"] == "more"
    vera.good("POST", "/studies/raised/budget/approve", AGREED)
    assert vera.good("GET", "/studies/raised/changes")["raise_reason"] is None
    assert changes(shared, "raised") == {}
    admin.good("PUT", "/studies/raised/budget", {"epsilon": 1.5, "justification": "a test", "reason": "less is enough"})
    assert changes(shared, "raised") == {"budget/epsilon": (2.0, 1.5)}


def test_what_was_never_approved_has_no_changes(shared: Place) -> None:
    """There is nothing to compare with."""
    body = {
        "name": "new",
        "dataset": "clinic",
        "epsilon": 1.0,
        "title": "T",
        "purpose": "P",
        "legal_basis": "L",
        "formalities": FORMALITIES,
    }
    shared.client("admin").good("POST", "/studies", body)
    assert shared.client("vera").good("GET", "/studies/new/changes") == {
        "approved": None,
        "changes": [],
        "raise_reason": None,
    }


def test_list_of_what_waits_has_drafts_and_raises_alone(place: Place) -> None:
    """An approved study without a raise does not wait, nor does a closed one whose raise nobody decided on."""
    admin, dora, vera = map(place.client, ("admin", "dora", "vera"))
    for name in ("draft", "raised", "closed"):
        place.open_study(name, epsilon=1.0)
    admin.good("PATCH", "/studies/draft", {"title": "New"})
    for name in ("raised", "closed"):
        admin.good("PUT", f"/studies/{name}/budget", {"epsilon": 2.0, "justification": "a test", "reason": "more"})
    dora.good("POST", "/studies/closed/close", {"reason": "over"})
    assert [one["id"] for one in vera.good("GET", "/studies?waiting=true")["items"]] == ["draft", "raised"]
    first = vera.good("GET", "/studies?waiting=true&limit=1")
    assert [one["id"] for one in first["items"]] == ["draft"]
    assert [one["id"] for one in vera.good("GET", f"/studies?waiting=true&cursor={first['next']}")["items"]] == [
        "raised"
    ]
