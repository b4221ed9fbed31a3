"""French pages say in French what the API says: every sentence is known, nothing in it is lost, and no text is slow."""

from __future__ import annotations

import functools
import re
import time
from typing import TYPE_CHECKING

import pytest

from server.languages import catalog
from server.languages.patterns import HOLE, Kind, pattern
from server.languages.phrase import LONGEST, shown, translated
from server.reporting.methods import STEPS
from tests.server.languages.spoken import is_sentence, logged, normal, raised, sentences, texts
from tests.server.pages.browsing import browser
from tests.server.test_sentences import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving import Place

FRENCH = catalog.entries("fr")
SAID = (
    "titles",
    "problems",
    "notes",
    "log",
    "verification",
    "report",
    "commands",
    "imports",
    "cli",
)  # sections whose entries are strings of the sources as they are
ENTRIES = {said: answer for name, section in FRENCH.items() if name != "marks" for said, answer in section.items()}

# Groups of modules that make what is sent. All their sentences are in the catalog, but those of UNSENT.
COMPLETE = {
    "titles of problems": ("server/web",),
    "what is wrong with a query": (
        *("queries/errors.py", "queries/binding", "queries/language", "queries/spelling"),
        *("queries/catalog/codes.py", "queries/catalog/least_charge.py", "server/api/requests"),
    ),
    "notes, advice, what bounds cut off": (
        *("queries/planning", "queries/contribution", "queries/statistics", "queries/release"),
        *("queries/execution/partition_selection.py", "server/views/table.py"),
    ),
    "budgets: refusals, the forecast, summaries of the log and of alerts": (
        *(
            "budgets/errors.py",
            "budgets/amounts.py",
            "budgets/formalities.py",
            "budgets/loss.py",
            "budgets/governance",
            "budgets/identity",
        ),
        *("budgets/ledger", "budgets/alerts", "budgets/audit/log.py", "budgets/audit/signing.py"),
    ),
    "the server: refusals, summaries of the log": (
        *("server/errors.py", "server/serving.py", "server/journey", "server/admission", "server/sign_in"),
        *("server/api/routes", "server/views/entries.py", "server/runtime/services.py", "server/runtime/stores.py"),
        *("server/runtime/verifying.py", "server/runtime/sign_ins.py", "server/runtime/tallies.py"),
        "server/pages/frame/same_site.py",
    ),
    "the check of the log": ("budgets/verify",),
    "the report, and what an epsilon means": ("server/reporting",),
    "commands: their refusals, the checks of a home, imports, the demonstration": (
        *("server/cli", "server/runtime/health.py", "server/runtime/home", "server/runtime/settings.py"),
        *("server/demo/setup.py", "server/demo/demonstration.py", "server/demo/omop.py", "budgets/database/files.py"),
        *("budgets/audit/certificates.py", "budgets/alerts/clocks.py", "queries/catalog", "queries/store/losses.py"),
    ),
}
# Modules with SQL, of which the texts that they raise are sentences.
RAISING = ("queries/store", "queries/execution", "budgets/database", "server/runtime")

