"""A report on a study and a dataset with one of each kind of question, protocol and decision: each sentence is true."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from server.languages.language import LANGUAGES, language
from server.reporting import asking, methods
from tests.server.reporting import everything
from tests.server.reporting.everything import HIDDEN, STUDY, WHY
from tests.server.reporting.printed import cells, section, text_of
from tests.serving import Place, application, ask, make_home

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDES = "Small cells are hidden when answers are shown ({}: below 11). This is done to numbers that already have noise."
FOR_PERSONS = "The bounds of this report are for one person of the dataset."


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application over a home in which one of everything was done."""
    folder = tmp_path_factory.mktemp("everything")
    with application(make_home(folder / "home", everything.write(folder))) as opened:
        everything.live(opened.client, opened.open_study)
        yield opened


def page_of(place: Place, path: str, code: str = "en") -> str:
    """Return a page in a language."""
    joined = "&" if "?" in path else "?"
    reply = place.client("dora").get(f"{path}{joined}language={code}", Accept="text/html")
    assert reply.status == 200, reply
    return reply.body.decode()


def report_of(place: Place, path: str) -> Any:
    """Return a report, the methods or the page for persons as JSON."""
    return place.client("dora").good("GET", path)


def test_each_kind_of_release_is_listed_with_its_question_loss_and_noise(lived: Place) -> None:
    """All that was asked is there, in the order of the charges, with what it cost by the ledger; a rehearsal is not."""
    said = report_of(lived, f"/studies/{STUDY}/report")["releases"]
    assert said["count"] == len(everything.ASKED) == len(said["shown"])
    costs = lived.home.rows(
        "SELECT epsilon_nano, rho_nano, delta_atto FROM charges WHERE study = ? AND kind = 'reserve' ORDER BY rowid",
        STUDY,
    )
    assert said["unanswered"] == 0
    rows = list(cells(section(page_of(lived, f"/studies/{STUDY}/report"), "Releases")))[1:]
    for row, one, (epsilon, rho, delta) in zip(rows, said["shown"], costs, strict=True):
        assert one["cost"] == {
            "epsilon": None if epsilon is None else epsilon / 1e9,
            "rho": rho / 1e9,
            "delta": delta / 1e18,
        }
        assert row[1] == one["sql"]
        loss = f"rho {rho / 1e9:g}" if epsilon is None else f"epsilon {epsilon / 1e9:g}"
        assert row[2].startswith(loss)
        assert ("delta" in row[2]) == (delta > 0)
    kinds = dict(zip(everything.ASKED, rows, strict=True))
    words = {
        "trend": "REGR_SLOPE(cost, age)",
        "survival and rate": "SURVIVAL(wait, [0, 30, 365]) AS curve, RATE(wait, 365",
        "compared values": "WHERE first < last",
        "code list of professionals": "WHERE code IN ('C1', 'C2')",
    }
    assert all(part in kinds[kind][1] for kind, part in words.items())
    assert kinds["Gaussian noise"][3] == "discrete Gaussian"
    assert "discrete Laplace, with a threshold" in kinds["names past a threshold"][3]
    assert said["naming"] == 1
    assert "STDDEV" not in str(rows)  # of the rehearsal
    assert [one["id"] for one in report_of(lived, "/datasets/clinic/report")["releases"]["profiles"]] != []


@pytest.mark.parametrize("path", [f"/studies/{STUDY}/report", f"/studies/{STUDY}/report?version=public"])
def test_a_study_says_what_it_may_ask_and_hides(lived: Place, path: str) -> None:
    """Both versions have the protocol, and say of hidden cells and of professionals what they are, in both languages."""
    document = report_of(lived, path)
    assert document["studies"][0]["hide_below"] == HIDDEN
    assert document["studies"][0]["professionals"] == {"code": WHY}
    for code in LANGUAGES:
        shown = text_of(page_of(lived, path, code))
        said = asking.told(document, language(code))
        assert len(said) == 4
        assert all(one in shown for one in said)
    english = text_of(page_of(lived, path))
    assert f"at most epsilon 4 for one query; column code, which is about professionals: {WHY}" in english
    assert "numbers of cells below 11 are hidden; code list north (2 codes)." in english
    assert HIDES.format(STUDY) in english
    assert "Columns about professionals: code. " + FOR_PERSONS in english
    assert f"These studies give a reason to use them: {STUDY}, column code: {WHY}." in english


def test_a_study_without_a_reason_may_not_use_what_is_of_professionals(lived: Place) -> None:
    """The strict study names its template, hides nothing, and may not use the marked column, as the server holds it."""
    said = asking.told(report_of(lived, "/studies/templates/report"), language("en"))
    assert said[0] == "What the study may ask: only these templates: by_sex (at most epsilon 0.5)."
    assert said[-1] == "No study of this report may use them."
    assert not any("hidden" in one for one in said)
    of_code = ask(everything.COUNTED, 0.5, "visits", where={"column": "code", "op": "=", "value": "C1"})
    refused = lived.client("ada").post("/studies/templates/queries", of_code)
    assert (refused.status, refused.code) == (403, "outside-protocol")


def test_the_report_of_the_dataset_tells_of_its_studies(lived: Place) -> None:
    """A dataset's report names the study that hides, the marked columns and who may use them; so does its record."""
    document = report_of(lived, "/datasets/clinic/report")
    shown = text_of(page_of(lived, "/datasets/clinic/report"))
    assert [one["hide_below"] for one in document["studies"]] == [HIDDEN, None]
    assert HIDES.format(STUDY) in shown
    assert f"These studies give a reason to use them: {STUDY}, column code: {WHY}." in shown
    assert "And professionals, in the columns code: a study uses these only for a reason in its protocol." in shown


