"""The journey of one query. Read this first.

The order of these steps keeps the privacy promise:

1. parse     JSON or SQL becomes a query tree before it comes here (`server/api/requests/query.py`)
2. permit    the study is approved and open, the asker a member, the query within the protocol (`preparing.py`)
3. plan      bounds, sensitivities, noise and cost, from the query and the catalog alone (`preparing.py`)
4. replay    the same question of the same study about the same edition has its answer already: free (`paid.py`; read
             again within the minute, `_again`)
5. reserve   one transaction charges the study and the dataset, or refuses; given back if the store then does not open
6. scan      the engine streams in person order, the kernel bounds and adds up integers (`compute`). Where a key's
             values are not declared, an earlier scan releases which of them are named
7. noise     OpenDP (`compute`)
8. settle    shortly before a fixed beat one transaction stores the release, settles the charge and appends the entry
             of the log (`paid.py`)
9. slot      the answer leaves at the beat, so that its timing reveals little (`server/runtime/scans/slots.py`)

`answer` takes all of them, `estimate` stops after 3, and `rehearse` takes 2, 3, 6 and 7 on made-up data.

Steps 1 to 5 depend on the request and on nothing personal (the public catalog, budgets, whether a file opens), so a
refusal reveals nothing and costs nothing. From 6 on nothing is given back, whatever happens: a failure is answered with
one constant text, and the same request resumes on the charge that was paid, twice at most.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from budgets.audit import certificates
from budgets.errors import AttemptsSpent, NotApproved, NotFound, OverBudget, WrongState
from budgets.governance import dataset_terms, forecast, studies
from budgets.ledger import accounts, charges, releases
from budgets.loss import Loss
from queries.catalog.schema import BOTH, GAUSSIAN, LAPLACE
from queries.contribution import truncation
from queries.errors import EngineFailed
from queries.execution import partition_selection
from queries.execution.stopping import Stop
from queries.language.showing import NOTHING
from queries.planning import advice, deadline, drowning
from queries.release import answer_columns, assembly, postprocessing, showing, value_labels
from queries.spelling import json_writing, sql
from server.admission import running
from server.errors import Abandoned, StoreUnavailable
from server.journey import hidden, paid, refusals
from server.journey.preparing import permit, prepare, prepare_reading
from server.runtime.scans.slots import AHEAD, Slot
from server.runtime.tallies import Act

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.governance.forecast import Forecast
    from budgets.ledger.charges import Charge, Question, Release
    from budgets.ledger.limits import Balance
    from queries.language.showing import Show
    from queries.mechanisms import Drawn
    from queries.plan import Plan
    from queries.release.rows import Labels
    from server.journey.preparing import Prepared, Request
    from server.runtime.services import Services
    from server.runtime.stores import OpenEdition

    Json = dict[str, Any]

logger = logging.getLogger("rowless")

ESTIMATE_SECONDS = 10.0  # of one processor; the largest query that is allowed takes about two
REHEARSED = (
    "this is a rehearsal: the data were made up from the catalog, so the numbers mean nothing; nothing was charged "
    "(cost is what the query would cost)"
)


def answer(services: Services, actor: Actor, study: str, request: Request) -> Json:
    """Answer a query with noise, charged and recorded, or refuse it for free.

    Raises the errors of `queries` and `budgets`, Busy and StoreUnavailable at no charge, and QueryFailed after it.
    """
    with refusals.recorded(services.database, actor, study, "query"):
        prepared, seen = prepare_reading(services, actor, study, request, _seen)
    drowning.require(prepared.plan, prepared.catalog, request.drowned_max)
    if request.priced not in (None, prepared.name):
        raise WrongState("this is not the question that was priced; what it rests on has changed since")
    wanted = QueryPurchase.of(services, actor, prepared)
    if seen is not None and not prepared.has_left() and services.tallies.is_repeated(wanted.replaying(seen.stored)):
        return _again(wanted, request, seen)
    with paid.release(wanted) as (stored, replayed), services.database.read() as transaction:
        shown = show(transaction, stored, request.post, prepared.show, replayed=replayed)
        return {**shown, "notes": [*request.notes, *shown["notes"]]}


class _Seen(NamedTuple):
    """A stored release, and what else it is shown with, by the state of the ledger that permitted the request."""

    stored: Release
    budget: Balance
    hides_below: int | None


def _seen(transaction: sa.Connection, prepared: Prepared) -> _Seen | None:
    """Return the release of a question, if nothing has to be written before it is read again."""
    stored = charges.find_release(transaction, prepared.question) if prepared.is_bound else None
    if stored is None:
        return None
    budget = accounts.balance(transaction, accounts.STUDY, prepared.study.id)
    return _Seen(stored, budget, hidden.below(transaction, prepared.study))


def _again(wanted: QueryPurchase, request: Request, seen: _Seen) -> Json:
    """Return the release of a question that its asker has read within the minute (steps 4 and 9 alone).

    It was counted, and there is nothing to charge or to write. Therefore the one state of the ledger that permitted it
    is enough: a study that was suspended before is refused, and one that is suspended now was not when it asked.
    Readers wait for nobody, so replays neither wait for writers nor keep them waiting.
    """
    slot = Slot.start(wanted.slot_seconds())
    shown = _shown(seen.stored, request.post, wanted.prepared.show, seen.budget, seen.hides_below, replayed=True)
    slot.wait()
    return {**shown, "notes": [*request.notes, *shown["notes"]]}


def estimate(services: Services, actor: Actor, study: str, request: Request) -> Json:
    """Return what a query would cost and how exact it would be. Free; no data are touched.

    Raises InvalidQuery also if this takes more than ESTIMATE_SECONDS of work.
    """
    with deadline.within(ESTIMATE_SECONDS):
        estimated = _estimate(services, actor, study, request)
        deadline.require()
    return estimated


def _estimate(services: Services, actor: Actor, study: str, request: Request) -> Json:
    with refusals.recorded(services.database, actor, study, "estimate"):
        prepared, seen = prepare_reading(services, actor, study, request, _ahead)
    _record_free_act(services, actor, prepared, "estimate", "estimated")
    if seen is None:
        with services.database.read() as transaction:
            seen = _ahead(transaction, prepared)
    ahead, stored = seen
    queries_left = ahead.fit(prepared.loss).queries
    rho_nano = ahead.rho_like(prepared.loss)
    said = prepared.planned.said.of(rho_nano, lambda: _foretold(services, prepared, request, rho_nano))
    return {
        **said,
        "question": prepared.name,
        "release": None if stored is None else stored.id,
        "affordable": queries_left > 0 or stored is not None,
        "queries_left": queries_left,
        "budget": ahead.study.to_json(),
    }


def _ahead(transaction: sa.Connection, prepared: Prepared) -> tuple[Forecast, Release | None]:
    """Return what a study may still spend, and the release that a question has already."""
    return forecast.of_study(transaction, prepared.study), charges.find_release(transaction, prepared.question)


def _foretold(services: Services, prepared: Prepared, request: Request, rho_nano: int | None) -> Json:
    """Return what an estimate says of a plan, whatever was spent. `rho_nano` is as much of the study's limit."""
    advised = advice.Asked(prepared.plan, prepared.catalog, request.privacy, services.settings.max_cells, rho_nano)
    described = _described(prepared.plan)
    drowned = drowning.of(prepared.plan, prepared.catalog)
    return {
        "query": json_writing.to_json(prepared.plan.query),
        "sql": sql.to_sql(prepared.plan.query, prepared.show),
        **described,
        **showing.asked(prepared.show),
        "notes": [*request.notes, *described["notes"], *([] if prepared.show == NOTHING else [showing.FREE])],
        "advice": advice.advise(advised),
        "drowned": drowned.share,
        "drowned_of": dict(drowned.by_statistic),
        "cost": prepared.loss.to_json(),
        "cells": prepared.plan.cells if prepared.plan.listing is None else None,
        "slot_ms": round(1000 * services.fitting.of(prepared.plan, prepared.catalog, prepared.store.engine.parts)),
    }


