"""Alerts through the application: what raises them, how the DPO lists them, and that a flood stays small."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.database.connection import Database
from budgets.verify import export, files
from server.cli.main import main
from server.journey.refusals import CODES
from server.runtime.sign_ins import SignIns
from server.web.problems import PROBLEMS
from tests.serving import PATIENTS, UNADVISED, Client, Place, ask, through_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Home, Reply

WRONG = f"rowless_0123456789abcdef_{'A' * 43}"
SECRETIVE = "xyzzy_user_text"


def entries(home: Home, action: str) -> list[dict[str, Any]]:
    """Return the log's entries of an action."""
    found = home.rows("SELECT body FROM audit_entries WHERE action = ? ORDER BY position", action)
    return [json.loads(body) for (body,) in found]


def told(place: Place, query: str = "") -> list[dict[str, Any]]:
    """Return the alerts that the DPO sees."""
    items: list[dict[str, Any]] = place.client("dora").good("GET", f"/alerts{query}")["items"]
    return items


def spend(place: Place, epsilon: float, study: str = "small", **query: Any) -> Reply:
    """Ask for the number of patients."""
    return place.client("ada").post(f"/studies/{study}/queries", ask(PATIENTS, epsilon, **query))


def test_the_codes_of_refusals_are_those_of_the_problems() -> None:
    """What the log calls a refusal is what its answer calls it."""
    assert {error: PROBLEMS[error].code for error in CODES} == CODES


def test_a_budget_that_is_used_up_is_told_step_by_step(place: Place) -> None:
    """At half and at 80% of a study's budget, and when a query no longer fits, the DPO is told in words."""
    place.open_study("small", epsilon=1.0)
    assert spend(place, 0.4).status == 201
    assert told(place) == []
    assert spend(place, 0.2, group_by=["sex"]).status == 201
    assert spend(place, 0.2, group_by=["site"]).status == 201
    assert spend(place, 0.2, group_by=["site"]).json()["replayed"]
    assert spend(place, 0.4, group_by=["year"]).code == "budget-exceeded"
    assert spend(place, 0.4, group_by=["year"]).code == "budget-exceeded"
    found = told(place)
    assert [(one["kind"], one["study"], one["about"], one["summary"]) for one in found] == [
        ("budget", "small", None, "study small has used 60% of its budget (epsilon 0.6 of 1)"),
        ("budget", "small", None, "study small has used 80% of its budget (epsilon 0.8 of 1)"),
        (
            "budget",
            "small",
            None,
            "study small has too little budget left for a charge of epsilon 0.4 (rho 0.08), which was refused: "
            "used 80% of its budget (epsilon 0.8 of 1)",
        ),
    ]
    # Each stands right behind what raised it, in one transaction.
    for alert in found:
        ((action,),) = place.home.rows("SELECT action FROM audit_entries WHERE position = ?", alert["index"] - 1)
        assert action == ("query.reserve" if alert["facts"]["cause"] == "charge" else "query.refuse")
    place.home.assert_sound()


def test_a_profile_and_a_lower_cap_are_told_of_the_dataset(place: Place) -> None:
    """What a profile takes counts to the dataset; a budget that is lowered is told of too, and a raise arms it again."""
    admin = place.client("admin")
    admin.good("POST", "/datasets/rand-hie/profile", {"epsilon": 5000})
    place.open_study("small", epsilon=4.0)
    assert spend(place, 1.0).status == 201
    admin.good("PUT", "/studies/small/budget", {"epsilon": 1.5, "justification": "a test", "reason": "less"})
    admin.good("PUT", "/studies/small/budget", {"epsilon": 1.5, "justification": "a test", "reason": "the same"})
    admin.good("PUT", "/studies/small/budget", {"epsilon": 4, "justification": "a test", "reason": "more"})
    place.client("vera").good("POST", "/studies/small/budget/approve", {"reason": "more", **UNADVISED})
    assert spend(place, 1.0, group_by=["sex"]).status == 201
    said = [(one["study"], one["facts"]["threshold"], one["facts"]["cause"]) for one in told(place)]
    assert said == [(None, 50, "charge"), ("small", 50, "limits"), ("small", 50, "charge")]
    assert told(place)[0]["summary"].startswith("dataset rand-hie has used 50% of its budget")
    assert told(place)[1]["summary"].startswith("by its new limits study small has used 66% of its budget")


