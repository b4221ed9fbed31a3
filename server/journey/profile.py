"""The journey of a contribution profile. The custodian buys it once; it is public then, and serves later editions too.

The first import proposes one by default (`importing.py`), and an approver decides. It goes the way of a query
(`paid.py`), with three differences: an admin asks instead of a study, the dataset's account alone is charged, and the
release is part of the catalog.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets.errors import OverBudget
from budgets.governance import datasets
from budgets.identity import people
from budgets.ledger import accounts, profiles
from budgets.loss import Loss
from queries.contribution import profile
from server.journey import paid

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.errors import AttemptsSpent
    from budgets.ledger.charges import Charge, Question, Release
    from queries.execution.engine import Engine
    from server.runtime.services import Services

    Json = dict[str, Any]


def buy(services: Services, actor: Actor, dataset: str, epsilon_nano: int) -> Json:
    """Make the profile of a dataset's edition in service, charged and recorded, or refuse it for free.

    The same profile again is free. Raises Forbidden, NotFound, InvalidQuery, NotApproved, WrongState, OverBudget,
    AttemptsSpent, Busy and StoreUnavailable at no charge, and QueryFailed after it.
    """
    people.require_role(actor, "admin")
    wanted = _prepare(services, actor, dataset, epsilon_nano)
    with paid.release(wanted) as (stored, replayed), services.database.read() as transaction:
        return {
            "dataset": dataset,
            "edition": stored.question.edition,
            "profile": show(stored),
            "budget": accounts.balance(transaction, accounts.DATASET, dataset).to_json(),
            "replayed": replayed,
        }


def show(stored: Release) -> dict[str, Any]:
    """Return a profile as it is shown to everybody."""
    return {**stored.body, "edition": stored.question.edition, "charged_at": stored.charged_at}


def shown(transaction: sa.Connection, dataset: str, edition: int) -> dict[str, Any] | None:
    """Return the profile that an edition's catalog shows, its own or that of an edition before it, if there is one."""
    found = profiles.in_use(transaction, dataset, edition)
    return show(found[0]) if found else None


def compute(planned: profile.Plan, loss: Loss, engine: Engine) -> Json:
    """Return the body of a new profile: the only place here where data become a release."""
    return {"cost": loss.to_json(), **profile.release(planned, engine.histograms(planned))}


def _prepare(services: Services, actor: Actor, dataset: str, epsilon_nano: int) -> ProfilePurchase:
    with services.database.read() as transaction:
        store = services.stores.edition(datasets.current(transaction, dataset))
    planned = profile.plan(store.dataset, epsilon_nano)
    epsilon, rho = planned.cost
    loss = Loss.of(epsilon, rho, epsilon * 0)
    fingerprint = hashlib.sha256(profile.canonical(planned).encode()).hexdigest()
    question = profiles.question(dataset, store.edition.number, fingerprint)
    return ProfilePurchase(services, actor, question, loss, store, planned)


@dataclass(frozen=True)
class ProfilePurchase(paid.Purchase):
    """A profile on its way through `paid.py`."""

    name = "profile"
    actions = "dataset.profile"

    plan: profile.Plan

    def slot_seconds(self) -> float:
        """Return the length of its slot."""
        return self.services.fitting.of_profile(self.plan, self.store.dataset, self.store.engine.parts)

    def facts(self) -> Json:
        """Return what the log keeps of a profile: its size and what it costs."""
        return {
            "fingerprint": self.question.fingerprint,
            "dataset": self.question.dataset,
            "edition": self.question.edition,
            "histograms": len(self.plan.drafts),
            "loss": vars(self.loss),
        }

    def confirm(self, transaction: sa.Connection) -> Question:  # noqa: ARG002  (a query needs it)
        """Return the question as it is: nothing that it depends on can change."""
        return self.question

    def reserve(self, transaction: sa.Connection, question: Question) -> Charge:
        """Charge the dataset. Raises OverBudget, NotApproved, WrongState, AttemptsSpent."""
        return profiles.reserve(transaction, question, self.loss)

    def compute(self) -> Json:
        """Return the body of a new profile."""
        return compute(self.plan, self.loss, self.store.engine)

    def refusal(self, error: OverBudget | AttemptsSpent) -> tuple[str, Json]:
        """Return the dataset; a refusal for its budget has no code."""
        return self.question.dataset, {} if isinstance(error, OverBudget) else {"code": "attempts-spent"}
