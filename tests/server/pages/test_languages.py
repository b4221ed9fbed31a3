"""The pages in French: the catalog is whole, no English is left on a page, and numbers and dates are as the French write."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from babel.messages.frontend import CommandLineInterface
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from click.testing import CliRunner
from jinja2 import Environment

from server.cli.main import main
from server.languages import catalog as phrases
from server.views.table import Dated, flatten
from tests.server.pages.browsing import browser
from tests.serving import PATIENTS, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from babel.messages.catalog import Catalog, Message

    from tests.server.pages.browsing import Browser, Page
    from tests.serving import Place

ROOT = Path(__file__).parents[3]
FILE = ROOT / "server/languages/translations/fr/LC_MESSAGES/messages.po"
FRENCH = {"Accept_Language": "fr-CH, fr;q=0.9, en;q=0.8"}
SPACE = "\N{NARROW NO-BREAK SPACE}"
# The French say these as the English do.
SAME = {
    "Justification",
    "Imports",
    *("%(list)s.", "Budget", "Budget (ε)", "Budget, δ", "Budget, ε", "Delta (δ)", "Epsilon (ε)", "Rho (ρ)"),
    *(
        "ACTION",
        "EXPORT",
        "TABLE",
        "action",
        ("%(num)s table", "%(num)s tables"),
        ("%(num)s minute", "%(num)s minutes"),
    ),
    *("Action", "Condition %(number)s", "Notes", "Question", "Sources", "Table", "Tables", "Type", "Version"),
    *("covariance", "date", "questions", "tables", "variance"),
}
VERSIONS = re.compile(r"[0-9a-f]{64}|version 1\.0|OpenDP [0-9.]+|doi\.org/\S+")  # and hashes: no numbers
NAMES = {"Rowless", "CSV", "JSON"}
CODE = re.compile(r"\{[^}]*\}|\w+:[\w/]\S*")  # in help: JSON, options of words, addresses, times; click's placeholders
FRENCH_PHRASES = phrases.entries("fr")
LENGTH = 12  # shorter texts may be parts of French words
PATHS = {
    "ada": (
        *("/", "/studies", "/studies/flu", "/studies/flu/ask", "/studies/flu/releases", "/datasets/rand-hie", "/words"),
        *("/account", "/nowhere", "/log"),
    ),
    "admin": (
        *("/", "/admin/datasets", "/admin/datasets/rand-hie", "/admin/new-study", "/admin/studies/flu"),
        *("/admin/studies/flu/terms", "/admin/studies/flu/protocol", "/admin/users", "/admin/users/ada"),
        *("/admin/tokens", "/admin/new-token", "/admin/proposals", "/once", "/admin/server"),
    ),
    "vera": ("/", "/studies/flu/decide", "/studies/flu/conclude", "/datasets/rand-hie/decide", "/spending", "/reports"),
    "dora": ("/", "/studies/new/decide", "/alerts", "/log", "/log/0", "/log/verify", "/names"),
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Return the French catalog."""
    return read(FILE)


def read(file: Path) -> Catalog:
    """Return the catalog of a file."""
    with file.open("rb") as lines:
        return read_po(lines)


def messages(catalog: Catalog) -> Iterator[Message]:
    """Yield the messages of a catalog, without its head."""
    return (message for message in catalog if message.id)


def texts(said: Any) -> tuple[str, ...]:
    """Return the forms of a message: one, or singular and plural."""
    return (said,) if isinstance(said, str) else tuple(said)


def key(message: Message) -> tuple[str | None, tuple[str, ...]]:
    """Return by what a message is looked up."""
    return message.context, texts(message.id)


