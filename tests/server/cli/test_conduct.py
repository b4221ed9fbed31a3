"""What a server that no longer refuses leaves in its log, and that an honest one leaves nothing of the kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from budgets.governance import approval, studies
from budgets.verify import canonical_json, export
from budgets.verify.conduct import Conduct
from budgets.verify.spending import Spending
from queries.planning import policy
from server.journey import answer, preparing
from tests import days
from tests.server.cli.test_verify import asked, position, rechained, rewrite, run
from tests.serving import PATIENTS, UNADVISED, Home, application, ask

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


def misspent(log: Entries) -> list[str]:
    """Return what was wrong with the sums in a log."""
    spending = Spending()
    return [problem for entry in log for problem in spending.read(entry)]


@pytest.fixture(scope="module")
def lived(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home whose study went through every state, with everything that an honest server allows."""
    home, ends = template.copy(tmp_path_factory.mktemp("conduct") / "home"), str(days.today())
    with application(home) as place:
        admin, dora = place.client("admin"), place.client("dora")
        place.open_study(epsilon=5.0, protocol=PROTOCOL, starts="2020-01-01", ends=ends, approve=False)
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 6.0, "justification": "a test", "reason": "a draft's"})
        admin.good("PATCH", "/studies/flu", {"title": "Flu"})
        dora.good("POST", "/studies/flu/advise", {"opinion": "conditional", "reason": "no more than this"})
        place.client("vera").good("POST", "/studies/flu/approve", {"reason": "good"})
        asked(place, 2.0)
        asked(place, 2.0)
        assert (
            place.client("ada").post("/studies/flu/queries", {**ask(PATIENTS), "privacy": {"rho": 2.0}}).status == 201
        )
        dora.good("POST", "/studies/flu/suspend", {"reason": "a question"})
        dora.good("POST", "/studies/flu/resume", {"reason": "answered"})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 5.0, "justification": "a test", "reason": "less"})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 7.0, "justification": "a test", "reason": "more"})
        dora.good("POST", "/studies/flu/budget/advise", {"opinion": "favourable", "reason": "it is needed"})
        place.client("vera").good("POST", "/studies/flu/budget/approve", {"reason": "well"})
        asked(place, 0.5)
        (first, *_) = place.client("ada").good("GET", "/studies/flu/releases")["items"]
        for name in ("ada", "dora", "admin"):
            place.client(name).good("GET", f"/studies/flu/releases/{first['id']}")
        for proposal, second in (
            ({"act": "add", "user": "olga", "role": "dpo"}, "vera"),
            ({"act": "token", "user": "dora"}, "vera"),
            ({"act": "remove", "user": "olga"}, "dora"),
        ):
            made = admin.good("POST", "/proposals", proposal)
            place.client(second).good("POST", f"/proposals/{made['id']}/confirm")
        made = admin.good("POST", "/proposals", {"act": "token", "user": "vera"})
        dora.good("DELETE", f"/proposals/{made['id']}")
        for epsilon in (0.25, 0.5):
            admin.good("POST", "/datasets/rand-hie/profile", {"epsilon": epsilon})
        admin.good("PATCH", "/studies/flu", {"title": "Flu and the heart", "ends": None})
        admin.good("PUT", "/studies/flu/budget", {"epsilon": 8.0, "justification": "a test", "reason": "a draft again"})
        place.client("vera").good("POST", "/studies/flu/approve", {"reason": "good again", **UNADVISED})
        admin.good("DELETE", "/studies/flu/members/ada")
        admin.good("PUT", "/studies/flu/members/ada")
        asked(place, 0.25)
        for text in ("Not personal for its readers.", "Not personal for its readers, nor for their friends."):
            read = place.client("vera").good("GET", "/studies/flu/report")["digest"]
            place.client("vera").good("POST", "/studies/flu/report/conclusion", {"text": text, "seen": read})
        place.open_study("closed", approve=False)
        admin.good("POST", "/studies/closed/close", {"reason": "not needed"})
    return home


