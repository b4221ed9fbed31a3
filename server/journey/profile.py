"""The journey of a contribution profile: bought once by the custodian, public from then on, for later editions too.

By default it is bought at the first import (`importing.py`).

It is that of a query (`answer.py`), in the same order and for the same reasons, but for three things: an admin asks
and no study does, the dataset's account alone is charged, and what is released is part of the catalog: all may see it.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from budgets.alerts import bursts, thresholds
from budgets.audit import log as audit
from budgets.errors import AttemptsSpent, OverBudget, Unavailable
from budgets.governance import datasets
from budgets.identity import people
from budgets.ledger import accounts, charges, profiles
from budgets.ledger.charges import Charge, Release
from budgets.loss import Loss
from queries.contribution import profile, tallying
from queries.errors import EngineFailed
from server.errors import QueryFailed, StoreUnavailable
from server.runtime.slots import AHEAD, Slot

if TYPE_CHECKING:
    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.ledger.charges import Question
    from server.runtime.services import Services
    from server.runtime.stores import OpenEdition

log = logging.getLogger("rowless")


@dataclass(frozen=True)
class Prepared:
    """What is known of a profile before data are touched."""

    store: OpenEdition
    plan: profile.Plan
    loss: Loss
    question: Question


def buy(services: Services, actor: Actor, dataset: str, epsilon_nano: int) -> dict[str, Any]:
    """Make the profile of a dataset's edition in service, charged and recorded, or refuse it for free.

    The same again is the same profile, free. Raises Forbidden, NotFound, InvalidQuery, WrongState, OverBudget, Busy and
    StoreUnavailable at no charge, and QueryFailed after it.
    """
    people.require_role(actor, "admin")
    prepared = _prepare(services, dataset, epsilon_nano)
    with ExitStack() as leaving:
        with services.turns.one(prepared.question):
            with services.places.one():
                found = _replay_or_reserve(services, actor, prepared)
                # As with a query: every end waits for the slot, and is seen in catalog, budget, log and places
                # shortly before it.
                slot = Slot.start(services.fitting.of_profile(prepared.plan, prepared.store.dataset))
                leaving.callback(slot.wait)
                if not isinstance(found, Release):
                    _open_store(services, actor, prepared, found)
                    body = _scan(prepared, found)
                    late = slot.overran()
                    slot.wait(AHEAD)
                    if late:
                        services.count_overrun(dataset)
            stored = found if isinstance(found, Release) else _settle(services, actor, prepared, found, body)
        with services.database.read() as transaction:
            budget = accounts.balance(transaction, accounts.DATASET, dataset).to_json()
    question = stored.question
    return {
        "dataset": question.dataset,
        "edition": question.edition,
        "profile": show(stored),
        "budget": budget,
        "replayed": isinstance(found, Release),
    }


def show(stored: Release) -> dict[str, Any]:
    """Return a profile as it is shown to everybody."""
    return {**stored.body, "edition": stored.question.edition, "charged_at": stored.charged_at}


def shown(transaction: sa.Connection, dataset: str, edition: int) -> dict[str, Any] | None:
    """Return the profile that an edition's catalog shows, its own or that of an edition before it, if there is one."""
    found = profiles.in_use(transaction, dataset, edition)
    return show(found[0]) if found else None


def _prepare(services: Services, dataset: str, epsilon_nano: int) -> Prepared:
    with services.database.read() as transaction:
        store = services.stores.edition(datasets.current(transaction, dataset))
    planned = profile.plan(store.dataset, epsilon_nano)
    epsilon, rho = planned.cost
    loss = Loss.of(epsilon, rho, epsilon * 0)
    fingerprint = hashlib.sha256(profile.canonical(planned).encode()).hexdigest()
    return Prepared(store, planned, loss, profiles.question(dataset, store.edition.number, fingerprint))