def test_catalog_has_every_text_of_the_pages_and_no_other(catalog: Catalog, tmp_path: Path) -> None:
    """`make translations` would change nothing: none is missing, guessed, empty or left over."""
    command = re.search(r"^EXTRACT := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    found = tmp_path / "messages.pot"
    given = shlex.split(command[1].replace("server/", f"{ROOT}/server/"))
    line = ["pybabel", "--quiet", *given, f"--output-file={found}", str(ROOT / "server")]
    CommandLineInterface().run(line)  # type: ignore[no-untyped-call]
    assert {key(one) for one in messages(catalog)} == {key(one) for one in messages(read(found))}
    assert not catalog.obsolete
    assert [one.id for one in messages(catalog) if one.fuzzy or not all(texts(one.string))] == []


def test_compiled_catalog_is_that_of_the_texts(catalog: Catalog) -> None:
    """Both files of the French catalog are committed, and say the same."""
    with FILE.with_suffix(".mo").open("rb") as compiled:
        found = {key(one): texts(one.string) for one in messages(read_mo(compiled))}
    assert found == {key(one): texts(one.string) for one in messages(catalog)}


def test_placeholders_and_percent_signs_are_those_of_the_english_text(catalog: Catalog) -> None:
    """A French text with another placeholder would fail only where its page is shown."""
    for message in messages(catalog):
        wanted = sorted(re.findall(r"%\(\w+\)s|%%", texts(message.id)[-1]))
        for said in texts(message.string):
            left_out = {"%(num)s", "%(n)s", "%(count)s"} if len(texts(message.id)) > 1 else set()
            found = sorted(re.findall(r"%\(\w+\)s|%%", said))
            assert found == wanted or sorted({*wanted} - left_out) == found, message.id
            braces = {name for form in texts(message.id) for name in re.findall(r"\{(\w+)", form)}
            assert {*re.findall(r"\{(\w+)", said)} <= braces, message.id


def test_french_is_set_as_the_french_set_it(catalog: Catalog) -> None:
    """Narrow spaces that do not break stand before : ; ? ! and %, apostrophes are curved, and what is equal is meant."""
    for message in messages(catalog):
        for said in texts(message.string):
            prose = CODE.sub("", said)
            assert not re.search(r"(?<!\u202f)[:;?!»]|«(?!\u202f)|(?<!\u202f)%%|'|\"", prose), said
    assert {one.id for one in messages(catalog) if one.id == one.string} == SAME


def test_templates_have_no_words_of_their_own() -> None:
    """What stands outside `_()` cannot be translated: only names may. The document of the API is in English alone."""
    reader = Environment(autoescape=True)
    files = [one for one in (ROOT / "server/pages/templates").rglob("*.html") if one.name != "api_docs.html"]
    files.append(ROOT / "server/reporting/report.html")
    assert len(files) > 50
    for file in files:
        tokens = reader.lex(file.read_text())
        written = "".join(text if kind == "data" else "\0" for _, kind, text in tokens)
        told = re.sub(r"<(code|pre)\b.*?</\1>|<[^>]*>| [a-z-]+=\"[^\"\0]*", " ", written, flags=re.DOTALL)
        heard = re.findall(r'(?:aria-label|title|alt)="([^"\0]*)"', written)
        assert {*re.findall(r"[^\W\d_]{2,}", " ".join([told, *heard]))} <= NAMES, file


@pytest.fixture(scope="module")
def busy(shared: Place) -> Place:
    """Return a place where every role has something to see: answers, a draft, a larger budget, a proposal."""
    ada, admin = shared.client("ada"), shared.client("admin")
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.5))
    ada.good("POST", "/studies/flu/queries", ask(PATIENTS, 0.25))
    shared.open_study("new", approve=False)
    admin.good("PUT", "/studies/flu/budget", {"epsilon": 2000.5, "justification": "a test", "reason": "x"})
    admin.good("POST", "/proposals", {"act": "token", "user": "vera"})
    return shared


def visible(page: Page) -> str:
    """Return what a person reads or hears on a page, without what people and the API wrote: code, bdi and notes."""
    text = re.sub(r"<(code|bdi|pre|script|noscript)\b.*?</\1>", " ", page.text, flags=re.DOTALL)
    heard = re.findall(r'(?:aria-label|placeholder|title)="([^"]*)"', text)
    return " ".join(unescape(" ".join([re.sub(r"<[^>]*>", " ", text), *heard])).split())


def english_texts(catalog: Catalog) -> list[re.Pattern[str]]:
    """Return what finds each English text that has another French one, and is long enough to be no part of a word."""
    return [
        re.compile(r"(?<!\w)" + re.sub(r"%\\\(\w+\\\)s", ".{1,40}", re.escape(said.replace("%%", "%"))) + r"(?!\w)")
        for message in messages(catalog)
        for said, french in zip(texts(message.id), texts(message.string), strict=True)
        if said != french and len(re.sub(r"%\(\w+\)s", "", said)) > LENGTH
    ]


def test_no_english_text_is_left_on_a_french_page(busy: Place, catalog: Catalog) -> None:
    """Each role's pages, with refusals and forms that came back, have none of the English texts."""
    english = english_texts(catalog)
    shown = [page for name, paths in PATHS.items() for page in in_french(browser(busy, name), paths)]
    assert len(shown) > 40
    for page in shown:
        assert '<html lang="fr">' in page.text, page.path
        text = visible(page)
        assert [one.pattern for one in english if one.search(text)] == [], page.path