# Modules, or the beginning of sentences, that no page shows -> why.
UNSENT = {
    **dict.fromkeys(STEPS, "the methods, a file in English"),
    "server/api/routes/audit.py": "headers, and the description of the API",
    "server/api/routes/queries.py": "the description of the API",
    "server/api/routes/reports.py": "the description of the API",
    "server/api/routes/studies.py": "the description of the API",
    "python -m budgets.verify": "the name of a command",
    "server/cli/texts.py": "what click says to programmers",
    "{}, application/problem+json": "a header",
    "Serving until Ctrl-C": "several lines, each translated by itself",
    "rowless release certificate": "the type of a document",
    "Public": "what the demonstration's users typed",
    "Made-up data, for": "what the demonstration's users typed",
    "Cost sharing": "what the demonstration's users typed",
    "Show ": "what the demonstration's users typed",
    "From a diagnosis": "what the demonstration's users typed",
    "Persons of a Common": "what the demonstration's users typed",
    "A Common Data Model": "the title of the demonstration's dataset",
    "[dataset]": "the demonstration's manifest",
    "public or": "what the demonstration's users typed",
    "a demonstration on public": "what the demonstration's users typed",
    "One row per person": "the title of a table",
    "is under": "a part of a sentence on codes",
    "openid profile": "a scope",
    "same person": "a mark within the reader of SQL",
    "until day": "a heading, which the charts translate",
    "default-src": "a header",
    "{}; frame-ancestors": "a header",
    "text/html; charset": "a header",
    "the store's stream is not": "an error after the charge, of which only the admin's log has the cause",
}
# Sentences of the sources that the catalog has in another form -> one as it is sent.
IN_OTHER_FORMS = {
    "line 1, column 1: {}": "line 1, column 1: write a name here",
    "this would cost {}, and the {} has {} left": "this would cost rho 2, and the study has rho 1, with delta 0.1 left",
    "entry {}: it is not an entry in canonical JSON{}": "entry 2: it is not an entry in canonical JSON",
    "The log\n{}\n\nThe certificate": "The certificate",
    "`rowless profile {} --epsilon {}`": "`rowless profile x --epsilon 1` buys one",
    "{}_FILE: {} cannot be read: {}": "X_FILE: /x cannot be read: gone",
    "{} and {}_FILE are both set; keep one": "X and X_FILE are both set; keep one",
    "{}_FILE: {} is not UTF-8 text": "X_FILE: /x is not UTF-8 text",
    "The answer, with its margins at 95%, after {} ms:\n\n{}": "The answer, with its margins at 95%, after 3 ms:",
    "{} Of the study's {}, {} is left.": "It cost epsilon 1. Of the study's 3, 2 is left.",
    "{}.{} has no order": "visits.sex has no order",
    "must have the type, bounds and step of {}.{}": "must have the type, bounds and step of visits.cost",
    "{} and {} more": "a, b and 3 more",
    "{}, line {}: not {} (byte 0x{}); {}": "x.csv, line 3: not utf-8 (byte 0xe9); write the encoding that it has: utf-8, "
    "cp1252, latin-1 or utf-16",
    "{}, line {}: a record of more than {} bytes{}": "x.csv, line 3: a record of more than 5 bytes; is a quote missing?",
    "{}, line 1: the header is malformed: {}": "x.csv, line 1: the header is malformed: odd",
    "{} the record that it belongs to runs to line {} and does not fit the header: a quote is missing, or there is one "
    "too many, and the lines between may have been swallowed. Mend the file": "x.csv, line 2: a quote opens here and the "
    "record that it belongs to runs to line 9 and does not fit the header: a quote is missing, or there is one too many, "
    "and the lines between may have been swallowed. Mend the file",
    "{} is never closed, so that it would swallow all lines after it. Close it, or double it if it belongs to the text": (
        "x.csv, line 2: a quote opens here and is never closed, so that it would swallow all lines after it. Close it, or "
        "double it if it belongs to the text"
    ),
    "{} {} was proposed": "adding a user of the role dpo was proposed",
}


@functools.cache
def spoken() -> dict[str, str]:
    """Return each sentence that the product sends, and the module that has it."""
    found: dict[str, str] = {}
    for parts in COMPLETE.values():
        found |= sentences(parts)
    return found | raised(RAISING) | logged()


def is_unsent(said: str, module: str) -> bool:
    """Return whether no page shows a sentence."""
    return module in UNSENT or any(said.startswith(beginning) for beginning in UNSENT)


def test_every_sentence_of_the_api_has_its_french() -> None:
    """No sentence that the sources make is missing, whole or as a part of a longer entry."""
    known = {normal(said) for said in ENTRIES}
    parts = "\n".join(known)
    missing = [
        f"{module}: {said}"
        for said, module in spoken().items()
        if is_sentence(said) and said not in known and said not in parts and said not in IN_OTHER_FORMS
        if not is_unsent(said, module)
    ]
    assert missing == []
    assert [said for said in IN_OTHER_FORMS.values() if translated(said, "fr") is None] == []


