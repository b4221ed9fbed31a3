"""A page of the audit log, for DPOs. Each reading is an entry of the log, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.audit import log, search
from budgets.identity import people

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.actors import Actor
    from budgets.audit.log import Entry
    from budgets.database.connection import Database


def page(
    database: Database,
    by: Actor,
    filters: Mapping[str, str | None],
    *,
    cursor: int | None,
    limit: int,
    newest_first: bool,
) -> tuple[list[Entry], int | None]:
    """Return a page of the entries that fit all filters (`search.entries`), and the cursor of the next page.

    Raises Forbidden.
    """
    people.require_role(by, "dpo")
    # Whose entries were asked for is left out, because that is a name.
    facts = {name: value for name, value in filters.items() if value is not None and name != "actor"}
    with database.write() as transaction:
        log.append(transaction, by, "audit.read", "audit", "the audit log was read", facts=facts)
        found = search.entries(transaction, first=cursor, limit=limit + 1, newest_first=newest_first, **filters)
    following = found[limit].to_json()["index"] if len(found) > limit else None
    return found[:limit], following