@pytest.mark.parametrize("kind", ["study", "dataset"])
def test_no_english_text_and_no_english_number_is_left_in_a_french_report(
    busy: Place, catalog: Catalog, kind: str
) -> None:
    """The report is French as a page, in the browser of who reads French, and in a terminal; its numbers and days too."""
    vera, name = busy.client("vera"), "flu" if kind == "study" else "rand-hie"
    path = f"{'studies' if kind == 'study' else 'datasets'}/{name}"
    read = vera.good("GET", "/studies/flu/report")["digest"]
    vera.good("POST", "/studies/flu/report/conclusion", {"text": "Rien de personnel.", "seen": read})
    busy.client("ada").post("/studies/flu/queries", ask(PATIENTS, 0.125))
    printed = vera.get(f"/{path}/report?language=fr", Accept="text/html").body.decode()
    opened = browser(busy, "vera").get(f"/reports/{path}", **FRENCH).text
    for shown in (printed, opened):
        assert '<html lang="fr">' in shown
    told = CliRunner().invoke(main, ["report", kind, name, "--language", "fr"], env=busy.home.environment()).stdout
    plain = re.sub(r"<(code|pre|style)\b.*?</\1>|<[^>]*>", " ", opened, flags=re.DOTALL)
    names = {said for said in FRENCH_PHRASES["report"] if len(said) > LENGTH}
    english = english_texts(catalog)
    for text in (unescape(plain), told):
        shown = " ".join(text.split())
        assert [one.pattern for one in english if one.search(shown)] == []
        assert [said for said in names if said.partition("{")[0] in shown] == []
        assert "Conclusion" in shown
        assert "Rien de personnel." in shown
        assert not re.search(r"\d{4}-\d\d-\d\d|\d\.\d|\d%", VERSIONS.sub("", shown))
        assert re.search(r"\d\d/\d\d/20\d\d", shown)
        assert re.search(r"\d,\d+\u202f%", text)
    assert '<html lang="en">' in vera.get(f"/{path}/report", Accept="text/html").body.decode()
    assert vera.get(f"/{path}/report?language=de").status == 422


def in_french(opened: Browser, paths: tuple[str, ...]) -> Iterator[Page]:
    """Yield pages in French, and what their first links to answers lead to."""
    for path in paths:
        page = opened.get(path, **FRENCH)
        yield page
        if path.endswith("/releases"):
            ids = re.findall(r'name="release" value="([^"]+)"', page.text)
            yield opened.get(f"{path}/{ids[0]}", **FRENCH)
            yield opened.get(f"/studies/flu/compare?release={ids[0]}&release={ids[1]}", **FRENCH)
        if path.endswith("/ask"):
            fields = {**page.form("s-0-what"), "g-0-column": "sex", "f-0-column": "sex"}
            for do in ("estimate", "rehearse", "review"):
                yield opened.post(path, {**fields, "do": do}, **FRENCH)
        if path == "/admin/proposals":
            yield opened.post(path, {"do": "propose", "act": "add", "role": "dpo", "user": "?"}, **FRENCH)


def test_language_of_the_foot_is_kept_and_leads_back_to_the_page(busy: Place) -> None:
    """The choice outlives the browser's preference, the session, and a form that came back."""
    opened = browser(busy, "ada")
    page = opened.get("/studies/flu/releases?cursor=")
    assert "All questions of this study" in page.words()
    chosen = opened.post("/language", {**page.form('name="_language"'), "_language": "fr"})
    assert chosen.response.request.full_path == "/studies/flu/releases?cursor="
    assert "Toutes les questions de cette étude" in chosen.words()
    assert "Mes études" in opened.get("/", Accept_Language="en").words()
    back = opened.post("/studies/flu/ask", {"do": "estimate", "table": "years"})
    assert back.form('name="_language"')["table"] == "years"
    assert opened.post("/sign-in", {"token": "x"}).form('name="_language"')["_next"] == "/sign-in"
    assert "Se connecter" in opened.post("/sign-out", {}).words()


