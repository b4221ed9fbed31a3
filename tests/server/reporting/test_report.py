from __future__ import annotations

import json
import re
from decimal import Decimal
from fractions import Fraction
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from budgets.audit.signing import verifier_key
from budgets.identity import people
from budgets.loss import ATTO, NANO
from budgets.verify.checkpoint import Verifier, open_note
from server.cli.main import main
from server.reporting import attack_odds, guarantee, page, regulator, report
from server.reporting.attack_odds import Guarantee
from tests.serving import PATIENTS, ROOT, UNADVISED, Place, ask

if TYPE_CHECKING:
    from pathlib import Path

    from tests.serving import Reply

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=y>&amp;{{ 7*7 }}"


def page_of(place: Place, path: str = "/studies/flu/report") -> Reply:
    """Return a report as a browser gets it."""
    reply = place.client("dora").get(path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (reply.status, reply.content_type) == (200, "text/html")
    return reply


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, reply: Reply) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(reply.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_report_of_study_without_queries_says_nothing_revealed(place: Place) -> None:
    """A study that asked nothing reveals nothing, and its report says so in both forms."""
    said = place.client("dora").good("GET", "/studies/flu/report")
    assert (said["releases"]["count"], said["releases"]["shown"], said["releases"]["first"]) == (0, [], None)
    spent = said["accounts"][0]["at_spend"]
    assert (spent["epsilon"], spent["delta"], spent["advantage"]) == (0, 0, 0)
    assert all(belief["at_most"] == belief["prior"] for belief in spent["presence"] + spent["fact"])
    assert spent["words"] in page_of(place).body.decode()


def test_report_has_releases_without_rows_and_decisions(place: Place) -> None:
    """Releases stand with question, loss and mechanism, never their rows; approvals with name, reason and time."""
    ada, dora = place.client("ada"), place.client("dora")
    made = [
        ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5)),
        ada.good("POST", "/studies/flu/queries", {**ask({"n": {"count": "events"}}), "privacy": {"rho": 0.001}}),
    ]
    said = dora.good("GET", "/studies/flu/report")
    for release, shown in zip(made, said["releases"]["shown"], strict=True):
        assert {key: shown[key] for key in ("id", "sql", "cost")} == {
            key: release[key] for key in ("id", "sql", "cost")
        }
        assert "rows" not in shown
    assert [one["mechanisms"] for one in said["releases"]["shown"]] == [["discrete_laplace"], ["discrete_gaussian"]]
    (approval,) = [act for act in said["history"] if act["approval"]]
    assert (approval["name"], approval["role"], approval["reason"]) == ("vera", "approver", "it may")
    # The Gaussian query has no finite epsilon: the sums by kind of noise say what holds.
    own, shared = said["accounts"]
    assert own["accountants"]["epsilon"] is None
    assert own["at_spend"]["by"] == shared["at_spend"]["by"] == "split"
    assert own["at_spend"]["delta"] == 5e-7
    assert own["at_spend"]["condition"] != guarantee.ALWAYS
    dataset = dora.good("GET", "/datasets/rand-hie/report")
    assert [one["id"] for one in dataset["releases"]["shown"]] == [one["id"] for one in made]
    assert dataset["accounts"] == [shared]


def test_deltas_of_thresholds_count(place: Place) -> None:
    """A release past a threshold has its delta in the report, beside a sum of epsilon."""
    asked = ask(PATIENTS, 1.0, "visits", group_by=["code"])
    asked["privacy"]["delta"] = 1e-8
    place.open_study("codes", "clinic")
    place.client("ada").good("POST", "/studies/codes/queries", asked)
    own = place.client("dora").good("GET", "/studies/codes/report")["accounts"][0]
    assert own["at_spend"]["by"] == "epsilon"
    assert own["at_spend"]["delta"] == own["used"]["delta"] > 0