def test_hiding_changes_no_bound_and_no_loss(lived: Place) -> None:
    """What the report says of hiding holds: members do not see small cells, and the ledger has the losses of the plans."""
    ada = lived.client("ada")
    body = everything.ASKED["names past a threshold"]
    answer = ada.good("POST", f"/studies/{STUDY}/queries", body)  # the same question: it is free
    stored = report_of(lived, f"/studies/{STUDY}/report")["releases"]["shown"][-1]
    assert answer["id"] == stored["id"]
    assert all(row["n"].get("hidden") or row["n"]["value"] >= HIDDEN for row in answer["rows"])
    spent = report_of(lived, f"/studies/{STUDY}/report")["accounts"][0]["used"]["laplace_epsilon"]
    assert spent == pytest.approx(sum(one["privacy"].get("epsilon", 0) for one in everything.ASKED.values()))


def test_the_methods_say_what_is_hidden_and_marked(lived: Place) -> None:
    """The export names the threshold, the reasons and the marked column, and its steps say what both are."""
    said = report_of(lived, f"/studies/{STUDY}/report/methods")
    (purpose,) = said["purposes"]
    assert (purpose["hide_below"], purpose["professionals"]) == (HIDDEN, {"code": WHY})
    assert said["dataset"]["tables"]["visits"]["columns"]["code"]["professional"] is True
    assert any("hide_below" in step and "nothing more private" in step for step in methods.STEPS)
    assert any("professional" in step and "not for them" in step for step in methods.STEPS)
    assert len(said["releases"]) == len(everything.ASKED)
    assert "rows" not in str(said["releases"][0].keys())


def test_the_methods_have_the_numbers_of_the_ledger(lived: Place) -> None:
    """Loss, edition, time, bounds and the columns with their scales and margins are those that the ledger has."""
    said = report_of(lived, f"/studies/{STUDY}/report/methods")
    stored = lived.home.rows(
        "SELECT r.body, r.edition, r.charged_at, c.epsilon_nano, c.rho_nano, c.delta_atto FROM releases r "
        "JOIN charges c ON c.id = r.charge WHERE r.study = ? ORDER BY r.charged_at, r.id",
        STUDY,
    )
    for one, (body, edition, at, epsilon, rho, delta) in zip(said["releases"], stored, strict=True):
        made = json.loads(body)
        assert one["cost"] == {
            "epsilon": None if epsilon is None else epsilon / 1e9,
            "rho": rho / 1e9,
            "delta": delta / 1e18,
        }
        assert (one["edition"], one["charged_at"], one["question"]) == (edition, at, made["sql"])
        assert one["bounds"] == made.get("bounds", {})
        assert one["columns"] == made["columns"]
        assert any("scale" in column for column in one["columns"])
    used = said["accounts"][0]["used"]
    assert used["laplace_epsilon"] == pytest.approx(sum(one["cost"]["epsilon"] or 0 for one in said["releases"]))


def test_the_page_for_persons_says_what_protects_them(lived: Place) -> None:
    """It names the marked column by its title and the reason, and says that hidden numbers are not the protection."""
    document = report_of(lived, "/datasets/clinic/notice")
    assert document["professionals"] == ["Practice"]
    shown = text_of(page_of(lived, "/datasets/clinic/notice"))
    assert "The data also tell of professionals, who treat or advise people: Practice." in shown
    assert "They are not for these professionals" in shown
    assert f"It may use what the data tell of professionals (Practice): {WHY}." in shown
    assert "Numbers below 11 are not shown. This is not what protects you" in shown
    assert "It can also name values that enough persons have" in shown
    assert re.search(r"Everything\..*7 questions were answered\.", shown)
    (other,) = [line for line in shown.splitlines() if line.startswith("By sex")]
    assert "not shown" not in other
    assert "professionals" not in other


def test_advice_and_words_for_parties_stand_in_the_report(lived: Place) -> None:
    """The DPO's formal advice is a fact and an entry, and what the controller wrote for a party stands beside it."""
    document = report_of(lived, f"/studies/{STUDY}/report")
    (advice,) = [
        fact["answer"]
        for article in document["regulation"]
        for fact in article["facts"]
        if fact["question"] == "Advice of the data protection officer"
    ]
    assert "dora (dpo)" in advice
    assert everything.ADVISED["reason"] in advice
    html = page_of(lived, f"/studies/{STUDY}/report")
    parties = html[html.index("The relevant parties") :].split("</table>")[0]
    rows = {row[0]: row[-1] for row in cells(parties)}
    assert rows["Thief of released answers"] == everything.FOR_THIEF
    assert rows["Journalist"] == "empty until an approver signs it"
    assert everything.CONCLUDED in text_of(html)
    assert everything.ADVISED["reason"] in text_of(section(html, "History"))
    public = text_of(page_of(lived, f"/studies/{STUDY}/report?version=public"))
    assert everything.FOR_THIEF in public
    assert "dora" not in public


def test_all_parts_of_a_protocol_are_told() -> None:
    """No part of a protocol is left out, and numbers are written as they are."""
    protocol = {
        "tables": ["visits"],
        "columns": ["age"],
        "statistics": ["count"],
        "max_epsilon": 0.25,
        "min_margin": 12.5,
        "hide_below": 1_000_000,
        "professionals": {"code": WHY},
        "code_lists": {"north": ["C1"]},
        "noise": "laplace",
        "templates": [],
    }
    told = asking.limits_of_use(protocol, language("en"))
    for part in protocol:
        rest = asking.limits_of_use({name: one for name, one in protocol.items() if name != part}, language("en"))
        assert len(rest) == len(told) - 1, part
    whole = "; ".join(told)
    for number in ("0.25", "12.5", "1000000"):
        assert number in whole