def test_numbers_percentages_and_days_are_french(busy: Place) -> None:
    """A decimal comma, narrow spaces between thousands and before %, and days with their day first."""
    desk = browser(busy, "dora").get("/", **FRENCH).text
    assert f"à ε\N{NO-BREAK SPACE}2{SPACE}000,5" in desk
    decide = browser(busy, "vera").get("/studies/flu/decide", **FRENCH).text
    assert re.search(r"\d\s%", decide)
    answers = browser(busy, "ada").get("/studies/flu/releases", **FRENCH)
    assert re.search(r"\d\d/\d\d/20\d\d \d\d:\d\d UTC", answers.words())
    assert "ε 0,25" in answers.words()
    assert browser(busy, "ada").get("/studies/flu/ask", **FRENCH).form("s-0-what")["epsilon"] == "0,1"
    spent = browser(busy, "dora").get("/spending", **FRENCH).text
    assert re.search(r">\d\d/\d\d/20\d\d \d\d:\d\d</text>", spent)
    (release, *_others) = re.findall(r'href="(/studies/flu/releases/[^"]+)"', answers.text)
    said = unescape(browser(busy, "ada").get(release, **FRENCH).text)
    assert f"avec un niveau de confiance de 95{SPACE}%" in said


BY_DATE = {
    "day": ({"column": "day", "period": "day"}, "28/11/2020", "2020-11-28"),
    "plain": ("day", "28/11/2020", "2020-11-28"),
    "week": ({"column": "day", "period": "week"}, "S48 2020", "2020-W48"),
    "month": ({"column": "day", "period": "month"}, "11/2020", "2020-11"),
    "quarter": ({"column": "day", "period": "quarter"}, "T4 2020", "2020-Q4"),
    "year": ({"column": "day", "period": "year"}, "2020", "2020"),
    "bins": ({"column": "day", "bins": ["2020-01-01", "2020-12-01"]}, "[01/01/2020, 01/12/2020)", "2020-01-01"),
    "width": ({"column": "day", "width": 366, "from": "2020-01-01"}, "01/01/2020", "2020-01-01"),
}


def test_dates_of_groups_are_french_on_pages_and_iso_in_files(shared: Place) -> None:
    """Days, weeks, months and quarters of an answer: in its table, in the titles of its chart, and in two compared."""
    shared.open_study("by-date", "clinic")
    ada = browser(shared, "ada")
    for name, (key, french, iso) in BY_DATE.items():
        query = {"from": "visits", "group_by": [key], "select": {"n": {"count": "events"}}}
        body = {"query": query, "privacy": {"epsilon": 1.0}}
        made = shared.client("ada").good("POST", "/studies/by-date/queries", body)["id"]
        path = f"/studies/by-date/releases/{made}"
        page = unescape(ada.get(path, **FRENCH).text)
        assert f"<bdi>{french}</bdi>" in page, name
        drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
        assert french in drawn or french[3:] in drawn, name
        assert not re.search(r"\d{4}-(\d\d|Q\d|W\d)", drawn), name
        assert f"<bdi>{iso}" in unescape(ada.get(path, Accept_Language="en").text).replace("<bdi>[", "<bdi>"), name
        assert iso in ada.get(f"{path}.csv", **FRENCH).text, name
    compared = ada.get(f"/studies/by-date/compare?release={made}&release={made}", **FRENCH)
    assert "01/01/2020" in compared.words()


def test_label_that_only_looks_like_a_month_stays_as_it_is() -> None:
    """A code such as 2020-11 is no date unless the question groups by periods."""
    release = {
        "query": {"group_by": ["code", {"column": "day", "period": "month"}]},
        "columns": [{"name": "code", "kind": "key"}, {"name": "day", "kind": "key"}],
        "rows": [{"code": "2020-11", "day": "2020-11"}],
    }
    ((code, day),) = [row.labels for row in flatten(release).rows]
    assert (isinstance(code, Dated), isinstance(day, Dated)) == (False, True)


def test_numbers_that_are_typed_in_french_are_read_as_they_were_shown(busy: Place) -> None:
    """A half is 0,5, also alone in a list; a thousand in a field has no mark that could be taken for a decimal one."""
    ada, root = browser(busy, "ada"), browser(busy, "admin")
    line = {"s-0-what": "quantile", "s-0-column": "age"}
    shown = ada.post("/studies/flu/ask", {"table": "years", **line, "epsilon": "0,5"}, **FRENCH)
    assert shown.form("s-0-what")["s-0-at"] == "0,5"
    for at, wanted in (("0,25", 1), ("0,25; 0,75", 2), ("0,25, 0,75", 2)):
        sent = {**shown.form("s-0-what"), **line, "s-0-at": at, "do": "estimate"}
        sql = ada.post("/studies/flu/ask", sent, **FRENCH).form("s-0-what")["sql"]
        assert (sql.count("0.25"), sql.count("0.75")) == (1, wanted - 1), (at, sql)
    for language in ("fr", "en"):
        page = root.get("/admin/studies/flu", Accept_Language=language)
        assert page.form("hx-get")["epsilon"] == "1000", language
