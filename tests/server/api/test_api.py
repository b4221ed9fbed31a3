from __future__ import annotations

import base64
import csv
import datetime as dt
import io
import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from budgets.audit.signing import verifier_key
from budgets.database import clock
from budgets.verify.checkpoint import Verifier, open_note
from budgets.verify.merkle import Frontier, verify_consistency, verify_inclusion
from tests import comments
from tests.databases import change
from tests.server.routes import ADVICE, NEW_STUDY, REASON
from tests.serving import EVERY_STATISTIC, PATIENTS, UNADVISED, ask, assert_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving import Client, Place, Reply


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep the tracebacks of failures out of the tests' output."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def is_refused(reply: Reply, status: int, code: str, pointer: str | None = None) -> None:
    """Check a refusal."""
    assert (reply.status, reply.code) == (status, code), reply
    if pointer is not None:
        assert reply.json()["pointer"] == pointer


def pages(client: Client, path: str, limit: int) -> list[Any]:
    """Return the items of a list, read page by page."""
    found: list[Any] = []
    cursor = ""
    for _ in range(500):
        page = client.good("GET", f"{path}{'&' if '?' in path else '?'}limit={limit}{cursor}")
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        assert len(page["items"]) == limit, "only the last page may be short"
        cursor = f"&cursor={quote(page['next'])}"
    raise AssertionError("the list has no end")


# Who am I, users, tokens


def test_me_shows_own_name_role_and_studies(place: Place) -> None:
    """Everybody sees their own name, role and studies."""
    place.open_study("b")
    for name, studies in (("ada", ["b", "flu"]), ("ben", [])):
        shown = place.client(name).good("GET", "/me")
        assert {key: shown[key] for key in ("name", "role", "studies", "study", "reads_only")} == {
            "name": name,
            "role": "researcher",
            "studies": studies,
            "study": None,
            "reads_only": False,
        }
        assert shown["expires_at"] > "2026"
    assert place.client("dora").good("GET", "/me")["role"] == "dpo"
    assert place.client(None).good("GET", "/health") == {"status": "ok"}


def test_user_tokens_work_until_revoked_over_http(place: Place) -> None:
    """A new user's token works; a second one too; a revoked one no more, and only that one."""
    admin = place.client("admin")
    made = admin.good("POST", "/users", {"name": "eve", "role": "researcher"})
    assert (made["user"], made["role"]) == ("eve", "researcher")
    other = admin.good("POST", "/users/eve/tokens")
    assert other["token"] != made["token"]
    clients = [type(admin)(admin.send, token) for token in (made["token"], other["token"])]
    assert [client.get("/me").status for client in clients] == [200, 200]
    assert admin.request("DELETE", f"/tokens/{made['token_id']}").status == 204
    assert [client.get("/me").status for client in clients] == [401, 200]
    is_refused(admin.request("DELETE", f"/tokens/{made['token_id']}"), 404, "not-found")
    is_refused(admin.post("/users", {"name": "eve", "role": "admin"}), 409, "already-exists")
    is_refused(admin.post("/users/nobody/tokens"), 404, "not-found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "", "role": "admin"}, "/name"),
        ({"name": "a b", "role": "admin"}, "/name"),
        ({"name": "a" * 64, "role": "admin"}, "/name"),
        ({"name": "system", "role": "admin"}, "/name"),
        ({"name": "anonymous", "role": "admin"}, "/name"),
        ({"name": "x\n", "role": "admin"}, "/name"),
        ({"name": 1, "role": "admin"}, "/name"),
        ({"role": "admin"}, "/name"),
        ({"name": "x", "role": "root"}, "/role"),
        ({"name": "x"}, "/role"),
        ({"name": "x", "role": "admin", "token": "t"}, "/token"),
    ],
)
def test_user_of_odd_name_or_role_refused(shared: Place, body: Any, pointer: str) -> None:
    """A user's name and role are checked, and nothing is added."""
    before = shared.home.rows("SELECT name FROM users")
    is_refused(shared.client("admin").post("/users", body), 422, "invalid-request", pointer)
    assert shared.home.rows("SELECT name FROM users") == before


# Studies


