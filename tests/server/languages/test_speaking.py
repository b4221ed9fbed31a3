"""The API in French where a client asks for it, and the command line by --lang or the environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from tests.serving import Place

ASKED = ask({**PATIENTS, "x": {"mean": "visits", "bounds": [0, 20]}}, 0.01, group_by=["age"])
IN_FRENCH = {"Accept_Language": "fr-CH, fr;q=0.9, en;q=0.1"}


@pytest.fixture(scope="module")
def place(shared: Place) -> Place:
    """Return an application for the whole module."""
    return shared


def coded(document: dict[str, Any]) -> dict[str, Any]:
    """Return what of a document no language changes."""
    spoken = ("title", "detail", "errors", "notes", "advice")
    return {name: value for name, value in document.items() if name not in spoken}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/studies/flu/queries",
            {"query": {"from": "years", "select": {"x": {"mean": "nothing"}}}, "privacy": {"epsilon": 1}},
        ),
        ("/studies/flu/queries", {"privacy": {}}),
        ("/studies/nowhere/queries", ASKED),
        ("/nowhere", {}),
        ("/users", {"name": "x", "role": "researcher"}),
    ],
)
def test_problems_are_in_the_language_that_is_asked_for(place: Place, path: str, body: Any) -> None:
    """Title, detail and findings are French; code, pointers and the rest are those of the English reply."""
    ada = place.client("ada")
    english, french = ada.post(path, body), ada.post(path, body, **IN_FRENCH)
    assert coded(english.json()) == coded(french.json())
    assert english.json()["title"] != french.json()["title"]
    assert english.json().get("detail", 1) != french.json().get("detail", 2)
    places = [[one["pointer"] for one in reply.json().get("errors", ())] for reply in (english, french)]
    assert places[0] == places[1]
    assert (english.headers.get("content-language"), french.headers.get("content-language")) == (None, "fr")


@pytest.mark.parametrize("header", ["", "en", "de", "en, fr;q=0.5", "*"])
def test_english_is_the_language_of_everybody_else(place: Place, header: str) -> None:
    """Without a preference for French, the API says what it said before."""
    ada = place.client("ada")
    assert ada.post("/nowhere", {}, Accept_Language=header).json() == ada.post("/nowhere", {}).json()


def test_notes_and_advice_of_answers_are_french(place: Place) -> None:
    """Every note and each advice has its French; numbers, columns and ids are the same."""
    ada = place.client("ada")
    for way in ("estimates", "rehearsals", "queries"):
        english = ada.post(f"/studies/flu/{way}", ASKED).json()
        french = ada.post(f"/studies/flu/{way}", ASKED, **IN_FRENCH).json()
        for name in ("notes", "advice"):
            assert len(english.get(name, ())) == len(french.get(name, ()))
            assert not set(english.get(name, ())) & set(french.get(name, ())), name
        if way != "rehearsals":
            kept = {**coded(english), "replayed": True} if way == "queries" else coded(english)
            assert kept == coded(french)
    assert english["notes"]
    release = f"/studies/flu/releases/{english['id']}"
    assert ada.get(release, **IN_FRENCH).json()["notes"] == french["notes"]
    assert "marge" in ada.get(release, Accept="image/svg+xml", **IN_FRENCH).body.decode()


def test_entries_of_the_log_stay_as_they_were_hashed(place: Place) -> None:
    """An entry's summary is part of what was hashed, so the API sends it as it is."""
    dora = place.client("dora")
    english = dora.get("/audit/entries?order=oldest&limit=5").json()
    assert dora.get("/audit/entries?order=oldest&limit=5", **IN_FRENCH).json()["items"] == english["items"]


def run(place: Place, *arguments: str, **variables: str) -> Any:
    """Run a command over the home."""
    cleared = {"LC_ALL": "", "LC_MESSAGES": "", "LANG": ""}
    return CliRunner().invoke(main, list(arguments), env={**place.home.environment(), **cleared, **variables})


def test_the_command_line_is_in_french(place: Place) -> None:
    """By --lang or LANG: answers with a decimal comma, notes, reasons, summaries of the log; and English otherwise."""
    made = place.client("ada").good("POST", "/studies/flu/queries", ASKED)
    show = ["release", "show", "flu", made["id"]]
    english = run(place, *show)
    ways = [run(place, "--lang", "fr", *show), run(place, *show, LANG="fr_FR.UTF-8"), run(place, *show, LC_ALL="fr")]
    assert {one.stdout for one in ways} == {ways[0].stdout}
    assert "Note: " in english.stdout
    assert "Remarque\u202f: " in ways[0].stdout
    assert " à " in ways[0].stdout or "±" in ways[0].stdout
    assert "it cost" not in ways[0].stdout
    assert run(place, "--lang", "en", *show, LANG="fr_FR.UTF-8").stdout == english.stdout
    refused = [run(place, *way, "release", "show", "nowhere", "x", "--as", "ada") for way in ((), ("--lang", "fr"))]
    assert refused[0].stderr == "rowless: there is no study nowhere\n"
    assert refused[1].stderr.startswith("rowless: ")
    assert refused[1].stderr != refused[0].stderr
    said, dit = (run(place, *way, "audit", "entries", "--as", "dora").stdout for way in ((), ("--lang", "fr")))
    assert "was read" in said
    assert "was read" not in dit
    as_json = [run(place, *way, *show, "--json").stdout for way in ((), ("--lang", "fr"))]
    assert json.loads(as_json[0])["rows"] == json.loads(as_json[1])["rows"]
    assert json.loads(as_json[0])["notes"] == json.loads(as_json[1])["notes"]
