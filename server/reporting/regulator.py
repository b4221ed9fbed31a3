"""What the promise does not cover, and the facts that a regulator asks for, in plain words.

The titles of `LEFT_OUT` are those of docs/threat-model.md; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import history

if TYPE_CHECKING:
    from collections.abc import Iterable

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

TO_ADD = None  # only the controller knows the answer; the page leaves room for it
OWN_WORK = (
    "Only two things from the data leave the server: statistics with noise, under differential privacy for each person "
    "with all their events, and values of columns without declared values whose number of persons, with noise, reaches "
    "a threshold. A limit on the loss is enforced before data are read, for the study and, over all studies, for the "
    "dataset."
)
LOGGED = (
    "Access requires a token and a role. The audit log has an entry for each decision, query, answer and refused "
    "query, for each reading of a release, a report or the log's entries, and for each token that is made or revoked."
)


def facts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the facts for GDPR articles 5(2), 30 and 35, from the rest of a report. None: the controller adds it."""
    return [
        {
            "article": "Article 5(2)",
            "title": "Accountability",
            "facts": _asked(
                ("Who decided, and when", _decided(document)),
                ("Purpose limitation", _limits_of_use(document)),
                ("Data minimisation", OWN_WORK),
                ("How it can be checked", _checked(document)),
            ),
        },
        {
            "article": "Article 30",
            "title": "Record of processing activities",
            "facts": _asked(
                ("Controller, representative and data protection officer", TO_ADD),
                ("Purposes", _purposes(document)),
                ("Categories of data subjects", _subjects(document)),
                ("Categories of personal data", _categories(document)),
                ("Recipients", _recipients(document)),
                ("Transfers to third countries", TO_ADD),
                ("Time limits", _time_limits(document)),
                ("Security measures (article 32)", f"{OWN_WORK} {LOGGED}"),
            ),
        },
        {
            "article": "Article 35",
            "title": "Data protection impact assessment",
            "facts": _asked(
                ("Description of the processing", _description(document)),
                ("Necessity and proportionality", TO_ADD),
                ("Risks to the rights and freedoms of persons", _risks(document)),
                (
                    "Measures",
                    "Noise, limits, approvals and a log, as above; see what the promise does not cover.",
                ),
                ("Advice of the data protection officer", _advice(document)),
            ),
        },
    ]


def _asked(*pairs: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"question": question, "answer": answer} for question, answer in pairs]


def _decided(document: dict[str, Any]) -> str:
    return _listed(approvals(document), "Nobody has approved anything yet.")


def _advice(document: dict[str, Any]) -> str | None:
    """Return what DPOs advised before approvals. What they said elsewhere has to be added by hand."""
    given = [act for act in document["history"] if act["action"] in history.ADVICE]
    return "; ".join(f"{one['summary']}, {by(one)} on {one['time'][:10]}: {one['reason']}" for one in given) or TO_ADD


def approvals(document: dict[str, Any]) -> list[str]:
    """Return what was approved, who approved it and when, and which studies have terms that wait for approval."""
    found = [_approval(act) for act in document["history"] if act["approval"]]
    states = {one["id"]: one["state"] for one in document["studies"]}
    approved = dict.fromkeys(act["study"] for act in document["history"] if act["approval"])
    waiting = [study for study in approved if states.get(study) == "draft"]
    return [*found, *(f"the terms of {study} were changed later and wait for approval" for study in waiting)]


def _approval(act: dict[str, Any]) -> str:
    what = f"study {act['study']}"
    if act["action"] != "study.approve":
        limit = "" if act["limit"] is None else f" (epsilon {act['limit']['epsilon']:.15g})"
        what = f"a larger budget of {what}{limit}"
    return f"{what}: {by(act)} on {act['time'][:10]}"


def by(act: dict[str, Any]) -> str:
    """Return who acted, by name if the name is still kept."""
    return (
        f"{act['name']} ({act['role']})" if act["name"] else f"somebody of the role {act['role']} whose name was erased"
    )


def _limits_of_use(document: dict[str, Any]) -> str:
    study = document["study"]
    if study is None:
        states = [one["state"] for one in document["studies"]]
        return (
            f"Queries are asked only through studies, while an approval is in force. {len(states)} studies were "
            f"opened; {states.count('approved')} are approved. Contribution profiles are bought without a study."
        )
    return _listed(limits_of_use(study["protocol"]), "The study's protocol allows everything in the catalog.")


