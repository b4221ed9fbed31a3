"""HAVING, ORDER BY, LIMIT and labels over HTTP: free, of the same release, in every form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from queries.release.showing import CHOSEN, FREE
from tests import comments
from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from tests.serving import Client, Place

QUERY = ask({**PATIENTS, "cost": {"mean": "cost"}}, 0.5, group_by=["site"])
SHOW = {
    "having": {"column": "patients", "op": ">", "value": 50},
    "order_by": [{"column": "patients", "descending": True}],
    "limit": 3,
}
TAIL = "HAVING patients > 50 ORDER BY patients DESC LIMIT 3"
IN_SQL: dict[str, Any] = {
    "sql": f"SELECT Site, COUNT(DISTINCT person) AS patients, AVG(cost) AS cost FROM years GROUP BY site {TAIL}",
    "privacy": {"epsilon": 0.5},
}


@pytest.fixture
def ada(place: Place) -> Client:
    """Return the client of the study's member."""
    return place.client("ada")


def release(client: Client, body: Any) -> Any:
    """Ask a query."""
    return client.good("POST", "/studies/flu/queries", body)


def test_rows_in_another_order_are_the_same_release(place: Place, ada: Client) -> None:
    """However it is shown, and in whichever spelling, a question is charged once, and stored as it was drawn."""
    first = release(ada, IN_SQL)
    found = [release(ada, body) for body in (QUERY, {**QUERY, "show": SHOW}, {**QUERY, "show": {"sql": TAIL}}, IN_SQL)]
    assert [answer["replayed"] for answer in found] == [True] * 4
    assert {answer["id"] for answer in found} == {first["id"]}
    assert place.home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]
    plain, *shown = found
    numbers = [row["patients"]["value"] for row in plain["rows"]]
    wanted = sorted((number for number in numbers if number > 50), reverse=True)[:3]
    assert len(wanted) == 3 < len(numbers)
    for answer in (first, *shown):
        assert [row["patients"]["value"] for row in answer["rows"]] == wanted
        assert all(row in plain["rows"] for row in answer["rows"])
        assert answer["show"] == {**SHOW, "sql": TAIL, "left_out": len(numbers) - 3}
        assert answer["sql"] == f"{plain['sql']} {TAIL}"
        assert CHOSEN in answer["notes"]
    assert "show" not in plain
    ((stored,),) = place.home.rows("SELECT body FROM releases")
    assert "ORDER BY" not in stored


def test_values_are_chosen_as_they_are_shown(ada: Client) -> None:
    """Rows are chosen by what post-processing made of the numbers."""
    body = ask(PATIENTS, 0.01, group_by=["age"], bounds={"cells_per_person": 1})
    raw = release(ada, body)
    assert any(row["patients"]["value"] < 0 for row in raw["rows"])
    having = {"having": {"column": "patients", "op": "=", "value": 0}}
    clamped = release(ada, {**body, "post": ["clamp"], "show": having})
    assert len(clamped["rows"]) >= sum(row["patients"]["value"] < 0 for row in raw["rows"])
    assert {row["patients"]["value"] for row in clamped["rows"]} == {0}


def test_estimate_and_rehearsal_say_it_too(place: Place, ada: Client) -> None:
    """An estimate says that it is free; a rehearsal is shown in the same way."""
    estimate = ada.good("POST", "/studies/flu/estimates", IN_SQL)
    plain = ada.good("POST", "/studies/flu/estimates", QUERY)
    assert estimate["question"] == plain["question"]
    assert estimate["cost"] == plain["cost"]
    assert FREE in estimate["notes"]
    assert FREE not in plain["notes"]
    assert estimate["show"] == {**SHOW, "sql": TAIL}
    assert estimate["sql"].endswith(TAIL)
    rehearsal = ada.good("POST", "/studies/flu/rehearsals", IN_SQL)
    values = [row["patients"]["value"] for row in rehearsal["rows"]]
    assert values == sorted(values, reverse=True)
    assert len(values) <= 3
    assert place.home.charges() == []


def test_stored_release_is_shown_in_any_way(ada: Client) -> None:
    """Reading again takes SQL or JSON, in each form."""
    first = release(ada, IN_SQL)
    path = f"/studies/flu/releases/{first['id']}"
    for text in (TAIL, TAIL.lower(), json.dumps(SHOW), json.dumps({"sql": TAIL})):
        again = ada.good("GET", f"{path}?{urlencode({'show': text})}")
        assert (again["rows"], again["show"], again["sql"]) == (first["rows"], first["show"], first["sql"])
    everything = ada.good("GET", path)
    assert len(everything["rows"]) > 3
    shown = f"{path}?{urlencode({'show': TAIL})}"
    _, lines, said = comments.read(ada.get(shown, Accept="text/csv").body.decode())
    assert [line["site"] for line in lines] == [str(row["site"]) for row in first["rows"]]
    assert any(TAIL in line for line in said)
    assert any(line.startswith("# note: shown are 3 of") for line in said)
    svg = ada.get(shown, Accept="image/svg+xml").body.decode()
    assert svg.count(f">{first['rows'][0]['site']}<") >= 1
    dropped = next(row["site"] for row in everything["rows"] if row not in first["rows"])
    assert f">{dropped}<" not in svg