def rehearse(services: Services, actor: Actor, study: str, request: Request) -> Json:
    """Answer a query in the shape of a release on data made up from the catalog (steps 2, 3, 6 and 7). Free.

    No data are touched and nothing is stored: each rehearsal draws new noise. Raises the errors of `queries` and
    `budgets` that come before a charge, Busy and StoreUnavailable.
    """
    with refusals.recorded(services.database, actor, study, "rehearsal"):
        prepared = prepare(services, actor, study, replace(request, key=None))
    running.step_aside()
    slot = Slot.start(services.fitting.of_rehearsal(prepared.plan))
    try:
        body = _asked(prepared) | compute(prepared.plan, services.stores.made_up(prepared.store))
        slot.wait(AHEAD)
    except EngineFailed as failure:
        logger.exception("a rehearsal failed")
        raise StoreUnavailable("the rehearsal failed; nothing was charged") from failure
    _record_free_act(services, actor, prepared, "rehearse", "rehearsed on made-up data")
    with services.database.read() as transaction:
        budget = accounts.balance(transaction, accounts.STUDY, study)
    noted = {**body, "notes": [REHEARSED, *request.notes, *body["notes"]]}
    processed = postprocessing.apply(noted, request.post, prepared.hides_below)
    slot.wait()
    return {
        "rehearsal": True,
        "id": None,
        "study": study,
        "dataset": prepared.question.dataset,
        "edition": prepared.question.edition,
        **showing.arrange(processed, prepared.show),
        "budget": budget.to_json(),
        "replayed": False,
        "charged_at": None,
    }


