"""The first admin, DPO and approver of a home, whom the system adds because nobody is there yet who could.

A new home gets one of each at once. In an older home that has a DPO and no approver, an admin proposes the approver and
the DPO confirms (`grants.py`): the system adds nobody there. Only where there is neither a DPO nor an approver does it
add both, which raises an alert.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from budgets.actors import SYSTEM
from budgets.alerts import alerts
from budgets.errors import Invalid
from budgets.identity import names, people, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

ROLES = ("admin", *people.PRIVILEGED)
ADMIN = "admin"  # the first admin's name if none is given


@dataclass(frozen=True)
class Founders:
    """The names of the first users; None where none was given."""

    dpo: str | None = None
    approver: str | None = None
    admin: str = ADMIN

    @property
    def named(self) -> Mapping[str, str | None]:
        """Return the names by role."""
        return {"admin": self.admin, "dpo": self.dpo, "approver": self.approver}

    def require_all(self) -> None:
        """Raise Invalid unless there are three different names that users may have."""
        for role, name in self.named.items():
            if name is None:
                raise Invalid(role, f"a new home needs its first {role}: give the name")
            try:
                names.require_allowed(name)
            except Invalid as error:
                raise Invalid(role, error.message) from None
        if len({names.folded(name) for name in self.named.values() if name is not None}) < len(ROLES):
            raise Invalid("names", "the first admin, DPO and approver are three persons: give three names")


def found(transaction: sa.Connection, founders: Founders, kept_days: int) -> dict[str, str]:
    """Add the first users that are missing. Return a token for each of them, by role. Raises Invalid.

    `kept_days` is for how long names are kept, which limits how long a token lives.
    """
    missing = missing_roles(transaction)
    is_new = "admin" in missing
    if is_new:
        founders.require_all()
    first = ["admin"] if is_new else []
    if set(people.PRIVILEGED) <= set(missing) and None not in founders.named.values():
        founders.require_all()
        first += people.PRIVILEGED
    made: dict[str, str] = {}
    scope = tokens.scope(None, kept_days)
    for role in first:
        name = founders.named[role] or ADMIN
        people.add_user(transaction, name, role, SYSTEM)
        made[role] = people.new_token(transaction, name, SYSTEM, scope).text
        if not is_new:
            alerts.put(
                transaction,
                alerts.PRIVILEGES,
                "home",
                f"the first user of the role {role} was added, by who holds the machine",
                study=None,
                facts={"act": "found", "of_role": role, "step": "done"},
            )
    return made


def missing_roles(transaction: sa.Connection) -> list[str]:
    """Return the roles without which no decision is possible and that nobody has."""
    return [role for role in ROLES if not people.users_of_role(transaction, role)]


def advice_on(missing: list[str]) -> str | None:
    """Return what to do about missing roles, in words; None if nothing is missing."""
    if not missing:
        return None
    if missing == ["approver"]:
        return (
            "there is no approver, so nothing can be approved: an admin proposes one with "
            "`rowless user add NAME --role approver`, and the DPO confirms with `rowless user confirm PROPOSAL`"
        )
    if missing == ["dpo"]:
        return (
            "there is no DPO: an admin proposes one with `rowless user add NAME --role dpo`, and an approver confirms "
            "with `rowless user confirm PROPOSAL`"
        )
    return f"there is no {' and no '.join(missing)}: run `rowless init --dpo NAME --approver NAME`"
