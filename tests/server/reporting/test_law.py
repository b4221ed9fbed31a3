"""Each statement on law comes from `criteria.toml`, and stands in a report beside its source, which says what was read."""

from __future__ import annotations

import ast
import datetime as dt
import re
import tomllib
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from server.languages.language import LANGUAGES, language
from server.reporting import criteria
from tests.serving import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving import Place

LAW = re.compile(
    r"\b(?:GDPR|RGPD|EDPB|CEPD|CJEU|CJUE|EHDS|CNIL|NIST|WP ?29|WP ?216|TEHDAS\d?|MR-\d+|2016/679|2025/327|C-\d+/\d+)\b"
    r"|European Health Data Space|Working Party|Opinion \d+/\d+|Guidelines \d+/\d+|Conseil d|Court of Justice"
    r"|\b[Aa]rt(?:icles?|\.) ?\d|\b[Rr]ecital \d"
)
# Names of fields and of what is chosen in them. They name a law and state nothing of it.
LABELS = {
    "Legal basis (article 6 GDPR)",
    "Condition for special data (article 9 GDPR)",
    "Reference methodology (MR-001 to MR-008)",
    "Data permit under the European Health Data Space",
    "data permit under the EHDS",
    "article 6: ",  # of a list of formalities, before what was entered
    "article 9: ",
    "GDPR art. 6(1)(e), 9(2)(j)",  # what may be written into a field
    "GDPR Art. 6(1)(e), Art. 9(2)(j)",  # the same in the examples of the API
    "MR-004, DEMO 2026-002",  # of the demonstration
}
PAGES = {
    "study": "/studies/flu/report?",
    "dataset": "/datasets/rand-hie/report?",
    "to publish": "/studies/flu/report?version=public&",
}


def texts(file: Path) -> Iterator[str]:
    """Yield what a file of the product can show: the strings of a module without its docstrings, or a whole template."""
    if file.suffix != ".py":
        yield from re.sub(r"{#.*?#}", "", file.read_text(encoding="utf-8"), flags=re.DOTALL).splitlines()
        return
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    described = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def on_law(text: str) -> bool:
    """Return whether a text names a law or an authority, labels aside."""
    for label in LABELS:
        text = text.replace(label, "")
    return bool(LAW.search(text))


def test_no_statement_on_law_stands_outside_of_its_file() -> None:
    """Nothing that the server can show names a law, a court or an authority but in labels, each of which is still there."""
    files = [file for file in sorted((ROOT / "server").rglob("*")) if file.suffix in {".py", ".html"}]
    said = {file: list(texts(file)) for file in files}
    assert len(files) > 100
    assert [(str(file), text) for file, shown in said.items() for text in shown if on_law(text)] == []
    everything = "\n".join(text for shown in said.values() for text in shown)
    assert {label for label in LABELS if label not in everything} == set()


@pytest.mark.parametrize(
    "planted",
    [
        "as the GDPR says",
        "anonyme au sens du RGPD",
        "EDPB, paragraph 58",
        "see article 69",
        "(Opinion 05/2014)",
        "Conseil d'État",
        "of C-413/23 P",
        "NIST SP 800-226",
        "the CNIL's MR-004",
    ],
)
def test_a_statement_on_law_is_found(planted: str) -> None:
    """What the test above looks for is found where it is planted."""
    assert on_law(planted)
    assert not on_law("Legal basis (article 6 GDPR)")


def raw() -> dict[str, Any]:
    """Return the file of the criteria as it is written."""
    return tomllib.loads((ROOT / "server" / "reporting" / criteria.FILE).read_text(encoding="utf-8"))


def test_each_source_says_what_was_read_of_it() -> None:
    """A source has a title, a date and what was read of it, in both languages; each is used, and no day is to come."""
    document = raw()
    used = {
        one["source"] for name in (*criteria.LISTS, *criteria.ELSEWHERE) for one in document[name] if "source" in one
    }
    assert used == set(document["sources"])
    for one in document["sources"].values():
        assert isinstance(one["original"], bool), one
        for words in (one, one["short"], one["read"]):
            assert words["en"], one
            assert words["fr"], one
        assert one["read"]["en"] != one["read"]["fr"]
        if isinstance(one["date"], dt.date):
            assert one["date"] <= document["checked"]
    for name in ("criteria", "readers", "law", "guarantee", *criteria.ELSEWHERE):
        assert all("source" in one for one in document[name]), name


def words_of(html: str) -> str:
    """Return the text of a page in one line."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", re.sub("</?code>", "`", body))).split())


def plain(text: str) -> str:
    """Return a text with single spaces, none of which keeps words together."""
    return " ".join(text.split())


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_each_statement_stands_beside_its_source(shared: Place, path: str, code: str) -> None:
    """On each page every statement has its source and the place in it, and the sources have titles, dates and readings."""
    reply = shared.client("dora").get(f"{path}language={code}", Accept="text/html")
    page = words_of(reply.body.decode())
    stated, law, said = criteria.stated(code, 400), criteria.elsewhere(code), language(code)

    def named(one: dict[str, Any]) -> str:
        short = stated["sources"][one["source"]]["short"]
        return plain(f"{short}, {one['place']}" if "place" in one else short)

    for name in ("criteria", "readers"):
        for one in stated[name]:
            head = one["title"] if name == "criteria" else one["who"]
            assert plain(f"{head} {named(one)} {one['text']}") in page, one
    for one in stated["law"]:
        text = one["text"].replace("400", str(shared.services.settings.identity_days))
        assert plain(f"{named(one)} {text}") in page, one
    assert plain(f"{law['questions']['text']} {named(law['questions'])}") in page
    for one in stated["guarantee"]:
        assert page.index(plain(law["guarantee"]["text"])) < page.index(plain(one["text"])), one
    for one in stated["sources"].values():
        day = said.day(one["date"]) if len(one["date"]) == 10 else one["date"]
        assert plain(f"{one['short']} {one['title']}") in page, one
        read = said.say("The original.") if one["original"] else said.say("Not the original.")
        assert plain(f"{day} {read} {one['read']}") in page, one
    facts = [plain(f"{law[name]['place']}") for name in ("accountability", "record", "assessment")]
    assert all((fact in page) == ("public" not in path) for fact in facts)
    if "public" not in path:
        assert plain(law["security"]["text"]) in page


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_page_for_persons_names_its_source(shared: Place, code: str) -> None:
    """The legal basis and the rights come from the file, and the regulation is named with its date."""
    reply = shared.client("dora").get(f"/datasets/rand-hie/notice?language={code}", Accept="text/html")
    page, law = words_of(reply.body.decode()), criteria.elsewhere(code)
    given = shared.client("dora").good("GET", "/datasets/rand-hie/notice")["formalities"]
    day = language(code).day(given["ends"])
    filled = law["basis"]["text"].format(basis=given["legal_basis"], condition=given["condition"], day=day)
    assert plain(filled) in page
    regulation = criteria.source("gdpr", code)
    assert plain(law["rights"]["text"]) in page
    assert plain(regulation["title"]) in page
    assert language(code).day(regulation["date"]) in page
