"""What a dataset may spend, and who decides it: its cap, and what profiles may take of it.

    import or propose --> waits --advise--> waits --approve--> in force

The first import of a dataset proposes the cap and the profile of its manifest. Until an approver approves them, nothing
is charged to the dataset: no profile is bought, no study on it is approved and no query is answered. An approval allows
further profiles up to a sum of epsilon. Another profile, or another cap, is proposed by an admin and waits for an
approver again, while what was approved before stays in force. Who imported or proposed what waits does not advise on it
and does not approve it. A lower cap needs no approval: an import sets it (`datasets.py`).

The formalities of the dataset (`budgets/formalities.py`) are part of its terms: a manifest or a proposal writes them,
and an approval needs them, in force on its day. What does not name any keeps those that were written before. A later
manifest that names others proposes them, and the cap and the profiles stay as they are. So does a manifest with another
noise than was approved for queries. The server keeps to what both allow, so that only an approval widens it.

A new proposal takes the place of the one that waited, and its advice is void. All who wrote either are its authors. An
import that lowers the cap of an approved dataset lowers what waits with it, in the same way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import formalities, texts
from budgets.alerts import thresholds
from budgets.audit import history, log
from budgets.database import clock
from budgets.database.tables import audit_entries, datasets
from budgets.errors import FourEyes, Invalid, NotFound, WrongState
from budgets.governance import advice, approval, seen
from budgets.identity import people
from budgets.ledger import accounts, profiles
from budgets.ledger import justification as justifications
from budgets.ledger.limits import Budget
from budgets.loss import NANO
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.actors import Actor
    from budgets.formalities import Formalities


NOISES = ("laplace", "gaussian", "both")


@dataclass(frozen=True)
class Terms:
    """A cap, the epsilon that further profiles may take of it in all, formalities, and the noise that queries may have.

    `formalities` are None if none were written, and `noise` if it was not one of the terms yet.
    """

    cap: Budget
    profile_nano: int
    formalities: Formalities | None = None
    noise: str | None = None

    def within(self, cap: Budget) -> Terms:
        """Return them without what exceeds a cap."""
        epsilon = min(self.cap.epsilon_nano, cap.epsilon_nano)
        lower = replace(self.cap, epsilon_nano=epsilon, delta_atto=min(self.cap.delta_atto, cap.delta_atto))
        return replace(self, cap=lower, profile_nano=min(self.profile_nano, epsilon))

    def facts(self) -> dict[str, Any]:
        """Return them as the log has them. Where there are no formalities, or no noise, there is no such member."""
        facts = {"cap": self.cap.facts(), "profile_epsilon_nano": self.profile_nano}
        facts |= {} if self.formalities is None else {"formalities": self.formalities.facts()}
        return facts if self.noise is None else {**facts, "noise": self.noise}

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON values."""
        written = None if self.formalities is None else self.formalities.facts()
        profile = self.profile_nano / NANO
        return {**self.cap.to_json(), "profile": profile, "formalities": written, "noise": self.noise}


@dataclass(frozen=True)
class Standing:
    """What is in force for a dataset and what waits. `approved_by` and `hands` are commitments.

    `approved_at` is None as long as nothing may be charged. `hands` are all who wrote what waits.
    """

    dataset: str
    approved_at: str | None
    approved_by: str | None
    profile_left_nano: int
    waiting: Terms | None
    hands: tuple[str, ...]
    formalities: Formalities | None = None
    noise: str | None = None  # None: what the manifest says

    @property
    def written(self) -> Formalities | None:
        """Return the formalities that were written last: those that wait, or those in force."""
        return self.formalities if self.waiting is None else self.waiting.formalities

    @property
    def written_noise(self) -> str | None:
        """Return the noise that was written last: what waits, or what is in force."""
        return self.noise if self.waiting is None else self.waiting.noise