def test_study_states_from_draft_to_closed_over_http(place: Place) -> None:
    """Draft, approved, suspended, approved again, closed: each move by its role, from its states, with its reason."""
    admin, dora, ada = map(place.client, ("admin", "dora", "ada"))
    opened = admin.good("POST", "/studies", {**NEW_STUDY, "starts": "2020-01-01"})
    assert (opened["id"], opened["state"], opened["members"], opened["raise"]) == ("new", "draft", [], None)
    assert (opened["budget"]["epsilon"], opened["budget"]["delta"], opened["starts"]) == (1.0, 1e-6, "2020-01-01")
    edited = admin.good("PATCH", "/studies/new", {"purpose": "Better"})
    assert (edited["purpose"], edited["title"], edited["starts"]) == ("Better", "Title", "2020-01-01")
    assert admin.good("PUT", "/studies/new/members/ada")["members"] == ["ada"]
    assert admin.good("PUT", "/studies/new/members/ada")["members"] == ["ada"]
    assert ada.good("GET", "/studies/new")["state"] == "draft"
    is_refused(dora.post("/studies/new/suspend", REASON), 409, "wrong-state")
    is_refused(admin.post("/studies/new/approve", REASON), 403, "forbidden")
    is_refused(place.client("vera").post("/studies/new/approve", {}), 422, "invalid-request", "/reason")
    is_refused(
        place.client("vera").post("/studies/new/approve", {"reason": "", **UNADVISED}),
        422,
        "invalid-request",
        "/reason",
    )
    assert place.client("vera").good("POST", "/studies/new/approve", {**REASON, **UNADVISED})["state"] == "approved"
    is_refused(place.client("vera").post("/studies/new/approve", {**REASON, **UNADVISED}), 409, "wrong-state")
    again = admin.good("PATCH", "/studies/new", {"title": "Too late"})
    assert (again["state"], again["approved_by"], again["edited_by"]) == ("draft", None, ["admin"])
    is_refused(ada.post("/studies/new/queries", ask(PATIENTS)), 403, "not-approved")
    again = place.client("vera").good("POST", "/studies/new/approve", {**REASON, **UNADVISED})
    assert (again["opened_by"], again["approved_by"]) == ("admin", "vera")
    assert dora.good("POST", "/studies/new/suspend", REASON)["state"] == "suspended"
    is_refused(ada.post("/studies/new/queries", ask(PATIENTS)), 403, "not-approved")
    assert dora.good("POST", "/studies/new/resume", REASON)["state"] == "approved"
    assert ada.post("/studies/new/queries", ask(PATIENTS, 0.5)).status == 201
    assert admin.good("DELETE", "/studies/new/members/ada")["members"] == []
    is_refused(admin.request("DELETE", "/studies/new/members/ada"), 404, "not-found")
    assert admin.good("POST", "/studies/new/close", REASON)["state"] == "closed"
    for action in ("approve", "suspend", "resume", "close"):
        is_refused(
            place.client("vera" if action == "approve" else "dora").post(f"/studies/new/{action}", REASON),
            409,
            "wrong-state",
        )
    is_refused(admin.request("PATCH", "/studies/new", {"title": "Too late"}), 409, "wrong-state")
    is_refused(
        admin.request("PUT", "/studies/new/budget", {"epsilon": 1, "justification": "a test", **REASON}),
        409,
        "wrong-state",
    )
    told = [
        json.loads(b) for (b,) in place.home.rows("SELECT body FROM audit_entries WHERE study='new' ORDER BY position")
    ]
    actions = [entry["action"] for entry in told if not entry["action"].startswith(("query.", "call."))]
    assert actions == [
        *("study.open", "study.edit", "study.member.add", "study.approve", "study.edit", "study.approve"),
        *("study.suspend", "study.resume"),
        *("alert.budget", "study.member.remove", "study.close"),
    ]
    assert [e["facts"]["reason"] for e in told if e["action"] in ("study.approve", "study.close")] == ["because"] * 3


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"name": ""}, 422, "/name"),
        ({"name": "a/b"}, 422, "/name"),
        ({"name": "../x"}, 422, "/name"),
        ({"name": "a" * 64}, 422, "/name"),
        ({"name": "é"}, 422, "/name"),
        ({"name": "flu"}, 409, None),
        ({"dataset": "none"}, 404, None),
        ({"title": ""}, 422, "/title"),
        ({"title": "   "}, 422, "/title"),
        ({"title": "x" * 10_001}, 422, "/title"),
        ({"purpose": None}, 422, "/purpose"),
        ({"legal_basis": 5}, 422, "/legal_basis"),
        ({"epsilon": 0}, 422, "/epsilon"),
        ({"epsilon": -1}, 422, "/epsilon"),
        ({"epsilon": "1"}, 422, "/epsilon"),
        ({"epsilon": 1e-10}, 422, "/epsilon"),
        ({"delta": 1}, 422, "/delta"),
        ({"delta": -1e-9}, 422, "/delta"),
        ({"delta": 1e-5}, 409, None),
        ({"starts": "2026-02-30"}, 422, "/starts"),
        ({"starts": "20260101"}, 422, "/starts"),
        ({"ends": "soon"}, 422, "/ends"),
        ({"starts": "2026-02-02", "ends": "2026-02-01"}, 422, "/ends"),
        ({"protocol": {"tabels": []}}, 422, "/protocol/tabels"),
        ({"protocol": {"statistics": ["max"]}}, 422, "/protocol/statistics/0"),
        ({"protocol": {"columns": "sex"}}, 422, "/protocol/columns"),
        ({"protocol": {"max_epsilon": 0}}, 422, "/protocol/max_epsilon"),
        ({"state": "approved"}, 422, "/state"),
    ],
)
def test_study_of_odd_terms_refused(shared: Place, changes: dict[str, Any], status: int, pointer: str | None) -> None:
    """What a study is opened with is checked, the place is named, and nothing is opened."""
    reply = shared.client("admin").post("/studies", {**NEW_STUDY, **changes})
    assert reply.status == status, reply
    if pointer is not None:
        assert reply.json()["pointer"] == pointer
    assert shared.home.rows("SELECT id FROM studies WHERE id NOT IN ('flu', 'days')") == []


def test_only_researchers_are_members(place: Place) -> None:
    """Neither an admin nor a DPO nor somebody unknown can be made a member."""
    admin = place.client("admin")
    for name in ("admin", "dora"):
        is_refused(admin.request("PUT", f"/studies/flu/members/{name}"), 422, "invalid-request", "/user")
    is_refused(admin.request("PUT", "/studies/flu/members/nobody"), 404, "not-found")
    for name in ("admin", "dora"):
        is_refused(place.client(name).post("/studies/flu/queries", ask(PATIENTS)), 403, "forbidden")