@pytest.mark.parametrize("path", ["/studies/flu/report", "/datasets/rand-hie/report", "/studies/nowhere/report"])
def test_reports_are_not_for_researchers(place: Place, path: str) -> None:
    """A researcher, even a member, is refused, whether the study is there or not; only the refusal is logged."""
    before = place.home.last_entry()
    for name in ("ada", "ben"):
        reply = place.client(name).get(path)
        assert (reply.status, reply.code) == (403, "forbidden")
    assert place.home.actions(before) == ["call.refuse"] * 2


def test_reading_is_an_entry_and_covers_itself(place: Place) -> None:
    """Each reading is one entry, and the report names the state of the log that has it; none for what is not there."""
    for name, path in (("dora", "/studies/flu/report"), ("admin", "/datasets/rand-hie/report")):
        before = place.home.last_entry()
        log = place.client(name).good("GET", path)["log"]
        assert place.home.actions(before) == ["report.read"]
        ((leaf,),) = place.home.rows("SELECT leaf_hash FROM audit_entries WHERE position = ?", before + 1)
        assert (log["entries"], log["last_leaf_hash"]) == (before + 2, leaf)
        signed = open_note(log["checkpoint"], Verifier.of(verifier_key(place.home.path / "audit.key")))
        assert signed.size == before + 2
    for path in ("/studies/nowhere/report", "/datasets/nowhere/report"):
        assert place.client("dora").get(path).status == 404
    assert place.home.last_entry() == before + 1


def test_hostile_texts_are_texts(place: Place) -> None:
    """Titles, purposes, bases and reasons are shown as they are written, and never become elements or templates."""
    terms = dict.fromkeys(("title", "purpose", "legal_basis"), HOSTILE)
    place.open_study("evil", approve=False, **terms)
    place.client("vera").good("POST", "/studies/evil/approve", {"reason": HOSTILE, **UNADVISED})
    for path in ("/studies/evil/report", "/datasets/rand-hie/report"):
        found = Elements(page_of(place, path))
        assert not {"script", "img", "iframe", "object"} & {tag for tag, _ in found.elements}
        assert HOSTILE in found.text


def test_the_page_loads_and_runs_nothing(place: Place) -> None:
    """The page has a strict policy, in its head too, its one style has the policy's hash, and nothing points outside."""
    reply = page_of(place)
    assert reply.headers["content-security-policy"] == f"{page.POLICY}; frame-ancestors 'none'"
    assert page.POLICY.startswith("default-src 'none'; style-src 'sha256-")
    text = reply.body.decode()
    assert re.findall(r"<style>(.*?)</style>", text, re.DOTALL) == [page.STYLE]
    found = Elements(reply)
    assert [attributes for tag, attributes in found.elements if attributes.keys() & {"src", "href", "style"}] == []
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert ("meta", page.POLICY) in [(tag, attributes.get("content")) for tag, attributes in found.elements]
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    charts = [attributes for tag, attributes in found.elements if tag == "svg"]
    assert len(charts) == 2  # what a belief can become, and the gauges; nothing was spent
    for chart in charts:
        assert set((chart["aria-labelledby"] or "").split()) <= set(ids)


def test_the_page_draws_what_was_spent(place: Place) -> None:
    """The charges of releases and profiles add up to what the gauge shows; a sum of rho is drawn as rho."""
    place.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    assert "study flu used epsilon 0.5 of its limit of" in page_of(place).body.decode()
    place.client("ada").good(
        "POST", "/studies/flu/queries", {**ask({"n": {"count": "events"}}), "privacy": {"rho": 0.001}}
    )
    for path, charges in (("/studies/flu/report", 2), ("/datasets/rand-hie/report", 2)):
        text = page_of(place, path).body.decode()
        assert f"A line that rises with {charges} charges. " in text
        assert "used rho 0.126 of its limit of" in text