def standing(transaction: sa.Connection, dataset: str) -> Standing:
    """Return what is approved of a dataset and what waits. Raises NotFound."""
    row = transaction.execute(sa.select(datasets).where(datasets.c.name == dataset)).first()
    if row is None:
        raise NotFound(f"there is no dataset {dataset}")
    waiting = None
    if row.wanted_epsilon_nano is not None:
        cap = Budget(
            row.wanted_epsilon_nano, row.wanted_delta_atto, row.wanted_laplace_percent, row.wanted_justification
        )
        waiting = Terms(cap, row.wanted_profile_nano, _stored(row.wanted_formalities), row.wanted_noise)
    left, hands, kept = profiles.left_nano(transaction, dataset), approval.hands(row.hands), _stored(row.formalities)
    return Standing(dataset, row.approved_at, row.approved_by, left, waiting, hands, kept, row.noise)


def noise_of(transaction: sa.Connection, dataset: str) -> str | None:
    """Return the noise that an approver approved for the queries of a dataset; None: it is not one of its terms yet."""
    found: str | None = transaction.execute(_NOISE, {"of_dataset": dataset}).scalar()
    return found


# Built once, because each request executes it, and building it takes as long.
_NOISE = sa.select(datasets.c.noise).where(datasets.c.name == sa.bindparam("of_dataset"))


def formalities_of(transaction: sa.Connection, dataset: str) -> Formalities | None:
    """Return the formalities of a dataset that are in force. Raises NotFound."""
    row = transaction.execute(sa.select(datasets.c.formalities).where(datasets.c.name == dataset)).first()
    if row is None:
        raise NotFound(f"there is no dataset {dataset}")
    return _stored(row.formalities)


def _stored(kept: str | None) -> Formalities | None:
    return formalities.of_facts(None if kept is None else json.loads(kept))


def imported(transaction: sa.Connection, dataset: str, terms: Terms, by: Actor, *, lowered: bool) -> None:
    """Let the terms of a manifest wait for an approver, unless the dataset was approved before.

    Then a cap that it lowered lowers what waits as well: to approve terms of before must not undo it. Formalities that
    are others than those written last wait in any case, and so does another noise.
    """
    present = standing(transaction, dataset)
    named = terms.formalities or present.written
    if present.approved_at is None:
        _wait(transaction, present, replace(terms, formalities=named), by)
        return
    kept = present.waiting
    if kept is None and (named, terms.noise) != (present.formalities, present.noise):
        kept = Terms(accounts.balance(transaction, accounts.DATASET, dataset).budget, 0)
    if kept is None:
        return
    wanted = replace(kept.within(terms.cap) if lowered else kept, formalities=named, noise=terms.noise)
    if wanted != present.waiting:
        _wait(transaction, present, wanted, by)


def propose(
    transaction: sa.Connection,
    dataset: str,
    epsilon_nano: int | None,
    delta_atto: int | None,
    profile_nano: int,
    reason: str,
    by: Actor,
    *,
    laplace_percent: int | None = None,
    justification: str | None = None,
    named: Formalities | None = None,
) -> Standing:
    """Propose another cap, a further profile, or other formalities (`named`). What is not given stays.

    Raises NotFound, Invalid, WrongState.
    """
    people.require_role(by, "admin")
    present = standing(transaction, dataset)
    texts.require("reason", reason)
    before = accounts.balance(transaction, accounts.DATASET, dataset).budget
    cap = Budget(
        before.epsilon_nano if epsilon_nano is None else epsilon_nano,
        before.delta_atto if delta_atto is None else delta_atto,
        before.laplace_percent if laplace_percent is None else laplace_percent,
        justification,
    )
    cap = justifications.require(justifications.kept(cap, before))
    terms = Terms(cap, profile_nano, named or present.written, present.written_noise)
    if cap.epsilon_nano == 0:
        raise Invalid("epsilon", "must be above 0")
    if terms.profile_nano > cap.epsilon_nano:
        raise Invalid("profile", "must be at most the cap")
    if present.approved_at is not None and terms == Terms(before, 0, present.formalities, present.noise):
        raise WrongState(f"this is what {dataset} has: propose another cap, a profile, or other formalities")
    _require_enough(transaction, dataset, terms)
    _wait(transaction, present, terms, by)
    _log(transaction, by, "propose", dataset, "terms were proposed", {**terms.facts(), "reason": reason})
    return standing(transaction, dataset)


