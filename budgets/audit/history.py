"""The past in a report: who decided what and when (from the audit log), and what was released at what loss.

Names come from the table of identities, as far as they are still known. The log itself has only commitments.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import ANONYMOUS, SYSTEM
from budgets.audit import log
from budgets.database.tables import (
    audit_entries,
    charges,
    datasets,
    editions,
    identities,
    profile_charges,
    profiles,
    releases,
    studies,
)
from budgets.ledger.accounts import DATASET, STUDY
from budgets.ledger.charges import RESERVE, SETTLE, VOID
from budgets.ledger.limits import Budget
from budgets.loss import Loss

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

BATCH_ROWS = 50  # a release may be large, and only its description is used

IMPORT = "dataset.import"
OF_DATASET = ("dataset.propose", "dataset.advise", "dataset.approve")
APPROVALS = ("study.approve", "study.budget.approve", "dataset.approve")
ADVICE = ("study.advise", "study.budget.advise", "dataset.advise")
CONCLUDES = "study.conclude"
DECISIONS = (
    *("study.open", "study.edit", "study.advise", "study.budget.advise", "study.approve", "study.budget.approve"),
    *("study.suspend", "study.resume", "study.close", CONCLUDES),
)
# What sets the limits of an account, by its kind.
SETS = {STUDY: ("study.open", "study.budget.set", "study.budget.approve"), DATASET: (IMPORT, "dataset.approve")}
JOINS, LEAVES = "study.member.add", "study.member.remove"
RESERVES, RESPEND = ("query.reserve", "dataset.profile.reserve"), "ledger.respend"
CHARGES = (*RESERVES, RESPEND)


@dataclass(frozen=True)
class Act:
    """One entry of the log, as a report shows it. `name` and `member` are None if the name was erased."""

    index: int
    time: str
    action: str
    summary: str
    role: str
    name: str | None
    study: str | None
    reason: str | None
    member: str | None
    limits: Loss | None


@dataclass(frozen=True)
class Membership:
    """When somebody was a member of a study. None: the log no longer shows it.

    `name` is None if it was erased; then `since` is known and `until` is not. `is_member`: they are a member now.
    """

    name: str | None
    since: str | None
    until: str | None = None
    is_member: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"name": self.name, "since": self.since, "until": self.until, "is_member": self.is_member}


@dataclass(frozen=True)
class Released:
    """What was released, without its numbers: `body` has no rows. `study` is None for a profile of a dataset."""

    id: str
    study: str | None
    edition: int
    charged_at: str
    loss: Loss
    body: dict[str, Any]


@dataclass(frozen=True)
class Covering:
    """The state of the audit log that covers a report."""

    entries: int
    last_leaf_hash: str

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values. The caller, who has the signing key, adds the checkpoint."""
        return {"entries": self.entries, "last_leaf_hash": self.last_leaf_hash}


def covering(transaction: sa.Connection) -> Covering:
    """Return the state of the log that covers what a transaction reads."""
    last = transaction.execute(
        sa.select(audit_entries.c.position, audit_entries.c.leaf_hash)
        .order_by(audit_entries.c.position.desc())
        .limit(1)
    ).first()
    return Covering(0, log.START) if last is None else Covering(last.position + 1, last.leaf_hash)


def acts_of_study(transaction: sa.Connection, study: str) -> list[Act]:
    """Return what was decided about a study, oldest first. Queries are left out, because they are many."""
    mine = audit_entries.c.study == study
    return [act for act, _ in _acts(transaction, mine, audit_entries.c.action.like("study.%"))]


def acts_of_dataset(transaction: sa.Connection, dataset: str) -> list[Act]:
    """Return the imports of a dataset and the decisions about it and its studies, oldest first."""
    mine = sa.select(studies.c.id).where(studies.c.dataset == dataset)
    imports = _acts(transaction, sa.true(), audit_entries.c.action.in_((IMPORT, *OF_DATASET)))
    decided = _acts(transaction, audit_entries.c.study.in_(mine), audit_entries.c.action.in_(DECISIONS))
    own = [act for act, subject in imports if subject == f"dataset:{dataset}"]
    return sorted([*own, *(act for act, _ in decided)], key=lambda act: act.index)


