"""Acts that one person cannot do alone: making or removing a DPO or an approver, or making a token for one.

An admin who could do these alone could advise and approve by another name. Therefore an admin proposes, and a DPO or
an approver confirms. Both steps are entries of the log and raise an alert. What was proposed is done by the second
step, and its entry names the proposal. The last DPO and the last approver cannot be removed, so that there is always
somebody else.

Who confirms is another person than the admin, and nobody confirms their own removal. Persons are compared by name, as
in `approval.py`.

A token is shown in two parts. The admin gets the first with the proposal, and who confirms gets the second. Only the
owner, who is given both, can put the token together. Neither of the two can act in the owner's name. The database keeps
the first part until the proposal is confirmed or withdrawn; half of a secret opens nothing.

`rowless init` makes the first of each role alone, because nobody is there yet who could confirm.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import alerts
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import proposals
from budgets.errors import AlreadyExists, FourEyes, Invalid, NotFound
from budgets.governance.roles import leaving
from budgets.identity import names, people
from budgets.identity import tokens as access

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.identity.people import Token
    from budgets.identity.tokens import Scope

ADD, REMOVE, TOKEN = "add", "remove", "token"
ACTS = (ADD, REMOVE, TOKEN)
CONFIRMERS = people.PRIVILEGED
SEE = ("admin", *CONFIRMERS)
HALF = 22  # characters of a token's secret in the first part; the second has 21, which are 126 bits
SUMMARY = {
    ADD: "adding a user of the role",
    REMOVE: "removing a user of the role",
    TOKEN: "a token for a user of the role",
}


@dataclass(frozen=True)
class Proposal:
    """An act that waits for a second person. `proposed_by` is a commitment."""

    id: str
    act: str
    user: str
    role: str
    proposed_by: str
    proposed_at: str
    scope: Scope

    def to_json(self, proposer: str | None) -> dict[str, Any]:
        """Return it as JSON values, with the proposer's name if it is known."""
        return {
            "id": self.id,
            "act": self.act,
            "user": self.user,
            "role": self.role,
            "proposed_by": proposer,
            "proposed_at": self.proposed_at,
            **asdict(self.scope),
        }


@dataclass(frozen=True)
class Confirmed:
    """What was done, and the token if one was made. `part` is the second part of the token's text."""

    proposal: Proposal
    token: Token | None = None
    part: str | None = None

    def token_json(self) -> dict[str, Any]:
        """Return what is shown of the token to who confirmed, as JSON values."""
        made = self.token
        return {
            "token_part": self.part,
            "token_id": None if made is None else made.id,
            "expires_at": None if made is None else made.expires_at,
        }


def propose(
    transaction: sa.Connection, act: str, user: str, role: str | None, by: Actor, scope: Scope = people.DEFAULT_SCOPE
) -> tuple[Proposal, str | None]:
    """Propose an act. Return it, and the first part of the token that it would make.

    `role` is needed to add somebody. Raises Invalid, NotFound, AlreadyExists, WrongState, Forbidden.
    """
    people.require_role(by, "admin")
    if act not in ACTS:
        raise Invalid("act", f"must be one of {', '.join(ACTS)}")
    chosen = _role(transaction, act, user, role)
    if act == REMOVE:
        leaving.require_leavable(transaction, people.user(transaction, user), by)
    else:
        access.require_study(transaction, scope)
    if transaction.execute(sa.select(proposals.c.id).where(proposals.c.act == act, proposals.c.user == user)).first():
        raise AlreadyExists(f"this was proposed for {user} already: confirm or withdraw that")
    identifier = secrets.token_hex(8)
    first = None if act == REMOVE else f"rowless_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)[:HALF]}"
    transaction.execute(
        sa.insert(proposals).values(
            id=identifier,
            act=act,
            user=user,
            role=chosen,
            proposed_by=by.commitment,
            proposed_at=clock.now(),
            first_part=first,
            days=scope.days,
            study=scope.study,
            reads_only=int(scope.reads_only),
        )
    )
    whose = {} if act == ADD else {"user": people.user(transaction, user).commitment}
    facts = {"proposal": identifier, "act": act, "role": chosen, **whose}
    summary = f"{SUMMARY[act]} {chosen} was proposed"
    log.append(transaction, by, "proposal.make", f"proposal:{identifier}", summary, facts=facts)
    _alert(transaction, identifier, act, chosen, "proposed", by)
    return proposal(transaction, identifier), first


