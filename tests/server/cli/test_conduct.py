"""What a server that no longer refuses leaves in its log, and that an honest one leaves nothing of the kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.database import clock
from budgets.governance import approval, studies
from budgets.verify.conduct import Conduct
from budgets.verify.spending import Spending
from queries.planning import policy
from server.journey import answer, preparing
from tests.server.cli.test_verify import asked, position, rechained, rewrite, run
from tests.serving import PATIENTS, Home, application, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Entries = list[dict[str, Any]]

NEW = "d" * 64  # a commitment
PROTOCOL = {"tables": ["years"], "statistics": ["count", "mean"], "max_epsilon": 2.0}


def entries(home: Home) -> Entries:
    """Return the log of a home."""
    return [json.loads(body) for (body,) in home.rows("SELECT body FROM audit_entries ORDER BY position")]


def found(log: Entries) -> list[str]:
    """Return what was out of order in a log."""
    conduct = Conduct()
    return [problem for entry in log for problem in conduct.read(entry)]


@pytest.fixture(scope="module")
def lived(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home whose study went through every state, with everything that an honest server allows."""
    home = template.copy(tmp_path_factory.mktemp("conduct") / "home")
    with application(home) as place:
        admin, dora = place.client("admin"), place.client("dora")
        place.open_study(epsilon=5.0, protocol=PROTOCOL, starts="2020-01-01", ends=clock.today(), approve=False)
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 6.0, "reason": "a draft's"})
        admin.good("PATCH", "/studies/flu", {"title": "Flu"})
        place.client("vera").good("POST", "/studies/flu/approve", {"reason": "good"})
        asked(place, 2.0)
        asked(place, 2.0)
        assert (
            place.client("ada").post("/studies/flu/queries", {**ask(PATIENTS), "privacy": {"rho": 2.0}}).status == 201
        )
        dora.good("POST", "/studies/flu/suspend", {"reason": "a question"})
        dora.good("POST", "/studies/flu/resume", {"reason": "answered"})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 5.0, "reason": "less"})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 7.0, "reason": "more"})
        place.client("vera").good("POST", "/studies/flu/budget/approve", {"reason": "well"})
        asked(place, 0.5)
        (first, *_) = place.client("ada").good("GET", "/studies/flu/releases")["items"]
        for name in ("ada", "dora", "admin"):
            place.client(name).good("GET", f"/studies/flu/releases/{first['id']}")
        admin.good("PATCH", "/studies/flu", {"title": "Flu and the heart", "ends": None})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 8.0, "reason": "a draft again"})
        place.client("vera").good("POST", "/studies/flu/approve", {"reason": "good again"})
        admin.good("DELETE", "/studies/flu/members/ada")
        admin.good("PUT", "/studies/flu/members/ada")
        asked(place, 0.25)
        place.open_study("closed", approve=False)
        admin.good("POST", "/studies/closed/close", {"reason": "not needed"})
    return home


def test_an_honest_log_is_in_order(lived: Home) -> None:
    """Everything that a server allows is in order."""
    log = entries(lived)
    acts = {"study.edit", "study.budget.ask", "study.budget.approve", "study.suspend", "query.reserve", "query.replay"}
    assert acts | {"release.read"} <= {entry["action"] for entry in log}
    assert found(log) == []


# A server that was changed so that it refuses no more


