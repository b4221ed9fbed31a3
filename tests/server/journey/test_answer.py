from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from budgets.errors import Forbidden, NotApproved, NotFound
from budgets.identity import people
from budgets.ledger.charges import Charge
from server.api.requests.query import AskSchema
from server.demo.setup import MANIFEST
from server.errors import QUERY_FAILED, QueryFailed, StoreUnavailable
from server.journey import answer, paid, preparing
from server.runtime.scans import slots
from server.web import problems
from tests.server.journey.test_slot import RealClock
from tests.serving import (
    PATIENTS,
    REQUEST_ID,
    UNADVISED,
    application,
    ask,
    damaged,
    import_file,
    write_clinic,
    write_demo_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving import Client, Home, Place, Reply

# The reply to every failure after the charge, whatever its cause.
CONSTANT = {
    "request_id": REQUEST_ID,
    "type": "urn:rowless:problem:query-failed",
    "title": problems.PROBLEMS[QueryFailed].title,
    "status": 500,
    "code": "query-failed",
    "detail": QUERY_FAILED,
}
YEAR_2 = {"column": "year", "op": ">=", "value": 2}
COSTS = {"costs": {"sum": "cost", "bounds": [0, 1000]}}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures that are wanted out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def ada(place: Place) -> Client:
    """Return the client of the study's member."""
    return place.client("ada")


def query(client: Client, body: dict[str, Any], study: str = "flu", key: str | None = None) -> Reply:
    """Ask a query, perhaps with an Idempotency-Key."""
    return client.post(f"/studies/{study}/queries", body, **({} if key is None else {"Idempotency_Key": key}))


def release(client: Client, body: dict[str, Any], study: str = "flu", key: str | None = None) -> Any:
    """Ask a query that must be answered."""
    reply = query(client, body, study, key)
    assert reply.status == 201, reply
    return reply.json()


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Return what an act gives in each of several threads that start together."""
    barrier, found = threading.Barrier(count), [None] * count

    def run(place: int) -> None:
        barrier.wait()
        found[place] = act(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# Right answers


def test_noisy_answers_are_near_the_exact_ones(ada: Client) -> None:
    """Counts, sums and means lie within ten of their margins of what DuckDB computes from the source itself."""
    select = {
        "patients": {"count": "persons"},
        "rows": {"count": "events"},
        "visits": {"sum": "visits"},
        "mean": {"mean": "visits"},
    }
    said = release(ada, ask(select, 40.0, where=YEAR_2, group_by=["coinsurance"]))
    with duckdb.connect() as connection:
        exact = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT CAST(CAST(coins AS INTEGER) AS VARCHAR), count(DISTINCT zper), count(*), sum(mdvis), avg(mdvis)"
                "FROM read_parquet(?) WHERE year >= 2 GROUP BY 1",
                [str(MANIFEST.with_name("rand_hie.parquet"))],
            ).fetchall()
        }
    assert [row["coinsurance"] for row in said["rows"]] == ["0", "25", "50", "95", "100"]
    for row in said["rows"]:
        for name, wanted in zip(select, exact[row["coinsurance"]], strict=True):
            cell = row[name]
            margin = max(cell["high"] - cell["value"], cell["value"] - cell["low"])
            assert margin < 0.25 * wanted, (row, name)
            assert abs(cell["value"] - wanted) <= 10 * (margin or 1), (row, name, wanted)
    margins = {column["name"]: column.get("margin") for column in said["columns"]}
    for name in ("patients", "rows", "visits"):
        for row in said["rows"]:
            assert row[name]["high"] - row[name]["value"] == margins[name]


def test_answers_have_noise(place: Place, ada: Client) -> None:
    """Forty questions of the same count at forty prices do not all give the same number."""
    values = {release(ada, ask(PATIENTS, 0.5 + n / 1000))["rows"][0]["patients"]["value"] for n in range(40)}
    assert len(values) > 5


def test_the_charge_is_what_was_asked_for(place: Place, ada: Client) -> None:
    """A query of epsilon 0.75 charges 750,000,000 billionths to the study and to the dataset, and says so."""
    said = release(ada, ask(PATIENTS, 0.75))
    assert said["cost"] == {"epsilon": 0.75, "rho": 0.28125, "delta": 0.0}
    assert said["budget"]["spent"]["epsilon"] == 0.75
    assert place.home.charges() == [("reserve", 750_000_000), ("settle", 750_000_000)]
    assert place.home.used_nano("study", "flu") == place.home.used_nano("dataset", "rand-hie") == 750_000_000
    place.home.assert_sound()


# Replays


def test_the_same_query_again_is_the_same_answer_free(place: Place, ada: Client) -> None:
    """A hundred times the same query: one charge, one audit reserve, and the very same rows."""
    body = ask({**PATIENTS, "mean": {"mean": "visits"}}, group_by=["sex"])
    first, *others = [release(ada, body) for _ in range(100)]
    assert not first["replayed"]
    for other in others:
        assert other == {**first, "replayed": True, "budget": first["budget"]}
    assert place.home.charges() == [("reserve", 1_000_000_000), ("settle", 1_000_000_000)]
    actions = place.home.actions()
    assert (actions.count("query.reserve"), actions.count("query.release"), actions.count("query.replay")) == (1, 1, 1)


SPELLINGS = {
    "between": (
        {"where": {"column": "year", "op": "between", "value": [2, 4]}},
        {"where": {"all": [YEAR_2, {"column": "year", "op": "<=", "value": 4}]}},
    ),
    "order of parts": (
        {"where": {"all": [YEAR_2, {"column": "sex", "op": "=", "value": "male"}]}},
        {"where": {"all": [{"column": "sex", "op": "=", "value": "male"}, YEAR_2]}},
    ),
    "2 and 2.0": ({"where": YEAR_2}, {"where": {**YEAR_2, "value": 2.0}}),
    "strictness on whole numbers": ({"where": YEAR_2}, {"where": {"column": "year", "op": ">", "value": 1}}),
    "two negations": ({"where": YEAR_2}, {"where": {"not": {"not": YEAR_2}}}),
    "a list of one": (
        {"where": {"column": "sex", "op": "=", "value": "male"}},
        {"where": {"column": "sex", "op": "in", "value": ["male", "male"]}},
    ),
    "De Morgan": (
        {"where": {"not": {"any": [{"column": "sex", "op": "=", "value": "male"}, {"not": YEAR_2}]}}},
        {"where": {"all": [YEAR_2, {"column": "sex", "op": "!=", "value": "male"}]}},
    ),
    "the table's own bounds": ({}, {"bounds": {"cells_per_person": 5, "events_per_cell": 5}}),
    "a key as an object": ({"group_by": ["sex"]}, {"group_by": [{"column": "sex"}]}),
    "a key by its own name": ({"group_by": ["sex"]}, {"group_by": [{"column": "sex", "as": "sex"}]}),
    "edges of bins": (
        {"group_by": [{"column": "age", "bins": [0, 18, 40]}]},
        {"group_by": [{"column": "age", "bins": [0.0, 18.0, 40.0]}]},
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_another_spelling_is_the_same_question(place: Place, ada: Client, name: str) -> None:
    """However a query is spelled, it is answered once and charged once."""
    one, other = SPELLINGS[name]
    first = release(ada, ask(PATIENTS, **one))
    second = release(ada, ask(PATIENTS, **other))
    assert (second["replayed"], second["rows"], second["id"]) == (True, first["rows"], first["id"])
    assert place.home.reserved() == 1


def test_the_order_of_statistics_is_spelling(place: Place, ada: Client) -> None:
    """Two statistics asked in the other order are the same question."""
    one = release(ada, ask({"a": {"count": "persons"}, "b": {"count": "events"}}))
    other = release(ada, ask({"b": {"count": "events"}, "a": {"count": "persons"}}))
    assert other["replayed"]
    assert other["rows"] == one["rows"]


@pytest.mark.parametrize(
    "other",
    [
        ask(PATIENTS, 0.5),
        ask({"people": {"count": "persons"}}),
        ask({"patients": {"count": "events"}}),
        ask(PATIENTS, where=YEAR_2),
        ask(PATIENTS, group_by=["sex"]),
        ask(PATIENTS, table="persons"),
    ],
)
def test_another_question_is_another_charge(place: Place, ada: Client, other: dict[str, Any]) -> None:
    """What differs in epsilon, statistic, name, filter, key or table is charged anew."""
    release(ada, ask(PATIENTS))
    assert not release(ada, other)["replayed"]
    assert place.home.reserved() == 2
    place.home.assert_sound()


def test_an_answer_belongs_to_its_study(place: Place, ada: Client) -> None:
    """The same question of another study is charged to that study and drawn anew."""
    place.open_study("other")
    one = release(ada, ask(PATIENTS))
    other = release(ada, ask(PATIENTS), "other")
    assert not other["replayed"]
    assert other["id"] != one["id"]
    assert place.home.reserved("flu") == place.home.reserved("other") == 1
    assert place.home.used_nano("dataset", "rand-hie") == 2_000_000_000


def test_two_clients_at_once_get_one_answer(place: Place, ada: Client) -> None:
    """Eight clients that ask one thing at the same moment share one charge and one answer."""
    for turn in range(3):
        body = ask({**PATIENTS, "visits": {"sum": "visits"}}, 1 + turn / 10, group_by=["site", "year"])
        found = at_once(8, lambda _, body=body: release(ada, body))  # type: ignore[misc]
        assert {str(said["rows"]) for said in found} == {str(found[0]["rows"])}
        assert len({said["id"] for said in found}) == 1
        assert place.home.reserved() == turn + 1
    place.home.assert_sound()


# Idempotency keys


def test_a_key_ties_a_retry_to_its_request(place: Place, ada: Client) -> None:
    """The same key with the same body replays; with another body it is refused and nothing is charged."""
    first = release(ada, ask(PATIENTS), key="one")
    again = release(ada, ask(PATIENTS), key="one")
    assert (again["replayed"], again["id"]) == (True, first["id"])
    refused = query(ada, ask(PATIENTS, 0.5), key="one")
    assert (refused.status, refused.code) == (409, "idempotency-conflict")
    assert place.home.reserved() == 1
    assert not release(ada, ask(PATIENTS, 0.5), key="other")["replayed"]
    assert place.home.reserved() == 2


def test_a_key_that_was_refused_may_be_used_again(place: Place, ada: Client) -> None:
    """A request refused for its cost leaves its key free."""
    assert query(ada, ask(PATIENTS, 1001.0), key="k").code == "budget-exceeded"
    assert not release(ada, ask(PATIENTS, 1.0), key="k")["replayed"]


def test_idempotency_keys_are_per_study(place: Place, ada: Client) -> None:
    """Two studies may use the same key for different requests."""
    place.open_study("other")
    release(ada, ask(PATIENTS), key="k")
    assert not release(ada, ask(PATIENTS, 0.5), "other", key="k")["replayed"]


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_impossible_key_is_refused(place: Place, ada: Client, key: str) -> None:
    """A key is from 1 to 255 printable characters."""
    refused = query(ada, ask(PATIENTS), key=key)
    assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-request", "/Idempotency-Key")
    assert place.home.charges() == []


# Estimates


@pytest.mark.parametrize(
    "body",
    [
        ask(PATIENTS, 0.3),
        ask({**PATIENTS, "mean": {"mean": "cost", "bounds": [0, 500]}}, 0.7, group_by=["sex", "year"]),
        ask({"total": {"sum": "visits"}, "rows": {"count": "events"}}, 1.0, where=YEAR_2),
    ],
)
def test_an_estimate_says_what_the_release_will(place: Place, ada: Client, body: dict[str, Any]) -> None:
    """An estimate's cost, margins, bounds and notes are those of the release, and it charges nothing."""
    told = ada.good("POST", "/studies/flu/estimates", body)
    assert place.home.charges() == []
    assert place.home.used_nano("study", "flu") == 0
    assert told["affordable"]
    said = release(ada, body)
    for part in ("cost", "columns", "bounds"):
        assert told[part] == said[part]
    assert said["notes"][: len(told["notes"])] == told["notes"]  # the rest are warnings of values within the noise
    assert told["cells"] == len(said["rows"])
    assert place.home.used_nano("study", "flu") == round(told["cost"]["epsilon"] * 1e9)


def test_an_estimate_beyond_the_budget_says_so(place: Place, ada: Client) -> None:
    """An estimate of what cannot be paid is free and says that it is not affordable."""
    place.open_study("small", epsilon=0.5)
    assert ada.good("POST", "/studies/small/estimates", ask(PATIENTS, 0.5))["affordable"]
    assert not ada.good("POST", "/studies/small/estimates", ask(PATIENTS, 0.500000001))["affordable"]


def test_an_estimate_knows_what_was_asked_before(place: Place, ada: Client) -> None:
    """A question that has its answer is free, whatever is left: its estimate names the answer, in either spelling."""
    place.open_study("small", epsilon=0.5)
    asked = ask(PATIENTS, 0.5)
    assert ada.good("POST", "/studies/small/estimates", asked)["release"] is None
    answered = release(ada, asked, "small")
    spelled = {"sql": answered["sql"], "privacy": {"epsilon": 0.5}}
    for body in (asked, spelled):
        told = ada.good("POST", "/studies/small/estimates", body)
        assert (told["release"], told["affordable"], told["queries_left"]) == (answered["id"], True, 0)
    other = ada.good("POST", "/studies/small/estimates", ask(PATIENTS, 0.4))
    assert (other["release"], other["affordable"]) == (None, False)


# Refusals


def test_what_exceeds_the_budget_is_refused_free(place: Place, ada: Client) -> None:
    """One billionth beyond the study's limit is refused, says what is left, charges nothing; the limit itself fits."""
    place.open_study("small", epsilon=0.5)
    refused = query(ada, ask(PATIENTS, 0.500000001), "small")
    assert (refused.status, refused.code) == (409, "budget-exceeded")
    told = refused.json()
    assert told["account"] == "study"
    assert (told["cost"]["epsilon"], told["remaining"]["epsilon"]) == (0.500000001, 0.5)
    assert place.home.charges() == []
    assert place.home.actions()[-1] == "query.refuse"
    release(ada, ask(PATIENTS, 0.5), "small")
    assert query(ada, ask(PATIENTS, 1e-9), "small").status in (409, 422)
    assert place.home.used_nano("study", "small") == 500_000_000
    place.home.assert_sound()


@pytest.mark.parametrize("state", ["draft", "suspended", "closed"])
def test_only_an_approved_study_may_ask(place: Place, ada: Client, state: str) -> None:
    """A draft, a suspended and a closed study are refused with 403 not-approved, for free, even a replay."""
    place.open_study("s", approve=state != "draft")
    if state != "draft":
        release(ada, ask(PATIENTS), "s")
        place.client("dora").good(
            "POST", f"/studies/s/{state[:-2] if state == 'suspended' else 'close'}", {"reason": "r"}
        )
    before = place.home.charges()
    for way in ("queries", "estimates"):
        refused = ada.post(f"/studies/s/{way}", ask(PATIENTS))
        assert (refused.status, refused.code) == (403, "not-approved")
    assert place.home.charges() == before


def prepared(place: Place, body: dict[str, Any]) -> answer.QueryPurchase:
    """Return a prepared request of Ada's, ready to be paid for."""
    loaded = AskSchema().load(body)
    with place.services.database.read() as transaction:
        actor = people.user(transaction, "ada")
    request = preparing.Request(loaded["query"], loaded["privacy"])
    return answer.QueryPurchase.of(place.services, actor, preparing.prepare(place.services, actor, "flu", request))


def test_a_suspension_in_between_is_honoured(place: Place) -> None:
    """A study suspended after a request was planned and before it was charged is not charged."""
    ready = prepared(place, ask(PATIENTS))
    place.client("dora").good("POST", "/studies/flu/suspend", {"reason": "now"})
    with pytest.raises(NotApproved):
        paid.replay_or_reserve(ready)
    assert place.home.charges() == []


def test_a_change_of_terms_in_between_is_honoured(place: Place) -> None:
    """What was planned under a protocol that was replaced, and the new one approved, before the charge is not charged."""
    ready = prepared(place, ask(PATIENTS))
    place.client("admin").good("PATCH", "/studies/flu", {"protocol": {"tables": ["persons"]}})
    place.client("vera").good("POST", "/studies/flu/approve", {"reason": "less", **UNADVISED})
    with pytest.raises(NotApproved, match="changed"):
        paid.replay_or_reserve(ready)
    assert place.home.charges() == []


def test_an_end_of_membership_in_between_is_honoured(place: Place) -> None:
    """A member removed after a request was planned and before it was charged does not charge."""
    ready = prepared(place, ask(PATIENTS))
    place.client("admin").good("DELETE", "/studies/flu/members/ada")
    with pytest.raises(NotFound):
        paid.replay_or_reserve(ready)
    assert place.home.charges() == []


# Failures after the charge


BODIES = "SELECT body FROM audit_entries WHERE position > ? ORDER BY position"


def test_a_failed_scan_is_charged_and_resumes_free(place: Place, ada: Client) -> None:
    """A store that cannot be read: a charge, one constant text; mended, the same request goes on at no further cost."""
    body = ask(COSTS, 0.5)
    with damaged(place.home.store("rand-hie"), "person, cost", "years"):
        for _ in range(2):
            failed = query(ada, body, key="k")
            assert failed.status == 500
            assert failed.json() == CONSTANT
            assert place.home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]
        place.home.assert_sound()
    said = release(ada, body, key="k")
    assert not said["replayed"]
    assert place.home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]
    assert release(ada, body)["replayed"]
    actions = [action for action in place.home.actions() if action.startswith("query.")]
    assert actions == [
        *("query.reserve", "query.fail", "query.resume", "query.fail", "query.resume", "query.release", "query.replay")
    ]
    place.home.assert_sound()