def _replay_or_reserve(services: Services, actor: Actor, prepared: Prepared) -> Release | Charge:
    """Return the stored profile, or a charge for a new one. Raises OverBudget, WrongState, AttemptsSpent."""
    try:
        with services.database.write() as transaction:
            stored = charges.find_release(transaction, prepared.question)
            if stored is not None:
                _log(transaction, actor, "replay", prepared, "a stored profile was read again", stored.id)
                return stored
            charge = profiles.reserve(transaction, prepared.question, prepared.loss)
            if charge.resumed:
                summary = f"{charge.loss.text} was resumed, attempt {charge.attempt}"
                _log(transaction, actor, "resume", prepared, summary, charge.id, attempt=charge.attempt)
            else:
                _log(transaction, actor, "reserve", prepared, f"{charge.loss.text} was reserved", charge.id)
            thresholds.after_charge(transaction, None, prepared.question.dataset)
            return charge
    except OverBudget:
        with services.database.write() as transaction:
            summary = f"a profile of {prepared.loss.text} was refused: the dataset's budget"
            _log(transaction, actor, "refuse", prepared, summary, prepared.question.dataset)
            thresholds.after_refusal(transaction, accounts.DATASET, prepared.question.dataset, prepared.loss)
            bursts.after_refusal(transaction, actor)
        raise
    except AttemptsSpent:
        with services.database.write() as transaction:
            summary = "a profile was refused: it was tried as often as its charge allows"
            _log(transaction, actor, "refuse", prepared, summary, prepared.question.dataset, code="attempts-spent")
            bursts.after_refusal(transaction, actor)
        raise


def _open_store(services: Services, actor: Actor, prepared: Prepared, charge: Charge) -> None:
    """Open the store for the scan, or give the charge back. Raises StoreUnavailable."""
    try:
        prepared.store.engine.open()
    except EngineFailed as failure:
        log.exception("the store of charge %s cannot be opened", charge.id)
        with suppress(Unavailable), services.database.write() as transaction:
            if charges.void(transaction, charge):
                _log(transaction, actor, "void", prepared, f"{charge.loss.text} was given back", charge.id)
        raise StoreUnavailable("its store cannot be opened; nothing was charged for this attempt") from failure


def _scan(prepared: Prepared, charge: Charge) -> dict[str, Any] | None:
    """Scan and add noise, or return None: whatever failed, nothing is given back."""
    try:
        return compute(prepared)
    except Exception:
        # Whatever it was, it may depend on data: only the admin's log says why.
        log.exception("the profile on charge %s failed", charge.id)
        return None


def _settle(
    services: Services, actor: Actor, prepared: Prepared, charge: Charge, body: dict[str, Any] | None
) -> Release:
    """Store a profile and spend its charge. Raises QueryFailed, and then nothing is given back."""
    stored = None
    try:
        if body is not None:
            stored = _store(services, actor, prepared, charge, body)
    except Exception:
        log.exception("the profile of charge %s could not be stored", charge.id)
    if stored is None:
        with suppress(Unavailable), services.database.write() as transaction:
            charges.settle(transaction, charge, None)
            _log(transaction, actor, "fail", prepared, "a profile failed; its charge is spent", charge.id)
        raise QueryFailed
    return stored


def _store(services: Services, actor: Actor, prepared: Prepared, charge: Charge, body: dict[str, Any]) -> Release:
    with services.database.write() as transaction:
        stored = charges.settle(transaction, charge, body)
        assert stored is not None
        summary = f"a profile of {charge.loss.text} was made"
        _log(transaction, actor, "release", prepared, summary, stored.id, charge=charge.id)
    return stored


def compute(prepared: Prepared) -> dict[str, Any]:
    """Return the body of a new profile: the only place here where data become a release."""
    exact = tallying.tally(prepared.plan, prepared.store.engine)
    return {"cost": prepared.loss.to_json(), **profile.release(prepared.plan, exact)}


def _log(
    transaction: sa.Connection,
    actor: Actor,
    what: str,
    prepared: Prepared,
    summary: str,
    subject: str,
    **further: str | int,
) -> None:
    loss = prepared.loss
    facts = {
        "fingerprint": prepared.question.fingerprint,
        "dataset": prepared.question.dataset,
        "edition": prepared.question.edition,
        "histograms": len(prepared.plan.drafts),
        "loss": {"epsilon_nano": loss.epsilon_nano, "rho_nano": loss.rho_nano, "delta_atto": loss.delta_atto},
        **further,
    }
    audit.append(transaction, actor, f"dataset.profile.{what}", subject, summary, facts=facts)