def limits_of_use(protocol: dict[str, Any]) -> list[str]:
    """Return what a protocol allows, in one phrase for each of its parts."""
    found = [
        f"{name}: {', '.join(protocol[name]) or 'none'}"
        for name in ("tables", "columns", "statistics")
        if name in protocol
    ]
    if "max_epsilon" in protocol:
        found.append(f"at most epsilon {protocol['max_epsilon']:.15g} for one query")
    if "min_margin" in protocol:
        found.append(f"no count with a margin (at 95%) below {float(protocol['min_margin']):.15g}")
    if "templates" in protocol:
        named = ", ".join(
            one["name"] + (f" (at most epsilon {one['max_epsilon']:.15g})" if "max_epsilon" in one else "")
            for one in protocol["templates"]
        )
        strict = protocol.get("strict", False)
        found.append(f"{'only these templates' if strict else 'templates, as suggestions'}: {named or 'none'}")
    return found


def _checked(document: dict[str, Any]) -> str:
    log = document["log"]
    return (
        f"The audit log is a chain of hashes. It has {log['entries']} entries; the last entry's hash is "
        f"{log['last_leaf_hash']}."
    )


def _purposes(document: dict[str, Any]) -> str:
    study = document["study"]
    if study is not None:
        return f"{study['purpose']} Legal basis: {study['legal_basis']}"
    return _listed(
        [f"{one['id']}: {one['purpose']} ({one['legal_basis']})" for one in document["studies"]],
        "There is no study yet.",
    )


def _subjects(document: dict[str, Any]) -> str:
    most = document["dataset"]["persons_max"]
    bound = "" if most is None else f": at most {most:,}"
    return f"The persons in the dataset {document['dataset']['title']}{bound}."


def _categories(document: dict[str, Any]) -> str:
    return _listed(
        [f"{table['name']} ({', '.join(table['columns'])})" for table in document["dataset"]["tables"]],
        "The store of this edition was deleted; its manifest names the columns.",
    )


def _recipients(document: dict[str, Any]) -> str:
    several = document["study"] is None
    members = [
        f"{recipient(one)}{' of ' + study['id'] if several else ''}"
        for study in document["studies"]
        for one in study["recipients"]
    ]
    public = " Contribution profiles: every user of the server." if document["releases"]["profiles"] else ""
    return (
        "Statistics with noise. Members, who can read them during their membership: "
        f"{_listed(members, 'none so far')}. "
        f"Admins, DPOs and approvers of the server can read them too.{public} "
        "The server does not know to whom they pass them on."
    )


def recipient(one: dict[str, Any]) -> str:
    """Return a member's name and the days of the membership, as far as the log has them."""
    since, until = (None if one[end] is None else one[end][:10] for end in ("since", "until"))
    if one["name"] is None:
        return f"a member whose name was erased (since {since}, perhaps no longer)"
    if one["is_member"]:
        return f"{one['name']} ({'now' if since is None else f'since {since}'})"
    began = "until" if since is None else f"{since} to"
    return f"{one['name']} ({began} {until or 'a day that was erased'})"


def _time_limits(document: dict[str, Any]) -> str:
    study = document["study"]
    if study is None:
        return "The time limits of each study. The records of what was released and spent are kept."
    return (
        f"Queries from {study['starts'] or 'approval'} to {study['ends'] or 'closing'}. "
        "The records of what was released and spent are kept."
    )


def _description(document: dict[str, Any]) -> str:
    released = document["releases"]
    profiles = f" and contribution profiles: {len(released['profiles'])}" if released["profiles"] else ""
    return f"Statistics are computed on the server and released with noise: {released['count']} so far{profiles}."


def _risks(document: dict[str, Any]) -> str:
    own = document["accounts"][0]
    return (
        f"So far: {own['at_spend']['words']} At the limit: {own['at_limit']['words']} "
        "The three criteria of anonymity are answered above."
    )


def _listed(parts: Iterable[str], otherwise: str) -> str:
    return "; ".join(parts) or otherwise