def test_query_that_failed_three_times_refused(place: Place, ada: Client) -> None:
    """A charge pays for three attempts, each an entry with its number; then nothing is scanned, charged or given back."""
    body = ask(COSTS, 0.5)
    before = place.home.last_entry()
    with damaged(place.home.store("rand-hie"), "person, cost", "years"):
        assert [query(ada, body).status for _ in range(3)] == [500] * 3
    for key in (None, "k"):  # though the store is whole again
        refused = query(ada, body, key=key)
        assert (refused.status, refused.code) == (409, "attempts-spent")
    assert place.home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]
    entries = [json.loads(text) for (text,) in place.home.rows(BODIES, before)]
    assert [(one["action"], one["facts"].get("attempt"), one["facts"].get("code")) for one in entries] == [
        ("query.reserve", None, None),
        ("query.fail", None, None),
        ("query.resume", 2, None),
        ("query.fail", None, None),
        ("query.resume", 3, None),
        ("query.fail", None, None),
        ("query.refuse", None, "attempts-spent"),
        ("query.refuse", None, "attempts-spent"),
    ]
    assert not release(ada, ask(COSTS, 0.25))["replayed"], "another epsilon is another question"
    place.home.assert_sound()


def test_a_store_that_does_not_open_gives_the_charge_back(home: Home) -> None:
    """A store that cannot even be opened: 503, the charge given back, and once it opens the same request is answered."""
    body = ask(COSTS, 0.5)
    with application(home) as place:
        place.open_study()
        ada, store = place.client("ada"), home.store("rand-hie")
        whole = store.read_bytes()
        store.write_bytes(b"no database" * 1000)
        for turn in (1, 2):
            failed = query(ada, body, key="k")
            assert (failed.status, failed.code) == (503, "unavailable")
            assert "nothing was charged" in failed.json()["detail"]
            assert failed.headers["retry-after"]
            assert [kind for kind, _ in home.charges()] == ["reserve", "void"] * turn
            assert home.used_nano("study", "flu") == home.used_nano("dataset", "rand-hie") == 0
            home.assert_sound()
        store.write_bytes(whole)
        assert not release(ada, body, key="k")["replayed"]
        assert home.used_nano("study", "flu") == 500_000_000
    actions = [action for action in home.actions() if action.startswith("query.")]
    assert actions == ["query.reserve", "query.void"] * 2 + ["query.reserve", "query.release"]
    home.assert_sound()