def confirm(transaction: sa.Connection, identifier: str, by: Actor, kept_days: int) -> Confirmed:
    """Do what was proposed. Raises NotFound, Forbidden, FourEyes, and what the act itself raises.

    `kept_days` is for how long names are kept, perhaps for fewer days than when a token was proposed.
    """
    people.require_role(by, *CONFIRMERS)
    wanted = proposal(transaction, identifier)
    _require_second(transaction, wanted, by)
    first: str | None = transaction.execute(
        sa.select(proposals.c.first_part).where(proposals.c.id == identifier)
    ).scalar()
    transaction.execute(sa.delete(proposals).where(proposals.c.id == identifier))
    made = part = None
    if wanted.act == ADD:
        people.add_user(transaction, wanted.user, wanted.role, by, proposal=identifier)
    if wanted.act == REMOVE:
        leaving.remove_user(transaction, wanted.user, by, proposal=identifier)
    else:
        part = secrets.token_urlsafe(32)[: access.SECRET - HALF]
        scope = replace(wanted.scope, days=min(wanted.scope.days, kept_days))
        made = people.new_token(transaction, wanted.user, by, scope, proposal=identifier, text=f"{first}{part}")
    _alert(transaction, identifier, wanted.act, wanted.role, "confirmed", by)
    return Confirmed(wanted, made, part)


def withdraw(transaction: sa.Connection, identifier: str, by: Actor) -> None:
    """Take a proposal back, or refuse it. Raises NotFound, Forbidden."""
    people.require_role(by, *SEE)
    gone = proposal(transaction, identifier)
    transaction.execute(sa.delete(proposals).where(proposals.c.id == identifier))
    facts = {"proposal": identifier, "act": gone.act, "role": gone.role}
    log.append(transaction, by, "proposal.withdraw", f"proposal:{identifier}", "a proposal was withdrawn", facts=facts)


def revoke_token(transaction: sa.Connection, identifier: str, by: Actor) -> None:
    """Revoke a token for good. One of a DPO or an approver raises an alert: it may keep them out.

    Raises NotFound, Forbidden.
    """
    role = people.revoke_token(transaction, identifier, by)
    if role in people.PRIVILEGED:
        alerts.put(
            transaction,
            alerts.PRIVILEGES,
            "token",
            f"a token of a user of the role {role} was revoked",
            study=None,
            facts={"act": "revoke", "of_role": role, "step": "done", "actor": by.commitment, "role": by.role},
        )


def waiting(transaction: sa.Connection) -> list[dict[str, Any]]:
    """Return what waits for a second person, oldest first, as JSON values."""
    rows = transaction.execute(sa.select(proposals).order_by(proposals.c.proposed_at, proposals.c.id))
    return [shown(transaction, _proposal(row)) for row in rows.all()]


def shown(transaction: sa.Connection, wanted: Proposal) -> dict[str, Any]:
    """Return a proposal as JSON values."""
    known = people.names(transaction, [wanted.proposed_by])
    return wanted.to_json(known.get(wanted.proposed_by))


def proposal(transaction: sa.Connection, identifier: str) -> Proposal:
    """Return a proposal that waits. Raises NotFound."""
    row = transaction.execute(sa.select(proposals).where(proposals.c.id == identifier)).first()
    if row is None:
        raise NotFound(f"there is no proposal {identifier}, or it was confirmed or withdrawn already")
    return _proposal(row)


def _proposal(row: sa.Row[Any]) -> Proposal:
    scope = access.Scope(row.days, row.study, bool(row.reads_only))
    return Proposal(row.id, row.act, row.user, row.role, row.proposed_by, row.proposed_at, scope)


def _role(transaction: sa.Connection, act: str, user: str, role: str | None) -> str:
    """Return the role that an act is about. Raises Invalid if it needs no second person, and what adding raises."""
    if act == ADD:
        if role not in people.PRIVILEGED:
            raise Invalid("role", f"must be one of {', '.join(people.PRIVILEGED)}: the others need no second person")
        people.require_addable(transaction, user)
        return role
    present = people.user(transaction, user)
    if present.role not in people.PRIVILEGED:
        raise Invalid("user", f"{user} has the role {present.role}: that needs no second person")
    if role not in (None, present.role):
        raise Invalid("role", f"{user} has the role {present.role}")
    return present.role


def _require_second(transaction: sa.Connection, wanted: Proposal, by: Actor) -> None:
    """Raise FourEyes if the actor proposed it, or would confirm their own removal."""
    mine = names.folded(by.name)
    proposer = people.names(transaction, [wanted.proposed_by]).get(wanted.proposed_by, by.name)
    if by.commitment == wanted.proposed_by or names.folded(proposer) == mine:
        raise FourEyes(None, "proposal.confirm", by, "nobody can confirm what they proposed", f"proposal:{wanted.id}")
    if wanted.act == REMOVE and names.folded(wanted.user) == mine:
        raise FourEyes(None, "proposal.confirm", by, "nobody can confirm their own removal", f"proposal:{wanted.id}")


def _alert(transaction: sa.Connection, identifier: str, act: str, role: str, step: str, by: Actor) -> None:
    alerts.put(
        transaction,
        alerts.PRIVILEGES,
        f"proposal:{identifier}",
        f"{SUMMARY[act]} {role} was {step}",
        study=None,
        facts={"act": act, "of_role": role, "step": step, "actor": by.commitment, "role": by.role},
    )
