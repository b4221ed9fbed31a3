"""What the promise does not cover, and the facts that a regulator asks for, in plain words and in a language.

The API has them in English. The page and the text of a report are made from the same values in their own language.
The titles of `LEFT_OUT` are those of docs/threat-model.md; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import history
from server.reporting import asking, criteria, publishing

if TYPE_CHECKING:
    from server.languages.language import Language

LEFT_OUT = {
    "The admin, the machine and the ledger's database are trusted": (
        "A person who can read the server's home folder can read the data. The data, the ledger and the logs are "
        "personal data and must not leave the server; only releases may be published. Reading the folder directly "
        "leaves no entry in the log. An admin can make access tokens for researchers; the log "
        "records each of them. A person who holds the machine and the signing key can also write what a second person "
        "would have to write."
    ),
    "The source is what it says it is": (
        "A person with two identifiers in the source counts as two persons. Facts that several persons share, for "
        "example in a family or a practice, are not protected as the facts of one person."
    ),
    "The catalog is public": (
        "Every user sees the names of tables and columns, the categories and the bounds. If they were taken from the "
        "data instead of being set beforehand, they reveal something about the data, and the promise does not cover it."
    ),
    "Timing": (
        "Answers leave at fixed times after the start of their scan, so that small differences do not show. It can "
        "show that a scan took longer than one such interval, and the load on a shared machine can show too."
    ),
    "Failures": (
        "Whether a query fails because memory or time run out may depend on the data. It is charged in full, and the "
        "reply has no details. The failure itself can be seen, at most three times for one charge."
    ),
    "Audit log": (
        "A change to the log is found only by people who kept an earlier state of it. Keep the state that this report "
        "names outside the server."
    ),
    "What is learnt is not prevented": (
        "A true statistic about a group reveals something about its members, whether or not they are in the data. "
        "This is the purpose of statistics."
    ),
}

SHORT = 16  # digits of a hash in a sentence: a whole one has no place to break at
TO_ADD = None  # only the controller knows the answer; the page leaves room for it


def facts(document: dict[str, Any], language: Language) -> list[dict[str, Any]]:
    """Return the facts for GDPR articles 5(2), 30 and 35, from the rest of a report. None: the controller adds it."""
    say, law = language.say, criteria.elsewhere(language.code)
    return [
        {
            **_article(law["accountability"]),
            "facts": _asked(
                (say("Who decided, and when"), _decided(document, language)),
                (say("Purpose limitation"), _limits_of_use(document, language)),
                (say("Data minimisation"), _own_work(language)),
                (say("How it can be checked"), _checked(document, language)),
            ),
        },
        {
            **_article(law["record"]),
            "facts": _asked(
                (say("Controller, representative and data protection officer"), _controller(document)),
                (say("Purposes"), _purposes(document, language)),
                (say("Categories of data subjects"), _subjects(document, language)),
                (say("Categories of personal data"), _categories(document, language)),
                (say("Recipients"), _recipients(document, language)),
                (say("Transfers to third countries"), TO_ADD),
                (say("Time limits"), _time_limits(document, language)),
                (law["security"]["text"], f"{_own_work(language)} {_logged(language)}"),
            ),
        },
        {
            **_article(law["assessment"]),
            "facts": _asked(
                (say("Description of the processing"), _description(document, language)),
                (say("Necessity and proportionality"), TO_ADD),
                (say("Risks to the rights and freedoms of persons"), _risks(document, language)),
                (
                    say("Measures"),
                    say("Noise, limits, approvals and a log, as above; see what the promise does not cover."),
                ),
                (say("Advice of the data protection officer"), _advice(document, language)),
            ),
        },
    ]


def _article(of_law: dict[str, Any]) -> dict[str, Any]:
    return {"article": of_law["place"], "title": of_law["text"]}


def left_out(language: Language) -> list[dict[str, str]]:
    """Return what the promise does not cover."""
    return [{"title": language.phrase(title), "text": language.phrase(text)} for title, text in LEFT_OUT.items()]


def _asked(*pairs: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"question": question, "answer": answer} for question, answer in pairs]


def _own_work(language: Language) -> str:
    return language.say(
        "Only two things from the data leave the server: statistics with noise, under differential privacy for each "
        "person with all their events, and values of columns without declared values whose number of persons, with "
        "noise, reaches a threshold. Rehearsals show made-up numbers, for which no data are read. A limit on the loss "
        "is enforced before data are read, for the study and, over all studies, for the dataset."
    )


def _logged(language: Language) -> str:
    return language.say(
        "Access requires a token and a role. The audit log has an entry for each decision, query, answer and refused "
        "query, for each reading of a release, a report or the log's entries (repeated ones within a minute as one "
        "entry with their number), and for each token that is made or revoked."
    )


def _decided(document: dict[str, Any], language: Language) -> str:
    return language.joined(approvals(document, language)) or language.say("Nobody has approved anything yet.")


def _advice(document: dict[str, Any], language: Language) -> str | None:
    """Return what DPOs advised before approvals. What they said elsewhere has to be added by hand."""
    given = [act for act in document["history"] if act["action"] in history.ADVICE]
    told = [
        language.say(
            "%(what)s, %(who)s on %(day)s: %(reason)s",
            what=language.phrase(one["summary"]),
            who=by(one, language),
            day=language.day(one["time"]),
            reason=one["reason"],
        )
        for one in given
    ]
    return language.joined(told) or TO_ADD


def approvals(document: dict[str, Any], language: Language) -> list[str]:
    """Return what was approved, who approved it and when, and which studies have terms that wait for approval."""
    found = [_approval(act, language) for act in document["history"] if act["approval"]]
    states = {one["id"]: one["state"] for one in document["studies"]}
    approved = dict.fromkeys(act["study"] for act in document["history"] if act["action"] == "study.approve")
    waiting = [study for study in approved if states.get(study) == "draft"]
    return [
        *found,
        *(
            language.say("the terms of %(study)s were changed later and wait for approval", study=one)
            for one in waiting
        ),
    ]


def _approval(act: dict[str, Any], language: Language) -> str:
    said = {"study": act["study"], "who": by(act, language), "day": language.day(act["time"])}
    if act["action"] == "study.approve":
        return language.say("study %(study)s: %(who)s on %(day)s", **said)
    if act["action"] == "dataset.approve":
        return language.say("the terms of the dataset: %(who)s on %(day)s", **said)
    if act["limit"] is None:
        return language.say("a larger budget of study %(study)s: %(who)s on %(day)s", **said)
    return language.say(
        "a larger budget of study %(study)s (epsilon %(epsilon)s): %(who)s on %(day)s",
        epsilon=language.number(f"{act['limit']['epsilon']:.15g}"),
        **said,
    )


def by(act: dict[str, Any], language: Language) -> str:
    """Return who acted, by name if the name is still kept."""
    role = language.word(act["role"])
    if act["name"] == publishing.LEFT_OUT:
        return role
    if act["name"]:
        return f"{act['name']} ({role})"
    return language.say("somebody of the role %(role)s whose name was erased", role=role)


def _limits_of_use(document: dict[str, Any], language: Language) -> str:
    study = document["study"]
    if study is None:
        states = [one["state"] for one in document["studies"]]
        return language.say(
            "Queries are asked only through studies, while an approval is in force. Studies that were opened: "
            "%(opened)s; of these approved now: %(approved)s. Contribution profiles are bought without a study.",
            opened=language.number(f"{len(states):,}"),
            approved=language.number(f"{states.count('approved'):,}"),
        )
    return language.joined(asking.limits_of_use(study["protocol"], language)) or language.say(
        "The study's protocol allows everything in the catalog."
    )


def _checked(document: dict[str, Any], language: Language) -> str:
    log = document["log"]
    return language.say(
        "The audit log is a chain of hashes. It has %(entries)s entries; the last entry's hash begins with %(hash)s.",
        entries=language.number(f"{log['entries']:,}"),
        hash=log["last_leaf_hash"][:SHORT],
    )


def _purposes(document: dict[str, Any], language: Language) -> str:
    study = document["study"]
    if study is not None:
        return language.say(
            "%(purpose)s (legal basis: %(basis)s)", purpose=study["purpose"], basis=study["legal_basis"]
        )
    listed = [
        language.say(
            "%(study)s: %(purpose)s (%(basis)s)", study=one["id"], purpose=one["purpose"], basis=one["legal_basis"]
        )
        for one in document["studies"]
    ]
    return language.joined(listed) or language.say("There is no study yet.")


def _subjects(document: dict[str, Any], language: Language) -> str:
    title, most = document["dataset"]["title"], document["dataset"]["persons_max"]
    said = language.say("The persons in the dataset %(title)s.", title=title)
    if most is not None:
        said = language.say(
            "The persons in the dataset %(title)s: at most %(most)s.", title=title, most=language.number(f"{most:,}")
        )
    named = asking.about_professionals(document)
    if not named:
        return said
    second = language.say(
        "And professionals, in the columns %(columns)s: a study uses these only for a reason in its protocol.",
        columns=language.joined(named),
    )
    return f"{said} {second}"


def _categories(document: dict[str, Any], language: Language) -> str:
    named = [f"{table['name']} ({', '.join(table['columns'])})" for table in document["dataset"]["tables"]]
    return language.joined(named) or language.say(
        "The store of this edition was deleted; its manifest names the columns."
    )


def _recipients(document: dict[str, Any], language: Language) -> str:
    members = recipients(document, language) if document["study"] is not None else _of_studies(document, language)
    said = [
        language.say("Statistics with noise."),
        language.say(
            "Members, who can read them during their membership: %(members)s.",
            members=language.joined(members) or language.say("none so far"),
        ),
        language.say("Admins, DPOs and approvers of the server can read them too."),
    ]
    if document["releases"]["profiles"]:
        said.append(language.say("Contribution profiles: every user of the server."))
    return " ".join([*said, language.say("The server does not know to whom they pass them on.")])


def _of_studies(document: dict[str, Any], language: Language) -> list[str]:
    return [
        language.say("%(member)s of %(study)s", member=recipient(one, language), study=study["id"])
        for study in document["studies"]
        for one in study["recipients"]
    ]


def recipients(document: dict[str, Any], language: Language) -> list[str]:
    """Return the members of all studies of a report, present and past."""
    return [recipient(one, language) for study in document["studies"] for one in study["recipients"]]


def recipient(one: dict[str, Any], language: Language) -> str:
    """Return a member's name and the days of the membership, as far as the log has them."""
    since, until = (None if one[end] is None else language.day(one[end]) for end in ("since", "until"))
    name = one["name"]
    if name is None:
        return language.say("a member whose name was erased (since %(since)s, perhaps no longer)", since=since)
    if one["is_member"] and since is None:
        return language.say("%(name)s (now)", name=name)
    if one["is_member"]:
        return language.say("%(name)s (since %(since)s)", name=name, since=since)
    if since is None and until is None:
        return language.say("%(name)s (until a day that was erased)", name=name)
    if since is None:
        return language.say("%(name)s (until %(until)s)", name=name, until=until)
    if until is None:
        return language.say("%(name)s (%(since)s to a day that was erased)", name=name, since=since)
    return language.say("%(name)s (%(since)s to %(until)s)", name=name, since=since, until=until)