def test_catalog_of_phrases_has_no_obsolete_sentence() -> None:
    """What the sources no longer say is not in the catalog, nor among the exceptions."""
    found = spoken()
    assert [said for section in SAID for said in FRENCH[section] if normal(said) not in found] == []
    assert [said for said in IN_OTHER_FORMS if said not in found] == []
    unused = [one for one in UNSENT if one not in found.values() and not any(said.startswith(one) for said in found)]
    assert unused == []


def test_sentences_are_found_in_sources() -> None:
    """F-strings become patterns, choices become several; docstrings, asserts and lines of logs are left out."""
    source = '''
"""A docstring of words."""
def refuse(name, many):
    """Another docstring."""
    logger.error("a line of the log")
    assert name, "never without a name"
    log.append("the log was read")
    raise NotFound(f"there {'are' if many else 'is'} no study {name!r}: {', '.join(many)}" " at all")
'''
    assert sorted(filter(is_sentence, texts(source))) == [
        "the log was read",
        "there are no study {}: {} at all",
        "there is no study {}: {} at all",
    ]


def golden() -> Iterator[str]:
    """Yield the sentences of the golden file on problems, notes and advice."""
    for block in GOLDEN.read_text(encoding="utf-8").split("\n## ")[1:]:
        head, *lines = block.splitlines()
        for line in filter(None, lines):
            if head.startswith(("titles", "estimate")):
                yield line.split(": ", 1)[1]
            elif head.startswith("refused") and not re.fullmatch(r"\d{3} [a-z-]+", line):
                yield re.sub(r"^/\S+ ", "", line)


NAMES = re.compile(
    r"\b(?:flu|ada|nowhere|visits|sex|age|urgent|code|female|patients|[a-z]+_[a-z_]+)\b|[A-Z]{4,}\(|'\w+'"
)


def test_golden_sentences_are_french_with_all_their_numbers_and_names() -> None:
    """Each sentence that the golden file shows is translated, and no number and no name in it is lost."""
    seen = set(golden())
    assert len(seen) > 100
    for said in seen:
        french = translated(said, "fr")
        assert french is not None, said
        assert french != said
        assert sorted(re.findall(r"\d+", french)) == sorted(re.findall(r"\d+", said))
        assert set(NAMES.findall(said)) <= set(NAMES.findall(french)), french


FILLED = {Kind.KEPT: "Zoé's{x}1,234.5<b>", Kind.NUMBER: "1,234.5", Kind.DAY: "2026-12-31", Kind.WORDS: "dpo"}
FILLED |= {Kind.PHRASE: "must be above 0", Kind.PHRASES: "must be above 0; is missing"}


def test_each_entry_is_reached_and_keeps_texts_of_people() -> None:
    """Whatever an entry keeps stands in the translation as it stood: not a letter of it changes."""
    for said in ENTRIES:
        kinds = [Kind(kind) for _, kind in HOLE.findall(said)]
        text = HOLE.sub(lambda hole: FILLED[Kind(hole[2] or "")], said)
        french = translated(text, "fr")
        assert french is not None, text
        assert french.count(FILLED[Kind.KEPT]) == kinds.count(Kind.KEPT), french
        assert french.count("1\u202f234,5") == kinds.count(Kind.NUMBER)
        assert french.count("31/12/2026") == kinds.count(Kind.DAY)


@pytest.mark.parametrize(
    ("text", "french"),
    [
        ("study flu starts on 2026-12-01", "l’étude flu commence le 01/12/2026"),
        (
            "the last day of the study 2026-12-01 was 2026-11-30",
            "le dernier jour était le 30/11/2026 (étude 2026-12-01)",
        ),
        (
            "entry 7: its time, 2026-11-30T18:44:17.123Z, is earlier than that of an entry before it (2026-12-01T00:00:00.000Z)",
            "entrée 7\u202f: son heure, 30/11/2026 18:44:17 UTC, précède celle d’une entrée antérieure (01/12/2026 00:00:00 UTC)",
        ),
        ("study flu ended on Tuesday", "l’étude flu s’est terminée le Tuesday"),
    ],
)
def test_days_and_times_in_sentences_are_written_as_in_french(text: str, french: str) -> None:
    """A day or a time in its hole is written as a reader of French writes it; one in a name stays as it is."""
    assert translated(text, "fr") == french


