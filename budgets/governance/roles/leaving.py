"""Removing a user: the user, their tokens and memberships go at once, the name stays for the log until it is erased.

As long as names are kept (`erasure.py`), the DPO can still find out who acted. A DPO or an approver is removed by two
persons (`grants.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.audit import log
from budgets.database.tables import members, proposals, tokens, users
from budgets.errors import Forbidden, WrongState
from budgets.governance import studies
from budgets.identity import people

if TYPE_CHECKING:
    from budgets.actors import Actor

NEEDED_ROLES = ("admin", "dpo", "approver")  # without one of each, no decision is possible


def remove_user(transaction: sa.Connection, name: str, by: Actor, *, proposal: str | None = None) -> Actor:
    """Remove a user, whose tokens are invalid from now on. Returns the removed user.

    `proposal` is what a second person confirmed. Raises NotFound, NeedsSecond, Forbidden, WrongState.
    """
    leaving = people.user(transaction, name)
    if proposal is None:
        people.require_role(by, "admin")
        people.require_second(leaving.role, by, proposal)
    require_leavable(transaction, leaving, by)
    mine = sa.select(members.c.study).where(members.c.user == name).order_by(members.c.study)
    for study in transaction.execute(mine).scalars().all():
        studies.remove_member(transaction, study, name, by)
    transaction.execute(sa.delete(proposals).where(proposals.c.user == name))
    transaction.execute(sa.delete(tokens).where(tokens.c.user == name))
    transaction.execute(sa.delete(users).where(users.c.name == name))
    log.append(
        transaction,
        by,
        "user.remove",
        f"user:{leaving.commitment}",
        f"a user of the role {leaving.role} was removed",
        facts={"role": leaving.role} if proposal is None else {"role": leaving.role, "proposal": proposal},
    )
    return leaving


def require_leavable(transaction: sa.Connection, leaving: Actor, by: Actor) -> None:
    """Raise Forbidden if users remove themselves, and WrongState for the last admin, DPO or approver."""
    if leaving.name == by.name:
        raise Forbidden("users cannot remove themselves: another admin has to")
    if leaving.role in NEEDED_ROLES and len(people.users_of_role(transaction, leaving.role)) == 1:
        raise WrongState(f"{leaving.name} is the only user of the role {leaving.role}: add another one first")
