"""The page for the persons in a dataset, which a controller can publish, in English or French.

It says in plain words what is done with their data, who asked what and why, what could be learnt of one person at most,
and how to object. All of it comes from the formalities on record, the ledger and the catalog: no data are read. It
names no user of the server and no released number. Studies are shown once an approver has approved them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import history, log
from budgets.database import clock
from budgets.governance import dataset_terms, datasets, studies
from budgets.identity import people
from budgets.ledger import accounts
from server.errors import StoreUnavailable
from server.languages.language import language
from server.reporting import criteria, guarantee

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import sqlalchemy as sa

    from budgets.actors import Actor
    from queries.catalog.schema import Column
    from server.languages.language import Language
    from server.runtime.services import Services

    Section = tuple[str, list[str]]  # a heading, and paragraphs

READERS = ("dpo", "admin", "approver")
FORM = "notice"  # as the log has it
TENTH = 0.1  # the belief that the page explains


def assemble(services: Services, actor: Actor, name: str) -> dict[str, Any]:
    """Return what the page is made of, and log that it was read. Raises NotFound, Forbidden."""
    people.require_role(actor, *READERS)
    with services.database.write() as transaction:
        accounts.balance(transaction, accounts.DATASET, name)  # raises NotFound before anything is logged
        summary = f"the page for the persons of the dataset {name} was made"
        log.append(transaction, actor, "report.read", f"dataset:{name}", summary, facts={"form": FORM})
    with services.database.read() as transaction:
        present = dataset_terms.formalities_of(transaction, name)
        account = guarantee.describe_account(accounts.balance(transaction, accounts.DATASET, name))
        edition = datasets.current(transaction, name)
        return {
            "name": name,
            "title": datasets.title(transaction, name),
            "made_at": clock.now(),
            "edition": edition.number,
            "imported_at": edition.imported_at,
            "formalities": None if present is None else present.facts(),
            "at_limit": account["at_limit"],
            "at_spend": account["at_spend"],
            "professionals": _professionals(services, transaction, name),
            "studies": _studies(services, transaction, name),
        }


def _studies(services: Services, transaction: sa.Connection, name: str) -> list[dict[str, Any]]:
    """Return the studies that were approved at some time, with what they asked about."""
    titles = _titles(services, transaction, name)
    asked: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for one in history.releases_of(transaction, dataset=name):
        assert one.study is not None
        counts[one.study] = counts.get(one.study, 0) + 1
        asked.setdefault(one.study, set()).update(_named(one.body["query"], titles))
    approved = history.approved_on(transaction, name)
    found = []
    for each, day in approved.items():
        terms = studies.study(transaction, each).terms
        formal = terms.formalities
        found.append(
            {
                "id": each,
                "title": terms.title,
                "purpose": terms.purpose,
                "legal_basis": terms.legal_basis,
                "approved_on": day,
                "ends": terms.ends,
                "state": studies.study(transaction, each).state,
                "controller": None if formal is None else formal.controller,
                "recipients": None if formal is None else formal.recipients,
                "releases": counts.get(each, 0),
                "about": sorted(titles[column] for column in asked.get(each, ())),
                "hide_below": terms.protocol.get("hide_below"),
                "professionals": {
                    titles.get(column, column): why for column, why in terms.protocol.get("professionals", {}).items()
                },
            }
        )
    return found


def _columns(services: Services, transaction: sa.Connection, name: str) -> dict[str, Column]:
    """Return the columns of a dataset by name; none if its store was deleted."""
    try:
        catalog = services.stores.edition(datasets.current(transaction, name)).dataset
    except StoreUnavailable:
        return {}
    return {name: column for table in catalog.tables.values() for name, column in table.columns.items()}


def _titles(services: Services, transaction: sa.Connection, name: str) -> dict[str, str]:
    """Return the columns of a dataset by name, with their titles."""
    return {name: column.title or name for name, column in _columns(services, transaction, name).items()}


def _professionals(services: Services, transaction: sa.Connection, name: str) -> list[str]:
    """Return the titles of the columns that tell of professionals."""
    found = _columns(services, transaction, name).items()
    return sorted(column.title or name for name, column in found if column.professional)


def _named(query: Any, known: Mapping[str, str]) -> Iterator[str]:
    """Yield the columns that a query names anywhere."""
    match query:
        case str() if query in known:
            yield query
        case list():
            for part in query:
                yield from _named(part, known)
        case dict():
            for part in query.values():
                yield from _named(part, known)


def sections(document: Mapping[str, Any], said: Language) -> list[Section]:
    """Return the page as headings with paragraphs."""
    return [
        *_who(document, said),
        *_done(document, said),
        *_asked(document, said),
        *_learnt(document, said),
        *_rights(document, said),
    ]


def title(document: Mapping[str, Any], said: Language) -> str:
    """Return the title of the page."""
    return said.say("What is done with your data: %(title)s", title=document["title"])


def text(document: Mapping[str, Any], code: str) -> str:
    """Return the page as text."""
    said = language(code)
    parts = [title(document, said)]
    for heading, paragraphs in sections(document, said):
        parts += ["", heading.upper(), *paragraphs]
    return "\n".join([*parts, "", made(document, said)])


def made(document: Mapping[str, Any], said: Language) -> str:
    """Return when the page was made."""
    return said.say("Made by Rowless on %(moment)s UTC.", moment=said.moment(document["made_at"]))


def _who(document: Mapping[str, Any], said: Language) -> Iterator[Section]:
    given = document["formalities"]
    blank = said.say("to be added by the controller")
    lines = [
        said.say("%(label)s: %(what)s", label=label, what=blank if given is None else given[part])
        for part, label in (
            ("controller", said.say("Responsible")),
            ("processor", said.say("Works on their behalf")),
            ("recipients", said.say("Receives the answers")),
            ("incentives", said.say("What those who contribute data get for it")),
        )
    ]
    if given is not None:
        lines.append(
            criteria.elsewhere(said.code)["basis"]["text"].format(
                basis=given["legal_basis"],
                condition=given["condition"] if given["condition"] != "none" else said.say("none"),
                day=said.day(given["ends"]),
            )
        )
    yield said.say("Who is responsible"), lines


def _done(document: Mapping[str, Any], said: Language) -> Iterator[Section]:
    if document["professionals"]:
        of_professionals = [
            said.say(
                "The data also tell of professionals, who treat or advise people: %(columns)s. A question may use this "
                "only for a reason that was approved. The limits below are for each person in the data. They are not "
                "for these professionals, of whom many persons' data tell.",
                columns=", ".join(document["professionals"]),
            )
        ]
    else:
        of_professionals = []
    yield (
        said.say("What is done with your data"),
        [
            said.say(
                "The data stay on the server. Nobody who asks a question sees a row of them. A question is about a "
                "group of persons, and the answer has numbers to which the server adds chance. It can also name values "
                "that enough persons have, as a place or a code. How much it can depend on any one person is limited, "
                "as said below."
            ),
            said.say(
                "Every new answer uses up a part of a budget that all questions together share. When it is used up, "
                "nothing more is answered."
            ),
            said.say(
                "The data that are asked now were read in on %(day)s (edition %(edition)s).",
                day=said.day(document["imported_at"]),
                edition=document["edition"],
            ),
            *of_professionals,
        ],
    )


def _asked(document: Mapping[str, Any], said: Language) -> Iterator[Section]:
    lines = [_study(one, said) for one in document["studies"]]
    yield (
        said.say("Who asked what, and why"),
        lines or [said.say("No study was approved yet, so nobody could ask anything.")],
    )


def _study(one: Mapping[str, Any], said: Language) -> str:
    parts = [
        said.say("%(title)s. %(purpose)s", title=one["title"].rstrip("."), purpose=f"{one['purpose'].rstrip('.')}."),
        said.say("Approved on %(day)s.", day=said.day(one["approved_on"])),
        said.count("%(num)s question was answered.", "%(num)s questions were answered.", one["releases"]),
    ]
    if one["controller"] is not None:
        parts.insert(1, said.say("For: %(who)s.", who=one["controller"].rstrip(".")))
    if one["about"]:
        parts.append(said.say("They are about: %(columns)s.", columns=", ".join(one["about"])))
    parts += [
        said.say(
            "It may use what the data tell of professionals (%(column)s): %(why)s.", column=column, why=why.rstrip(".")
        )
        for column, why in one["professionals"].items()
    ]
    if one["hide_below"] is not None:
        parts.append(
            said.say(
                "Numbers below %(count)s are not shown. This is not what protects you: the chance that is added does.",
                count=said.number(f"{one['hide_below']:,}"),
            )
        )
    if one["ends"] is not None:
        parts.append(said.say("Last day: %(day)s.", day=said.day(one["ends"])))
    return " ".join(parts)


def _learnt(document: Mapping[str, Any], said: Language) -> Iterator[Section]:
    def bounds(meant: Mapping[str, Any]) -> dict[str, str]:
        return {
            kind: said.number(guarantee.percent(next(one["at_most"] for one in meant[kind] if one["prior"] == TENTH)))
            for kind in ("presence", "fact")
        }

    limit, spent = document["at_limit"], document["at_spend"]
    lines = [
        said.say(
            "Suppose that somebody knows everything about everybody else, and thinks with 10%% certainty that you are "
            "in these data. After all the answers that today's limit allows, they can be at most %(presence)s certain. "
            "For a fact about you, of which they were 10%% certain, it is at most %(fact)s.",
            **bounds(limit),
        ),
        said.say("With the answers that were given so far it is at most %(presence)s and %(fact)s.", **bounds(spent)),
    ]
    if limit["delta"]:
        lines.append(said.phrase(limit["condition"]))
    if limit["advantage"] > guarantee.WEAK:
        lines.append(
            said.say(
                "A limit this high excludes little by itself. It is a worst case, which only somebody who knows all "
                "but this one fact could come near."
            )
        )
    lines.append(
        said.say(
            "This is a limit and no forecast. Only a new approval can raise it. What statistics say about everybody is "
            "not counted: it is as true of you if you are not in the data. Who can read the server itself can read the "
            "data; that is not limited by this."
        )
    )
    yield said.say("What could be learnt of you at most"), lines


def _rights(document: Mapping[str, Any], said: Language) -> Iterator[Section]:
    given = document["formalities"]
    blank = said.say("to be added by the controller")
    if given is None:
        yield said.say("How to object"), [blank]
        return
    yield said.say("How you were informed"), [given["informed"]]
    yield (
        said.say("How to object"),
        [
            given["objections"],
            given["honoured"],
            said.say(
                "Who objects leaves with the next edition. Answers that were given before stay, and what they could "
                "reveal of you stays within the limit above."
            ),
        ],
    )
    rights = criteria.elsewhere(said.code)["rights"]
    law = criteria.source(rights["source"], said.code)
    yield (
        said.say("Your other rights"),
        [
            rights["text"],
            said.say("Source: %(title)s, of %(day)s.", title=law["title"], day=said.day(law["date"])),
        ],
    )