def test_every_day_in_a_sentence_is_told_as_one() -> None:
    """A hole that the sources name as a day has its form: otherwise it would stand as JSON has it."""
    days = re.compile(r"\{(day|last|starts|ends|used_at|[a-z_]*_on)\}")
    assert [said for said in ENTRIES if days.search(said)] == []


def test_typeset_spaces_what_is_french_and_not_what_is_code() -> None:
    """Marks of French get their narrow spaces; operators, JSON and quoted texts of SQL stay as they are."""
    assert catalog.typeset("l'avis « bon » : 5 % ?") == "l’avis «\u202fbon\u202f»\u202f: 5\u202f%\u202f?"
    assert catalog.typeset("""=, != ou 'a', "b": 1""") == """=, != ou 'a', "b": 1"""


def test_entry_whose_holes_differ_is_refused() -> None:
    """A hole that a translation forgets, invents or has no end for would lose what stands in it."""
    for said, answer in (("no {a}", "aucun"), ("no", "aucun {a}"), ("{a}{b}", "{a}{b}"), ("{a} {a}", "{a} {a}")):
        with pytest.raises(ValueError, match="hole"):
            pattern(said, answer)


def test_texts_of_people_are_never_taken_for_the_apis() -> None:
    """What somebody typed is not translated, even where it reads like a sentence of the API."""
    for typed in ("must be above 0", "x; there are y", "a: must be above 0", "{name}", "\\1 %(x)s", "1,000.5"):
        assert translated(f"there is no study {typed}", "fr") == f"il n’y a pas d’étude {typed}"
    assert translated("a text that nobody foresaw", "fr") is None
    assert translated("there is no study flu", "en") is None


def test_no_text_makes_a_translation_slow() -> None:
    """Texts made to send a search back and forth take no longer than others, and very long ones are left alone."""
    literals = {literal for said in ENTRIES for literal in HOLE.split(said)[::3] if literal}
    hostile = [*literals, *("a: ", "n: the noise, ±1, ", "A. ", "; ", "1,", "{", "\0", "is ", "a b; c. D: ")]
    begun = time.thread_time()
    for piece in hostile:
        translated((piece * LONGEST)[:LONGEST], "fr")
        assert translated(piece * 10_000, "fr") is None or len(piece * 10_000) <= LONGEST
    assert time.thread_time() - begun < 0.05 * len(hostile)


def test_french_page_shows_the_apis_words_in_french(shared: Place) -> None:
    """A refusal, what a budget buys and the summaries of the log are French on French pages, English in the API."""
    ada, dora = browser(shared, "ada"), browser(shared, "dora")
    for opened in (ada, dora):
        opened.post("/language", {"_language": "fr"})
    refused = ada.get("/studies/nowhere")
    assert refused.status == 404
    assert "il n’y a pas d’étude nowhere" in refused.words()
    assert "Cela n’existe pas" in refused.words()
    assert "requêtes d’epsilon" in ada.get("/studies/flu").words()
    log = dora.get("/log")
    assert "l’étude flu a été ouverte sur rand-hie" in log.words()
    assert '<span lang="en">' not in log.text
    told = shared.client("ada").request("GET", "/studies/nowhere").json()
    assert told["detail"] == "there is no study nowhere"


def test_page_marks_english_that_has_no_translation(shared: Place) -> None:
    """A sentence that the catalog does not have stays, marked as English, and escaped."""
    with shared.app.test_request_context(headers={"Accept-Language": "fr"}):
        assert str(shown("<b> is new")) == '<span lang="en">&lt;b&gt; is new</span>'
        assert shown("must be above 0") == "doit être supérieur à 0"
        assert shown(None) == ""
    with shared.app.test_request_context(headers={"Accept-Language": "en"}):
        assert shown("<b> is new") == "<b> is new"