def test_a_raise_waits_for_an_approver(place: Place) -> None:
    """After approval a raise is in force only when an approver approved it; a lower limit is at once, not below the spend."""
    place.open_study("s", epsilon=1.0)
    admin, ada = map(place.client, ("admin", "ada"))
    is_refused(place.client("vera").post("/studies/s/budget/approve", {**REASON, **UNADVISED}), 409, "wrong-state")
    asked = admin.good("PUT", "/studies/s/budget", {"epsilon": 2.0, "justification": "a test", **REASON})
    assert (asked["budget"]["epsilon"], asked["raise"]["epsilon"]) == (1.0, 2.0)
    is_refused(ada.post("/studies/s/queries", ask(PATIENTS, 1.5)), 409, "budget-exceeded")
    is_refused(admin.post("/studies/s/budget/approve", REASON), 403, "forbidden")
    granted = place.client("vera").good("POST", "/studies/s/budget/approve", {**REASON, **UNADVISED})
    assert (granted["budget"]["epsilon"], granted["raise"]) == (2.0, None)
    assert ada.post("/studies/s/queries", ask(PATIENTS, 1.5)).status == 201
    is_refused(
        admin.request("PUT", "/studies/s/budget", {"epsilon": 1.4, "justification": "a test", **REASON}),
        409,
        "wrong-state",
    )
    lowered = admin.good("PUT", "/studies/s/budget", {"epsilon": 1.5, "justification": "a test", **REASON})
    assert (lowered["budget"]["epsilon"], lowered["budget"]["remaining"]["epsilon"]) == (1.5, 0.0)
    is_refused(ada.post("/studies/s/queries", ask(PATIENTS, 0.001)), 409, "budget-exceeded")
    is_refused(admin.request("PUT", "/studies/s/budget", {"epsilon": 2.0}), 422, "invalid-request", "/reason")
    is_refused(admin.request("PUT", "/studies/s/budget", {"epsilon": 10_000.5, **REASON}), 422, "invalid-request")


def test_budget_of_study_shows_limit_spent_and_rest(place: Place) -> None:
    """The budget shows limit, spend and rest, to members, admins and DPOs alike."""
    ada = place.client("ada")
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25))
    for name in ("ada", "admin", "dora"):
        budget = place.client(name).good("GET", "/studies/flu/budget")
        assert (budget["epsilon"], budget["delta"]) == (1000.0, 1e-6)
        assert budget["spent"] == {
            "epsilon": 0.25,
            "rho": 0.03125,
            "delta": 0.0,
            "laplace_epsilon": 0.25,
            "gaussian_rho": 0.0,
        }
        assert (budget["reserved"]["epsilon"], budget["remaining"]["epsilon"]) == (0.0, 999.75)


@pytest.mark.parametrize("role", ["dpo", "approver"])
def test_two_persons_give_a_role(place: Place, role: str) -> None:
    """An admin proposes, another person confirms; the two parts of the token work together alone."""
    admin, dora, vera = map(place.client, ("admin", "dora", "vera"))
    is_refused(admin.post("/users", {"name": "olga", "role": role}), 409, "needs-second")
    for name in ("dora", "vera"):
        is_refused(admin.post(f"/users/{name}/tokens"), 409, "needs-second")
        is_refused(admin.request("DELETE", f"/users/{name}"), 409, "needs-second")
        is_refused(admin.post("/proposals", {"act": "remove", "user": name}), 409, "wrong-state")
    wanted = {"act": "add", "user": "olga", "role": role}
    for wrong, pointer in (({"act": "make"}, "/act"), ({"role": "admin"}, "/role"), ({"days": 9999}, "/days")):
        is_refused(admin.post("/proposals", {**wanted, **wrong}), 422, "invalid-request", pointer)
    made = admin.good("POST", "/proposals", wanted)
    assert dora.good("GET", "/proposals")["items"] == [{k: v for k, v in made.items() if k != "token_part"}]
    is_refused(admin.post("/proposals", wanted), 409, "already-exists")
    is_refused(admin.post(f"/proposals/{made['id']}/confirm"), 403, "forbidden")
    change(place.home.ledger, "UPDATE users SET role = 'approver' WHERE name = 'admin'")
    is_refused(admin.post(f"/proposals/{made['id']}/confirm"), 403, "forbidden")
    assert place.home.actions()[-1] == "proposal.confirm.refuse"
    change(place.home.ledger, "UPDATE users SET role = 'admin' WHERE name = 'admin'")
    done = vera.good("POST", f"/proposals/{made['id']}/confirm")
    is_refused(vera.post(f"/proposals/{made['id']}/confirm"), 404, "not-found")
    for token, status in (
        (made["token_part"], 401),
        (done["token_part"], 401),
        (made["token_part"] + done["token_part"], 200),
    ):
        assert type(admin)(admin.send, token).get("/me").status == status
    steps = [one["facts"]["step"] for one in dora.good("GET", "/alerts?kind=privileges")["items"]]
    assert steps == ["proposed", "confirmed"]


