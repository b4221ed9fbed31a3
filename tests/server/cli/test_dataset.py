"""Decisions on datasets over HTTP and by command, and what the independent check finds in a log that forged them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.server.cli.test_conduct import (
    both,
    by_the_same,
    change,
    entries,
    formal,
    found,
    once_more,
    without,
)
from tests.server.cli.test_verify import asked, position
from tests.serving import FORMALITIES, UNADVISED, application, make_home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server.cli.test_conduct import Entries
    from tests.serving import Home

PATH = "/datasets/clinic"
PROFILE = {"profile": 0.5, "reason": "new persons", "justification": "a test"}


def run(home: Home, *arguments: str) -> Any:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env=home.environment())


def test_a_dataset_is_decided_on_over_http(template: Home, tmp_path: Path) -> None:
    """Proposed, advised on and approved, each by its role; nothing before the approval; refusals have their codes."""
    home = template.copy(tmp_path / "home")
    with application(home) as place:
        admin, dora, vera = (place.client(name) for name in ("admin", "dora", "vera"))
        assert vera.post(f"{PATH}/approve", {"reason": "r"}).code == "wrong-state"
        waits = admin.good("POST", f"{PATH}/propose", {**PROFILE, "delta": 1e-5})["terms"]
        digest = waits["waiting"].pop("digest")
        assert len(digest) == 64
        kept = waits["waiting"].pop("formalities")  # those of the manifest stay
        assert {name: value for name, value in kept.items() if value is not None} == FORMALITIES
        assert waits["waiting"] == {
            "epsilon": 10000.0,
            "delta": 1e-5,
            "laplace_percent": 50,
            "justification": "a test",
            "profile": 0.5,
            "noise": "both",
        }
        assert waits["proposed_by"] == ["admin"]
        (line, _) = run(home, "dataset", "list").stdout.splitlines()
        assert line.startswith("Dataset clinic (approved, and terms wait for an approver), edition 1")
        assert vera.post(f"{PATH}/approve", {"reason": "r"}).code == "not-advised"
        advised = dora.good("POST", f"{PATH}/advise", {"opinion": "conditional", "reason": "once a year"})
        assert advised["terms"]["advice"]["by"] == "dora"
        assert advised["budget"]["delta"] == 1e-6
        assert dora.post(f"{PATH}/approve", {"reason": "mine"}).code == "forbidden"
        done = vera.good("POST", f"{PATH}/approve", {"reason": "good"})
        assert (done["budget"]["delta"], done["terms"]["waiting"], done["terms"]["profile_left"]) == (
            1e-5,
            None,
            0.5,
        )
        assert admin.post(f"{PATH}/profile", {"epsilon": 0.6}).code == "not-approved"
        assert admin.post(f"{PATH}/profile", {"epsilon": 0.5}).status == 201
        assert vera.good("GET", PATH)["terms"] == {**done["terms"], "profile_left": 0.0}
        assert "terms" not in place.client("ada").good("GET", PATH)
    home.assert_sound()


def test_nothing_is_answered_before_the_approval(tmp_path: Path) -> None:
    """A dataset that was imported is listed as waiting; no study on it is approved, and a charge is refused anyway."""
    home = make_home(tmp_path / "home")
    assert run(home, "import", str(write_clinic(tmp_path))).exit_code == 0
    with application(home) as place:
        (one,) = place.client("ada").good("GET", "/datasets")["items"]
        assert one["state"] == "waiting"
        place.open_study("s", "clinic", approve=False)
        refused = place.client("vera").post("/studies/s/approve", {"reason": "r", **UNADVISED})
        assert (refused.status, refused.code) == (409, "wrong-state")
        home.change("UPDATE studies SET state = 'approved'")  # as somebody with access to the database could
        body = {"query": {"from": "visits", "select": {"n": {"count": "persons"}}}, "privacy": {"epsilon": 0.5}}
        ada = place.client("ada")
        assert ada.post("/studies/s/estimates", body).status == 200
        assert ada.post("/studies/s/queries", body).code == "not-approved"
    assert home.charges() == []
    # The same by command.
    advised = run(home, "dataset", "advise", "clinic", "--opinion", "favourable", "--reason", "good")
    assert "advice: favourable, by dora: good" in advised.stdout
    refused = run(home, "dataset", "approve", "clinic", "--reason", "mine", "--as", "admin")
    assert refused.exit_code == 1
    approved = run(home, "dataset", "approve", "clinic", "--reason", "good")
    assert "approved by vera; further profiles may cost epsilon 0.1" in approved.stdout
    with application(home) as place:
        assert place.client("ada").post("/studies/s/queries", body).status == 201
    assert "Dataset clinic (approved), edition 1" in run(home, "dataset", "list").stdout


@pytest.fixture(scope="module")
def decided(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with a dataset whose second profile was advised on, approved and bought, and a query of it."""
    home = template.copy(tmp_path_factory.mktemp("decided") / "home")
    with application(home) as place:
        admin, dora, vera = (place.client(name) for name in ("admin", "dora", "vera"))
        place.open_study(dataset="rand-hie")
        asked(place, 0.5)
        admin.good("POST", "/datasets/rand-hie/propose", {**PROFILE, "delta": 1e-5})
        dora.good("POST", "/datasets/rand-hie/advise", {"opinion": "favourable", "reason": "good"})
        vera.good("POST", "/datasets/rand-hie/approve", {"reason": "good"})
        admin.good("POST", "/datasets/rand-hie/profile", {"epsilon": 0.5})
    return home