def formalities_of(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the formalities that a report is about: those of the study, or those of the dataset."""
    of = document["dataset"] if document["study"] is None else document["study"]
    found: dict[str, Any] | None = of["formalities"]
    return found


def _controller(document: dict[str, Any]) -> str | None:
    given = formalities_of(document)
    return TO_ADD if given is None else str(given["controller"])


def _time_limits(document: dict[str, Any], language: Language) -> str:
    study = document["study"]
    if study is None:
        asked = language.say("The time limits of each study.")
    else:
        asked = language.say("Queries: %(days)s.", days=days(study, language))
    given, ends = formalities_of(document), []
    if given is not None:
        ends = [language.say("The processing ends on %(day)s.", day=language.day(given["ends"]))]
    return " ".join([asked, *ends, language.say("The records of what was released and spent are kept.")])


def days(study: dict[str, Any], language: Language) -> str:
    """Return from when to when a study may ask."""
    starts, ends = (None if study[end] is None else language.day(study[end]) for end in ("starts", "ends"))
    if starts is None and ends is None:
        return language.say("from its approval to its closing")
    if starts is None:
        return language.say("from its approval to %(ends)s", ends=ends)
    if ends is None:
        return language.say("from %(starts)s to its closing", starts=starts)
    return language.say("from %(starts)s to %(ends)s", starts=starts, ends=ends)


def _description(document: dict[str, Any], language: Language) -> str:
    released = document["releases"]
    count = language.number(f"{released['count']:,}")
    if not released["profiles"]:
        return language.say(
            "Statistics are computed on the server and released with noise: %(count)s so far.", count=count
        )
    return language.say(
        "Statistics are computed on the server and released with noise: %(count)s so far, and contribution profiles: "
        "%(profiles)s.",
        count=count,
        profiles=len(released["profiles"]),
    )


def _risks(document: dict[str, Any], language: Language) -> str:
    own = document["accounts"][0]
    return language.say(
        "So far: %(spent)s At the limit: %(limit)s The three criteria of anonymity are answered above.",
        spent=language.phrase(own["at_spend"]["words"]),
        limit=language.phrase(own["at_limit"]["words"]),
    )