def test_every_refused_question_is_an_entry_without_its_text(place: Place) -> None:
    """Queries, estimates and rehearsals outside the protocol, of a study that may not ask, by who is no member, or of none."""
    admin = place.client("admin")
    place.open_study("narrow", protocol={"tables": ["years"], "statistics": ["mean"]})
    place.open_study("early", approve=False)
    body = ask({SECRETIVE: {"count": "persons"}})
    cases = [
        ("ada", "narrow", "outside-protocol", "narrow"),
        ("ada", "early", "not-approved", "early"),
        ("ben", "flu", "not-found", "flu"),
        ("ben", SECRETIVE, "not-found", None),
    ]
    for user, study, code, known in cases:
        for route, asked in (("queries", "query"), ("estimates", "estimate"), ("rehearsals", "rehearsal")):
            before = place.home.last_entry()
            assert place.client(user).post(f"/studies/{study}/{route}", body).code == code
            assert place.home.actions(before) == ["query.refuse"], (user, study, route)
            said = entries(place.home, "query.refuse")[-1]
            assert said["facts"] == {"code": code, "asked": asked}
            assert (said["study"], said["role"]) == (known, "researcher")
            assert SECRETIVE not in json.dumps(said)
    # What cannot be understood, or is of another kind, is no refusal.
    before = place.home.last_entry()
    assert place.client("ada").post("/studies/flu/queries", ask({"x": {"count": "nothing"}})).status == 422
    assert admin.get("/studies/none").status == 404
    assert place.home.actions(before) == []


def test_a_burst_of_refusals_is_told_with_the_users_name(place: Place) -> None:
    """After the 20th refusal the DPO sees who it was, in the list alone; the study if it was one."""
    for number in range(25):
        assert place.client("ben").post("/studies/flu/estimates", ask(PATIENTS)).status == 404, number
    (alert,) = told(place)
    assert (alert["kind"], alert["study"], alert["about"]) == ("refusals", "flu", "ben")
    (entry,) = entries(place.home, "alert.refusals")
    assert "ben" not in json.dumps(entry)


def test_the_dpo_lists_by_kind_study_time_and_page(place: Place) -> None:
    """Filters and pages of GET /alerts; each reading is an entry; what cannot be is refused by name."""
    for name in ("one", "two"):
        place.open_study(name, epsilon=1.0)
        assert spend(place, 0.5, name).status == 201
        assert spend(place, 0.3, name, group_by=["sex"]).status == 201
    for _ in range(6):
        Client(through_app(place.app), WRONG).get("/me")
    dora = place.client("dora")
    found = told(place)
    assert [one["kind"] for one in found] == ["budget"] * 4 + ["sign-ins"]
    assert told(place, "?kind=sign-ins") == found[4:]
    assert told(place, "?kind=refusals") == []
    assert told(place, "?study=two") == found[2:4]
    assert told(place, f"?from={found[2]['time']}") == [one for one in found if one["time"] >= found[2]["time"]]
    assert told(place, f"?to={found[2]['time']}&kind=budget") == [
        one for one in found if one["time"] < found[2]["time"]
    ]
    pages, cursor = [], ""
    while True:
        page = dora.good("GET", f"/alerts?limit=2{cursor}")
        pages.append(page["items"])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one for page in pages for one in page] == found
    before = place.home.last_entry()
    told(place, "?kind=budget&study=one")
    assert place.home.actions(before) == ["audit.read"]
    read = entries(place.home, "audit.read")[-1]
    assert (read["subject"], read["facts"]) == ("alerts", {"kind": "budget", "study": "one"})
    for wrong, pointer in (
        ("kind=x", "/kind"),
        ("from=x", "/from"),
        ("limit=0", "/limit"),
        (f"study={'a' * 64}", "/study"),
    ):
        reply = dora.get(f"/alerts?{wrong}")
        assert (reply.status, reply.json()["pointer"]) == (422, pointer)
    entry = dora.good("GET", "/audit/entries?action=alert.budget&limit=1")["items"][0]
    assert entry["leaf_hash"] == found[0]["leaf_hash"]


