"""Studies over HTTP: what is shown of them, and decisions on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.cli.remote import segment
from server.cli.study_words import in_full, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.cli.remote import Remote

    Said = tuple[Mapping[str, Any], str]


def shown(server: Remote, study: str) -> Said:
    """Return a study with everything that an approver reads before they approve it."""
    said = server.json("GET", f"/studies/{segment(study)}")
    return said, in_full(said, _buys(server, study))


def listed(server: Remote) -> Said:
    """Return every study that the token's user may know of."""
    found = server.pages("/studies")
    words = [summary(one, _buys(server, one["id"])) for one in found]
    return {"studies": found}, "\n".join(words) or "There are no studies yet"


def decided(server: Remote, study: str, act: str, given: Mapping[str, Any]) -> Said:
    """Decide on a study, and return it as it is then."""
    said = server.json("POST", f"/studies/{segment(study)}/{act}", dict(given))
    return said, summary(said, _buys(server, study))


def _buys(server: Remote, study: str) -> str:
    return str(server.json("GET", f"/studies/{segment(study)}/budget")["buys"])
