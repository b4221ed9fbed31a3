"""The journey of one query. Read this first.

`answer` is the whole of it, step by step; `estimate` stops before any data are touched, and `rehearse` goes on to
made-up data. Each step is a function of another module: this one knows only their order, and the order is what keeps
the promise:

1. parse     the request became a canonical query before it came here (`query.py`)
2. permit    the study is approved and open, the asker a member, the query within the protocol (`preparing.py`)
3. plan      from the query and the catalog alone: bounds, sensitivities, noise and cost
4. replay    the same question of the same study on the same edition has its answer: it is free
5. reserve   one transaction charges the study and the dataset, or refuses; undone if the store then does not open
6. scan      the engine streams in person order, the kernel bounds and adds up integers; where a key's values are not
             declared, once before, to release which of them are named
7. noise     OpenDP
8. settle    shortly before a fixed beat one transaction stores the release, settles the charge and appends the audit
             entry: not earlier, for lists, budgets, the log and certificates tell the time of it, or its order
9. slot      the answer leaves at the beat, so that its timing tells little; so does the place that the scan had

Everything before 6 depends on the request and on nothing personal (the public catalog, budgets, whether a file opens),
so a refusal reveals nothing and costs nothing. From 6 on nothing is given back, whatever happens: a failure is answered
with one constant text, and the same request resumes on the charge that was paid, twice at most.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from budgets.alerts import bursts, thresholds
from budgets.audit import certificates
from budgets.audit import log as audit
from budgets.errors import AttemptsSpent, NotApproved, NotFound, OverBudget, Unavailable
from budgets.governance import forecast
from budgets.ledger import accounts, charges, releases
from budgets.ledger.charges import Charge, Release
from budgets.loss import Loss
from queries.contribution import truncation
from queries.errors import EngineFailed
from queries.execution import kernel, partition_selection
from queries.planning import advice, drowning
from queries.release import assembly, postprocessing
from queries.spelling import json_writing, sql
from server.errors import QueryFailed, StoreUnavailable
from server.journey import refusals
from server.journey.preparing import permit, prepare
from server.runtime.slots import AHEAD, Slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    import sqlalchemy as sa

    from budgets.actors import Actor
    from queries.plan import Plan
    from server.journey.preparing import Prepared, Request
    from server.runtime.services import Services
    from server.runtime.stores import OpenEdition

    Made = tuple[dict[str, Any], str]  # the body of a new release, and the hash of its numbers

log = logging.getLogger("rowless")

REHEARSED = (
    "this is a rehearsal: the data were made up from the catalog, so the numbers mean nothing; nothing was charged "
    "(cost is what the query would cost)"
)


def answer(services: Services, actor: Actor, study: str, request: Request) -> dict[str, Any]:
    """Answer a query with noise, charged and recorded, or refuse it for free.

    Raises the errors of `queries` and `budgets`, Busy and StoreUnavailable at no charge, and QueryFailed after it.
    """
    with refusals.recorded(services.database, actor, study, "query"):
        prepared = prepare(services, actor, study, request)
    drowning.require(prepared.plan, prepared.catalog, request.drowned_max)
    with ExitStack() as leaving:
        # The same question at the same time waits for its answer here, and not for a second scan.
        with services.turns.one(prepared.question):
            with services.places.one():
                with refusals.recorded(services.database, actor, study, "query"):
                    found = replay_or_reserve(services, actor, prepared)
                slot = Slot.start(services.fitting.of(prepared.plan, prepared.catalog))
                leaving.callback(slot.wait)  # from here on every end waits for the slot
                if not isinstance(found, Release):
                    open_store(services, actor, prepared, found)
                    made = scan(prepared, found)
                    late = slot.overran()
                    # With its place: who waits for one must not learn when this scan ended.
                    slot.wait(AHEAD)
                    if late:
                        services.count_overrun(prepared.question.dataset)
            stored = found if isinstance(found, Release) else settle(services, actor, prepared, found, made)
        with services.database.read() as transaction:
            shown = show(transaction, stored, request.post, replayed=isinstance(found, Release))
            return {**shown, "notes": [*request.notes, *shown["notes"]]}


def estimate(services: Services, actor: Actor, study: str, request: Request) -> dict[str, Any]:
    """Return what a query would cost and how exact it would be. Free; no data are touched."""
    with refusals.recorded(services.database, actor, study, "estimate"):
        prepared = prepare(services, actor, study, request)
    with services.database.write() as transaction:
        audit.append(
            transaction,
            actor,
            "query.estimate",
            f"study:{study}",
            f"a query of {prepared.loss.text} was estimated",
            study=study,
            facts=_facts(prepared),
        )
        ahead = forecast.of_study(transaction, prepared.study)
    queries_left = ahead.fit(prepared.loss).queries
    advised = advice.Asked(
        prepared.plan, prepared.catalog, request.privacy, services.settings.max_cells, ahead.rho_like(prepared.loss)
    )
    described = _described(prepared.plan)
    drowned = drowning.of(prepared.plan, prepared.catalog)
    return {
        **described,
        "notes": [*request.notes, *described["notes"]],
        "advice": advice.advise(advised),
        "drowned": drowned.share,
        "drowned_of": dict(drowned.by_statistic),
        "cost": prepared.loss.to_json(),
        "cells": prepared.plan.cells if prepared.plan.listing is None else None,
        "slot_ms": round(1000 * services.fitting.of(prepared.plan, prepared.catalog)),
        "affordable": queries_left > 0,
        "queries_left": queries_left,
        "budget": ahead.study.to_json(),
    }


def rehearse(services: Services, actor: Actor, study: str, request: Request) -> dict[str, Any]:
    """Answer a query in the shape of a release on data made up from the catalog (steps 2, 3, 6 and 7). Free.

    No data are touched and nothing is stored: the noise is drawn anew each time. Raises the errors of `queries` and
    `budgets` that come before a charge, Busy and StoreUnavailable.
    """
    with refusals.recorded(services.database, actor, study, "rehearsal"):
        prepared = prepare(services, actor, study, replace(request, key=None))
    try:
        # In places of their own: how long a rehearsal waits tells nothing of scans.
        with services.rehearsal_places.one():
            slot = Slot.start(services.fitting.of_rehearsal(prepared.plan))
            body = compute(prepared.plan, services.stores.made_up(prepared.store))
            slot.wait(AHEAD)
    except EngineFailed as failure:
        log.exception("a rehearsal failed")
        raise StoreUnavailable("the rehearsal failed; nothing was charged") from failure
    with services.database.write() as transaction:
        summary = f"a query of {prepared.loss.text} was rehearsed on made-up data"
        _log(transaction, actor, "query.rehearse", prepared, summary, f"study:{study}")
        budget = accounts.balance(transaction, accounts.STUDY, study)
    return {
        "rehearsal": True,
        "id": None,
        "study": study,
        "dataset": prepared.question.dataset,
        "edition": prepared.question.edition,
        **postprocessing.apply({**body, "notes": [REHEARSED, *request.notes, *body["notes"]]}, request.post),
        "budget": budget.to_json(),
        "replayed": False,
        "charged_at": None,
    }


def replay_or_reserve(services: Services, actor: Actor, prepared: Prepared) -> Release | Charge:
    """Return the stored release, or a charge for a new one (steps 4 and 5).

    Raises OverBudget, KeyConflict, AttemptsSpent, UnderWay.
    """
    study = prepared.study.id
    try:
        with services.database.write() as transaction:
            # Once more, now that nothing can change in between: the study may have been suspended or changed.
            if permit(transaction, actor, study).terms != prepared.study.terms:
                raise NotApproved(f"the terms of study {study} have just been changed; send it again")
            question = prepared.question
            if prepared.key is not None:
                question = releases.bind_key(transaction, question, prepared.key)
            stored = charges.find_release(transaction, question)
            if stored is not None:
                _log(transaction, actor, "query.replay", prepared, "a stored release was read again", stored.id)
                return stored
            if question != prepared.question:
                raise NotFound(f"edition {question.edition}, for which this was first sent, is no longer kept")
            # A scan has so long, and its slot is a quarter longer at most.
            scan_seconds = 2 * services.settings.query_seconds
            charge = charges.reserve(transaction, question, prepared.loss, scan_seconds=scan_seconds)
            if charge.resumed:
                summary = f"{charge.loss.text} was resumed, attempt {charge.attempt}"
                _log(transaction, actor, "query.resume", prepared, summary, charge.id, attempt=charge.attempt)
            else:
                _log(transaction, actor, "query.reserve", prepared, f"{charge.loss.text} was reserved", charge.id)
            thresholds.after_charge(transaction, study, question.dataset)
            return charge
    except OverBudget as refusal:
        with services.database.write() as transaction:
            summary = f"a query of {prepared.loss.text} was refused: the {refusal.account}'s budget"
            _log(transaction, actor, "query.refuse", prepared, summary, refusal.account, code="budget-exceeded")
            owner = study if refusal.account == accounts.STUDY else prepared.question.dataset
            thresholds.after_refusal(transaction, refusal.account, owner, prepared.loss)
            bursts.after_refusal(transaction, actor)
        raise
    except AttemptsSpent:
        with services.database.write() as transaction:
            summary = "a query was refused: it was tried as often as its charge allows"
            _log(transaction, actor, "query.refuse", prepared, summary, f"study:{study}", code="attempts-spent")
            bursts.after_refusal(transaction, actor)
        raise


def open_store(services: Services, actor: Actor, prepared: Prepared, charge: Charge) -> None:
    """Open the store for the scan, or give the charge back. Raises StoreUnavailable.

    No event was looked at yet, and whether a file opens is the same for every query: the refund tells of nobody.
    """
    try:
        prepared.store.engine.open()
    except EngineFailed as failure:
        log.exception("the store of charge %s cannot be opened", charge.id)
        with suppress(Unavailable), services.database.write() as transaction:
            # If this cannot be written, or another attempt already scans on the charge, it stays as it is.
            if charges.void(transaction, charge):
                _log(transaction, actor, "query.void", prepared, f"{charge.loss.text} was given back", charge.id)
        raise StoreUnavailable("its store cannot be opened; nothing was charged for this attempt") from failure


def scan(prepared: Prepared, charge: Charge) -> Made | None:
    """Scan, bound and add noise (steps 6 and 7), or return None: whatever failed, nothing is given back."""
    try:
        body = compute(prepared.plan, prepared.store)
        return body, certificates.answer_sha256(body)  # here, for of a large answer it takes a while
    except Exception:
        # It may depend on data: the researcher learns that it failed, the admin's log says why.
        log.exception("query on charge %s failed", charge.id)
        return None


def settle(services: Services, actor: Actor, prepared: Prepared, charge: Charge, made: Made | None) -> Release:
    """Store a release and spend its charge (step 8). Raises QueryFailed, and then nothing is given back.

    The entry has the hash of the released numbers: so the log binds them, and they stay out of it.
    """
    stored = None
    try:
        if made is not None:
            stored = _store(services, actor, prepared, charge, made)
    except Exception:
        log.exception("the release of charge %s could not be stored", charge.id)
    if stored is None:
        with suppress(Unavailable), services.database.write() as transaction:
            # If even this cannot be written, the charge stays reserved, which counts as gone until it is resumed.
            charges.settle(transaction, charge, None)
            _log(transaction, actor, "query.fail", prepared, "a query failed; its charge is spent", charge.id)
        raise QueryFailed
    return stored


def _store(services: Services, actor: Actor, prepared: Prepared, charge: Charge, made: Made) -> Release:
    body, numbers = made
    with services.database.write() as transaction:
        stored = charges.settle(transaction, charge, body)
        assert stored is not None
        if stored.body is not body:  # another attempt was there first
            numbers = certificates.answer_sha256(stored.body)
        facts = {"charge": charge.id, certificates.CHARGED_AT: stored.charged_at, certificates.NUMBERS: numbers}
        summary = f"a release of {charge.loss.text} was made"
        _log(transaction, actor, "query.release", prepared, summary, stored.id, **facts)
    return stored


def compute(planned: Plan, store: OpenEdition) -> dict[str, Any]:
    """Return the body of a new release: the only place where data become an answer."""
    engine = store.engine
    planned = partition_selection.name_values(planned, engine.ranges(), engine.stream, engine.texts)
    exact = kernel.bound_in_parts(planned, engine.ranges(), engine.stream)
    noisy = assembly.add_noise(planned, exact)
    rows = assembly.rows(planned, noisy)
    described = _described(planned)
    return {
        "query": json_writing.to_json(planned.query),
        "sql": sql.to_sql(planned.query),
        **described,
        "notes": [*described["notes"], *postprocessing.warnings(planned, rows)],
        postprocessing.ABOUT: postprocessing.describe(planned),
        "rows": rows,
    }


def show(transaction: sa.Connection, stored: Release, post: Sequence[str] = (), *, replayed: bool) -> dict[str, Any]:
    """Return a release as it is sent: what was stored, processed as asked, and the study's budget as it is now."""
    study = stored.question.study
    assert study is not None, "a query belongs to a study"
    budget = accounts.balance(transaction, accounts.STUDY, study)
    return {
        "id": stored.id,
        "study": study,
        "dataset": stored.question.dataset,
        "edition": stored.question.edition,
        **postprocessing.apply(stored.body, post),
        "budget": budget.to_json(),
        "replayed": replayed,
        "charged_at": stored.charged_at,
    }


