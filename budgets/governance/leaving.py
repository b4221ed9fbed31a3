"""Removing a user: the user, their tokens and memberships go at once, the name stays for the log until it is erased.

As long as names are kept (`erasure.py`), the DPO can still find out who acted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from budgets.audit import log
from budgets.database.tables import members, tokens, users
from budgets.errors import Forbidden, WrongState
from budgets.governance import studies
from budgets.identity import people

if TYPE_CHECKING:
    from budgets.actors import Actor

NEEDED_ROLES = ("admin", "dpo", "approver")  # without one of each, no decision is possible


def remove_user(transaction: sa.Connection, name: str, by: Actor) -> Actor:
    """Remove a user, whose tokens are invalid from now on. Returns the removed user.

    Raises NotFound; Forbidden if users remove themselves, which another admin has to do; WrongState for the last admin,
    DPO or approver.
    """
    people.require_role(by, "admin")
    leaving = people.user(transaction, name)
    if leaving.name == by.name:
        raise Forbidden("users cannot remove themselves: another admin has to")
    if leaving.role in NEEDED_ROLES and len(people.users_of_role(transaction, leaving.role)) == 1:
        raise WrongState(f"{name} is the only user of the role {leaving.role}: add another one first")
    mine = sa.select(members.c.study).where(members.c.user == name).order_by(members.c.study)
    for study in transaction.execute(mine).scalars().all():
        studies.remove_member(transaction, study, name, by)
    transaction.execute(sa.delete(tokens).where(tokens.c.user == name))
    transaction.execute(sa.delete(users).where(users.c.name == name))
    log.append(
        transaction,
        by,
        "user.remove",
        f"user:{leaving.commitment}",
        f"a user of the role {leaving.role} was removed",
        facts={"role": leaving.role},
    )
    return leaving
