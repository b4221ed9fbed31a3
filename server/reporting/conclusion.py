"""The conclusion of a study's report in words: who wrote it, on what, and what has changed since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.reporting import losses, publishing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.languages.language import Language


def signed(given: Mapping[str, Any], language: Language) -> str:
    """Return who wrote a conclusion and when, by name if the name is still kept."""
    moment = language.moment(given["at"])
    if given["by"] == publishing.LEFT_OUT:
        return language.say("An approver, %(moment)s UTC", moment=moment)
    if given["by"] is None:
        return language.say("An approver whose name was erased, %(moment)s UTC", moment=moment)
    return language.say("%(name)s (approver), %(moment)s UTC", name=given["by"], moment=moment)


def on(given: Mapping[str, Any], language: Language) -> str:
    """Return the state of the study that was read."""
    return language.say(
        "On the study as it was then: %(state)s; %(releases)s; used: %(spent)s; limit: %(limit)s.",
        state=language.word(given["state"]),
        releases=language.count("%(num)s release", "%(num)s releases", given["releases"]),
        spent=losses.loss(given["spent"], language),
        limit=losses.loss(given["limit"], language),
    )


def since(given: Mapping[str, Any], language: Language) -> str | None:
    """Return what has changed since, if anything has."""
    parts = [_part(part, language) for part in given["changed"]]
    if not parts:
        return None
    return language.say(
        "The study has changed since: %(parts)s. This conclusion is older than the report.", parts=", ".join(parts)
    )


def _part(part: str, language: Language) -> str:
    return {
        "state": language.say("its state"),
        "terms": language.say("its terms"),
        "budget": language.say("its budget"),
        "raise": language.say("the larger budget that waits"),
        "cap": language.say("the cap of the dataset"),
        "used": language.say("what was charged"),
        "releases": language.say("its releases"),
        "members": language.say("its members"),
    }.get(part, part)