FIRST, CLINIC, SECOND = 0, 1, 2  # the approvals: rand-hie's and the clinic's first, then rand-hie's second


def given_back(like: str, **facts: Any) -> Callable[[Entries], None]:
    """Return what adds, after a profile was bought, an entry that gives a charge like another back."""

    def work(log: Entries) -> None:
        place, old = position(log, "dataset.profile.reserve"), log[position(log, like)]
        void = {**old, "action": "dataset.profile.void", "time": log[place]["time"]}
        log.insert(place + 1, {**void, "facts": {**old["facts"], **facts}})

    return work


def lowered_while_waiting(log: Entries) -> None:
    """Let an import lower the cap while terms with the cap of before wait."""
    place, old = position(log, "dataset.propose"), log[position(log, "dataset.import")]
    cap = {**old["facts"]["cap"], "epsilon_nano": 10**9}
    facts = {**old["facts"], "edition": 2, "cap": cap}
    log.insert(place + 1, {**old, "time": log[place]["time"], "facts": facts})


FORGED: dict[str, tuple[Callable[[Entries], Any], str]] = {
    "queried before the dataset's approval": (
        without("dataset.approve", FIRST),
        "the dataset rand-hie was not approved before it",
    ),
    "a profile of a dataset that was never approved": (
        both(without("dataset.approve", SECOND), without("dataset.approve", FIRST)),
        "its profiles of rand-hie take more than was approved",
    ),
    # The first approval of the tests' homes allows profiles of the whole cap.
    "a larger profile than was approved": (
        change("dataset.profile.reserve", facts={"loss": {"epsilon_nano": 10**14, "rho_nano": 1, "delta_atto": 0}}),
        "its profiles of rand-hie take more than was approved",
    ),
    "a query's charge is given back to the profiles": (
        given_back("query.reserve"),
        "it gives back to profiles of rand-hie what the charge",
    ),
    "a charge is given back to another dataset's profiles": (
        given_back("dataset.profile.reserve", dataset="clinic"),
        "it gives back to profiles of clinic what the charge",
    ),
    "a charge is given back to the profiles twice": (
        both(given_back("dataset.profile.reserve"), given_back("dataset.profile.reserve")),
        "it gives back to profiles of rand-hie what the charge",
    ),
    "more is given back to the profiles than they took": (
        given_back("dataset.profile.reserve", loss={"epsilon_nano": 10**12, "rho_nano": 1, "delta_atto": 0}),
        "it gives back to profiles of rand-hie what the charge",
    ),
    "an approver buys a profile": (
        change("dataset.profile.reserve", role="approver"),
        "only the role admin may do this, and its actor acts as approver",
    ),
    "a profile of an edition that is none": (
        change("dataset.profile.reserve", facts={"edition": 2}),
        "it buys a profile of edition 2 of rand-hie, which was not imported",
    ),
    "the importer approves": (
        by_the_same("dataset.approve", "dataset.import"),
        "a person who imported or proposed the terms of the dataset rand-hie approved them",
    ),
    "the proposer advises": (
        by_the_same("dataset.advise", "dataset.propose"),
        "a person who imported or proposed the terms of the dataset rand-hie advised on them",
    ),
    "the adviser approves": (
        lambda log: log[position(log, "dataset.approve", SECOND)].update(
            actor=log[position(log, "dataset.advise")]["actor"]
        ),
        "a person approved on their own advice",
    ),
    "advice is missing": (without("dataset.advise"), "it names advice of the DPO that does not stand"),
    "neither advice nor a reason": (
        change("dataset.approve", FIRST, facts={"without_advice": None}),
        "it approves without the DPO's advice, and does not say why",
    ),
    "advice on other terms": (
        change("dataset.advise", facts={"profile_epsilon_nano": 1}),
        "it advises on terms of the dataset rand-hie that do not wait for approval",
    ),
    "a cap that an import lowered is approved as before": (
        lowered_while_waiting,
        "it approves terms of the dataset rand-hie that do not wait for approval",
    ),
    "another cap is approved": (
        change("dataset.approve", SECOND, facts={"cap": {"epsilon_nano": 10**15, "delta_atto": 0}}),
        "it approves terms of the dataset rand-hie that do not wait for approval",
    ),
    "approved twice": (once_more("dataset.approve", SECOND), "that do not wait for approval"),
    "nobody proposed it": (without("dataset.propose"), "that do not wait for approval"),
    "an admin approves": (
        change("dataset.approve", role="admin"),
        "only the role approver may do this, and its actor acts as admin",
    ),
    "an approver imports": (
        change("dataset.import", role="approver"),
        "only the role admin may do this, and its actor acts as approver",
    ),
    "of no dataset": (
        change("dataset.propose", subject="dataset:gone"),
        "it is about the dataset gone, which was not imported",
    ),
    "an import without its noise": (
        change("dataset.import", facts={"noise": None}),
        "it imports edition 1 of rand-hie without the noise that its queries may have",
    ),
    "other noise than waited": (
        change("dataset.approve", SECOND, facts={"noise": "gaussian"}),
        "it approves terms of the dataset rand-hie that do not wait for approval",
    ),
    "noise that was not approved": (
        both(*(change(f"dataset.{act}", facts={"noise": "gaussian"}) for act in ("import", "approve"))),
        "it has laplace noise, and the dataset rand-hie was approved for gaussian noise alone",
    ),
    "before the rules": (
        change("rules.begin", facts={"rules": 2}),
        "it decides on a dataset before the rules by which datasets wait for an approver",
    ),
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_decision_on_a_dataset_is_found(decided: Home, how: str) -> None:
    """Each act that the server would refuse is found in a log that says it was done."""
    log = entries(decided)
    tamper, said = FORGED[how]
    tamper(log)
    problems = found(log)
    assert any(said in problem for problem in problems), problems


def test_an_honest_log_of_decisions_is_in_order(decided: Home) -> None:
    """What the server allowed is in order, and so is a log whose datasets were imported before these rules."""
    log = entries(decided)
    assert found(log) == []
    decided.assert_sound()
    last = position(log, "query.reserve")
    begin = {**json.loads(json.dumps(log[0])), "time": log[last]["time"]}
    log[0]["facts"]["rules"] = 2
    earlier = [one for one in log[:last] if one["action"] != "dataset.approve"]
    for one in earlier:
        if one["action"] == "dataset.import":
            del one["facts"]["profile_epsilon_nano"]
    formal("dataset")(earlier)
    assert found([*earlier, begin, *log[last:]]) == []
    assert found([*earlier, *log[last : last + 2]]) == []
