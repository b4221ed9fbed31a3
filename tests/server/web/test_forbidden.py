"""Forbidden calls, as the log has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from budgets.alerts import bursts
from tests.serving import PATIENTS, Client, ask, through_app

if TYPE_CHECKING:
    from tests.serving import Place


def entries(place: Place, action: str, after: int) -> list[dict[str, Any]]:
    """Return the entries of an action beyond a position, after what is held back was written."""
    place.app.extensions["rowless"].write_what_is_held()
    rows = place.home.rows("SELECT body FROM audit_entries WHERE action = ? AND position > ?", action, after)
    return [json.loads(body) for (body,) in rows]


def test_a_forbidden_call_is_in_the_log(place: Place) -> None:
    """A call that a role does not include is an entry with route, role and study, and nothing that the caller wrote."""
    before = place.home.last_entry()
    ada = place.client("ada")
    assert ada.post("/studies/flu/approve", {"reason": "secret-reason"}).status == 403
    assert ada.request("PUT", "/studies/secret-study/members/secret-user").status == 403
    limited = place.new_token("dora", reads_only=True)
    assert Client(through_app(place.app), limited).post("/studies/flu/suspend", {"reason": "x"}).status == 403
    told = entries(place, "call.refuse", before)
    assert [(one["role"], one["study"], one["facts"]["asked"]) for one in told] == [
        ("researcher", "flu", "POST /api/v1/studies/<study>/approve"),
        ("researcher", None, "PUT /api/v1/studies/<study>/members/<user>"),
        ("dpo", "flu", "POST /api/v1/studies/<study>/suspend"),
    ]
    assert "secret" not in json.dumps(told)


def test_a_refused_query_is_one_entry(place: Place) -> None:
    """A query that is refused as a query is no forbidden call too: one refusal, one entry."""
    place.client("admin").good("PUT", "/studies/flu/members/ben")
    before = place.home.last_entry()
    body = ask(PATIENTS)
    place.client("dora").good("POST", "/studies/flu/suspend", {"reason": "x"})
    assert place.client("ada").post("/studies/flu/queries", body).status == 403
    assert len(entries(place, "query.refuse", before)) == 1
    assert entries(place, "call.refuse", before) == []


def test_a_burst_of_forbidden_calls_alerts(place: Place) -> None:
    """Who tries twenty doors that are closed to them is reported to the DPO, once, in few entries."""
    before = place.home.last_entry()
    for _ in range(60):
        assert place.client("ada").get("/audit/entries").status == 403
    told = entries(place, "call.refuse", before)
    assert len(told) == bursts.REFUSALS_LEAST + 1
    (counted,) = entries(place, "call.refuse.count", before)
    assert len(told) + counted["facts"]["count"] == 60
    assert place.home.actions(before).count("alert.refusals") == 1
    found = place.client("dora").good("GET", "/alerts?kind=refusals")["items"]
    assert [one["about"] for one in found] == ["ada"]
    place.home.assert_sound()
