"""A user who leaves: tokens, memberships and the user go at once; the name stays for the log until it is erased.

Within the time that names are kept the DPO can still tell who it was that acted (`erasure.py`).
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

NEEDED_ROLES = ("admin", "dpo")  # without one of each nothing could be decided any more


def remove_user(transaction: sa.Connection, name: str, by: Actor) -> Actor:
    """Remove a user: their tokens open nothing from now on. Returns who it was.

    Raises NotFound; Forbidden for oneself, which takes another admin; WrongState for the last admin or DPO.
    """
    people.require_role(by, "admin")
    leaving = people.user(transaction, name)
    if leaving.name == by.name:
        raise Forbidden("nobody can remove themselves: another admin has to")
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