def advise(
    transaction: sa.Connection, dataset: str, opinion: str, reason: str, by: Actor, *, read: str | None = None
) -> Standing:
    """Advise on what waits. `read` is the digest of what was read (`seen.py`).

    Raises NotFound, Invalid, Forbidden, FourEyes; WrongState if nothing waits, or something else than was read.
    """
    people.require_role(by, "dpo")
    present, terms = _waiting(transaction, dataset)
    _require_no_hand(transaction, present, "advise", by)
    seen.require_terms(read, dataset, terms.facts())
    advice.keep(transaction, advice.DATASET, dataset, opinion, reason, by)
    facts = {"opinion": opinion, "reason": reason, **terms.facts()}
    _log(transaction, by, "advise", dataset, f"the DPO advised {advice.OPINIONS[opinion]} on the terms", facts)
    return standing(transaction, dataset)


def approve(
    transaction: sa.Connection,
    dataset: str,
    reason: str,
    by: Actor,
    *,
    without_advice: str | None = None,
    read: str | None = None,
) -> Standing:
    """Put in force what waits: cap, formalities, noise, what further profiles may take. `read` is the digest of it.

    Raises NotFound, Forbidden, FourEyes, NoFormality, NotAdvised, Invalid; WrongState if nothing waits, it is not what
    was read, or more than that is spent.
    """
    people.require_role(by, "approver")
    texts.require("reason", reason)
    present, terms = _waiting(transaction, dataset)
    _require_no_hand(transaction, present, "approve", by)
    advised = advice.standing(transaction, advice.DATASET, dataset)
    if advised is not None:
        own = "nobody can approve on their own advice"
        approval.require_other(transaction, [advised.by], _refusal(dataset, "approve", by, own))
    seen.require_terms(read, dataset, terms.facts())
    formalities.require("dataset", dataset, terms.formalities, log.now(transaction)[:10])
    heard = advice.heard(transaction, advice.DATASET, dataset, without_advice)
    justifications.require(terms.cap)
    _require_enough(transaction, dataset, terms)
    advice.drop(transaction, advice.DATASET, dataset)
    transaction.execute(
        sa.update(datasets)
        .where(datasets.c.name == dataset)
        .values(
            approved_at=clock.now(),
            approved_by=by.commitment,
            profile_nano=accounts.taken_by_profiles(transaction, dataset) + terms.profile_nano,
            **_columns(None),
            formalities=_kept(terms.formalities),
            noise=terms.noise,
            hands=None,
        )
    )
    is_new = terms.cap.limits != accounts.balance(transaction, accounts.DATASET, dataset).limits
    accounts.set_limits(transaction, accounts.DATASET, dataset, terms.cap)
    _log(transaction, by, "approve", dataset, "terms were approved", {**terms.facts(), "reason": reason, **heard})
    if is_new:
        thresholds.after_limits(transaction, accounts.DATASET, dataset)
    return standing(transaction, dataset)


def describe(transaction: sa.Connection, dataset: str) -> dict[str, Any]:
    """Return what is approved of a dataset and what waits, as JSON values. A name that was erased is None."""
    present = standing(transaction, dataset)
    advised = advice.standing(transaction, advice.DATASET, dataset)
    named = [*filter(None, (present.approved_by, None if advised is None else advised.by)), *present.hands]
    known = people.names(transaction, named)
    return {
        "approved": present.approved_at is not None,
        "approved_at": present.approved_at,
        "approved_by": known.get(present.approved_by or ""),
        "profile_left": present.profile_left_nano / NANO,
        "waiting": None if present.waiting is None else _shown(dataset, present.waiting),
        "proposed_by": sorted({known[one] for one in present.hands if one in known}),
        "reason": _why_it_waits(transaction, dataset),
        "advice": None if advised is None else advised.to_json(known),
        "formalities": None if present.formalities is None else present.formalities.facts(),
        "noise": present.noise,
        "lack": formalities.lack("dataset", dataset, present.written, log.now(transaction)[:10]),
    }


