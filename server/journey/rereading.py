"""Reading a stored release again. It is free, and an entry of the audit log; repeated readings are counted there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.audit import log
from budgets.governance import studies
from budgets.ledger import releases
from server.runtime.tallies import Act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.actors import Actor
    from budgets.ledger.charges import Release
    from server.runtime.services import Services

JSON, CSV, SVG, CERTIFICATE = "json", "csv", "svg", "certificate"


def read(services: Services, actor: Actor, study: str, release: str, form: str, post: Sequence[str] = ()) -> Release:
    """Return a release to a user who may see it, and log that it was read as `form` with this post-processing.

    The entry is written first: if the log cannot be written, nothing is returned. Readings within a minute after it are
    counted (`server/runtime/tallies.py`). Raises NotFound (nothing is logged) and Unavailable.
    """
    with services.tallies.writing() as is_first, services.database.write() as transaction:
        studies.visible(transaction, study, actor)
        stored = releases.by_id(transaction, study, release)
        if is_first(Act(actor, "release.read", stored.id, study, f"readings of a release as {form}")):
            facts = {"form": form, "post": list(post)}
            summary = f"a release was read as {form}"
            log.append(transaction, actor, "release.read", stored.id, summary, study=study, facts=facts)
    return stored
