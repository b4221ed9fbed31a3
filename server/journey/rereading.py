"""Reading a stored release again. It is free, and each reading is an entry of the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.audit import log
from budgets.governance import studies
from budgets.ledger import releases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from budgets.actors import Actor
    from budgets.ledger.charges import Release
    from server.runtime.services import Services

JSON, CSV, CERTIFICATE = "json", "csv", "certificate"


def read(services: Services, actor: Actor, study: str, release: str, form: str, post: Sequence[str] = ()) -> Release:
    """Return a release to a user who may see it, and log that it was read as `form` with this post-processing.

    The entry is written first: if the log cannot be written, nothing is returned. Raises NotFound (nothing is logged)
    and Unavailable.
    """
    with services.database.write() as transaction:
        studies.visible(transaction, study, actor)
        stored = releases.by_id(transaction, study, release)
        facts = {"form": form, "post": list(post)}
        log.append(
            transaction, actor, "release.read", stored.id, f"a release was read as {form}", study=study, facts=facts
        )
    return stored