@contextmanager
def on_a_clock(place: Place) -> Iterator[list[float]]:
    """Give an application's failed sign-ins a clock that the test sets."""
    seconds = [1000.0]
    place.app.extensions["rowless"] = replace(place.services, sign_ins=SignIns(lambda: seconds[0]))
    yield seconds


def test_a_flood_of_wrong_tokens_is_a_few_entries(place: Place) -> None:
    """From the fifth on failures are counted: one entry a minute has their number, and none is lost."""
    with on_a_clock(place) as seconds:
        stranger = Client(through_app(place.app), WRONG)

        def fail(times: int) -> None:
            for _ in range(times):
                assert stranger.get("/me").status == 401

        fail(200)
        assert len(entries(place.home, "sign-in.fail")) == 5
        seconds[0] += 59
        fail(50)
        assert len(entries(place.home, "sign-in.fail")) == 5
        seconds[0] += 2
        fail(100)
        found = entries(place.home, "sign-in.fail")
        assert len(found) == 6
        assert found[-1]["facts"]["count"] == 246  # 195 and 50 that were held back, and the one that wrote it
        assert found[-1]["facts"]["from"] <= found[-1]["facts"]["to"]
        # The rest comes with the next good token once the minute is over, and at the end.
        assert place.client("ada").get("/me").status == 200
        assert len(entries(place.home, "sign-in.fail")) == 6
        seconds[0] += 61
        assert place.client("ada").get("/me").status == 200
        assert entries(place.home, "sign-in.fail")[-1]["facts"]["count"] == 99
        fail(7)
        place.services.sign_ins.write_what_is_held(place.services.database)
        assert sum(one["facts"].get("count", 1) for one in entries(place.home, "sign-in.fail")) == 357
        assert [one["kind"] for one in told(place)] == ["sign-ins"]
    place.home.assert_sound()


def test_a_flood_waits_for_no_lock(place: Place) -> None:
    """While somebody else holds the write lock, wrong tokens of a burst are refused at once."""
    stranger = Client(through_app(place.app), WRONG)
    for _ in range(6):
        stranger.get("/me")
    held, done = threading.Event(), threading.Event()

    def seconds_of_fifty() -> float:
        began = time.monotonic()
        for _ in range(50):
            assert stranger.get("/me").status == 401
        return time.monotonic() - began

    def hold() -> None:
        with closing(Database(place.home.ledger)) as database, database.write():
            held.set()
            done.wait(300)

    holder = threading.Thread(target=hold)
    usual = seconds_of_fifty()
    holder.start()
    try:
        assert held.wait(300)
        assert seconds_of_fifty() < 5 + 3 * usual
    finally:
        done.set()
        holder.join()