def test_what_another_attempt_scans_on_is_not_given_back(home: Home) -> None:
    """An attempt whose store does not open leaves the charge alone once another attempt has resumed it."""
    body = ask(COSTS, 0.5)
    with application(home) as place:
        place.open_study()
        ready = prepared(place, body)
        charge = paid.replay_or_reserve(ready)
        assert isinstance(charge, Charge)
        assert release(place.client("ada"), body)["rows"]
        place.services.stores.close()
        store = home.store("rand-hie")
        store.write_bytes(b"no database" * 1000)
        with pytest.raises(StoreUnavailable):
            paid.open_store(ready, charge)
    assert home.used_nano("study", "flu") == 500_000_000
    assert "query.void" not in home.actions()
    home.assert_sound()


def test_a_query_without_enough_memory_is_charged(home: Home) -> None:
    """A scan that runs out of the engine's memory gives the same constant text and is charged."""
    wide = ask({name: {"mean": name} for name in ("cost", "visits", "income")}, 0.5, group_by=["plan", "year"])
    with application(home, memory_limit="300KB") as place:
        place.open_study()
        failed = query(place.client("ada"), wide)
        assert failed.status == 500
        assert failed.json() == CONSTANT
        assert home.charges() == [("reserve", 500_000_000), ("settle", 500_000_000)]