def _why_it_waits(transaction: sa.Connection, dataset: str) -> str | None:
    """Return why what waits of a dataset was proposed. An import says no reason."""
    present = standing(transaction, dataset)
    if present.waiting is None:
        return None
    # An import takes the place of a proposal only before the first approval.
    writes = ("dataset.propose",) if present.approved_at is not None else ("dataset.propose", "dataset.import")
    c = audit_entries.c
    wanted = sa.select(c.body).where(c.action.in_(writes)).order_by(c.position.desc())
    for body in transaction.execute(wanted).scalars():
        entry = json.loads(body)
        if entry["subject"] == f"dataset:{dataset}":
            said: str | None = entry["facts"].get("reason")
            return said
    return None


def _wait(transaction: sa.Connection, present: Standing, terms: Terms, by: Actor) -> None:
    advice.drop(transaction, advice.DATASET, present.dataset)
    transaction.execute(
        sa.update(datasets)
        .where(datasets.c.name == present.dataset)
        .values(
            **_columns(terms),
            hands=canonical_json.dumps(sorted({*present.hands, by.commitment})),
        )
    )


def _columns(terms: Terms | None) -> dict[str, Any]:
    """Return the columns of what waits, or of nothing."""
    cap = None if terms is None else terms.cap
    return {
        "wanted_epsilon_nano": None if cap is None else cap.epsilon_nano,
        "wanted_delta_atto": None if cap is None else cap.delta_atto,
        "wanted_laplace_percent": None if cap is None else cap.laplace_percent,
        "wanted_justification": None if cap is None else cap.justification,
        "wanted_profile_nano": None if terms is None else terms.profile_nano,
        "wanted_formalities": None if terms is None else _kept(terms.formalities),
        "wanted_noise": None if terms is None else terms.noise,
    }


def _kept(named: Formalities | None) -> str | None:
    return None if named is None else canonical_json.dumps(named.facts())


def _waiting(transaction: sa.Connection, dataset: str) -> tuple[Standing, Terms]:
    present = standing(transaction, dataset)
    if present.waiting is None:
        raise WrongState(f"nothing of the dataset {dataset} waits for approval")
    return present, present.waiting


def _shown(dataset: str, terms: Terms) -> dict[str, Any]:
    return {**terms.to_json(), "digest": seen.of_terms(dataset, terms.facts())}


def _require_enough(transaction: sa.Connection, dataset: str, terms: Terms) -> None:
    held = history.budgets_held(transaction, accounts.DATASET, dataset)
    accounts.require_enough(accounts.balance(transaction, accounts.DATASET, dataset), terms.cap, held)


def _require_no_hand(transaction: sa.Connection, present: Standing, verb: str, by: Actor) -> None:
    rule = f"nobody can {approval.VERBS[verb]} a dataset's terms that they imported or proposed"
    approval.require_other(transaction, present.hands, _refusal(present.dataset, verb, by, rule))


def _refusal(dataset: str, verb: str, by: Actor, rule: str) -> FourEyes:
    return FourEyes(None, f"dataset.{verb}", by, rule, f"dataset:{dataset}")


def _log(transaction: sa.Connection, by: Actor, verb: str, dataset: str, what: str, facts: Mapping[str, Any]) -> None:
    log.append(transaction, by, f"dataset.{verb}", f"dataset:{dataset}", f"{what} of {dataset}", facts=facts)