def test_failures_of_many_threads_are_all_counted(place: Place) -> None:
    """Eight threads that send 40 wrong tokens each leave few entries, whose counts add up."""

    def flood() -> None:
        start.wait()
        for _ in range(40):
            Client(through_app(place.app), WRONG).get("/me")

    start = threading.Barrier(8)
    threads = [threading.Thread(target=flood) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    place.services.sign_ins.write_what_is_held(place.services.database)
    found = entries(place.home, "sign-in.fail")
    assert sum(one["facts"].get("count", 1) for one in found) == 320
    assert len(found) <= 14
    assert len(entries(place.home, "alert.sign-ins")) == 1


def test_what_could_not_be_written_is_counted_still(place: Place) -> None:
    """When the ledger cannot be written to, a failure is 503, and its count comes with the next."""
    stranger = Client(through_app(place.app), WRONG)
    assert stranger.get("/me").status == 401
    place.home.change("CREATE TRIGGER full BEFORE INSERT ON bursts BEGIN SELECT RAISE(ABORT, 'full'); END")
    place.home.change("DELETE FROM bursts")
    assert stranger.get("/me").status >= 500
    place.home.change("DROP TRIGGER full")
    assert len(entries(place.home, "sign-in.fail")) == 1
    assert stranger.get("/me").status == 401
    assert [one["facts"].get("count", 1) for one in entries(place.home, "sign-in.fail")] == [1, 2]


def cli(home: Home, *arguments: str) -> Any:
    """Run a command on a home."""
    return CliRunner(env=home.environment()).invoke(main, list(arguments))


def test_the_command_lists_alerts_in_words(place: Place) -> None:
    """`rowless audit alerts` says them in words, with the name of who was refused, the newest where there are too many."""
    home = place.home
    assert cli(home, "audit", "alerts").output == "There are no such alerts.\n"
    place.open_study("small", epsilon=1.0)
    assert spend(place, 0.5).status == 201
    for _ in range(20):
        place.client("ben").post("/studies/flu/estimates", ask(PATIENTS))
    lines = cli(home, "audit", "alerts").output.splitlines()
    assert [line[26:] for line in lines] == [
        "budget    study small has used 50% of its budget (epsilon 0.5 of 1)",
        "refusals  a user of the role researcher was refused 20 times within 10 minutes under study flu: ben",
    ]
    assert cli(home, "audit", "alerts", "--kind", "budget", "--from", "2020-01-01").output.splitlines() == lines[:1]
    assert cli(home, "audit", "alerts", "--study", "flu").output.splitlines() == lines[1:]
    assert cli(home, "audit", "alerts", "--limit", "1").output.splitlines() == [
        "(1 earlier alert is left out: --limit)",
        lines[1],
    ]
    said = json.loads(cli(home, "audit", "alerts", "--json").output)
    assert [one["about"] for one in said["items"]] == [None, "ben"]
    assert home.actions()[-1] == "audit.read"
    wrong = cli(home, "audit", "alerts", "--from", "yesterday")
    assert wrong.exit_code == 1
    assert "--from: must be a time in UTC" in wrong.output
    assert cli(home, "audit", "alerts", "--as", "ada").exit_code == 1
    assert cli(home, "audit", "alerts", "--kind", "x").exit_code == 2


def test_an_exported_log_with_alerts_verifies(place: Place, tmp_path: Path) -> None:
    """The independent check takes a log with alerts of each kind in it, and finds one that was changed."""
    place.open_study("small", epsilon=1.0)
    assert spend(place, 0.5).status == 201
    assert spend(place, 0.6, group_by=["sex"]).status == 409
    for _ in range(20):
        place.client("ben").post("/studies/flu/estimates", ask(PATIENTS))
    for _ in range(6):
        Client(through_app(place.app), WRONG).get("/me")
    file = tmp_path / "log.jsonl"
    assert cli(place.home, "audit", "export", str(file)).exit_code == 0
    key = json.loads(cli(place.home, "audit", "key", "--json").output)["audit_key"]
    report = files.verify_files(file, key=key, covering=None, older=(), progress=lambda _bytes: None)
    assert report.verdict == "ok", export.words(report)
    assert {f"alert.{kind}" for kind in ("budget", "refusals", "sign-ins")} <= set(place.home.actions())
    text = file.read_text()
    assert text.count("has used 50%") == 1
    file.write_text(text.replace("has used 50%", "has used 10%"))
    report = files.verify_files(file, key=key, covering=None, older=(), progress=lambda _bytes: None)
    assert report.verdict != "ok"


@pytest.mark.parametrize("kind", ["budget", "refusals", "sign-ins"])
def test_alerts_hold_the_shape_that_the_document_says(place: Place, kind: str) -> None:
    """Every member of an alert is one of the declared shape."""
    place.open_study("small", epsilon=1.0)
    spend(place, 0.5)
    for _ in range(20):
        place.client("ben").post("/studies/flu/estimates", ask(PATIENTS))
    for _ in range(6):
        Client(through_app(place.app), WRONG).get("/me")
    (alert,) = told(place, f"?kind={kind}")
    assert set(alert) == {"index", "time", "kind", "study", "summary", "about", "facts", "leaf_hash"}