def test_an_honest_log_is_in_order(lived: Home) -> None:
    """Everything that a server allows is in order."""
    log = entries(lived)
    acts = {
        "study.edit",
        "study.advise",
        "study.budget.advise",
        "study.budget.ask",
        "study.budget.approve",
        "study.suspend",
        "study.conclude",
        "query.reserve",
        "query.replay",
    }
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
        place.client("admin").good("POST", "/studies/flu/approve", {"reason": "mine", **UNADVISED})
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


def concluding_on(**parts: Any) -> Callable[[Entries], None]:
    """Return what lets the first conclusion be about another state, with the digest of that."""

    def work(log: Entries) -> None:
        facts = log[position(log, "study.conclude")]["facts"]
        facts["about"] |= parts
        facts["digest"] = canonical_json.sha256(facts["about"])

    return work


def concluded_after(action: str, actor_of: str) -> Callable[[Entries], None]:
    """Return what puts a conclusion right after an act, by the actor of an act."""

    def work(log: Entries) -> None:
        concluded, place = json.loads(json.dumps(log[position(log, "study.conclude")])), position(log, action)
        actor = log[position(log, actor_of)]["actor"]
        log.insert(place + 1, {**concluded, "time": log[place]["time"], "actor": actor})

    return work


def both(*works: Callable[[Entries], None]) -> Callable[[Entries], None]:
    """Return what makes several changes."""

    def work(log: Entries) -> None:
        for one in works:
            one(log)

    return work


def by_ben(action: str) -> Callable[[Entries], None]:
    """Return what lets Ben, who is a researcher of no study, have done it: he was added last."""
    return lambda log: log[position(log, action)].update(actor=log[position(log, "user.add", 4)]["subject"][5:])


def without(action: str, number: int = 0) -> Callable[[Entries], None]:
    """Return what takes an entry out."""
    return lambda log: log.pop(position(log, action, number)) and None


def after_all(
    action: str, number: int, subject: str | int | None = None, proposal_of: tuple[str, int] | None = None, **parts: Any
) -> Callable[[Entries], None]:
    """Return what puts an entry like another at the end. A subject that is a number is that of a `user.add`."""

    def work(log: Entries) -> None:
        entry = json.loads(json.dumps(log[position(log, action, number)]))
        entry["facts"] |= parts.get("facts", {})
        if isinstance(subject, int):
            entry["subject"] = log[position(log, "user.add", subject)]["subject"]
        elif subject is not None:
            entry["subject"] = subject
        if proposal_of is not None:
            entry["facts"]["proposal"] = log[position(log, *proposal_of)]["facts"]["proposal"]
        entry["action"] = parts.get("renamed", action)
        log.append({**entry, "time": log[-1]["time"]})

    return work


def as_the_admin(action: str, number: int) -> Callable[[Entries], None]:
    """Return what lets an admin alone have done it."""

    def work(log: Entries) -> None:
        log[position(log, action, number)].update(actor=log[position(log, "study.open")]["actor"], role="admin")

    return work


def formal(of: str, **parts: Any) -> Callable[[Entries], None]:
    """Return what writes other formalities of studies or datasets wherever the log has them; without `parts`, none."""

    def work(log: Entries) -> None:
        for entry in log:
            facts, action = entry["facts"], entry["action"]
            places = {
                "study": (facts if action.startswith("study.") else {}, facts.get("terms", {})),
                "dataset": (facts if action.startswith("dataset.") else {}, facts.get("dataset", {})),
            }
            for place in places[of]:
                if isinstance(place, dict) and "formalities" in place:
                    place["formalities"] = {**place["formalities"], **parts}
                    if not parts:
                        del place["formalities"]

    return work


