"""The version of a report to publish, the methods, the page for persons, and conclusions for each relevant party."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from budgets.verify.conduct import Conduct
from server.cli.main import main
from server.languages.language import language
from server.reporting import criteria
from tests.server.pages.browsing import browser
from tests.server.reporting.test_report import Elements
from tests.serving import FORMALITIES, PATIENTS, USERS, application, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Home, Place, Reply

PARTIES = {"researcher": "No personal data.", "thief": "The cap of the dataset is the bound."}
HOST = "A host that nobody is told of"


@pytest.fixture(scope="module")
def place(template: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return an application with a study that was answered, and concluded on."""
    with application(template.copy(tmp_path_factory.mktemp("published") / "home")) as opened:
        opened.open_study(epsilon=5.0, formalities={**FORMALITIES, "processor": HOST}, purpose="To know")
        opened.client("ada").good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5, "years"))
        vera = opened.client("vera")
        seen = vera.good("GET", "/studies/flu/report")["digest"]
        body = {"text": "As a whole: no personal data.", "parties": PARTIES, "seen": seen}
        assert vera.good("POST", "/studies/flu/report/conclusion", body)["conclusion"]["parties"] == PARTIES
        yield opened


def page(place: Place, path: str) -> Reply:
    """Return a page of the API as HTML."""
    reply = place.client("dora").get(path, Accept="text/html")
    assert (reply.status, reply.content_type) == (200, "text/html")
    return reply


@pytest.mark.parametrize("path", ["/studies/flu/report", "/datasets/rand-hie/report"])
def test_version_to_publish_names_nobody(place: Place, path: str) -> None:
    """As JSON and as a page it has the bounds and the conclusion, and no name, no host and nothing of the log."""
    full, public = (place.client("dora").good("GET", f"{path}?version={one}") for one in ("full", "public"))
    assert (full["version"], public["version"], public["log"]) == ("full", "public", None)
    assert public["accounts"] == full["accounts"]
    assert public["releases"]["count"] == full["releases"]["count"] == 1
    texts = [
        json.dumps(public),
        *(Elements(page(place, f"{path}?version=public&language={code}")).text for code in ("en", "fr")),
    ]
    log = full["log"]
    for text in texts:
        for hidden in (*(f'"{name}"' for name in USERS), HOST, log["last_leaf_hash"]):
            assert hidden not in text, hidden
        assert not re.search(r"\b(vera|dora|ada)\b|erased", text)
        assert "As a whole: no personal data." in text
    assert HOST in json.dumps(full) or path.startswith("/datasets")


@pytest.mark.parametrize("code", ["en", "fr"])
def test_report_has_the_criteria_with_their_dates_and_the_parties(place: Place, code: str) -> None:
    """The page says of which day the criteria are, and shows what was concluded for each party, and by whom."""
    text = " ".join(Elements(page(place, f"/studies/flu/report?language={code}")).text.split())
    checked = language(code).day(criteria.stated(code, 0)["checked"])
    for told in (*PARTIES.values(), checked, "SP 800-226", "498628", "C-413/23"):
        assert told in text, told
    assert {"en": "empty until an approver signs it", "fr": "vide tant qu’aucun approbateur"}[code] in text
    assert {"en": "may not", "fr": "may not"}[code] in text


def test_methods_have_each_release_with_its_noise_and_its_quality(place: Place) -> None:
    """The export has mechanism, scale and margin of each column, the question and the accounts, and no number or name."""
    found = place.client("dora").good("GET", "/studies/flu/report/methods")
    (release,) = found["releases"]
    (column,) = [one for one in release["columns"] if one["kind"] == "statistic"]
    assert (column["mechanism"], column["scale"], column["confidence"]) == ("discrete_laplace", 2.0, 0.95)
    assert release["question"].startswith("SELECT")
    assert (release["cost"]["epsilon"], found["purposes"][0]["purpose"]) == (0.5, "To know")
    assert [one["kind"] for one in found["accounts"]] == ["study", "dataset"]
    assert found["dataset"]["tables"]["years"]
    assert '"rows":' not in json.dumps(found)
    assert not any(f'"{name}"' in json.dumps(found) for name in USERS)
    of_dataset = place.client("dora").good("GET", "/datasets/rand-hie/report/methods")
    assert [one["id"] for one in of_dataset["releases"]] == [release["id"]]