def test_report_marks_erased_name_and_keeps_decision(place: Place) -> None:
    """Once a name is erased the report says so, and the decision stays."""
    place.home.change("DELETE FROM identities WHERE name = 'vera'")
    said = place.client("admin").good("GET", "/studies/flu/report")
    assert [(act["name"], act["role"]) for act in said["history"] if act["approval"]] == [(None, "approver")]
    assert "somebody of the role approver whose name was erased" in page_of(place).body.decode()


def fact(said: dict[str, Any], question: str) -> str:
    """Return the answer to a question of a regulator."""
    (answer,) = [
        one["answer"] for article in said["regulation"] for one in article["facts"] if one["question"] == question
    ]
    return str(answer)


def days_of(place: Place, action: str) -> list[str]:
    """Return the days of the log's entries of an action: those of a test may be two."""
    bodies = place.home.rows("SELECT body FROM audit_entries WHERE action = ? ORDER BY position", action)
    return [json.loads(body)["time"][:10] for (body,) in bodies]


@pytest.mark.parametrize("path", ["/studies/flu/report", "/datasets/rand-hie/report"])
def test_report_names_members_who_left_as_recipients(place: Place, path: str) -> None:
    """Who was a member could read what was released then, and is named with the days after they left."""
    place.client("admin").good("PUT", "/studies/flu/members/ben")
    place.client("admin").good("DELETE", "/studies/flu/members/ada")
    (ada, ben), (gone,) = days_of(place, "study.member.add"), days_of(place, "study.member.remove")
    told = fact(place.client("dora").good("GET", path), "Recipients")
    assert f"ada ({ada} to {gone})" in told
    assert f"ben (since {ben})" in told
    assert "Admins, DPOs and approvers of the server can read them too" in told
    if "studies" in path:
        assert f"ada ({ada} to {gone})" in page_of(place, path).body.decode()
    place.client("admin").good("DELETE", "/users/ada")
    assert fact(place.client("dora").good("GET", path), "Recipients") == told


def test_what_is_approved_and_what_no_longer_is(place: Place) -> None:
    """An approval is told once, a resumption is none, and terms that changed since are said to wait."""
    admin, dora = place.client("admin"), place.client("dora")
    for action in ("suspend", "resume"):
        dora.good("POST", f"/studies/flu/{action}", {"reason": "looked into"})
    admin.good("PUT", "/studies/flu/budget", {"epsilon": 1500.0, "justification": "a test", "reason": "more"})
    place.client("vera").good("POST", "/studies/flu/budget/approve", {"reason": "well", **UNADVISED})
    terms, study, budget = (  # the first dataset is this one
        f"vera (approver) on {days_of(place, action)[0]}"
        for action in ("dataset.approve", "study.approve", "study.budget.approve")
    )
    told = f"study flu: {study}; a larger budget of study flu (epsilon 1500): {budget}"
    reports = {"/studies/flu/report": told, "/datasets/rand-hie/report": f"the terms of the dataset: {terms}; {told}"}
    for path, whole in reports.items():
        assert fact(dora.good("GET", path), "Who decided, and when") == whole
    admin.good("PATCH", "/studies/flu", {"title": "Another"})
    for path, whole in reports.items():
        said = fact(dora.good("GET", path), "Who decided, and when")
        approved, _, waiting = said.rpartition("; ")
        assert approved == whole
        assert "the terms of flu" in waiting
        assert waiting in page_of(place, path).body.decode()


@pytest.mark.parametrize(("many", "more"), [(12, 0), (13, 1), (1_500, 1_488)])
def test_many_approvals_stand_at_the_end_and_not_in_the_summary(place: Place, many: int, more: int) -> None:
    """The summary has the first dozen and says how many more there are; all of them then stand in a list of their own."""
    with place.services.database.read() as transaction:
        dora = people.user(transaction, "dora")
    document = report.assemble(place.services, dora, report.DATASET, "rand-hie", "html")
    (approval,) = [act for act in document["history"] if act["action"] == "study.approve"]
    made = page.html({**document, "history": [approval] * many}, "fr")
    year, month, day = days_of(place, "study.approve")[0].split("-")
    line = f"étude flu\u202f: vera (approbateur) le {day}/{month}/{year}"
    summary, rest = made.split("</dl>", 1)
    assert summary.count(line) == min(many, 12)
    assert ("de plus" in summary) == (more > 0)
    assert f"et {more:,} de plus".replace(",", "\u202f") in summary or not more
    listed = rest.rpartition("<h2>Autorisations</h2>")[2].partition("</section>")[0] if more else ""
    assert listed.count(line) == (many if more else 0)


