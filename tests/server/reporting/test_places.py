"""Each number, day and name that a report has from the ledger and the log stands in its place, and no other does.

What follows from the accounts is in `test_printed_numbers.py`. Here a document of a real server gets a value of its own
in each field, and the page, in both languages, has to show that value where it belongs. That the fields themselves are
right is checked where they come from: `test_report.py`, `test_every_kind.py`, tests of `history.py`.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from budgets.identity import people
from server.languages.language import LANGUAGES, language
from server.reporting import criteria, notice, page, regulator, report
from tests.server.reporting.printed import cells, section, text_of

if TYPE_CHECKING:
    from server.languages.language import Language
    from tests.serving import Place

FIRST, LAST, OPENED, MADE = (f"202{n}-0{n + 1}-1{n}T0{n}:2{n}:33.000Z" for n in range(1, 5))


@dataclass(frozen=True)
class Made:
    """Documents with a value of its own in each field: a study's, its dataset's, and that of the page for persons."""

    study: dict[str, Any]
    dataset: dict[str, Any]
    persons: dict[str, Any]


@pytest.fixture(scope="module")
def made(shared: Place) -> Made:
    """Return documents of a server in which one study was approved and asked one question."""
    services = shared.services
    shared.open_study("placed", title="Placed", ends="2031-05-06")
    asked = {"query": {"from": "years", "select": {"n": {"count": "persons"}}}, "privacy": {"epsilon": 0.25}}
    shared.client("ada").good("POST", "/studies/placed/queries", asked)
    with services.database.read() as transaction:
        dora = people.user(transaction, "dora")
    of_study = marked(report.assemble(services, dora, report.STUDY, "placed", "html"))
    of_study["study"] |= {"created_at": OPENED, "starts": "2030-04-05", "ends": "2031-05-06"}
    persons = copy.deepcopy(notice.assemble(services, dora, "rand-hie"))
    study = next(one for one in persons["studies"] if one["id"] == "placed")
    study |= {"approved_on": FIRST, "ends": "2031-05-06", "releases": 37, "hide_below": 4321}
    persons |= {"studies": [study], "edition": 77, "imported_at": LAST, "made_at": MADE}
    return Made(of_study, marked(report.assemble(services, dora, report.DATASET, "rand-hie", "html")), persons)


def marked(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document with numbers and moments that occur nowhere else."""
    found = copy.deepcopy(document)
    (shown,) = [one for one in found["releases"]["shown"] if one["study"] == "placed"]
    profile = {"id": "p", "edition": 66, "charged_at": LAST, "cost": {"epsilon": 0.375, "rho": 0.1, "delta": 0.0}}
    found["releases"] |= {
        "count": 4321,
        "first": FIRST,
        "last": LAST,
        "unanswered": 17,
        "naming": 23,
        "profiles": [profile] * 3,
        "shown": [
            {**shown, "charged_at": FIRST, "edition": 55, "cost": {"epsilon": 0.5625, "rho": 0.1, "delta": 0.0}},
            {**shown, "charged_at": LAST, "edition": 56, "cost": {"epsilon": None, "rho": 0.03125, "delta": 2e-9}},
        ],
    }
    (study,) = [one for one in found["studies"] if one["id"] == "placed"]
    limit, spent = {"epsilon": 5.5, "delta": 0.0}, {"epsilon": 1.25, "rho": 0.5, "delta": 3e-9}
    found["studies"] = [
        {**study, "id": f"s{place}", "state": state, "limit": limit, "spent": spent}
        for place, state in enumerate(["approved", "approved", "draft", "closed", "suspended"])
    ]
    raised = next(act for act in found["history"] if act["action"] == "study.approve")
    found["history"] = [
        {**raised, "index": 8765, "time": OPENED, "action": "study.budget.approve", "limit": {**limit, "epsilon": 6.75}}
    ]
    found["log"] |= {"entries": 98765}
    found["dataset"] |= {"persons_max": 54321, "editions": [{"edition": 44, "imported_at": FIRST}]}
    found["made_at"] = MADE
    return found


def assert_in_order(text: str, *parts: str) -> None:
    """Assert that parts stand in a text one after the other."""
    place = 0
    for part in parts:
        assert part in text[place:], (part, text)
        place = text.index(part, place) + len(part)