def test_page_for_persons_says_who_asked_what_and_what_could_be_learnt(place: Place) -> None:
    """It has the formalities, the study with its purpose, the bounds of the cap and how to object, in both languages."""
    found = place.client("dora").good("GET", "/datasets/rand-hie/notice")
    (study,) = found["studies"]
    assert (study["purpose"], study["releases"], study["state"]) == ("To know", 1, "approved")
    for code, told in (("en", "What could be learnt of you at most"), ("fr", "Ce qui pourrait être appris de vous")):
        text = Elements(page(place, f"/datasets/rand-hie/notice?language={code}")).text
        for part in (told, "To know", found["formalities"]["objections"], found["formalities"]["controller"]):
            assert part in text, part
        assert "anonym" not in text
        assert not any(name in text.split() for name in USERS if name != "admin")


def test_commands_write_the_same(place: Place, tmp_path: Path) -> None:
    """Methods, the version to publish and the page for persons come by command too."""

    def run(*arguments: str) -> str:
        ended = CliRunner().invoke(main, list(arguments), env=place.home.environment())
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    run("report", "study", "flu", "--methods", str(tmp_path / "m.json"))
    assert json.loads((tmp_path / "m.json").read_text())["format"] == "rowless-methods/1"
    run("report", "study", "flu", "--publish", "--html", str(tmp_path / "p.html"))
    assert "version to publish" in (tmp_path / "p.html").read_text()
    assert re.search(r"\bvera\b", run("report", "study", "flu", "--publish")) is None
    assert "COMMENT VOUS OPPOSER" in run("report", "persons", "rand-hie", "--language", "fr")
    run("report", "persons", "rand-hie", "--html", str(tmp_path / "n.html"))
    assert "How to object" in (tmp_path / "n.html").read_text()


def test_parties_are_typed_on_a_page(place: Place) -> None:
    """The page of the conclusion has a field for each party, filled with what stands; reports lead to all versions."""
    vera = browser(place, "vera")
    shown = vera.get("/studies/flu/conclude")
    form = {
        **shown.form('value="conclude"'),
        "do": "conclude",
        "text": "Again.",
        "party-reader": "Published numbers alone.",
    }
    assert form["party-thief"] == PARTIES["thief"]
    assert "Signed." in vera.post(shown.path, form).words()
    given = place.client("vera").good("GET", "/studies/flu")["conclusion"]
    assert given["parties"] == {**PARTIES, "reader": "Published numbers alone."}
    assert "Published numbers alone." in browser(place, "dora").get("/studies/flu/decide").words()
    for path in (
        "/reports/datasets/rand-hie/notice",
        "/reports/studies/flu/methods",
        "/reports/studies/flu?version=public",
    ):
        assert vera.get(path).status == 200, path


@pytest.mark.parametrize("parties", [{"owner": "x"}, {"thief": ""}, {"thief": "x" * 2_001}, {"thief": 7}])
def test_odd_parties_are_refused(place: Place, parties: dict[str, Any]) -> None:
    """Only known parties with a text are taken."""
    seen = place.client("vera").good("GET", "/studies/flu/report")["digest"]
    body = {"text": "T", "parties": parties, "seen": seen}
    refused = place.client("vera").post("/studies/flu/report/conclusion", body)
    assert (refused.status, refused.json()["pointer"]) == (422, f"/parties/{next(iter(parties))}")


def test_forged_conclusion_for_an_unknown_party_is_found(place: Place) -> None:
    """The independent check refuses a log whose conclusion is for nobody, or says nothing."""
    for forged in ({"owner": "x"}, {"thief": " "}, {"thief": "x" * 2_001}):
        log = [json.loads(body) for (body,) in place.home.rows("SELECT body FROM audit_entries ORDER BY position")]
        next(one for one in log if one["action"] == "study.conclude")["facts"]["parties"] = forged
        conduct = Conduct()
        problems = [what for entry in log for what in conduct.read(entry)]
        assert any("its conclusion for a party" in what for what in problems), forged