def test_releases_that_could_name_values_are_reported(place: Place) -> None:
    """The page reports the releases that could name undeclared values, and only if there are any."""
    place.open_study("codes", "clinic")
    asked = ask(PATIENTS, 1.0, "visits", group_by=["code"])
    asked["privacy"]["delta"] = 1e-8
    for query in (ask(PATIENTS, 0.5, "visits"), asked):
        place.client("ada").good("POST", "/studies/codes/queries", query)
    text = page_of(place, "/studies/codes/report").body.decode()
    assert "1 of the releases could name values" in text
    assert "could name values" not in page_of(place).body.decode()


def test_report_command_prints_words_json_and_page(place: Place, tmp_path: Path) -> None:
    """`rowless report` says it in words, as the JSON of the API, and as the page."""
    variables = place.home.environment()

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["report", *arguments], env=variables)
        assert result.exit_code == 0, result.output
        return result.stdout

    told = run("study", "flu")
    assert place.client("dora").good("GET", "/studies/flu/report")["accounts"][0]["at_spend"]["words"] in told
    (approved,), (added,) = days_of(place, "study.approve"), days_of(place, "study.member.add")
    assert f"Approved: study flu: vera (approver) on {approved}\nMembers: ada (since {added})\n" in told
    shown: dict[str, Any] = json.loads(run("dataset", "rand-hie", "--json"))
    assert shown.keys() == place.client("dora").good("GET", "/datasets/rand-hie/report").keys()
    file = tmp_path / "report.html"
    assert str(file) in run("study", "flu", "--html", str(file))
    assert file.read_text().startswith("<!doctype html>")
    refused = CliRunner().invoke(main, ["report", "study", "flu", "--as", "ada"], env=variables)
    assert refused.exit_code == 1


def test_what_is_left_out_stands_in_the_threat_model() -> None:
    """Each caveat is one of docs/threat-model.md."""
    told = re.findall(r"^- \*\*(.*?)\.?\*\*", (ROOT / "docs" / "threat-model.md").read_text(), re.MULTILINE)
    assert set(regulator.LEFT_OUT) <= set(told)


@pytest.mark.parametrize(
    ("bound", "text"),
    [(0, "0%"), (0.1, "10%"), (0.154829, "15.5%"), (0.99991, "100%"), (0.00271829, "0.28%"), (1, "100%")],
)
def test_percentages_are_rounded_up(bound: float, text: str) -> None:
    """A percentage never understates."""
    assert guarantee.percent(bound) == text


@example(NANO, 987_654_321_098_765_433)  # of which the nearest float is written as less
@given(st.integers(0, 10**13), st.integers(0, ATTO))
def test_figures_of_a_report_are_not_below_what_they_stand_for(epsilon: int, delta: int) -> None:
    """As JSON writes them, epsilon, delta and every bound are the exact ones or above: none is rounded down by a float."""
    promised = Guarantee(epsilon, delta, "test")
    said = json.loads(json.dumps(guarantee.describe(promised)), parse_float=Fraction, parse_int=Fraction)
    assert Fraction(epsilon, NANO) <= said["epsilon"]
    assert Fraction(delta, ATTO) <= said["delta"] < Fraction(delta, ATTO) + Fraction(1, 10**15)
    assert said["advantage"] == Fraction(attack_odds.advantage(promised))
    for one in said["presence"]:
        assert one["at_most"] == Fraction(
            attack_odds.posterior(promised, Decimal(one["prior"].numerator) / one["prior"].denominator)
        )