def whole(said: Language, number: int) -> str:
    """Return a whole number as a language writes it."""
    return said.number(f"{number:,}")


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_summary_of_a_study_has_its_counts_and_days(made: Made, code: str) -> None:
    """How many releases, from when to when, profiles, charges without a release, and what could be named."""
    html, said = page.html(made.study, code), language(code)
    summary = text_of(section(html, said.say("Summary")))
    counts = (whole(said, 4321), said.moment(FIRST), said.moment(LAST), "3 ", "17 ", "23 ")
    assert_in_order(
        summary, *counts, said.day("2030-04-05"), said.day("2031-05-06"), said.moment(OPENED), said.number("6.75")
    )
    assert_in_order(text_of(html.partition("<h2>")[0]), said.moment(MADE))
    dated = text_of(section(html, said.say("The criteria of anonymity"))).partition("\n")
    stated = criteria.stated(code, 400)
    assert_in_order(" ".join(dated), said.day(stated["checked"]), said.day(stated["next"]))


@pytest.mark.parametrize("code", LANGUAGES)
def test_releases_and_history_stand_with_their_own_numbers(made: Made, code: str) -> None:
    """Each row has the time, edition and loss of its release, or the time, limit and place of its entry."""
    said = language(code)
    for document, of_dataset in ((made.study, False), (made.dataset, True)):
        html = page.html(document, code)
        released = section(html, said.say("Releases"))
        tables = [list(cells(one))[1:] for one in released.split("</table>")[:2]]
        (first, second), profiles = tables
        for row, at, edition, loss in (
            (first, FIRST, "55", said.number("epsilon 0.5625")),
            (
                second,
                LAST,
                "56",
                said.amounts(
                    [said.number("rho 0.03125"), said.number("delta 2\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻⁹")]
                ),
            ),
        ):
            assert_in_order(row[0], said.moment(at), edition)
            assert row[-2] == loss
            assert (row[1] == "placed") == of_dataset
        assert [[row[0], row[-1]] for row in profiles] == [[said.moment(LAST), said.number("epsilon 0.375")]] * 3
        assert all("66" in row[1] for row in profiles)
        assert_in_order(text_of(released), "2", whole(said, 4321))
        ((at, _, what),) = list(cells(section(html, said.say("History"))))[1:]
        assert at == said.moment(OPENED)
        assert_in_order(what, said.number("epsilon 6.75"), whole(said, 8765))
        covers = text_of(section(html, said.say("The log that covers this report")))
        assert_in_order(covers, whole(said, 98765), document["log"]["last_leaf_hash"])


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_dataset_has_its_editions_and_the_accounts_of_its_studies(made: Made, code: str) -> None:
    """Each study stands with its limit and what it used, and each edition with its import."""
    html, said = page.html(made.dataset, code), language(code)
    assert_in_order(text_of(section(html, said.say("Summary"))), "44", said.moment(FIRST), "s0, s1, s2, s3, s4")
    losses = section(html, said.say("Losses against the limits"))
    rows = list(cells(losses.split(said.say("Studies on this dataset"))[1].split("</table>")[0]))[1:]
    used = said.amounts([said.number("epsilon 1.25"), said.number("delta 3\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻⁹")])
    assert [[row[0], row[-2], row[-1]] for row in rows] == [
        [f"s{place}", said.number("epsilon 5.5"), used] for place in range(5)
    ]


@pytest.mark.parametrize("code", LANGUAGES)
def test_facts_for_the_regulator_have_their_numbers(made: Made, code: str) -> None:
    """Studies opened and approved, persons at most, releases and profiles so far, the log: each in its own answer."""
    said = language(code)

    def answer(document: dict[str, Any], question: str) -> str:
        facts = [one for article in regulator.facts(document, said) for one in article["facts"]]
        (found,) = [one["answer"] for one in facts if one["question"] == said.say(question)]
        return str(found)

    assert_in_order(answer(made.dataset, "Purpose limitation"), "5", "2")
    for document in (made.study, made.dataset):
        assert whole(said, 54321) in answer(document, "Categories of data subjects")
        assert_in_order(answer(document, "Description of the processing"), whole(said, 4321), "3")
        log = answer(document, "How it can be checked")
        assert_in_order(log, whole(said, 98765), document["log"]["last_leaf_hash"][:16])
    assert_in_order(answer(made.study, "Time limits"), said.day("2030-04-05"), said.day("2031-05-06"))


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_page_for_persons_has_its_own_numbers(made: Made, code: str) -> None:
    """When data were read in, when a study was approved and ends, how much it asked and from where on it hides."""
    said = language(code)
    told = dict(notice.sections(made.persons, said))
    assert_in_order(" ".join(told[said.say("What is done with your data")]), said.day(LAST), "77")
    (study,) = told[said.say("Who asked what, and why")]
    assert_in_order(study, said.day(FIRST), "37 ", whole(said, 4321), said.day("2031-05-06"))
    assert said.moment(MADE) in notice.made(made.persons, said)