def test_own_labels_of_bins(place: Place, ada: Client) -> None:
    """Labels of a CASE name the rows and buy nothing; the release keeps the bins' own."""
    case = "CASE WHEN age >= 0 AND age < 18 THEN '{}' WHEN age >= 18 AND age < 65 THEN '{}' END AS age"
    asked = "SELECT {}, COUNT(DISTINCT person) AS patients FROM years GROUP BY age"
    labels = [("[0, 18)", "[18, 65)"), ("child", "adult"), ("enfant", "adulte")]
    found = [release(ada, {"sql": asked.format(case.format(*one)), "privacy": {"epsilon": 0.5}}) for one in labels]
    assert [[row["age"] for row in answer["rows"]] for answer in found] == [list(one) for one in labels]
    assert [answer["replayed"] for answer in found] == [False, True, True]
    assert len({str([row["patients"] for row in answer["rows"]]) for answer in found}) == 1
    assert "'enfant'" in found[2]["sql"]
    again = release(ada, {"sql": found[2]["sql"], "privacy": {"epsilon": 0.5}})
    assert (again["rows"], again["sql"]) == (found[2]["rows"], found[2]["sql"])
    assert place.home.reserved() == 1


@pytest.mark.parametrize(
    ("show", "pointer"),
    [
        ({}, "/show"),
        ([], "/show"),
        ({"order": ["patients"]}, "/show/order"),
        ({"order_by": []}, "/show/order_by"),
        ({"order_by": [{"column": "patients", "descending": 1}]}, "/show/order_by/0/descending"),
        ({"order_by": ["nothing"]}, "/show/order_by/0"),
        ({"limit": 0}, "/show/limit"),
        ({"limit": True}, "/show/limit"),
        ({"having": {"column": "patients", "op": ">", "value": "x"}}, "/show/having/value"),
        ({"having": {"column": "person", "op": "in", "value": {"persons": "years"}}}, "/show/having"),
        ({"labels": {"site": ["a"]}}, "/show/labels/site"),
        ({"labels": {"site": "a"}}, "/show/labels/site"),
        ({"sql": "LIMIT 3", "limit": 3}, "/show/limit"),
        ({"sql": "LIMIT x"}, "/show/sql"),
        ({"sql": "WHERE patients > 3"}, "/show/sql"),
        ({"sql": "LIMIT 3; DROP TABLE releases"}, "/show/sql"),
        ({"sql": 3}, "/show/sql"),
    ],
)
def test_what_cannot_be_shown_is_refused_free(place: Place, ada: Client, show: Any, pointer: str) -> None:
    """A mistake in how the answer is to be shown is refused with its place, before any charge."""
    refused = ada.post("/studies/flu/queries", {**QUERY, "show": show})
    assert (refused.status, refused.code) == (422, "invalid-query")
    assert refused.json()["pointer"] == pointer
    assert place.home.charges() == []


def test_sql_says_it_or_show_says_it(place: Place, ada: Client) -> None:
    """Two ways at once are refused, and a mistake in the SQL has its place in the SQL."""
    both = ada.post("/studies/flu/queries", {**IN_SQL, "show": SHOW})
    assert (both.status, both.json()["pointer"]) == (422, "/show")
    wrong = ada.post(
        "/studies/flu/queries", {**IN_SQL, "sql": IN_SQL["sql"].replace("ORDER BY patients", "ORDER BY nothing")}
    )
    assert (wrong.status, wrong.json()["pointer"]) == (422, "/sql")
    beside = ada.post(
        "/studies/flu/queries",
        {**IN_SQL, "sql": IN_SQL["sql"].removesuffix(TAIL), "show": {"limit": 1, "order_by": ["nothing"]}},
    )
    assert (beside.status, beside.json()["pointer"]) == (422, "/show/order_by/0")
    assert "order_by 0: the answer has no column nothing" in wrong.json()["detail"]
    assert place.home.charges() == []


def test_reading_with_a_mistake_is_refused(ada: Client) -> None:
    """A stored release refuses what it has no column for, and texts that cannot be read."""
    path = f"/studies/flu/releases/{release(ada, QUERY)['id']}"
    for text, pointer in (
        ("ORDER BY nothing", "/show/order_by/0"),
        ("ORDER", "/show"),
        ("{", "/show"),
        ('{"a": 1}', "/show/a"),
    ):
        refused = ada.get(f"{path}?{urlencode({'show': text})}")
        assert (refused.status, refused.json()["pointer"]) == (422, pointer), text


def test_hidden_numbers_stay_hidden_in_any_order(place: Place) -> None:
    """Where a protocol hides small cells, no order and no condition tells anything of a hidden number."""
    below = 12
    body = ask(PATIENTS, 0.5, group_by=["age"], bounds={"cells_per_person": 5})
    place.open_study("open")
    ada = place.client("ada")
    place.open_study("strict", protocol={"hide_below": below})

    def asked(study: str, show: Any = None) -> Any:
        return ada.good("POST", f"/studies/{study}/queries", body if show is None else {**body, "show": show})

    plain = asked("strict")
    hidden = [row["age"] for row in plain["rows"] if row["patients"]["value"] is None]
    seen = {row["age"]: row["patients"]["value"] for row in plain["rows"] if row["patients"]["value"] is not None}
    assert hidden
    assert seen
    assert min(seen.values()) >= below
    for descending in (False, True):
        found = asked("strict", {"order_by": [{"column": "patients", "descending": descending}]})["rows"]
        assert [row["age"] for row in found] == [
            *sorted(seen, key=lambda age: seen[age] * (-1 if descending else 1)),
            *hidden,
        ]
        low = asked("strict", {"order_by": [{"column": "patients_low", "descending": descending}]})["rows"]
        assert [row["age"] for row in low[-len(hidden) :]] == hidden
    for having in (
        {"column": "patients", "op": "<", "value": below},
        {"not": {"column": "patients", "op": ">=", "value": below}},
        {"column": "patients_high", "op": "<", "value": -(10**6)},
    ):
        assert asked("strict", {"having": having})["rows"] == []
    kept = asked("strict", {"having": {"column": "patients", "op": ">=", "value": below}})
    assert [row["age"] for row in kept["rows"]] == list(seen)
    assert "raw_value" not in str(kept)