OLGA = 5  # the place of Olga's among the entries that add a user, and of her token among those that make one
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
    "another cap is accepted": (
        change("study.approve", facts={"dataset": {"cap": {"epsilon_nano": 1, "delta_atto": 0}, "profile": None}}),
        "it accepts another cap or profile than the dataset rand-hie has",
    ),
    "a profile is not told of": (
        lambda log: log[position(log, "study.approve", 1)]["facts"]["dataset"].update(profile=None),
        "it accepts another cap or profile than the dataset rand-hie has",
    ),
    "approved without advice": (without("study.advise"), "it names advice of the DPO that does not stand"),
    "approved without advice or a reason": (
        both(without("study.advise"), change("study.approve", facts={"advice": None})),
        "it approves without the DPO's advice, and does not say why",
    ),
    "an empty reason to go without advice": (
        change("study.approve", 1, facts={"without_advice": " "}),
        "it approves without the DPO's advice, and does not say why",
    ),
    "advice is passed over": (
        change("study.approve", facts={"advice": None, "without_advice": "nobody was asked"}),
        "it does not name the DPO's advice that stands",
    ),
    "advice is turned around": (
        change("study.advise", facts={"opinion": "unfavourable"}),
        "it does not name the DPO's advice that stands",
    ),
    "advice of before an edit": (
        change("study.approve", 1, facts={"advice": {"opinion": "conditional", "by": "e" * 64}}),
        "it names advice of the DPO that does not stand",
    ),
    "no word of advice": (
        lambda log: log[position(log, "study.approve")]["facts"].pop("advice"),
        "it does not have the form of entries of study.approve",
    ),
    "an admin advises": (
        change("study.advise", role="admin"),
        "only the role dpo may do this, and its actor acts as admin",
    ),
    "the opener advises": (
        by_the_same("study.advise", "study.open"),
        "a person who opened or edited the study flu advised",
    ),
    "the adviser approves": (by_the_same("study.approve", "study.advise"), "a person approved on their own advice"),
    "advice on other terms": (
        change("study.advise", facts={"terms": {"title": "Harmless"}}),
        "it advises on other terms than those last written",
    ),
    "advice on another budget": (
        change("study.advise", facts={"budget": {"epsilon_nano": 1, "delta_atto": 0}}),
        "it advises on another budget than the study flu has",
    ),
    "an admin concludes": (
        change("study.conclude", role="admin"),
        "only the role approver may do this, and its actor acts as admin",
    ),
    "a DPO concludes as an approver": (
        by_the_same("study.conclude", "study.suspend"),
        "its actor acts as approver, but has the role dpo",
    ),
    "the opener concludes": (
        by_the_same("study.conclude", "study.open"),
        "a person who opened, edited or proposed a part of the study flu concluded on its report",
    ),
    "the adviser concludes": (
        concluded_after("study.advise", "study.advise"),
        "a person concluded on what they advised on",
    ),
    "who proposed the raise concludes": (
        both(by_ben("study.budget.ask"), concluded_after("study.budget.ask", "study.budget.ask")),
        "a person who opened, edited or proposed a part of the study flu concluded on its report",
    ),
    "a conclusion without words": (
        change("study.conclude", facts={"conclusion": " "}),
        "its conclusion is no text of 1 to 4000 characters",
    ),
    "a conclusion that is too long": (
        change("study.conclude", facts={"conclusion": "x" * 4_001}),
        "its conclusion is no text of 1 to 4000 characters",
    ),
    "a conclusion on another state": (
        concluding_on(state="closed"),
        "it concludes on another state of the study flu than it was in: state",
    ),
    "a conclusion on other terms": (concluding_on(terms={"title": "Harmless"}), "than it was in: terms"),
    "a conclusion on a smaller budget": (
        concluding_on(budget={"epsilon_nano": 1, "delta_atto": 0}),
        "than it was in: budget",
    ),
    "a conclusion on a smaller cap": (concluding_on(cap={"epsilon_nano": 1, "delta_atto": 0}), "than it was in: cap"),
    "a conclusion on fewer members": (concluding_on(members={"joined": 1, "left": 0}), "than it was in: members"),
    "a conclusion on a raise that does not wait": (
        concluding_on(**{"raise": {"epsilon_nano": 1, "delta_atto": 0}}),
        "than it was in: raise",
    ),
    "a conclusion on another study": (concluding_on(study="other"), "than it was in: study"),
    "a conclusion on what the study was later": (
        concluded_after("study.suspend", "study.conclude"),
        "it concludes on another state of the study flu than it was in: state, terms, budget, members",
    ),
    "a digest of something else": (
        change("study.conclude", facts={"digest": "0" * 64}),
        "its digest is not that of what it is about",
    ),
    "a conclusion on no study": (
        change("study.conclude", study="nowhere"),
        "it is about the study nowhere, which the log did not open",
    ),
    "advice without a reason": (change("study.advise", facts={"reason": ""}), "it advises without a reason"),
    "an opinion that is none": (change("study.advise", facts={"opinion": "fine"}), "its opinion, 'fine', is none"),
    "advice on what is approved": (once_more("study.advise"), "it advises on the study flu, which is approved"),
    "a raise without advice": (without("study.budget.advise"), "it names advice of the DPO that does not stand"),
    "advice on another raise": (
        change("study.budget.advise", facts={"epsilon_nano": 1}),
        "it advises on a budget of the study flu that does not wait",
    ),
    "the proposer advises": (
        by_the_same("study.budget.advise", "study.budget.ask"),
        "the person who proposed the larger budget of the study flu advised on it",
    ),
    "a DPO approves": (change("study.approve", role="dpo"), "only the role approver may do this"),
    "a DPO approves a raise": (change("study.budget.approve", role="dpo"), "only the role approver may do this"),
    "the rules begin by a person": (change("rules.begin", role="admin"), "only the role system may do this"),
    "the rules begin twice": (once_more("rules.begin"), "it begins the present rules, which began before"),
    "rules to come": (change("rules.begin", facts={"rules": 99}), "it begins rules that this check does not know"),
    "a study without formalities": (formal("study"), "it approves without the formalities of the study flu"),
    "a study whose time was over": (formal("study", ends="2020-01-01"), "the study flu that ended on 2020-01-01"),
    "a study whose formality expired": (
        formal("study", kind="authorisation", number="1", issued="2019-01-01", expires="2020-01-01", why_none=None),
        "it approves with formalities of the study flu that ended on 2020-01-01",
    ),
    "a study without a controller": (
        formal("study", controller=" "),
        "formalities of the study flu that are not whole",
    ),
    "a study whose formality is to come": (
        formal("study", kind="authorisation", number="1", issued="2999-01-01", why_none=None),
        "it approves with formalities of the study flu that are dated 2999-01-01, after it",
    ),
    "a study that needs none and has one": (formal("study", number="1"), "of the study flu that are not whole"),
    "a study of an odd kind": (formal("study", kind="odd"), "of the study flu that are not whole"),
    "a study with an end that is no day": (formal("study", ends="soon"), "of the study flu that are not whole"),
    "a dataset without formalities": (formal("dataset"), "it approves without the formalities of the dataset"),
    "a dataset whose time was over": (formal("dataset", ends="2020-01-01"), "of the dataset rand-hie that ended on"),
    "a dataset whose formality expired": (
        formal("dataset", kind="authorisation", number="1", issued="2019-01-01", expires="2020-01-01", why_none=None),
        "it approves with formalities of the dataset rand-hie that ended on 2020-01-01",
    ),
    "a dataset without recipients": (formal("dataset", recipients=""), "of the dataset rand-hie that are not whole"),
    "a dataset on a condition that there is not": (
        formal("dataset", condition="9(2)(z)"),
        "of the dataset rand-hie that are not whole",
    ),
    "a study whose formality has no number": (
        formal("study", kind="authorisation", issued="2019-01-01", why_none=None),
        "of the study flu that are not whole",
    ),
    "a study that says not why it needs none": (formal("study", why_none=None), "of the study flu that are not whole"),
    "other formalities than those written": (
        change("study.approve", facts={"terms": {}}),
        "it approves other terms than those last written",
    ),
    "other formalities of the dataset than those approved": (
        change("study.approve", facts={"dataset": {}}),
        "it accepts another cap or profile than the dataset rand-hie has",
    ),
    "the old rules come back": (once_more("rules.begin", rules=1), "it begins the present rules, which began before"),
    "an approver under the old rules": (without("rules.begin"), "in the role approver"),
    "an admin makes an approver": (
        after_all("user.add", 3, subject=f"user:{NEW}", facts={"role": "approver"}),
        "no second person confirmed it: its actor acts as admin",
    ),
    "an admin makes a DPO, as proposed": (
        as_the_admin("user.add", OLGA),
        "no second person confirmed it: its actor acts as admin",
    ),
    "who proposed confirms": (
        lambda log: log[position(log, "user.add", OLGA)].update(actor=log[position(log, "proposal.make")]["actor"]),
        "the same person proposed and confirmed it",
    ),
    "nobody proposed a DPO": (without("proposal.make"), "no admin proposed it, or its proposal was used up"),
    "a DPO proposes": (change("proposal.make", role="dpo"), "only the role admin may propose this"),
    "another act was proposed": (
        change("proposal.make", facts={"act": "token"}),
        "its proposal was another: token of the role dpo",
    ),
    "another role was proposed": (
        change("proposal.make", facts={"role": "approver"}),
        "its proposal was another: add of the role approver",
    ),
    "a token for somebody else": (
        change("proposal.make", 1, facts={"user": "e" * 64}),
        "its proposal was about somebody else",
    ),
    "two tokens of one proposal": (
        once_more("token.new", OLGA + 1),
        "no admin proposed it, or its proposal was used up",
    ),
    "an admin makes a token for a DPO": (
        as_the_admin("token.new", OLGA + 1),
        "no second person confirmed it: its actor acts as admin",
    ),
    "the system adds a second approver": (
        after_all("user.add", 2, subject=f"user:{NEW}"),
        "the system adds a user of the role approver, and it is not the first",
    ),
    "the system makes another token": (
        after_all("token.new", 2),
        "the system makes a token for a user of the role approver, and it is not the first",
    ),
    "an admin removes a DPO": (
        as_the_admin("user.remove", 0),
        "no second person confirmed it: its actor acts as admin",
    ),
    "the last approver is removed": (
        after_all("user.remove", 0, subject=2, facts={"role": "approver"}),
        "it removes the last user of the role approver",
    ),
    "a user is removed as of another role": (
        change("user.remove", facts={"role": "researcher"}),
        "it removes a user of the role researcher, who has the role dpo",
    ),
    "a withdrawn proposal is done": (
        after_all("token.new", OLGA + 1, proposal_of=("proposal.withdraw", 0)),
        "no admin proposed it, or its proposal was used up",
    ),
    "a person renews their commitment": (
        after_all("user.add", 3, renamed="identity.renew", subject=f"user:{NEW}", facts={"role": "approver"}),
        "only the role system may do this",
    ),
    "an account that another person chose": (
        after_all("user.add", 3, renamed="user.link", subject=2, facts={"role": "approver"}),
        "it lets a user of the role approver sign in by an account that another person chose",
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
    "an import without noise": (
        change("dataset.import", facts={"noise": None}),
        "it imports edition 1 of rand-hie without the noise that its queries may have",
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
def test_conduct_finds_each_act_out_of_order(lived: Home, how: str) -> None:
    """Each act that the server would refuse is found in a log that says it was done."""
    log = entries(lived)
    tamper, said = OUT_OF_ORDER[how]
    tamper(log)
    problems = found(log)
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize("of", ["study", "dataset"])
def test_raise_after_a_formality_ended_is_found(lived: Home, of: str) -> None:
    """A larger budget that was approved after the end of a formality is found, though the study was approved before."""
    log = entries(lived)
    end = log[0]["time"][:10]
    formal(of, ends=end)(log)
    assert not [what for what in found(log) if "formalities" in what]
    place = position(log, "study.budget.approve")
    for entry in log[place:]:
        entry["time"] = f"2999{entry['time'][4:]}"
    assert f"that ended on {end}" in "".join(last_problems(log[: place + 1]))


@pytest.mark.parametrize("of", ["study", "dataset"])
@pytest.mark.parametrize("how", ["expired", "missing"])
def test_raise_on_a_formality_that_is_over_or_missing_is_found(lived: Home, of: str, how: str) -> None:
    """A larger budget is found that stands on formalities which expired since, or which the log does not have."""
    log = entries(lived)
    end = log[0]["time"][:10]
    parts = {"kind": "authorisation", "number": "1", "issued": "2019-01-01", "expires": end, "why_none": None}
    formal(of, **(parts if how == "expired" else {}))(log)
    place = position(log, "study.budget.approve")
    for entry in log[place:]:
        entry["time"] = f"2999{entry['time'][4:]}"
    said = f"that ended on {end}" if how == "expired" else "it approves without the formalities of the"
    assert said in "".join(last_problems(log[: place + 1]))


def test_study_approved_after_the_end_of_its_dataset_is_found(lived: Home) -> None:
    """The dataset was approved in time. A study that is approved on it after its formality ended is found."""
    log = entries(lived)
    end = log[0]["time"][:10]
    formal("dataset", ends=end)(log)
    place = position(log, "study.approve")
    for entry in log[place:]:
        entry["time"] = f"2999{entry['time'][4:]}"
    problems = last_problems(log[: place + 1])
    assert f"it approves with formalities of the dataset rand-hie that ended on {end}" in problems


@pytest.mark.parametrize("rules", [2, 3])
def test_a_log_that_never_asks_for_formalities_is_said_to(lived: Home, rules: int) -> None:
    """A forger may begin earlier rules, which asked for none: the check says that it did not look for them."""
    log = entries(lived)
    began = log[position(log, "rules.begin")]
    assert last_conduct(log).formal_began_at == began["index"] == last_conduct(log).began_at
    began["facts"]["rules"] = rules
    formal("study")(log)
    formal("dataset")(log)
    conduct = last_conduct(log)
    assert conduct.formal_began_at is None
    assert export.later(conduct) == [
        "no entry asks for formalities: approvals without them, or after they ended, were not looked for"
    ]


def test_a_log_that_asks_for_formalities_late_says_since_when(lived: Home) -> None:
    """Rules that begin after approvals hold from there on, as after an upgrade: the check prints since which entry."""
    log = entries(lived)
    began = log[position(log, "rules.begin")]
    late = {**began, "facts": dict(began["facts"]), "index": 77}
    began["facts"]["rules"] = 3
    log.insert(position(log, "study.approve") + 1, {**late, "time": log[position(log, "study.approve")]["time"]})
    conduct = last_conduct(log)
    assert export.later(conduct) == ["since entry 77: whether each approval had formalities that were in force"]


def last_conduct(log: Entries) -> Conduct:
    """Return what is known of a log after its last entry."""
    conduct = Conduct()
    for entry in log:
        list(conduct.read(entry))
    return conduct


def last_problems(log: Entries) -> list[str]:
    """Return what was out of order with the last entry of a log."""
    conduct = Conduct()
    return [list(conduct.read(entry)) for entry in log][-1]


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
        entry["time"] = "2098-01-01T00:00:00.000Z"
    assert found(log) == []


def test_reading_what_was_never_made_is_found(lived: Home) -> None:
    """An entry of a reading names a release that the log has, like that of a replay."""
    log = entries(lived)
    log[position(log, "release.read")]["subject"] = "0" * 32
    spending = Spending()
    problems = [problem for entry in log for problem in spending.read(entry)]
    assert problems == [f"it reads the release {'0' * 32}, which was never made"]


def test_verify_command_fails_on_conduct_alone(lived: Home, tmp_path: Path) -> None:
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


def test_a_log_of_before_is_checked_by_its_rules(lived: Home) -> None:
    """Where a DPO approved before the present rules began, that was in order; after them it no longer is.

    Nothing turns the log back: what a DPO approves later is found, and so is an approver from before.
    """
    advice = ("study.advise", "study.budget.advise")
    log = [one for one in entries(lived) if one["action"] not in advice and "proposal" not in one["facts"]]
    begin, dora = log.pop(position(log, "rules.begin")), log[position(log, "study.suspend")]["actor"]
    vera = log[position(log, "study.approve")]["actor"]
    log = [one for one in log if one["subject"] != f"user:{vera}"]
    for one in log:
        if one["action"] in ("study.approve", "study.budget.approve"):
            one.update(actor=dora, role="dpo")
            for new in ("advice", "without_advice"):
                one["facts"].pop(new)
    log = [one for one in log if one["actor"] != vera]
    assert found(log) == []
    last = position(log, "study.approve", 1)
    for place, count in ((last + 1, 0), (last, 2), (0, 6)):
        late = [*log[:place], {**begin, "time": log[place]["time"]}, *log[place:]]
        problems = [what for what in found(late) if "role approver" in what or "form" in what]
        assert len(problems) == count, (place, problems)


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("used", {"epsilon_nano": 1, "rho_nano": 1, "delta_atto": 0}, "it concludes on another loss of the study flu"),
        ("releases", 0, "it concludes on 0 releases of the study flu, which had more or fewer"),
    ],
)
def test_conclusion_on_less_than_was_spent_or_released_is_found(
    lived: Home, part: str, value: object, said: str
) -> None:
    """A conclusion has how much was charged and released by then; the check counts both from the log."""
    log = entries(lived)
    assert misspent(log) == []
    concluding_on(**{part: value})(log)
    (problem,) = misspent(log)
    assert problem.startswith(said)