def approved_on(transaction: sa.Connection, dataset: str) -> dict[str, str]:
    """Return the studies of a dataset that were approved at some time, each with the time of its first approval."""
    c = audit_entries.c
    mine = sa.select(studies.c.id).where(studies.c.dataset == dataset)
    wanted = sa.select(c.study, sa.func.min(c.at)).where(c.action == "study.approve", c.study.in_(mine))
    found = transaction.execute(wanted.group_by(c.study).order_by(c.study))
    return {row[0]: row[1] for row in found}


def memberships(transaction: sa.Connection, study: str, present: Collection[str]) -> list[Membership]:
    """Return all memberships of a study in the log, oldest first. `present` are the names of its members now.

    An end is matched to a beginning by name. Without a name it cannot be matched: a membership without a name may have
    ended, and a person with a name may appear a second time without one.
    """
    mine = audit_entries.c.study == study
    acts = [act for act, _ in _acts(transaction, mine, audit_entries.c.action.in_((JOINS, LEAVES)))]
    found: list[Membership] = []
    open_at: dict[str, int] = {}  # name -> place of the membership that has not ended
    for act in acts:
        if act.action == JOINS:
            if act.member is not None:
                open_at[act.member] = len(found)
            found.append(Membership(act.member, act.time))
        elif act.member in open_at:
            place = open_at.pop(act.member)
            found[place] = replace(found[place], until=act.time)
        elif act.member is not None:
            found.append(Membership(act.member, None, act.time))
    for name in present:
        if name in open_at:
            found[open_at[name]] = replace(found[open_at[name]], is_member=True)
        else:
            found.append(Membership(name, None, is_member=True))
    return found


def releases_of(
    transaction: sa.Connection, *, study: str | None = None, dataset: str | None = None
) -> Iterator[Released]:
    """Yield the releases of a study, or of a dataset's studies. `profiles_of` has those that belong to no study."""
    mine = releases.c.study == study if dataset is None else releases.c.dataset == dataset
    found = (
        sa.select(releases, charges.c.epsilon_nano, charges.c.rho_nano, charges.c.delta_atto)
        .join_from(releases, charges, charges.c.id == releases.c.charge)
        .where(mine)
        .order_by(releases.c.charged_at, releases.c.id)
    )
    # An option of the statement, because one of the connection would hold for all later statements.
    for row in transaction.execute(found, execution_options={"yield_per": BATCH_ROWS}):
        yield _released(row, row.study)


def profiles_of(transaction: sa.Connection, dataset: str) -> list[Released]:
    """Return the contribution profiles that were bought of a dataset."""
    found = (
        sa.select(profiles, profile_charges.c.epsilon_nano, profile_charges.c.rho_nano, profile_charges.c.delta_atto)
        .join_from(profiles, profile_charges, profile_charges.c.id == profiles.c.charge)
        .where(profiles.c.dataset == dataset)
        .order_by(profiles.c.charged_at, profiles.c.id)
    )
    return [_released(row, None) for row in transaction.execute(found)]


def unanswered(transaction: sa.Connection, *, study: str | None = None, dataset: str | None = None) -> int:
    """Return how many charges are spent or reserved without a release: their queries failed or are under way."""
    answered = charges.alias("resolutions")
    mine = charges.c.study == study if dataset is None else charges.c.dataset == dataset
    counted: int | None = transaction.execute(
        sa.select(sa.func.count())
        .select_from(
            charges.join(answered, answered.c.reserve_id == charges.c.id, isouter=True).join(
                releases, releases.c.charge == charges.c.id, isouter=True
            )
        )
        .where(
            mine,
            charges.c.kind == RESERVE,
            sa.func.coalesce(answered.c.kind, SETTLE) == SETTLE,
            releases.c.id.is_(None),
        )
    ).scalar()
    return int(counted or 0)


def budgets_held(transaction: sa.Connection, kind: str, owner: str) -> list[Budget]:
    """Return the budgets that an account had since it was first charged, oldest first; none if it never was.

    A charge that was given back is none. What came first is told by the order of the log: a clock can be set back.
    """
    since = _first_charge(transaction, kind, owner)
    if since is None:
        return []
    c = audit_entries.c
    mine = c.study == owner if kind == STUDY else sa.true()
    wanted = sa.select(c.position, c.body).where(mine, c.action.in_(SETS[kind])).order_by(c.position)
    bodies = [(position, json.loads(body)) for position, body in transaction.execute(wanted)]
    found = [(position, _budget(body["facts"])) for position, body in bodies if body["subject"] == f"{kind}:{owner}"]
    before, later = (
        [budget for position, budget in found if (position < since) is is_before] for is_before in (True, False)
    )
    return [*before[-1:], *later]