def _record_free_act(services: Services, actor: Actor, prepared: Prepared, verb: str, done: str) -> None:
    """Write the entry of an estimate or a rehearsal, or count it if there was one a moment ago."""
    study = prepared.study.id
    subject = f"study:{study}"
    with services.tallies.writing() as is_first:
        if not is_first(Act(actor, f"query.{verb}", subject, study, f"queries were {done}")):
            return
        with services.database.write() as transaction:
            summary = f"a query of {prepared.loss.text} was {done}"
            QueryPurchase.of(services, actor, prepared).log(transaction, verb, subject, summary)


def compute(planned: Plan, store: OpenEdition, stop: Stop | None = None) -> Json:
    """Return the body of a new release: the only place where data become an answer. Raises EngineFailed."""
    engine = store.engine
    planned = partition_selection.name_values(planned, partial(engine.scores, stop=stop), engine.texts)
    with ThreadPoolExecutor(1) as beside:
        preparing = beside.submit(_before_cells, planned)  # while the scan runs: it needs nothing of the data
        exact = engine.cells(planned, stop)
    before = preparing.result()
    noisy = assembly.add_noise(planned, exact, before.noise)
    rows = assembly.rows(planned, noisy, before.labels)
    return {
        **before.described,
        "notes": [
            *before.described["notes"],
            *postprocessing.warnings((output.name for output in planned.outputs), rows),
        ],
        postprocessing.ABOUT: postprocessing.describe(planned),
        "rows": rows,
        **value_labels.of(planned, rows),
    }


class _BeforeCells(NamedTuple):
    """What an answer has beside its cells: noise that nobody has seen, the labels of the cells, what the query is."""

    noise: list[Drawn | None]
    labels: list[Labels]
    described: Json


def _before_cells(planned: Plan) -> _BeforeCells:
    asked = {"query": json_writing.to_json(planned.query), "sql": sql.to_sql(planned.query)}
    return _BeforeCells(assembly.draw_noise(planned), assembly.labels(planned), asked | _described(planned))


def _asked(prepared: Prepared) -> Json:
    """Return what was offered for the answer: offered again, it asks the same question, whatever its cost came to."""
    return {"privacy": json_writing.privacy_to_json(prepared.privacy)}


def show(
    transaction: sa.Connection,
    stored: Release,
    post: Sequence[str] = (),
    wanted: Show = NOTHING,
    *,
    replayed: bool,
) -> Json:
    """Return a release as it is sent: what was stored, processed as asked, and the study's budget as it is now.

    Last, of what is shown then, the rows that are wanted are taken. `wanted` was bound to the answer's columns.
    """
    study = stored.question.study
    assert study is not None, "a query belongs to a study"
    budget = accounts.balance(transaction, accounts.STUDY, study)
    must = hidden.below(transaction, studies.study(transaction, study))
    return _shown(stored, post, wanted, budget, must, replayed=replayed)


def _shown(
    stored: Release, post: Sequence[str], wanted: Show, budget: Balance, must: int | None, *, replayed: bool
) -> Json:
    return {
        "id": stored.id,
        "study": stored.question.study,
        "dataset": stored.question.dataset,
        "edition": stored.question.edition,
        **showing.arrange(postprocessing.apply(stored.body, post, must), wanted),
        "budget": budget.to_json(),
        "replayed": replayed,
        "charged_at": stored.charged_at,
    }


def show_again(transaction: sa.Connection, stored: Release, post: Sequence[str], wanted: Show) -> Json:
    """Return a release as it is read again. Raises InvalidQuery if it lacks a column by which rows are chosen."""
    bound = showing.bind(wanted, answer_columns.released(stored.body))
    return show(transaction, stored, post, bound, replayed=True)