def permit_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server answer whoever asks, in whatever state."""
    for module in (answer, preparing):
        monkeypatch.setattr(module, "permit", lambda transaction, _actor, study: studies.study(transaction, study))


@pytest.mark.parametrize(
    ("move", "state"), [("suspend", "suspended"), ("close", "closed"), (None, "draft"), ("edit", "draft")]
)
def test_asking_while_not_approved_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch, move: str | None, state: str
) -> None:
    """Queries before the approval, while suspended, after the close and after an edit are found, replays as well."""
    with application(home) as place:
        place.open_study(approve=move is not None)
        if move == "edit":
            place.client("admin").good("PATCH", "/studies/flu", {"title": "Another"})
        elif move is not None:
            asked(place, 0.5)
            place.client("dora").good("POST", f"/studies/flu/{move}", {"reason": "stop"})
        assert found(entries(home)) == []
        permit_anybody(monkeypatch)
        asked(place, 0.5)
        asked(place, 0.25)
    assert found(entries(home)) == [f"it asks under the study flu, which is {state}"] * 2


def test_asking_without_being_a_member_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query of somebody who never was a member, or no longer is, is found."""
    with application(home) as place:
        place.open_study()
        asked(place, 0.5)
        permit_anybody(monkeypatch)
        assert place.client("ben").post("/studies/flu/queries", ask(PATIENTS, 0.25)).status == 201
        place.client("admin").good("DELETE", "/studies/flu/members/ada")
        asked(place, 0.125)
    assert found(entries(home)) == ["it was asked by somebody who is no member of the study flu"] * 2


@pytest.mark.parametrize(
    ("days", "said"), [({"ends": "2026-01-01"}, "last day"), ({"starts": "2999-01-01"}, "first day")]
)
def test_asking_outside_the_days_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch, days: dict[str, str], said: str
) -> None:
    """A query before the first or after the last day is found."""
    with application(home) as place:
        place.open_study(**days)
        permit_anybody(monkeypatch)
        asked(place, 0.5)
    (problem,) = found(entries(home))
    assert said in problem


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (ask({"total": {"sum": "visits"}}, 0.5), "the statistic total"),
        (ask(PATIENTS, 2.5), "more than epsilon 2"),
        ({**ask(PATIENTS), "privacy": {"rho": 2.5}}, "more than epsilon 2"),
        (ask(PATIENTS, 0.5, "persons"), "the table persons"),
    ],
)
def test_asking_outside_the_protocol_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch, query: dict[str, Any], said: str
) -> None:
    """A query of another table or statistic, or that costs more than one may, is found."""
    with application(home) as place:
        place.open_study(protocol=PROTOCOL)
        assert place.client("ada").post("/studies/flu/queries", query).status == 403
        monkeypatch.setattr(policy, "check", lambda _query, _privacy, protocol, *_others: protocol)
        assert place.client("ada").post("/studies/flu/queries", query).status == 201
    assert found(entries(home)) == [f"it is outside the protocol of the study flu: {said}"]


