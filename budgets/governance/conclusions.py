"""The approver's conclusion of a study's report: what the controller makes of the bounds, in the controller's words.

Rowless gives bounds and never concludes from them. An approver does, for the controller: a text that stands in the
report, and an entry of the log, by which it is signed with the next checkpoint. A later conclusion takes its place in
the report; the log has both.

A conclusion is about the report that was read. `about` is what of the report can change it: the terms and the state of
the study, its budget and the larger one that waits, the cap of its dataset, how much was used, how many releases there
are, and how often somebody became or ceased to be a member. The approver sends its digest, and the entry has all of
it, with what the approver wrote for each relevant party. Whatever of it changes later makes the conclusion older than
the report, which says so. What other studies of the dataset spend is no part of it. It is within the cap, which is
part of it; and each query of another study would otherwise make every conclusion on the dataset old. Advice and the
wording of the report are no part of it either.

Who concludes is not who wrote what the conclusion is about: the rule of an approval holds here too (`approval.py`), and
so does that of a larger budget that waits. Who approved the study may conclude. Both are decisions of the controller,
and neither checks the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import texts
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries, releases
from budgets.database.tables import conclusions as table
from budgets.errors import Invalid, WrongState
from budgets.governance import approval, studies
from budgets.identity import people
from budgets.ledger import accounts
from budgets.ledger.limits import Budget
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.actors import Actor
    from budgets.governance.study import Study

TEXT_MAX = 4_000
PARTY_MAX = 2_000
# Who could learn something from the answers: what follows for each is written beside the conclusion as a whole.
PARTIES = ("researcher", "reader", "relative", "journalist", "insider", "thief")
ACTION = "study.conclude"
BUDGETS = ("budget", "raise", "cap")
JOINS, LEAVES = "study.member.add", "study.member.remove"


@dataclass(frozen=True)
class Conclusion:
    """A conclusion that stands. `by` is a commitment, `about` the state of the study that was read."""

    text: str
    by: str
    at: str
    about: Mapping[str, Any]
    parties: Mapping[str, str]

    def changed(self, now: Mapping[str, Any]) -> list[str]:
        """Return which parts of `about` are others now, by name."""
        return [
            part
            for part, value in now.items()
            if canonical_json.dumps(value) != canonical_json.dumps(_completed(part, self.about[part]))
        ]


def about(transaction: sa.Connection, present: Study) -> dict[str, Any]:
    """Return what a conclusion on the present report of a study is about."""
    own, shared = accounts.balances(transaction, present.id, present.dataset)
    used, wanted = own.used, present.raise_to
    return {
        "study": present.id,
        "state": present.state,
        "terms": present.terms.facts(),
        "budget": own.budget.facts(),
        "raise": None if wanted is None else wanted.facts(),
        "cap": shared.budget.facts(),
        "used": {"epsilon_nano": used.epsilon_nano, "rho_nano": used.rho_nano, "delta_atto": used.delta_atto},
        "releases": _count(transaction, releases.c.study == present.id),
        "members": {
            name: _count(transaction, audit_entries.c.study == present.id, audit_entries.c.action == action)
            for name, action in (("joined", JOINS), ("left", LEAVES))
        },
    }


def digest(of: Mapping[str, Any]) -> str:
    """Return the digest of what a conclusion is about: SHA-256 of canonical JSON, in hex."""
    return canonical_json.sha256(dict(of))


def standing(transaction: sa.Connection, study: str) -> Conclusion | None:
    """Return the conclusion that stands, if an approver wrote one."""
    row = transaction.execute(sa.select(table).where(table.c.study == study)).first()
    if row is None:
        return None
    parties = {} if row.parties is None else json.loads(row.parties)
    return Conclusion(row.text, row.given_by, row.given_at, json.loads(row.about), parties)


def conclude(
    transaction: sa.Connection,
    identifier: str,
    text: str,
    by: Actor,
    *,
    read: str,
    parties: Mapping[str, str] | None = None,
) -> Study:
    """Write a conclusion in place of the one that stands. `read` is the digest of what was read.

    `parties` has what follows for relevant parties, those of PARTIES that were filled in.

    It may be written in every state: also of a draft, whose report has the bound of its budget, and of a closed study.
    Raises NotFound, Invalid, Forbidden, FourEyes; WrongState if the report is about something else by now.
    """
    people.require_role(by, "approver")
    present = studies.study(transaction, identifier)
    approval.require_second_for_conclusion(transaction, present, by)
    texts.require("text", text, TEXT_MAX)
    for party, said in (parties or {}).items():
        if party not in PARTIES:
            raise Invalid(f"parties/{party}", "is not known here")
        texts.require(f"parties/{party}", said, PARTY_MAX)
    found = about(transaction, present)
    if read != digest(found):
        raise WrongState(
            f"the report of study {identifier} has changed since you read it: read it as it is now, and then conclude"
        )
    transaction.execute(sa.delete(table).where(table.c.study == identifier))
    transaction.execute(
        sa.insert(table).values(
            study=identifier,
            text=text,
            about=canonical_json.dumps(found),
            parties=canonical_json.dumps(dict(parties or {})),
            given_by=by.commitment,
            given_at=clock.now(),
        )
    )
    log.append(
        transaction,
        by,
        ACTION,
        f"study:{identifier}",
        f"an approver concluded on the report of study {identifier}",
        study=identifier,
        # Exactly what was read.
        facts={"conclusion": text, "parties": dict(parties or {}), "about": found, "digest": read},
    )
    return present


def _completed(part: str, value: Any) -> Any:
    """Return a part of what a conclusion is about; a budget of an earlier version with all that budgets have now."""
    return Budget.read(value).facts() if part in BUDGETS and value is not None else value


def _count(transaction: sa.Connection, *conditions: sa.ColumnElement[bool]) -> int:
    counted = transaction.execute(sa.select(sa.func.count()).where(*conditions)).scalar()
    return int(counted or 0)