def test_an_approval_needs_advice(place: Place) -> None:
    """Without the DPO's advice an approval says why; an edit makes advice void; the study shows what stands."""
    admin, dora, vera = map(place.client, ("admin", "dora", "vera"))
    place.open_study("s", approve=False)
    is_refused(vera.post("/studies/s/approve", REASON), 409, "not-advised")
    for who in (admin, vera, place.client("ada")):
        is_refused(who.post("/studies/s/advise", ADVICE), 403, "forbidden")
    for wrong, pointer in (({"opinion": "fine"}, "/opinion"), ({"reason": ""}, "/reason"), ({"why": "x"}, "/why")):
        is_refused(dora.post("/studies/s/advise", {**ADVICE, **wrong}), 422, "invalid-request", pointer)
    advised = dora.good("POST", "/studies/s/advise", {"opinion": "conditional", "reason": "only counts"})["advice"]
    assert (advised["opinion"], advised["reason"], advised["by"]) == ("conditional", "only counts", "dora")
    is_refused(vera.post("/studies/s/approve", {**REASON, **UNADVISED}), 409, "wrong-state")
    assert admin.good("PATCH", "/studies/s", {"title": "New"})["advice"] is None
    is_refused(vera.post("/studies/s/approve", REASON), 409, "not-advised")
    is_refused(
        vera.post("/studies/s/approve", {**REASON, "without_advice": ""}), 422, "invalid-request", "/without_advice"
    )
    dora.good("POST", "/studies/s/advise", ADVICE)
    approved = vera.good("POST", "/studies/s/approve", REASON)
    assert (approved["state"], approved["advice"]["opinion"]) == ("approved", "favourable")
    is_refused(dora.post("/studies/s/advise", ADVICE), 409, "wrong-state")
    is_refused(dora.post("/studies/s/budget/advise", ADVICE), 409, "wrong-state")
    admin.good("PUT", "/studies/s/budget", {"epsilon": 2000.0, "justification": "a test", **REASON})
    is_refused(vera.post("/studies/s/budget/approve", REASON), 409, "not-advised")
    assert dora.good("POST", "/studies/s/budget/advise", ADVICE)["raise_advice"]["by"] == "dora"
    assert vera.good("POST", "/studies/s/budget/approve", REASON)["raise_advice"] is None
    told = fact_of(dora.good("GET", "/studies/s/report"), "Advice of the data protection officer")
    assert told.count("dora (dpo)") == 3


def test_a_decision_is_about_what_was_read(place: Place) -> None:
    """With the digest of another state, advice and approvals of studies, raises and datasets are 409; it may be left out."""
    admin, dora, vera = map(place.client, ("admin", "dora", "vera"))
    for name in ("s", "old"):
        place.open_study(name, approve=False)

    def study(what: str) -> str:
        return str(vera.good("GET", "/studies/s")[what])

    def dataset(what: str) -> str:
        return str(vera.good("GET", "/datasets/clinic")["terms"]["waiting"][what])

    waits: tuple[tuple[str, Callable[[str], str], str, list[tuple[str, str, dict[str, Any]]]], ...] = (
        ("/studies/s", study, "digest", [
            ("PATCH", "/studies/s", {"title": "Another"}),
            ("PUT", "/studies/s/budget", {"epsilon": 3.0, "justification": "a test", **REASON}),
            ("PATCH", "/studies/s", {"protocol": {"statistics": ["count"]}}),
        ]),
        ("/studies/s/budget", study, "raise_digest", [
            ("PUT", "/studies/s/budget", {"epsilon": 5.0, "justification": "a test", **REASON}),
            ("PUT", "/studies/s/budget", {"epsilon": 100.0, "justification": "a test", **REASON}),
        ]),
        ("/datasets/clinic", dataset, "digest", [
            ("POST", "/datasets/clinic/propose", {"profile": 0.5, **REASON}),
            ("POST", "/datasets/clinic/propose", {"profile": 0.5, "delta": 1e-5, "justification": "a test", **REASON}),
        ]),
    )  # fmt: skip
    for path, read, what, steps in waits:
        seen = vera.good("GET", "/studies/old")["digest"]  # of another study
        for step in steps:
            admin.good(*step)
            last = place.home.last_entry()
            is_refused(dora.post(f"{path}/advise", {**ADVICE, "seen": seen}), 409, "wrong-state")
            is_refused(vera.post(f"{path}/approve", {**REASON, **UNADVISED, "seen": seen}), 409, "wrong-state")
            assert place.home.last_entry() == last
            seen = read(what)
        is_refused(vera.post(f"{path}/approve", {**REASON, "seen": seen.upper()}), 422, "invalid-request", "/seen")
        dora.good("POST", f"{path}/advise", {**ADVICE, "seen": seen})
        assert read(what) == seen, "advice does not change what it is about"
        vera.good("POST", f"{path}/approve", {**REASON, "seen": seen})


def fact_of(report: dict[str, Any], question: str) -> str:
    """Return a report's answer to a regulator's question."""
    (answer,) = (one["answer"] for part in report["regulation"] for one in part["facts"] if one["question"] == question)
    return str(answer)


def test_nobody_approves_what_they_proposed(place: Place) -> None:
    """An admin who became an approver is 403 for their own study and raise, with an entry; another approver is not."""
    admin, dora = place.client("admin"), place.client("dora")
    place.open_study("mine", approve=False)
    place.open_study("raised", epsilon=1.0)
    raised = admin.good("PUT", "/studies/raised/budget", {"epsilon": 2.0, "justification": "a test", **REASON})
    assert (raised["raise"]["epsilon"], raised["raise_by"]) == (2.0, "admin")
    change(place.home.ledger, "UPDATE users SET role = 'approver' WHERE name = 'admin'")
    for path in ("/studies/mine/approve", "/studies/raised/budget/approve"):
        before = place.home.last_entry()
        is_refused(admin.post(path, REASON), 403, "forbidden")
        (action,) = place.home.actions(before)
        assert action.endswith("approve.refuse")
        entry = dora.good("GET", f"/audit/entries?cursor={before + 1}&limit=1")["items"][0]
        assert (entry["actor_name"], entry["role"]) == ("admin", "approver")
    assert dora.good("GET", "/studies/mine")["state"] == "draft"
    assert place.client("vera").good("POST", "/studies/mine/approve", {**REASON, **UNADVISED})["approved_by"] == "vera"
    granted = place.client("vera").good("POST", "/studies/raised/budget/approve", {**REASON, **UNADVISED})
    assert (granted["raise_by"], granted["budget"]["epsilon"]) == (None, 2.0)