def _budget(facts: dict[str, Any]) -> Budget:
    return Budget.read(facts.get("budget") or facts.get("cap") or facts)


def _first_charge(transaction: sa.Connection, kind: str, owner: str) -> int | None:
    """Return the position of an account's first charge in the log, None without one.

    It is 0, from which all budgets count, if the log does not have it: a ledger that was restored may have begun anew.
    """
    charged = set[str]()
    for table in (charges,) if kind == STUDY else (charges, profile_charges):
        c = table.c
        mine = c[kind] == owner
        given_back = sa.select(c.reserve_id).where(mine, c.kind == VOID)
        charged |= set(
            transaction.execute(sa.select(c.id).where(mine, c.kind == RESERVE, c.id.not_in(given_back))).scalars()
        )
    if not charged:
        return None
    entries = sa.select(audit_entries.c.position, audit_entries.c.body).where(audit_entries.c.action.in_(CHARGES))
    in_order = entries.order_by(audit_entries.c.position)
    with transaction.execute(in_order, execution_options={"yield_per": BATCH_ROWS}) as found:
        ours = (at for at, body in found if json.loads(body)["subject"].removeprefix("charge:") in charged)
        return next(ours, 0)


def editions_of(transaction: sa.Connection, dataset: str) -> list[tuple[int, str]]:
    """Return the number and time of each import of a dataset, oldest first."""
    wanted = sa.select(editions).where(editions.c.dataset == dataset).order_by(editions.c.number)
    return [(row.number, row.imported_at) for row in transaction.execute(wanted)]


def studies_on(transaction: sa.Connection, dataset: str) -> list[str]:
    """Return the studies on a dataset, by id."""
    wanted = sa.select(studies.c.id).where(studies.c.dataset == dataset).order_by(studies.c.id)
    return list(transaction.execute(wanted).scalars())


def title_of(transaction: sa.Connection, dataset: str) -> str:
    """Return the title of a dataset that exists."""
    title: str = transaction.execute(sa.select(datasets.c.title).where(datasets.c.name == dataset)).scalar_one()
    return title


def _acts(
    transaction: sa.Connection, mine: sa.ColumnElement[bool], wanted: sa.ColumnElement[bool]
) -> list[tuple[Act, str]]:
    """Return acts, each with its subject."""
    found = sa.select(audit_entries.c.body).where(mine, wanted).order_by(audit_entries.c.position)
    bodies = [json.loads(body) for body in transaction.execute(found).scalars()]
    known = _names(transaction, {body["actor"] for body in bodies} | ({_member(body) for body in bodies} - {None}))
    return [(_act(body, known), body["subject"]) for body in bodies]


def _act(body: dict[str, Any], known: dict[str, str]) -> Act:
    facts = body["facts"]
    said = next((facts[key] for key in ("budget", "cap") if isinstance(facts.get(key), dict)), facts)
    known_limits = isinstance(said.get("epsilon_nano"), int) and isinstance(said.get("delta_atto"), int)
    limits = Loss(said["epsilon_nano"], 0, said["delta_atto"]) if known_limits else None
    member = _member(body)
    return Act(
        index=body["index"],
        time=body["time"],
        action=body["action"],
        summary=body["summary"],
        role=body["role"],
        name=known.get(body["actor"]),
        study=body["study"],
        reason=facts.get("conclusion" if body["action"] == CONCLUDES else "reason"),
        member=None if member is None else known.get(member),
        limits=limits,
    )


def _member(body: dict[str, Any]) -> str | None:
    member = body["facts"].get("user")
    return member if isinstance(member, str) else None


def _names(transaction: sa.Connection, commitments: set[Any]) -> dict[str, str]:
    rows = transaction.execute(
        sa.select(identities.c.commitment, identities.c.name).where(identities.c.commitment.in_(sorted(commitments)))
    )
    fixed = {one.commitment: one.name for one in (SYSTEM, ANONYMOUS)}
    return {**fixed, **{row.commitment: row.name for row in rows}}


def _released(row: sa.Row[Any], study: str | None) -> Released:
    body = json.loads(row.body)
    body.pop("rows", None)
    body.pop("tables", None)  # a profile's histograms
    loss = Loss(row.epsilon_nano, row.rho_nano, row.delta_atto)
    return Released(row.id, study, row.edition, row.charged_at, loss, body)