def test_a_role_that_was_changed_behind_the_server_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin who makes an approver of themselves in the database, and a server without the four eyes, are both found."""
    with application(home) as place:
        place.open_study(approve=False)
        home.change("UPDATE users SET role = 'approver' WHERE name = 'admin'")
        assert place.client("admin").post("/studies/flu/approve", {"reason": "mine"}).status == 403
        monkeypatch.setattr(approval, "require_second", lambda *_: None)
        place.client("admin").good("POST", "/studies/flu/approve", {"reason": "mine"})
    said = found(entries(home))
    assert said.count("its actor acts as approver, but has the role admin") == 2
    assert said[-1] == "a person who opened or edited the study flu approved it"


# Logs written by hand


def change(action: str, number: int = 0, **parts: Any) -> Callable[[Entries], None]:
    """Return what changes an entry of an action; with `facts`, those."""

    def work(log: Entries) -> None:
        entry = log[position(log, action, number)]
        entry["facts"] |= parts.pop("facts", {})
        entry.update(parts)

    return work


def once_more(action: str, number: int = 0, **facts: Any) -> Callable[[Entries], None]:
    """Return what puts an entry at the end of the log once more, with other facts."""

    def work(log: Entries) -> None:
        entry = json.loads(json.dumps(log[position(log, action, number)]))
        log.append({**entry, "time": log[-1]["time"], "facts": {**entry["facts"], **facts}})

    return work


def by_the_same(action: str, first: str) -> Callable[[Entries], None]:
    """Return what lets one act be done by whoever did another."""
    return lambda log: log[position(log, action)].update(actor=log[position(log, first)]["actor"])


def by_ben(action: str) -> Callable[[Entries], None]:
    """Return what lets Ben, who is a researcher of no study, have done it: he was added last."""
    return lambda log: log[position(log, action)].update(actor=log[position(log, "user.add", 4)]["subject"][5:])


def without(action: str, number: int = 0) -> Callable[[Entries], None]:
    """Return what takes an entry out."""
    return lambda log: log.pop(position(log, action, number)) and None


WHOLE = 10**9
OUT_OF_ORDER: dict[str, tuple[Callable[[Entries], None], str]] = {
    "the opener approves": (
        by_the_same("study.approve", "study.open"),
        "a person who opened or edited the study flu approved",
    ),
    "the proposer approves": (
        by_the_same("study.budget.approve", "study.budget.ask"),
        "the person who proposed the larger budget",
    ),
    "an admin approves": (
        change("study.approve", role="admin"),
        "only the role approver may do this, and its actor acts as admin",
    ),
    "an admin acts as a DPO": (change("study.open", role="dpo"), "its actor acts as dpo, but has the role admin"),
    "an unknown role": (
        change("study.approve", role="root", actor="e" * 64),
        "no entry added its actor, who acts as root",
    ),
    "an unknown actor": (change("query.reserve", actor="ada"), "no entry added its actor"),
    "a user twice": (once_more("user.add"), ", who was added before"),
    "a role that is none": (change("user.add", facts={"role": "root"}), "in the role root"),
    "the system approves": (
        change("study.approve", actor="system", role="system"),
        "only the role approver may do this, and its actor acts as system",
    ),
    "a DPO asks": (
        change("query.reserve", role="dpo"),
        "only the role researcher may do this, and its actor acts as dpo",
    ),
    "dated back": (change("query.replay", time="2020-01-01T00:00:00.000Z"), "earlier than that of an entry before it"),
    "no time": (change("query.replay", time="yesterday"), "is not a time"),
    "a budget set too large": (
        once_more("study.budget.set", epsilon_nano=9 * WHOLE),
        "it raises the budget of the study flu, which is approved, without an approval",
    ),
    "a delta set too large": (
        once_more("study.budget.set", delta_atto=10**17),
        "it raises the budget of the study flu, which is approved, without an approval",
    ),
    "other terms are approved": (
        change("study.approve", facts={"terms": {"title": "Harmless"}}),
        "it approves other terms than those last written",
    ),
    "another budget is approved": (
        change("study.approve", facts={"budget": {"epsilon_nano": 1, "delta_atto": 0}}),
        "it approves another budget than the study flu has",
    ),
    "approved twice": (once_more("study.approve"), "the study flu was approved, not draft"),
    "resumed from nothing": (without("study.suspend"), "the study flu was approved, not suspended"),
    "never approved": (without("study.approve", 1), "it asks under the study flu, which is draft"),
    "a study that was never opened": (without("study.open"), "it asks under the study flu, which the log did not open"),
    "opened twice": (once_more("study.open"), "it opens the study flu, which exists already"),
    "a closed study edited": (
        lambda log: log.append({**log[position(log, "study.edit")], "study": "closed", "time": log[-1]["time"]}),
        "it changes the study closed, which is closed",
    ),
    "a member less": (without("study.member.add"), "by somebody who is no member of the study flu"),
    "an approver as a member": (
        lambda log: log[position(log, "study.member.add")]["facts"].update(
            user=log[position(log, "study.approve")]["actor"]
        ),
        "it makes a member of somebody with the role approver",
    ),
    "another dataset": (
        change("query.reserve", facts={"dataset": "other"}),
        "it asks about other, but the study is on",
    ),
    "an edition to come": (
        change("query.reserve", facts={"edition": 2}),
        "it asks edition 2 of rand-hie, which was not",
    ),
    "an edition left out": (once_more("dataset.import", edition=3), "it imports edition 3 of rand-hie after edition 1"),
    "a reader who is no member": (by_ben("release.read"), "it was read by somebody who is no member of the study flu"),
    "a reader of another role": (
        change("release.read", role="none", actor="anonymous"),
        "may do this, and its actor acts as none",
    ),
    "read of no study": (change("release.read", study="gone"), "a release of the study gone, which the log did not"),
    "no facts": (change("study.open", facts={"terms": None}), "it does not have the form"),
}


@pytest.mark.parametrize("how", OUT_OF_ORDER)
def test_what_is_out_of_order_is_found(lived: Home, how: str) -> None:
    """Each act that the server would refuse is found in a log that says it was done."""
    log = entries(lived)
    tamper, said = OUT_OF_ORDER[how]
    tamper(log)
    problems = found(log)
    assert any(said in problem for problem in problems), problems


def renewed(log: Entries, place: int, role: str = "researcher") -> None:
    """Put in that a user goes by a new commitment, and let whoever asked first act by it from there on."""
    person, added = log[position(log, "query.reserve")]["actor"], log[position(log, "user.add")]
    for entry in log[place:]:
        entry["actor"] = NEW if entry["actor"] == person else entry["actor"]
        if entry["facts"].get("user") == person:
            entry["facts"]["user"] = NEW
    who = {"actor": "system", "role": "system", "time": log[place]["time"]}
    log.insert(place, {**added, **who, "action": "identity.renew", "subject": f"user:{NEW}", "facts": {"role": role}})


def test_a_new_commitment_is_no_offence(lived: Home) -> None:
    """A person who goes by a new commitment goes on as before; a query that was under way may have the old one."""
    log = entries(lived)
    for action in ("study.suspend", "study.approve", "study.member.add"):
        changed = entries(lived)
        renewed(changed, position(changed, action))
        assert found(changed) == []
    person, last = log[position(log, "query.reserve")]["actor"], position(log, "query.reserve", 2)
    renewed(log, position(log, "study.member.remove"))
    log[last + 1]["actor"] = person
    assert log[last + 1]["action"] == "query.reserve"
    assert found(log) == []


def test_a_new_commitment_gives_no_new_role(lived: Home) -> None:
    """A commitment that is in the log for an admin, or that no entry put there, asks nothing."""
    log = entries(lived)
    renewed(log, position(log, "study.suspend"), role="admin")
    assert "its actor acts as researcher, but has the role admin" in found(log)
    log = entries(lived)
    renewed(log, position(log, "study.suspend"))
    del log[position(log, "identity.renew")]
    assert "no entry added its actor, who acts as researcher" in found(log)


def test_a_clock_that_was_set_back_is_no_offence(lived: Home) -> None:
    """On its last day a study may ask, though a clock that ran ahead has dated the log into the next year."""
    log = entries(lived)
    ahead = position(log, "query.reserve") - 1
    for entry in log[ahead:]:
        entry["time"] = "2999-01-01T00:00:00.000Z"
    assert found(log) == []


def test_reading_what_was_never_made_is_found(lived: Home) -> None:
    """An entry of a reading names a release that the log has, like that of a replay."""
    log = entries(lived)
    log[position(log, "release.read")]["subject"] = "0" * 32
    spending = Spending()
    problems = [problem for entry in log for problem in spending.read(entry)]
    assert problems == [f"it reads the release {'0' * 32}, which was never made"]


def test_the_command_says_it(lived: Home, tmp_path: Path) -> None:
    """`rowless audit verify` fails on conduct alone: chain, tree, signature and sums are whole here."""
    home, export = lived.copy(tmp_path / "home"), tmp_path / "log"
    key = run(home, "audit", "key")["audit_key"]
    log = entries(home)
    by_the_same("study.budget.approve", "study.budget.ask")(log)
    rewrite(home, rechained(log), nodes=True)
    run(home, "audit", "export", str(export))
    said = run(home, "audit", "verify", str(export), "--key", key)
    assert (said["exit"], said["verdict"]) == (1, "failed")
    place = position(log, "study.budget.approve")
    assert f"entry {place}: the person who proposed the larger budget of the study flu approved it" in said["problems"]
    assert all(problem.startswith(f"entry {place}: ") for problem in said["problems"])
    assert any("2 studies: whether each act" in line for line in said["checked"])