# The protocol


@pytest.mark.parametrize(
    ("protocol", "body", "pointer"),
    [
        ({"tables": ["persons"]}, ask(PATIENTS), "/query/from"),
        ({"tables": []}, ask(PATIENTS), "/query/from"),
        ({"statistics": ["count"]}, ask({**PATIENTS, "c": {"sum": "cost"}}), "/query/select/c"),
        ({"statistics": ["sum"]}, ask({"c": {"mean": "cost"}}), "/query/select/c"),
        ({"columns": ["sex"]}, ask({"c": {"sum": "cost"}}), "/query/select/c/sum"),
        ({"columns": ["cost"]}, ask({"c": {"mean": "cost"}}, group_by=["sex"]), "/query/group_by/0"),
        ({"columns": []}, ask(PATIENTS, group_by=[{"column": "age", "bins": [0, 9]}]), "/query/group_by/0/column"),
        (
            {"columns": ["sex"]},
            ask(
                PATIENTS,
                where={
                    "all": [
                        {"column": "sex", "op": "=", "value": "male"},
                        {"not": {"any": [{"column": "age", "op": "<", "value": 9}]}},
                    ]
                },
            ),
            "/query/where/all/1/not/any/0/column",
        ),
        ({"max_epsilon": 0.5}, ask(PATIENTS, 0.500000001), "/privacy/epsilon"),
    ],
)
def test_query_outside_protocol_refused_with_its_place(
    place: Place, protocol: dict[str, Any], body: dict[str, Any], pointer: str
) -> None:
    """A table, statistic, column or epsilon that the protocol does not include is refused with its place, free."""
    place.open_study("p", protocol=protocol)
    for way in ("estimates", "queries"):
        is_refused(place.client("ada").post(f"/studies/p/{way}", body), 403, "outside-protocol", pointer)
    assert place.home.charges() == []


def test_query_within_protocol_answered(place: Place) -> None:
    """What the protocol includes is answered, up to its largest epsilon, and the study shows its protocol."""
    protocol = {"tables": ["years"], "columns": ["sex", "cost"], "statistics": ["count", "mean"], "max_epsilon": 0.5}
    place.open_study("p", protocol=protocol)
    ada = place.client("ada")
    body = ask({**PATIENTS, "c": {"mean": "cost"}}, 0.5, group_by=["sex"])
    assert ada.post("/studies/p/queries", body).status == 201
    assert ada.good("GET", "/studies/p")["protocol"] == protocol