def test_an_estimate_that_works_too_long_is_refused(place: Place, ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond its seconds of work an estimate is refused with its code; the query itself has no such limit."""
    monkeypatch.setattr(answer, "ESTIMATE_SECONDS", -1.0)
    refused = ada.post("/studies/flu/estimates", ask(COSTS, 0.5))
    assert (refused.status, refused.code, refused.json()["pointer"]) == (422, "invalid-query", "/query")
    assert "seconds" in refused.json()["detail"]
    assert query(ada, ask(COSTS, 0.5)).status == 201


def test_an_estimate_does_not_open_the_store(home: Home) -> None:
    """An estimate touches no data: it is given even over a truncated store."""
    store = home.store("rand-hie")
    store.write_bytes(store.read_bytes()[: 64 * 1024])
    with application(home) as place:
        place.open_study()
        assert place.client("ada").post("/studies/flu/estimates", ask(COSTS, 0.5)).status == 200


def test_the_charge_comes_before_the_scan(place: Place, ada: Client) -> None:
    """Over a damaged store what fits the budget fails charged, and what does not is refused without a look at it."""
    place.open_study("small", epsilon=0.5)
    with damaged(place.home.store("rand-hie"), "person, cost", "years"):
        refused = query(ada, ask(COSTS, 0.6), "small")
        assert (refused.status, refused.code) == (409, "budget-exceeded")
        assert place.home.charges("small") == []
        assert query(ada, ask(COSTS, 0.5), "small").json() == CONSTANT
        assert place.home.charges("small") == [("reserve", 500_000_000), ("settle", 500_000_000)]
    assert "query.fail" in place.home.actions()


@pytest.mark.parametrize("epsilon", [50.0, 200.0, 750.0, 1_000.0, 5_000.0, 10_000.0])
def test_a_large_epsilon_is_answered_or_refused_free(place: Place, ada: Client, epsilon: float) -> None:
    """An epsilon so large that there is hardly any noise is answered, or refused before it is charged."""
    place.open_study("large", epsilon=10_000.0)
    assert ada.post("/studies/large/estimates", ask(PATIENTS, epsilon)).status in (200, 422)
    reply = query(ada, ask(PATIENTS, epsilon), "large")
    assert reply.status in (201, 422)
    assert place.home.reserved("large") == (reply.status == 201)


def test_an_undeclared_category_can_be_filtered(place: Place, ada: Client) -> None:
    """A filter on a category without declared values finds the persons who have that value."""
    place.open_study("codes", "clinic")
    said = release(ada, ask(PATIENTS, 20.0, "visits", where={"column": "code", "op": "=", "value": "C3"}), "codes")
    cell = said["rows"][0]["patients"]
    # Person n % 60 has the codes C(n % 7) of n, n + 60, ... n + 240, which are five different ones of seven.
    exact = sum(any((n + 60 * k) % 7 == 3 for k in range(5)) for n in range(60))
    assert abs(cell["value"] - exact) <= 10 * (cell["high"] - cell["value"])


@pytest.mark.parametrize(
    "where",
    [
        {
            "any": [
                {"column": ("visits", "cost", "age", "year")[n % 4], "op": "=", "value": n % 70} for n in range(2000)
            ]
        },
        {"all": [{"column": "cost", "op": "!=", "value": n} for n in range(1500)]},
        {"column": "cost", "op": "in", "value": list(range(0, 39_000, 8))},
        {"column": "cost", "op": "<", "value": 10**4000},
        {"column": "cost", "op": ">=", "value": 1e-320},
    ],
    ids=["any", "all", "in", "huge", "tiny"],
)
def test_a_large_filter_is_answered(place: Place, ada: Client, where: dict[str, Any]) -> None:
    """A filter as long as a body may be is planned, run and written out: nothing in the engine chokes on it."""
    assert query(ada, ask(PATIENTS, 0.5, where=where)).status == 201


def test_a_deep_filter_is_answered(place: Place, ada: Client) -> None:
    """A filter of the greatest depth allowed is answered."""
    where: dict[str, Any] = YEAR_2
    for level in range(31):
        other: dict[str, Any] = {"column": "cost", "op": "=", "value": level}
        where = [{"not": where}, {"all": [where, other]}, {"any": [where, other]}][level % 3]
    assert query(ada, ask(PATIENTS, 0.5, where=where)).status == 201


# The answer slot


def test_answers_leave_at_the_beat(home: Home, tmp_path: Path) -> None:
    """A first answer, a replay and a failure all leave at a multiple of the slot since their scan, never before the first."""

    def beats(ask_one: Callable[[int], Reply], status: int) -> list[float]:
        found = []
        for turn in range(4):
            clock = RealClock()
            began = time.monotonic()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(slots, "time", clock)
                assert ask_one(turn).status == status
            assert time.monotonic() - began >= 0.2
            found.append(clock.beats(200))
        return found

    broken = home.copy(tmp_path / "broken")
    with application(home, slot_ms="200") as place:
        place.open_study()
        ada = place.client("ada")
        release(ada, ask(PATIENTS, 9.0))  # opens the store
        firsts = beats(lambda turn: query(ada, ask(PATIENTS, 1.0 + turn)), 201)
        replays = beats(lambda turn: query(ada, ask(PATIENTS, 1.0 + turn)), 201)
    with damaged(broken.store("rand-hie"), "person, cost", "years"), application(broken, slot_ms="200") as place:
        place.open_study()
        other = place.client("ada")
        assert query(other, ask(COSTS, 9.0)).status == 500
        failures = beats(lambda turn: query(other, ask(COSTS, 1.0 + turn)), 500)
    for one in (*firsts, *replays, *failures):
        assert one == pytest.approx(round(one), abs=1e-4)
        assert round(one) >= 1


# Editions


def test_a_new_edition_goes_on_from_the_spent_budget(place: Place, ada: Client, tmp_path: Path) -> None:
    """After an import the same query is a new question on the new edition, charged on top of what was spent."""
    one = release(ada, ask(PATIENTS))
    assert import_file(place.services, write_demo_manifest(tmp_path)) == 2
    other = release(ada, ask(PATIENTS))
    assert (one["edition"], other["edition"], other["replayed"]) == (1, 2, False)
    assert place.home.used_nano("dataset", "rand-hie") == place.home.used_nano("study", "flu") == 2_000_000_000
    assert release(ada, ask(PATIENTS))["id"] == other["id"]
    place.home.assert_sound()


def test_a_late_retry_replays_on_its_own_edition(place: Place, ada: Client, tmp_path: Path) -> None:
    """A retry by its key after a new edition is the answer that was paid for, on the edition it was paid on."""
    one = release(ada, ask(PATIENTS), key="k")
    import_file(place.services, write_demo_manifest(tmp_path))
    again = release(ada, ask(PATIENTS), key="k")
    assert (again["replayed"], again["id"], again["edition"]) == (True, one["id"], 1)
    assert place.home.reserved() == 1


def test_a_late_retry_resumes_on_its_own_edition(place: Place, ada: Client, tmp_path: Path) -> None:
    """A request that failed before a new edition came resumes on the edition and the charge it was paid on."""
    with damaged(place.home.store("rand-hie"), "person, cost", "years"):
        assert query(ada, ask(COSTS), key="k").json() == CONSTANT
    import_file(place.services, write_demo_manifest(tmp_path))
    release(ada, ask(PATIENTS, 0.1))  # the new edition is in service
    said = release(ada, ask(COSTS), key="k")
    assert (said["replayed"], said["edition"]) == (False, 1)
    assert place.home.reserved() == 2
    assert release(ada, ask(PATIENTS, 0.1))["edition"] == 2
    place.home.assert_sound()


def test_a_late_retry_is_the_same_request_under_a_changed_manifest(place: Place, ada: Client, tmp_path: Path) -> None:
    """A retry by its key replays what was paid for even when the new edition's manifest declares other bounds."""
    place.open_study("c", "clinic")
    body = ask(PATIENTS, table="visits", where={"column": "age", "op": ">=", "value": 18})
    one = release(ada, body, "c", key="k")
    import_file(place.services, write_clinic(tmp_path, **{"bounds = [0, 120]": "bounds = [0, 130]"}))
    again = query(ada, body, "c", key="k")
    assert again.status == 201, again
    assert again.json()["id"] == one["id"]
    assert place.home.reserved("c") == 1


def test_the_old_editions_store_is_given_up(place: Place, ada: Client, tmp_path: Path) -> None:
    """Of three editions the last two are kept; what failed on the first cannot resume and is not charged again."""
    with damaged(place.home.store("rand-hie"), "person, cost", "years"):
        assert query(ada, ask(COSTS), key="k").json() == CONSTANT
    for _ in range(2):
        import_file(place.services, write_demo_manifest(tmp_path))
    folders = list((place.home.path / "datasets" / "rand-hie").iterdir())
    assert len(folders) == 2
    assert query(ada, ask(COSTS), key="k").status == 404
    assert place.home.reserved() == 1


# How many at once


def test_when_all_places_are_taken_a_query_waits_its_turn(place: Place, ada: Client) -> None:
    """More clients than places for scans all get their answers, each charged once."""
    found = at_once(10, lambda turn: release(ada, ask(PATIENTS, 0.25 + turn, group_by=["site"])))
    assert len({said["id"] for said in found}) == 10
    assert place.home.reserved() == 10
    place.home.assert_sound()


def test_a_request_says_nothing_of_where_it_came_from(place: Place, ada: Client) -> None:
    """A release's body is the same whoever of the study reads it, but for `replayed` and the budget."""
    place.client("admin").good("PUT", "/studies/flu/members/ben")
    one = release(ada, ask(PATIENTS))
    other = release(place.client("ben"), ask(PATIENTS))
    assert {**other, "replayed": False} == one


# The second accountant


def rho(value: float, select: Any = PATIENTS, **query_parts: Any) -> dict[str, Any]:
    """Return a query that may spend rho."""
    return {**ask(select, **query_parts), "privacy": {"rho": value}}


def test_rho_buys_gaussian_noise_and_leaves_laplace_noise_its_part(place: Place, ada: Client) -> None:
    """A query of rho is estimated, answered, charged without an epsilon, and replayed free."""
    body = rho(0.01, group_by=["year"], bounds={"cells_per_person": 5})
    expected = ada.good("POST", "/studies/flu/estimates", body)
    said = release(ada, body)
    for one in (expected, said):
        assert one["cost"]["epsilon"] is None
        assert 0.0099 < one["cost"]["rho"] <= 0.01
        assert {c["mechanism"] for c in one["columns"] if c["kind"] == "statistic"} == {"discrete_gaussian"}
    assert expected["affordable"]
    assert said["budget"]["spent"]["epsilon"] is None
    assert said["budget"]["remaining"]["epsilon"] == said["budget"]["epsilon"] / 2
    assert said["budget"]["remaining"]["rho"] == pytest.approx(said["budget"]["rho"] - said["cost"]["rho"])
    assert release(ada, body)["replayed"]
    assert place.home.charges() == [("reserve", None), ("settle", None)]
    ((spent,),) = place.home.rows("SELECT unbounded_spent FROM accounts WHERE kind = 'study'")
    assert spent == 1


def test_many_small_queries_pass_the_sum_of_epsilon(place: Place) -> None:
    """A study of epsilon 1 answers 15 queries of epsilon 0.1: together they are still within it, by the second filter."""
    place.open_study("small", epsilon=1.0)
    ada = place.client("ada")
    replies = [query(ada, ask({f"n{turn}": {"count": "events"}}, 0.1), "small") for turn in range(15)]
    statuses = [reply.status for reply in replies]
    answered = statuses.count(201)
    # At delta 5e-7 epsilon 1 converts to rho 0.0229, and each query costs 0.005: by addition 10, by zCDP 4.
    assert statuses == [201] * 10 + [409] * 5
    assert answered == 10
    tiny = [query(ada, ask({f"t{turn}": {"count": "events"}}, 0.01), "small").status for turn in range(3)]
    assert tiny == [409] * 3, "neither filter has room"
    place.open_study("frugal", epsilon=1.0)
    frugal = [query(ada, ask({f"n{turn}": {"count": "events"}}, 0.005), "frugal").status for turn in range(220)]
    assert frugal == [201] * 220, "220 of epsilon 0.005 add up to 1.1 and cost rho 0.00275"


def test_without_delta_rho_buys_nothing(place: Place) -> None:
    """A study without delta has no second filter: the refusal says what is left of each, and nothing is charged."""
    place.open_study("pure", epsilon=1.0, delta=0)
    reply = query(place.client("ada"), rho(0.001), "pure")
    assert (reply.status, reply.code) == (409, "budget-exceeded")
    assert reply.json()["remaining"] == {"epsilon": 1.0, "rho": 0.0, "delta": 0.0}
    assert place.home.charges("pure") == []


@pytest.mark.parametrize("largest", [0.0199, 0.0201])
def test_a_protocol_bounds_rho_by_what_its_epsilon_costs(place: Place, largest: float) -> None:
    """A protocol's largest epsilon allows rho up to epsilon^2 / 2: for epsilon 0.2 that is 0.02."""
    place.open_study("bound", protocol={"max_epsilon": 0.2})
    reply = query(place.client("ada"), rho(largest), "bound")
    assert reply.status == (201 if largest < 0.02 else 403)
    if reply.status == 403:
        assert (reply.code, reply.json()["pointer"]) == ("outside-protocol", "/privacy/rho")


@pytest.mark.parametrize(
    "privacy", [{}, {"epsilon": 1, "rho": 1}, {"rho": 0}, {"rho": -1}, {"rho": "1"}, {"rho": 1e300}]
)
def test_epsilon_or_rho_and_one_of_them(ada: Client, privacy: Any) -> None:
    """A request names one of them, above 0 and within reach; else the place is told."""
    reply = query(ada, {**ask(PATIENTS), "privacy": privacy})
    assert (reply.status, reply.code) == (422, "invalid-query")
    assert reply.json()["pointer"] in ("/privacy", "/privacy/rho")


# What is stored, and for whom


def test_a_stored_answer_has_nothing_beside_what_is_public(place: Place, ada: Client) -> None:
    """Its members are those of the contract: none that could hold a count of rows, a plan or a time of the scan."""
    release(ada, ask({**PATIENTS, **COSTS}, group_by=["sex"]))
    ((body,),) = place.home.rows("SELECT body FROM releases")
    stored = json.loads(body)
    assert stored.keys() == {
        *("query", "sql", "privacy", "cost", "columns", "bounds", "notes", "statistics", "rows"),
        "salt",  # random, and not shown
    }
    assert stored["privacy"] == ask(PATIENTS)["privacy"]  # what the request offered
    for row in stored["rows"]:
        assert row.keys() == {"sex", "patients", "costs"}
        assert row["costs"].keys() == {"value", "low", "high"}


@pytest.mark.parametrize("name", ["admin", "dora"])
def test_who_may_see_a_study_may_not_ask_under_it(place: Place, name: str) -> None:
    """An admin or a DPO is no member, so they cannot ask, on whatever way they come; nothing is charged."""
    body = AskSchema().load(ask(PATIENTS))
    request = preparing.Request(body["query"], body["privacy"])
    with place.services.database.read() as transaction:
        actor = people.user(transaction, name)
    for way in (answer.estimate, answer.answer):
        with pytest.raises(Forbidden):
            way(place.services, actor, "flu", request)
    assert place.home.charges() == []


# In SQL


IN_SQL = "SELECT sex, COUNT(DISTINCT person) AS patients FROM years WHERE year >= 2 GROUP BY sex"
IN_JSON = ask(
    {"patients": {"count": "persons"}}, 0.5, where={"column": "year", "op": ">=", "value": 2}, group_by=["sex"]
)


def test_sql_and_json_are_two_spellings_of_one_question(place: Place, ada: Client) -> None:
    """A query in SQL is answered, and the same in JSON is its replay: one question, one charge."""
    first = release(ada, {"sql": IN_SQL, "privacy": {"epsilon": 0.5}})
    assert first["query"] == IN_JSON["query"]
    assert first["sql"] == IN_SQL
    shouted = IN_SQL.upper().replace("PATIENTS", "patients")
    joined = IN_SQL.replace("FROM years", "FROM years LEFT JOIN persons USING (person)")
    for spelled in (IN_JSON, *({"sql": text, "privacy": {"epsilon": 0.5}} for text in (shouted, joined))):
        again = release(ada, spelled)
        assert again["replayed"]
        assert again["rows"] == first["rows"]
        assert again["sql"] == IN_SQL
    assert place.home.reserved() == 1


def test_bounds_stand_beside_sql(ada: Client) -> None:
    """Contribution bounds have no place in SQL: they are given beside it."""
    bounds = {"cells_per_person": 1, "events_per_cell": 2}
    body = {"sql": "SELECT SUM(visits) AS v FROM years", "bounds": bounds, "privacy": {"epsilon": 0.5}}
    estimate = ada.good("POST", "/studies/flu/estimates", body)
    assert estimate["bounds"] == bounds


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ({"sql": "SELECT 1"}, "/sql", "line 1, column 8"),
        ({"sql": "SELECT COUNT(*) FROM years LIMIT 3 OFFSET 2"}, "/sql", "OFFSET"),
        ({"sql": "SELECT COUNT(*) FROM years WHERE yeer = 2"}, "/sql", "where column: "),
        ({"sql": "SELECT COUNT(*) FROM yeers"}, "/sql", "from: "),
        ({"sql": 3}, "/sql", "text"),
        ({"sql": None}, "/sql", ""),
        ({"sql": IN_SQL, "query": IN_JSON["query"]}, "/query", "sql"),
        ({}, "/query", "sql"),
        ({"query": IN_JSON["query"], "bounds": {}}, "/bounds", "query"),
        ({"sql": IN_SQL, "bounds": {"cells": 1}}, "/bounds/cells", ""),
    ],
)
def test_what_is_wrong_with_sql_is_said_with_its_place(
    place: Place, ada: Client, body: dict[str, Any], pointer: str, says: str
) -> None:
    """SQL that cannot be read or planned, or stands beside a query, is refused with its place, free."""
    refused = query(ada, {**body, "privacy": {"epsilon": 0.5}})
    assert (refused.status, refused.code) == (422, "invalid-query")
    assert refused.json()["pointer"] == pointer
    assert says in refused.json()["detail"]
    assert place.home.charges() == []


def test_a_protocol_holds_for_sql(place: Place) -> None:
    """What the study's protocol leaves out is refused in SQL as in JSON."""
    place.open_study("narrow", protocol={"columns": ["sex"]})
    for text in (IN_SQL, IN_SQL.replace("year >=", "YEAR >=")):
        refused = query(place.client("ada"), {"sql": text, "privacy": {"epsilon": 0.5}}, study="narrow")
        assert (refused.status, refused.code, refused.json()["pointer"]) == (403, "outside-protocol", "/sql")
        assert "column year" in refused.json()["detail"]
    allowed = {"sql": "SELECT SEX, COUNT(*) FROM YEARS GROUP BY Sex", "privacy": {"epsilon": 0.5}}
    assert query(place.client("ada"), allowed, study="narrow").status == 201
