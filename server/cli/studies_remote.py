"""Studies over HTTP: what is shown of them, and decisions on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.cli.amounts import with_notes
from server.cli.remote import segment
from server.cli.speaking import say
from server.cli.study_words import in_full, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.cli.remote import Remote

    Said = tuple[Mapping[str, Any], str]


def shown(server: Remote, study: str) -> Said:
    """Return a study with everything that an approver reads before they approve it."""
    said = of(server, study)
    return said, in_full(said, _buys(server, study))


def listed(server: Remote) -> Said:
    """Return every study that the token's user may know of."""
    found = server.pages("/studies")
    words = [summary(one, _buys(server, one["id"])) for one in found]
    return {"studies": found}, "\n".join(words) or say("There are no studies yet")


def decided(server: Remote, study: str, act: str, given: Mapping[str, Any]) -> Said:
    """Decide on a study, and return it as it is then."""
    said = server.json("POST", f"/studies/{segment(study)}/{act}", dict(given))
    return said, summary(said, _buys(server, study))


def changed(server: Remote, method: str, study: str, path: str, given: Mapping[str, Any]) -> Said:
    """Change a study (`path` begins with a slash or is empty), and return it as it is then."""
    said = server.json(method, f"/studies/{segment(study)}{path}", dict(given))
    return with_notes((said, summary(said, _buys(server, study))), said.get("notes", []))


def of(server: Remote, study: str) -> dict[str, Any]:
    """Return a study."""
    found: dict[str, Any] = server.json("GET", f"/studies/{segment(study)}")
    return found


def budget_of(server: Remote, study: str) -> dict[str, Any]:
    """Return a study's budget, with what the rest of it buys."""
    found: dict[str, Any] = server.json("GET", f"/studies/{segment(study)}/budget")
    return found


def _buys(server: Remote, study: str) -> str:
    return str(budget_of(server, study)["buys"])