def test_study_asks_only_within_its_days(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its first day and after its last a study may not ask; on its only day it may."""
    now = dt.datetime.now(dt.UTC)
    monkeypatch.setattr(clock, "moment", lambda: now)  # the day does not end meanwhile
    today = now.date()
    yesterday, tomorrow = (str(today + dt.timedelta(days=days)) for days in (-1, 1))
    ada = place.client("ada")
    for name, days, status in (
        ("early", {"starts": tomorrow}, 403),
        ("late", {"ends": yesterday}, 403),
        ("only", {"starts": str(today), "ends": str(today)}, 201),
        ("within", {"starts": yesterday, "ends": tomorrow}, 201),
    ):
        place.open_study(name, **days)
        reply = ada.post(f"/studies/{name}/queries", ask(PATIENTS))
        assert reply.status == status, name
        if status == 403:
            assert reply.code == "not-approved"
    assert place.home.reserved() == 2


# Lists


def test_studies_page_by_page(place: Place) -> None:
    """Every page size gives each study once, in order; a researcher sees their own alone."""
    admin = place.client("admin")
    for number in range(7):
        admin.good("POST", "/studies", {**NEW_STUDY, "name": f"s{number}"})
    for number in (1, 4):
        admin.good("PUT", f"/studies/s{number}/members/ben")
    names = ["flu", *(f"s{number}" for number in range(7))]
    for limit in (1, 2, 3, 7, 8, 9, 1000):
        assert [one["id"] for one in pages(admin, "/studies", limit)] == names
        assert [one["id"] for one in pages(place.client("ben"), "/studies", limit)] == ["s1", "s4"]


def test_releases_page_by_page(place: Place) -> None:
    """Every page size gives each release once, oldest first, with what it cost."""
    ada = place.client("ada")
    made = [ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25 * n))["id"] for n in range(1, 8)]
    for limit in (1, 2, 3, 6, 7, 8):
        found = pages(ada, "/studies/flu/releases", limit)
        assert sorted(one["id"] for one in found) == sorted(made)
        assert [one["charged_at"] for one in found] == sorted(one["charged_at"] for one in found)
    assert sorted(one["cost"]["epsilon"] for one in found) == [0.25 * n for n in range(1, 8)]


def test_releases_of_one_millisecond_are_all_listed(place: Place) -> None:
    """Releases with the same time are told apart by their ids: none is lost between pages."""
    ada = place.client("ada")
    made = {ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25 * n))["id"] for n in range(1, 6)}
    place.home.change("UPDATE releases SET charged_at = '2026-01-01T00:00:00.000Z'")
    for limit in (1, 2, 4):
        assert {one["id"] for one in pages(ada, "/studies/flu/releases", limit)} == made


def test_a_release_as_json_and_csv(place: Place) -> None:
    """A release is read again as it was made; its CSV has a line for each row and the same numbers."""
    ada = place.client("ada")
    body = ask({**PATIENTS, "mean": {"mean": "visits"}}, group_by=["sex", "year"])
    made = ada.good("POST", "/studies/flu/queries", body)
    for name in ("ada", "admin", "dora"):
        again = place.client(name).good("GET", f"/studies/flu/releases/{made['id']}")
        assert again == {**made, "replayed": True}
    table = ada.get(f"/studies/flu/releases/{made['id']}", Accept="text/csv")
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    header, rows, _ = comments.read(table.body.decode())
    assert [name for name in header if "truncation" not in name] == [
        "sex",
        "year",
        "patients",
        "patients_low",
        "patients_high",
        "mean",
        "mean_low",
        "mean_high",
    ]
    assert len(rows) == 10
    for row, wanted in zip(rows, made["rows"], strict=True):
        assert (row["sex"], int(row["year"])) == (wanted["sex"], wanted["year"])
        assert int(row["patients_low"]) == wanted["patients"]["low"]
        assert float(row["mean_high"]) == wanted["mean"]["high"]
    is_refused(ada.get("/studies/flu/releases/" + "0" * 32), 404, "not-found")


def test_every_statistic_as_json_and_csv(place: Place) -> None:
    """Each statistic has its result in each row, low <= value <= high, and the same numbers in its columns of the CSV."""
    ada = place.client("ada")
    made = ada.good("POST", "/studies/flu/queries", ask(EVERY_STATISTIC, group_by=["sex"]))
    table = ada.get(f"/studies/flu/releases/{made['id']}", Accept="text/csv")
    female, male = made["rows"]
    _, lines, _ = comments.read(table.body.decode())
    assert list(female) == ["sex", *EVERY_STATISTIC]
    assert [part["bin"] for part in female["ages"]["bins"]] == ["[0, 18)", "[18, 40)", "[40, 65)"]
    assert [part["bin"] for part in female["health"]["bins"]] == ["excellent", "good", "fair", "poor"]
    assert [part["at"] for part in female["quartiles"]["quantiles"]] == [0.25, 0.5, 0.75]
    assert {part["key"] for part in female["often"]["top"]} < {"1", "2", "3", "4", "5", "6"}
    for row, line in zip((female, male), lines, strict=True):
        found = {
            **{name: row[name] for name in EVERY_STATISTIC if "value" in row[name]},
            **{f"ages[{part['bin']}]": part for part in row["ages"]["bins"]},
            **{f"health[{part['bin']}]": part for part in row["health"]["bins"]},
            **{f"quartiles[{part['at']}]": part for part in row["quartiles"]["quantiles"]},
        }
        for name, part in found.items():
            assert part["low"] <= part["value"] <= part["high"], name
            told = (line[name], line[f"{name}_low"], line[f"{name}_high"])
            assert tuple(map(float, told)) == (part["value"], part["low"], part["high"])
        for place_in_top, part in enumerate(row["often"]["top"], start=1):
            names = [f"often_{place_in_top}_{end}" for end in ("key", "value", "low", "high")]
            assert [line[name] for name in names] == [str(part[end]) for end in ("key", "value", "low", "high")]
        values = [part["value"] for part in row["often"]["top"]]
        assert values == sorted(values, reverse=True)
        assert len(line) == 1 + 3 * len(found) + 4 * len(values) + len(EVERY_STATISTIC)  # each with its truncation


def test_estimates_and_reads_leave_no_charge(place: Place) -> None:
    """Estimates, lists, releases and budgets leave no charge."""
    ada = place.client("ada")
    release = ada.good("POST", "/studies/flu/queries", ask(PATIENTS))["id"]
    before = place.home.charges()
    for path in ("", "/budget", "/releases", f"/releases/{release}"):
        ada.good("GET", f"/studies/flu{path}")
    for number in range(5):
        ada.good("POST", "/studies/flu/estimates", ask(PATIENTS, 1.0 + number))
    assert place.home.charges() == before


# Datasets


def test_catalog_shows_declared_tables_columns_and_bounds(place: Place) -> None:
    """The catalog shows what was declared: tables, columns, kinds, values and bounds."""
    listed = place.client("ben").good("GET", "/datasets")
    assert [(one["name"], one["edition"]) for one in listed["items"]] == [("clinic", 1), ("rand-hie", 1)]
    shown = place.client("ben").good("GET", "/datasets/clinic")
    visits = shown["tables"]["visits"]["columns"]
    assert visits["sex"]["values"] == ["female", "male"]
    assert visits["day"]["bounds"] == ["2020-01-01", "2021-12-31"]
    assert (visits["cost"]["bounds"], visits["cost"]["step"], visits["cost"]["nullable"]) == ([0, 1000], 0.01, True)
    assert "values" not in visits["code"]
    assert "person" not in visits
    assert "patient" not in visits
    is_refused(place.client("ben").get("/datasets/none"), 404, "not-found")


# The audit log


def test_the_audit_log_page_by_page(place: Place) -> None:
    """The pages together are the whole log, each entry once, in an unbroken chain; reading adds an entry of its own."""
    dora = place.client("dora")
    for limit in (2, 5, 1000):
        known = place.home.last_entry()
        found = pages(dora, "/audit/entries", limit)
        assert [one["index"] for one in found] == list(range(len(found)))
        assert len(found) > known
        assert found[known + 1]["action"] == "audit.read"
    # A page of one ends too, though each page that is read adds an entry.
    first = dora.good("GET", "/audit/entries?limit=1")
    assert [one["index"] for one in first["items"]] == [0]
    assert first["next"] == "1"


def test_the_audit_log_newest_first(place: Place) -> None:
    """Newest first it is the same log backwards, page by page; the first entry told of is the reading itself."""
    dora = place.client("dora")
    forwards = pages(dora, "/audit/entries", 1000)
    found = pages(dora, "/audit/entries?order=newest", 7)
    assert found[0]["index"] == len(forwards)
    assert found[0]["action"] == "audit.read"
    assert found[1:] == forwards[::-1]
    assert dora.get("/audit/entries?order=random").status == 422


def test_the_audit_log_as_json_lines(place: Place) -> None:
    """As JSON lines each line is a body byte for byte as it was hashed, and the chain can be checked from it."""
    reply = place.client("dora").get("/audit/entries?limit=1000", Accept="application/jsonl")
    assert reply.content_type == "application/jsonl"
    bodies = reply.body.decode().splitlines()
    stored = place.home.rows("SELECT body, leaf_hash FROM audit_entries ORDER BY position")
    assert bodies == [body for body, _ in stored]
    assert_chain(stored)


def test_audit_entries_as_csv(place: Place) -> None:
    """As CSV each entry is a line with its hash."""
    reply = place.client("dora").get("/audit/entries?limit=1000", Accept="text/csv")
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert [int(row["index"]) for row in rows] == list(range(place.home.last_entry() + 1))
    stored = [leaf for (leaf,) in place.home.rows("SELECT leaf_hash FROM audit_entries ORDER BY position")]
    assert [row["leaf_hash"] for row in rows] == stored


def test_the_audit_log_is_filtered(place: Place) -> None:
    """Study, actor, action and time each select what they say, and together all of it."""
    place.open_study("other")
    ada, dora = place.client("ada"), place.client("dora")
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS))
    ada.good("POST", "/studies/flu/estimates", ask(PATIENTS))
    ada.good("POST", "/studies/other/queries", ask(PATIENTS))
    every = dora.good("GET", "/audit/entries?limit=1000")["items"]

    def found(**filters: str) -> list[int]:
        text = "&".join(f"{name}={quote(value)}" for name, value in filters.items())
        items = dora.good("GET", f"/audit/entries?limit=1000&{text}")["items"]
        # The reading itself may fit the filter; it came after what was there before.
        return [one["index"] for one in items if one["index"] <= every[-1]["index"]]

    def wanted(name: str, value: str | None) -> list[int]:
        return [one["index"] for one in every if one[name] == value]

    assert found(study="flu") == wanted("study", "flu") != []
    assert found(actor="ada") == wanted("actor_name", "ada") != []
    assert found(actor="system") == wanted("actor_name", "system") != []
    assert found(action="query.release") == wanted("action", "query.release") != []
    both = set(wanted("study", "flu")) & set(wanted("actor_name", "ada"))
    assert found(study="flu", actor="ada") == sorted(both)
    middle = every[len(every) // 2]["time"]
    assert found(**{"from": middle}) == [one["index"] for one in every if one["time"] >= middle]
    assert found(to=middle) == [one["index"] for one in every if one["time"] < middle]
    assert found(study="nowhere") == found(actor="nobody") == found(action="nothing") == []


def test_pages_name_the_checkpoint_that_covers_them(place: Place) -> None:
    """CSV and JSON lines come with a signed checkpoint, of at least the entries that are shown."""
    dora = place.client("dora")
    key = Verifier.of(dora.good("GET", "/audit/checkpoint")["key"])
    for kind in ("text/csv", "application/jsonl"):
        reply = dora.get("/audit/entries?limit=1000", Accept=kind)
        note = base64.b64decode(reply.headers["rowless-checkpoint"]).decode()
        said = open_note(note, key)
        leaves = place.home.rows("SELECT leaf_hash FROM audit_entries ORDER BY position")
        assert len(reply.body.splitlines()) - (kind == "text/csv") == said.size == len(leaves)
        tree = Frontier()
        for (leaf,) in leaves:
            tree.add(bytes.fromhex(leaf))
        assert tree.root() == said.root


def test_the_checkpoint_is_signed(place: Place) -> None:
    """The checkpoint says what the log holds, as a note and as JSON, signed by the key that `rowless init` told."""
    dora = place.client("dora")
    note = dora.get("/audit/checkpoint", Accept="text/plain")
    assert note.content_type == "text/plain"
    shown = dora.good("GET", "/audit/checkpoint")
    assert shown["note"] == note.body.decode()
    said = open_note(shown["note"], Verifier.of(verifier_key(place.home.path / "audit.key")))
    assert (said.origin, said.size, said.root.hex()) == (shown["origin"], shown["size"], shown["root"])
    assert said.size == place.home.last_entry() + 1
    (place.home.path / "audit.key").chmod(0o644)
    is_refused(dora.get("/audit/checkpoint"), 503, "unavailable")


def test_audit_proofs_of_inclusion_and_consistency(place: Place) -> None:
    """Each entry is proven to be in the log of each size, and each size to be a prefix of the present one."""
    dora = place.client("dora")
    last = dora.good("GET", "/audit/checkpoint")
    root = bytes.fromhex(last["root"])
    leaves = [
        bytes.fromhex(leaf) for (leaf,) in place.home.rows("SELECT leaf_hash FROM audit_entries ORDER BY position")
    ]
    for index in range(last["size"]):
        proof = dora.good("GET", f"/audit/proofs/inclusion?index={index}&size={last['size']}")
        path = [bytes.fromhex(one) for one in proof["hashes"]]
        assert bytes.fromhex(proof["leaf_hash"]) == leaves[index]
        assert verify_inclusion(leaves[index], index, proof["size"], path, root)
        size = index + 1
        assert dora.good("GET", f"/audit/proofs/inclusion?index=0&size={size}")["size"] == size
        proof = dora.good("GET", f"/audit/proofs/consistency?from={size}&to={last['size']}")
        path = [bytes.fromhex(one) for one in proof["hashes"]]
        assert verify_consistency(size, last["size"], path, bytes.fromhex(proof["root_from"]), root)
    assert dora.good("GET", "/audit/proofs/inclusion?index=0")["size"] == last["size"]
    assert dora.good("GET", "/audit/proofs/consistency?from=1")["to"] == last["size"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *(("inclusion?", "index"), ("inclusion?index=-1", "index"), ("inclusion?index=x", "index")),
        *(("inclusion?index=5&size=5", "index"), ("inclusion?index=0&size=0", "size")),
        *(("inclusion?index=0&size=100000", "size"), ("consistency?", "from"), ("consistency?from=0", "from")),
        *(
            ("consistency?from=3&to=2", "from"),
            ("consistency?from=1&to=100000", "to"),
            ("consistency?from=1&to=", "to"),
        ),
    ],
)
def test_an_impossible_proof_is_refused(place: Place, query: str, field: str) -> None:
    """What the log does not hold cannot be proven, and the parameter that asks for it is named."""
    is_refused(place.client("dora").get(f"/audit/proofs/{query}"), 422, "invalid-request", f"/{field}")


def test_the_next_page_keeps_its_filters(place: Place) -> None:
    """The Link of a CSV or JSON lines page leads to the next page of the same filtered list."""
    ada, dora = place.client("ada"), place.client("dora")
    place.open_study("other")
    for turn, study in enumerate(("flu", "other") * 3):
        ada.good("POST", f"/studies/{study}/queries", ask(PATIENTS, 1 + turn))
    flu = [
        position
        for (position,) in place.home.rows(
            "SELECT position FROM audit_entries WHERE study = 'flu' AND action = 'query.reserve' ORDER BY position"
        )
    ]
    assert len(flu) == 3
    for kind in ("text/csv", "application/jsonl"):
        first = dora.get("/audit/entries?study=flu&action=query.reserve&limit=2", Accept=kind)
        target = first.headers["link"].partition("<")[2].partition(">")[0]
        second = dora.get(f"/audit/entries{target}", Accept="application/jsonl")
        shown = [json.loads(line) for line in second.body.decode().splitlines()]
        assert [one["index"] for one in shown] == flu[2:], target


@pytest.mark.parametrize("cursor", ["9" * 20, "9" * 5000, "-1", "x", "1.5", "²", "1;--"])
def test_an_impossible_cursor_is_no_failure(place: Place, cursor: str) -> None:
    """A cursor that no page gave is answered or refused, but never breaks the server."""
    for path in ("/audit/entries", "/studies", "/studies/flu/releases"):
        assert place.client("dora").get(f"{path}?cursor={quote(cursor)}").status in (200, 422), path


@pytest.mark.parametrize("when", ["yesterday", "2026-13-01", "2026-01-01T25:00:00Z", "0"])
def test_an_impossible_time_is_refused(place: Place, when: str) -> None:
    """A time that is none is refused, so that nobody takes an empty list for an answer."""
    for name in ("from", "to"):
        is_refused(place.client("dora").get(f"/audit/entries?{name}={when}"), 422, "invalid-request", f"/{name}")


def test_no_entry_names_a_person(place: Place) -> None:
    """Bodies of the log hold commitments, never the names of users."""
    ada = place.client("ada")
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS))
    for (body,) in place.home.rows("SELECT body FROM audit_entries"):
        entry = json.loads(body)
        assert entry["actor"] not in ("ada", "ben", "dora", "admin")
        assert '"ada"' not in body
        assert ":ada" not in body


def test_budget_forecasts_number_of_queries(place: Place) -> None:
    """A member reads what is left as a number of queries like the last one, in words and as a curve."""
    place.open_study("s", epsilon=3.0)
    ada = place.client("ada")
    fresh = ada.good("GET", "/studies/s/budget")
    assert (fresh["last"], fresh["queries_left"]) == (None, None)
    assert fresh["buys"] == "about 33 more queries of epsilon 0.1"
    ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))
    told = ada.good("GET", "/studies/s/budget")
    assert told["last"]["epsilon"] == 0.5
    assert told["queries_left"] == 5
    assert told["buys"] == "about 5 more queries like the last one (epsilon 0.5)"
    curve = {point["epsilon"]: point for point in told["forecast"]}
    assert curve[0.5] == {"epsilon": 0.5, "queries": 5, "by_epsilon": 5, "by_rho": 0, "by_split": 2}
    assert curve[0.01]["queries"] == curve[0.01]["by_rho"] > curve[0.01]["by_epsilon"] == 250
    estimate = ada.good("POST", "/studies/s/estimates", ask(PATIENTS, 1.25))
    assert (estimate["queries_left"], estimate["affordable"]) == (2, True)
    assert ada.good("POST", "/studies/s/estimates", ask(PATIENTS, 2.6))["queries_left"] == 0
