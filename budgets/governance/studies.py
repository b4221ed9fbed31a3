"""Studies: who may ask what, from which budget, and who has to approve it.

    draft --approve--> approved --suspend--> suspended --resume--> approved;   any of them --close--> closed
                       approved or suspended --edit--> draft

An admin opens a study and sets its members and budget. Only an approver approves it, and only a DPO suspends and
resumes it. A change of terms after approval makes it a draft again, so that nothing can be asked until the terms are
approved; releases stay. `study_budgets.py` has what becomes of budgets. One person proposes and another approves
(`approval.py`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import formalities, texts
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import audit_entries, members, studies
from budgets.errors import AlreadyExists, Invalid, NoFormality, NotApproved, NotFound, WrongState
from budgets.formalities import is_day
from budgets.governance import advice, approval, dataset_terms, seen
from budgets.governance.study import APPROVED, CLOSED, DRAFT, MOVES, SUSPENDED, Study, Terms
from budgets.identity import people
from budgets.ledger import accounts, profiles
from budgets.ledger import justification as justifications
from budgets.ledger.limits import Budget
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.actors import Actor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

_FIND_STUDY = (
    sa.select(studies, members.c.user.label("member"))
    .join_from(studies, members, isouter=True)
    .where(studies.c.id == sa.bindparam("study"))
    .order_by(members.c.user)
)

SEE_ALL = ("admin", "dpo", "approver", "system")


def open_study(
    transaction: sa.Connection,
    identifier: str,
    dataset: str,
    terms: Terms,
    epsilon_nano: int,
    delta_atto: int | None,
    by: Actor,
    *,
    laplace_percent: int | None = None,
    justification: str | None = None,
) -> Study:
    """Open a study as a draft. Delta and the part for Laplace noise default to the dataset's.

    Raises Invalid, AlreadyExists, NotFound, Forbidden.
    """
    people.require_role(by, "admin")
    if not NAME.fullmatch(identifier):
        raise Invalid("name", "use letters, digits, _ and -, at most 63")
    if transaction.execute(sa.select(studies.c.id).where(studies.c.id == identifier)).first():
        raise AlreadyExists(f"there is a study {identifier} already")
    cap = accounts.balance(transaction, accounts.DATASET, dataset).budget
    budget = Budget(
        epsilon_nano,
        cap.delta_atto if delta_atto is None else delta_atto,
        cap.laplace_percent if laplace_percent is None else laplace_percent,
        justification,
    )
    budget = justifications.require(justifications.kept(budget))
    accounts.require_fitting(transaction, dataset, None, budget)
    transaction.execute(
        sa.insert(studies).values(
            id=identifier,
            dataset=dataset,
            state=DRAFT,
            opened_by=by.commitment,
            created_at=clock.now(),
            **_checked(terms),
        )
    )
    accounts.open_account(transaction, accounts.STUDY, identifier, budget)
    _log(
        transaction,
        by,
        "study.open",
        identifier,
        f"study {identifier} was opened on {dataset}",
        {"dataset": dataset, "budget": budget.facts(), "terms": terms.facts()},
    )
    return study(transaction, identifier)


def edit(transaction: sa.Connection, identifier: str, terms: Terms, by: Actor) -> Study:
    """Change a study's terms. An approved study becomes a draft. Raises Invalid, WrongState, Forbidden.

    The same terms change nothing.
    """
    people.require_role(by, "admin")
    present = study(transaction, identifier)
    if present.state == CLOSED:
        raise WrongState(f"study {identifier} is closed")
    checked, before, after = _checked(terms), present.terms.facts(), terms.facts()
    changed = [
        name
        for name in {**before, **after}
        if canonical_json.dumps(after.get(name)) != canonical_json.dumps(before.get(name))
    ]
    if not changed:
        return present
    transaction.execute(
        sa.update(studies)
        .where(studies.c.id == identifier)
        .values(**checked, state=DRAFT, approved_by=None, edited_by=approval.with_hand(present, by))
    )
    advice.drop(transaction, advice.STUDY, identifier)
    returns = "" if present.state == DRAFT else f"; its state went from {present.state} back to {DRAFT}"
    _log(
        transaction,
        by,
        "study.edit",
        identifier,
        f"study {identifier} was changed: {', '.join(changed)}{returns}",
        {
            **after,
            "changed": changed,
            "was": {name: before.get(name) for name in changed},
            "from": present.state,
            "to": DRAFT,
        },
    )
    return study(transaction, identifier)


def move(
    transaction: sa.Connection,
    identifier: str,
    action: str,
    reason: str,
    by: Actor,
    *,
    without_advice: str | None = None,
    read: str | None = None,
) -> Study:
    """Approve, suspend, resume or close a study.

    An approval needs the formalities of the study and its dataset, and the DPO's advice on the present terms, or why
    it goes without. `read` is the digest of what was
    read before it (`seen.py`); if that has changed since, nothing is approved. Raises NotFound, WrongState,
    Forbidden, FourEyes, NoFormality, NotAdvised, Invalid.
    """
    starts_from, leads_to, roles = MOVES[action]
    people.require_role(by, *roles)
    present = study(transaction, identifier)
    if present.state not in starts_from:
        raise WrongState(f"study {identifier} is {present.state}; {action} needs {' or '.join(starts_from)}")
    moved: dict[str, Any] = {"state": leads_to}
    facts: dict[str, Any] = {"from": present.state, "to": leads_to, "reason": reason}
    if action == "approve":
        approval.require_second(transaction, present, by)
        seen.require_study(read, transaction, present)
        if not accounts.is_approved(transaction, present.dataset):
            raise WrongState(f"the dataset {present.dataset} waits for an approval of its own: approve it first")
        moved["approved_by"] = by.commitment
        require_formalities(transaction, present)
        # Exactly what was approved.
        budget = accounts.balance(transaction, accounts.STUDY, identifier).budget
        # The cap, or what else of it was promised, may have changed since the draft was written.
        accounts.require_fitting(transaction, present.dataset, identifier, budget)
        justifications.require(budget)
        facts |= {"terms": present.terms.facts(), "budget": budget.facts()}
        facts["dataset"] = _dataset_facts(transaction, present.dataset)
        facts |= advice.heard(transaction, advice.STUDY, identifier, without_advice)
    if action == "close":
        for kind in (advice.STUDY, advice.RAISE):
            advice.drop(transaction, kind, identifier)
    transaction.execute(sa.update(studies).where(studies.c.id == identifier).values(**moved))
    _log(
        transaction,
        by,
        f"study.{action}",
        identifier,
        f"study {identifier} went from {present.state} to {leads_to}",
        facts,
    )
    return study(transaction, identifier)


def require_formalities(transaction: sa.Connection, present: Study) -> None:
    """Raise NoFormality unless the formalities of a study and of its dataset are on record and in force today."""
    why = lack(transaction, present)
    if why is not None:
        raise NoFormality(why)


def lack(transaction: sa.Connection, present: Study) -> str | None:
    """Return what the formalities of a study and of its dataset lack today for an approval, or None."""
    today = log.now(transaction)[:10]
    of_dataset = dataset_terms.formalities_of(transaction, present.dataset)
    own = formalities.lack("study", present.id, present.terms.formalities, today)
    return own or formalities.lack("dataset", present.dataset, of_dataset, today)


def _dataset_facts(transaction: sa.Connection, dataset: str) -> dict[str, Any]:
    """Return what an approval accepts with the dataset: its cap, the profile that all can see, its formalities."""
    kept = dataset_terms.formalities_of(transaction, dataset)
    cap = accounts.balance(transaction, accounts.DATASET, dataset).budget
    profile = profiles.charged(transaction, dataset)
    return {
        "cap": cap.facts(),
        "profile": None if profile is None else {"edition": profile[0], "epsilon_nano": profile[1].epsilon_nano},
        "formalities": None if kept is None else kept.facts(),
    }


def add_member(transaction: sa.Connection, identifier: str, name: str, by: Actor) -> Study:
    """Make a researcher a member. Repeating it changes nothing. Raises NotFound, Invalid, Forbidden."""
    people.require_role(by, "admin")
    present = study(transaction, identifier)
    member = people.user(transaction, name)
    if member.role != "researcher":
        raise Invalid("user", f"only a researcher can be a member, and {name} has the role {member.role}")
    if name not in present.members:
        transaction.execute(sa.insert(members).values(study=identifier, user=name))
        _log(transaction, by, "study.member.add", identifier, "a member was added", {"user": member.commitment})
    return study(transaction, identifier)


def remove_member(transaction: sa.Connection, identifier: str, name: str, by: Actor) -> Study:
    """End a membership. Raises NotFound, Forbidden."""
    people.require_role(by, "admin")
    member = people.user(transaction, name)
    removed = transaction.execute(sa.delete(members).where(members.c.study == identifier, members.c.user == name))
    if removed.rowcount != 1:
        raise NotFound(f"{name} is no member of study {identifier}")
    _log(transaction, by, "study.member.remove", identifier, "a member was removed", {"user": member.commitment})
    return study(transaction, identifier)


def study(transaction: sa.Connection, identifier: str) -> Study:
    """Return a study. Raises NotFound."""
    rows = transaction.execute(_FIND_STUDY, {"study": identifier}).all()
    if not rows:
        raise NotFound(f"there is no study {identifier}")
    return _study(rows[0], tuple(row.member for row in rows if row.member is not None))


def visible(transaction: sa.Connection, identifier: str, actor: Actor) -> Study:
    """Return a study that the actor may know of: a researcher only their own. Raises NotFound."""
    found = study(transaction, identifier)
    if actor.role not in SEE_ALL and actor.name not in found.members:
        raise NotFound(f"there is no study {identifier}")
    return found


def studies_of(
    transaction: sa.Connection,
    actor: Actor,
    *,
    only: str | None = None,
    waiting: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> list[Study]:
    """Return the studies an actor may know of, or the one of them that is named, by id.

    With `waiting` those alone that wait for an approver: drafts, and those whose larger budget waits.
    """
    wanted = sa.select(studies.c.id).order_by(studies.c.id)
    if only is not None:
        wanted = wanted.where(studies.c.id == only)
    if waiting:
        raised = sa.and_(studies.c.raise_epsilon_nano.is_not(None), studies.c.state != CLOSED)
        wanted = wanted.where(sa.or_(studies.c.state == DRAFT, raised))
    if actor.role not in SEE_ALL:
        wanted = wanted.join(members, members.c.study == studies.c.id).where(members.c.user == actor.name)
    if after is not None:
        wanted = wanted.where(studies.c.id > after)
    return [study(transaction, row.id) for row in transaction.execute(wanted.limit(limit)).all()]


def standing_protocols(transaction: sa.Connection, present: Study) -> list[Mapping[str, Any]]:
    """Return the protocols by which a study's releases are shown: its own and, until that is approved, the last one.

    Without the last approved one, whoever edits a study could lift alone what an approver wanted.
    """
    if present.approved_by is not None or present.state in (APPROVED, SUSPENDED):
        return [present.terms.protocol]
    c = audit_entries.c
    wanted = sa.select(c.body).where(c.study == present.id, c.action == "study.approve").order_by(c.position.desc())
    body = transaction.execute(wanted.limit(1)).scalar()
    approved = {} if body is None else json.loads(body)["facts"].get("terms", {})
    return [present.terms.protocol, approved.get("protocol", {})]


def require_open(transaction: sa.Connection, present: Study) -> None:
    """Raise NotApproved unless the study may ask today."""
    if present.state != APPROVED:
        raise NotApproved(f"study {present.id} is {present.state}; it may ask only while it is approved")
    if present.terms.starts is None and present.terms.ends is None:
        return
    today = log.now(transaction)[:10]
    if present.terms.starts is not None and today < present.terms.starts:
        raise NotApproved(f"study {present.id} starts on {present.terms.starts}")
    if present.terms.ends is not None and today > present.terms.ends:
        raise NotApproved(f"study {present.id} ended on {present.terms.ends}")


def _checked(terms: Terms) -> dict[str, Any]:
    try:
        canonical_json.dumps(terms.facts()).encode()
    except ValueError:  # a lone surrogate, or a number that JSON does not have
        raise Invalid("terms", "contain something that cannot be written as JSON in UTF-8") from None
    for name in ("title", "purpose", "legal_basis"):
        texts.require(name, getattr(terms, name))
    for name in ("starts", "ends"):
        day = getattr(terms, name)
        if day is not None and not is_day(day):
            raise Invalid(name, "must be a day, as in 2026-12-31")
    if terms.starts is not None and terms.ends is not None and terms.starts > terms.ends:
        raise Invalid("ends", "must not be before it starts")
    kept = None if terms.formalities is None else canonical_json.dumps(terms.formalities.facts())
    return {**terms.facts(), "protocol": canonical_json.dumps(terms.protocol), "formalities": kept}


def _study(row: sa.Row[Any], names: tuple[str, ...]) -> Study:
    waits = row.raise_epsilon_nano is not None
    return Study(
        row.id,
        row.dataset,
        Terms(
            row.title,
            row.purpose,
            row.legal_basis,
            json.loads(row.protocol),
            row.starts,
            row.ends,
            formalities.of_facts(None if row.formalities is None else json.loads(row.formalities)),
        ),
        row.state,
        row.created_at,
        names,
        _raise(row) if waits else None,
        row.opened_by,
        approval.hands(row.edited_by),
        row.approved_by,
        row.raise_by,
    )


def _raise(row: sa.Row[Any]) -> Budget:
    return Budget(row.raise_epsilon_nano, row.raise_delta_atto, row.raise_laplace_percent, row.raise_justification)


def _log(
    transaction: sa.Connection, by: Actor, action: str, identifier: str, summary: str, facts: Mapping[str, Any]
) -> None:
    log.append(transaction, by, action, f"study:{identifier}", summary, study=identifier, facts=facts)
