"""A report as text for a terminal, in a language: its bounds, its conclusion and the log that covers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.languages.language import language
from server.reporting import asking, conclusion, criteria, losses, publishing, regulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.languages.language import Language


def text(document: dict[str, Any], code: str) -> str:
    """Return the text of a report."""
    return "\n".join(_lines(document, language(code)))


def _lines(document: dict[str, Any], said: Language) -> Iterator[str]:
    releases, log = document["releases"], document["log"]
    named = {"name": document["name"], "title": document["title"]}
    of_study = document["kind"] == "study"
    yield (
        said.say("Study %(name)s: %(title)s", **named) if of_study else said.say("Dataset %(name)s: %(title)s", **named)
    )
    count = releases["count"]
    yield said.count("%(num)s release of statistics with noise", "%(num)s releases of statistics with noise", count)
    approved = said.joined(regulator.approvals(document, said)) or said.say("nothing yet")
    yield said.say("Approved: %(what)s", what=approved)
    if document["version"] == publishing.FULL:
        members = said.joined(regulator.recipients(document, said)) or said.say("none so far")
        yield said.say("Members: %(who)s", who=members)
    yield from asking.told(document, said)
    own = document["accounts"][0]
    for one in document["accounts"]:
        if one["budget"]["justification"]:
            yield said.say(
                "Why the limit of %(account)s is so large: %(why)s",
                account=losses.account(one["kind"], one["name"], said),
                why=one["budget"]["justification"],
            )
    for title, meant in ((said.say("So far"), own["at_spend"]), (said.say("At the limit"), own["at_limit"])):
        yield ""
        yield _told(title, said.phrase(meant["words"]), said)
        for one in meant["criteria"]:
            yield f"  {_told(said.phrase(one['criterion']), said.phrase(one['answer']), said)}"
        yield f"  {said.phrase(meant['condition'])}"
    for study in document["studies"]:
        yield from _concluded(study, said)
    if document["digest"] is not None:
        yield said.say("To conclude on exactly this: --seen %(digest)s", digest=document["digest"])
    if log is None:
        return
    yield ""
    yield said.say(
        "The audit log has %(entries)s entries; last hash %(hash)s",
        entries=said.number(f"{log['entries']:,}"),
        hash=log["last_leaf_hash"],
    )


def _concluded(study: dict[str, Any], said: Language) -> Iterator[str]:
    """Yield what an approver concluded from the report of a study."""
    given = study["conclusion"]
    yield ""
    if given is None:
        yield said.say("Conclusion on the study %(study)s: empty until an approver signs one", study=study["id"])
        return
    yield said.say("Conclusion on the study %(study)s:", study=study["id"])
    yield from (f"  {line}" for line in given["text"].splitlines())
    for party in criteria.stated(said.code, 0)["parties"]:
        if party["id"] in given["parties"]:
            yield f"  {_told(party['who'], given['parties'][party['id']], said)}"
    yield f"  {conclusion.signed(given, said)}"
    yield f"  {conclusion.on(given, said)}"
    changed = conclusion.since(given, said)
    if changed is not None:
        yield f"  {changed}"


def _told(label: str, what: str, said: Language) -> str:
    return said.say("%(label)s: %(what)s", label=label, what=what)