def _described(planned: Plan) -> Json:
    """Return the description of a plan, which is the same before and after it ran."""
    cost = planned.cost
    return {
        "cost": Loss.of(cost.epsilon, cost.rho, cost.delta).to_json(),
        "columns": assembly.columns(planned),
        "bounds": {"cells_per_person": planned.cells_per_person, "events_per_cell": planned.events_per_cell},
        "notes": [*planned.notes, *truncation.sentences(planned)],
    }


@dataclass(frozen=True)
class QueryPurchase(paid.Purchase):
    """A query on its way through `paid.py`."""

    name = "query"
    actions = "query"

    prepared: Prepared
    stop: Stop = field(default_factory=Stop)

    @classmethod
    def of(cls, services: Services, actor: Actor, prepared: Prepared) -> QueryPurchase:
        """Return the purchase of a prepared query."""
        return cls(services, actor, prepared.question, prepared.loss, prepared.store, prepared)

    def slot_seconds(self) -> float:
        """Return the length of its slot."""
        return self.services.fitting.of(self.prepared.plan, self.prepared.catalog, self.store.engine.parts)

    def facts(self) -> Json:
        """Return what the log keeps of a query: what was asked and what it costs, nothing of the answer."""
        planned = self.prepared.plan
        named = [] if planned.listing is None else [planned.listing.mechanism]
        return {
            "query": json_writing.to_json(planned.query),
            "fingerprint": self.question.fingerprint,
            "dataset": self.question.dataset,
            "edition": self.question.edition,
            "mechanisms": [one.name for one in (*named, *(measure.mechanism for measure in planned.measures))],
            **({} if planned.listing is None else {"threshold": planned.listing.mechanism.threshold}),
            **({"professionals": self.prepared.professionals} if self.prepared.professionals else {}),
            "loss": vars(self.loss),
        }

    def confirm(self, transaction: sa.Connection) -> Question:
        """Permit the query again, because the study may have been suspended or changed meanwhile.

        Returns the question to which the client's key ties it. Raises Abandoned if the client has left, NotFound,
        Forbidden, NotApproved, KeyConflict.
        """
        if self.prepared.has_left():
            raise Abandoned("the client has left")
        study, key = self.prepared.study, self.prepared.key
        if permit(transaction, self.actor, study.id).terms != study.terms:
            raise NotApproved(f"the terms of study {study.id} have just been changed; send it again")
        allowed = dataset_terms.noise_of(transaction, study.dataset)
        if allowed not in (None, BOTH, GAUSSIAN if self.loss.epsilon_nano is None else LAPLACE):
            raise NotApproved(f"the terms of the dataset {study.dataset} have just been changed; send it again")
        return self.question if key is None else releases.bind_key(transaction, self.question, key)

    def reserve(self, transaction: sa.Connection, question: Question) -> Charge:
        """Charge the study and the dataset.

        Raises OverBudget, AttemptsSpent, UnderWay; NotFound of an old edition; NotApproved.
        """
        accounts.require_approved(transaction, question.dataset)
        if question != self.question:
            raise NotFound(f"edition {question.edition}, for which this was first sent, is no longer kept")
        # A scan may take `query_seconds`, and its slot is a quarter longer at most.
        return charges.reserve(transaction, question, self.loss, scan_seconds=2 * self.services.settings.query_seconds)

    def compute(self) -> Json:
        """Return the body of a new release."""
        return hidden.salted(_asked(self.prepared) | compute(self.prepared.plan, self.store, self.stop))

    def binding(self, body: Json) -> Json:
        """Return the facts that bind a release's numbers: all of them, and what the protocol shows of them."""
        numbers = {certificates.NUMBERS: certificates.answer_sha256(body)}
        return numbers | hidden.binding(body, self.prepared.hides_below)

    def cancellable(self) -> AbstractContextManager[None]:
        """Let its asker cancel it by the key of its request."""
        key = self.prepared.key
        name = None if key is None else (self.prepared.study.id, self.actor.name, key)
        return self.services.cancels.possible(name, self.stop)

    @property
    def is_cancelled(self) -> bool:
        """Return whether its asker has cancelled it."""
        return self.stop.is_told()

    def refusal(self, error: OverBudget | AttemptsSpent) -> tuple[str, Json]:
        """Return the account that has too little left, or the study whose question was tried too often."""
        if isinstance(error, OverBudget):
            return error.account, {"code": "budget-exceeded"}
        return f"study:{self.question.study}", {"code": "attempts-spent"}

    def recording_refusals(self) -> AbstractContextManager[None]:
        """Record what `confirm` refuses too."""
        return refusals.recorded(self.services.database, self.actor, self.prepared.study.id, "query")