def _described(planned: Plan) -> dict[str, Any]:
    """Return what is said of a plan before and after it ran."""
    cost = planned.cost
    return {
        "cost": Loss.of(cost.epsilon, cost.rho, cost.delta).to_json(),
        "columns": assembly.columns(planned),
        "bounds": {"cells_per_person": planned.cells_per_person, "events_per_cell": planned.events_per_cell},
        "notes": [*planned.notes, *truncation.sentences(planned)],
    }


def _facts(prepared: Prepared) -> dict[str, Any]:
    """Return what the audit log keeps of a query: what was asked and what it costs, nothing of the answer."""
    loss = prepared.loss
    planned = prepared.plan
    named = [] if planned.listing is None else [planned.listing.mechanism]
    return {
        "query": json_writing.to_json(planned.query),
        "fingerprint": prepared.question.fingerprint,
        "dataset": prepared.question.dataset,
        "edition": prepared.question.edition,
        "mechanisms": [one.name for one in (*named, *(measure.mechanism for measure in planned.measures))],
        **({} if planned.listing is None else {"threshold": planned.listing.mechanism.threshold}),
        "loss": {"epsilon_nano": loss.epsilon_nano, "rho_nano": loss.rho_nano, "delta_atto": loss.delta_atto},
    }


def _log(
    transaction: sa.Connection,
    actor: Actor,
    action: str,
    prepared: Prepared,
    summary: str,
    subject: str,
    **facts: str | int,
) -> None:
    study = prepared.study.id
    audit.append(transaction, actor, action, subject, summary, study=study, facts={**_facts(prepared), **facts})