def test_conclusion_of_a_server_without_four_eyes_is_found(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """An admin who was made an approver in the database, and a server without the four eyes, are both found."""
    with application(home) as place:
        place.open_study()
        read = place.client("vera").good("GET", "/studies/flu/report")["digest"]
        home.change("UPDATE users SET role = 'approver' WHERE name = 'admin'")
        concluding = ("/studies/flu/report/conclusion", {"text": "Anonymous.", "seen": read})
        assert place.client("admin").post(*concluding).code == "forbidden"
        monkeypatch.setattr(approval, "require_second_for_conclusion", lambda *_: None)
        place.client("admin").good("POST", *concluding)
    said = found(entries(home))
    assert said[-1] == "a person who opened, edited or proposed a part of the study flu concluded on its report"
    assert "its actor acts as approver, but has the role admin" in said


def test_a_role_that_nobody_has_is_not_renewed(lived: Home) -> None:
    """A new commitment cannot be a way to a role that was never given."""
    log = entries(lived)[:2]
    renewed = {**log[1], "action": "identity.renew", "subject": f"user:{NEW}", "facts": {"role": "approver"}}
    assert [one["action"] for one in log] == ["rules.begin", "user.add"]
    assert found([*log, renewed]) == ["it renews a commitment of the role approver, which nobody has"]


def test_the_system_adds_nobody_where_somebody_could_confirm(lived: Home) -> None:
    """In a log that began under the old rules, with a DPO whom an admin added, the system makes no approver."""
    first = entries(lived)[0]
    log = [{**one, "time": first["time"]} for one in entries(lived)]
    begin, admin, dora, vera = (log[position(log, "rules.begin")], *log[1:7:2][:3])
    assert [one["facts"]["role"] for one in (admin, dora, vera)] == ["admin", "dpo", "approver"]
    by_admin = {"actor": admin["subject"].removeprefix("user:"), "role": "admin"}
    old = [admin, {**dora, **by_admin}]
    assert found([*old, begin]) == []
    said = found([*old, begin, vera])
    assert said == ["the system adds a user of the role approver, though somebody could have confirmed it"]
    assert found([admin, begin, dora, vera]) == []
