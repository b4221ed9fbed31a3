"""Steps 4 to 9 of the journey (`answer.py`): how a question is paid for, answered, stored and sent.

Queries and contribution profiles take the same steps, and a `Purchase` has what differs. `release` walks them:

4. replay    a question that has its release gets it again, free
5. reserve   one transaction charges the accounts, or refuses; given back if the store then does not open
6. scan      exact integers, then
7. noise     (`Purchase.compute`): whatever fails from here on, nothing is given back
8. settle    a fifth of a slot before a beat, one transaction stores the release, settles the charge and appends the
             entry of the log. Not earlier, because lists, budgets, the log and certificates show when it was written
9. slot      what was asked leaves at the beat. Only then the request leaves its place (`server/admission/gate.py`)

A failed scan may depend on data, and so may the time at which it ended. Therefore a failure is settled and leaves as an
answer does, with one constant text. Until it is settled its asker may cancel it (`server/admission/cancels.py`). Only
`open_store` gives a charge back: no event has been read by then.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from budgets.alerts import bursts, thresholds
from budgets.audit import certificates, log
from budgets.errors import AttemptsSpent, OverBudget, Unavailable
from budgets.ledger import accounts, charges
from budgets.ledger.charges import Charge, Question, Release
from queries.errors import EngineFailed
from server.admission import running
from server.errors import Cancelled, QueryFailed, StoreUnavailable
from server.runtime.scans.slots import AHEAD, Slot
from server.runtime.tallies import Act

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.loss import Loss
    from server.runtime.services import Services
    from server.runtime.stores import OpenEdition

    Json = dict[str, Any]
    Made = tuple[Json, Json]  # the body of a new release, and the facts that bind it to the log

logger = logging.getLogger("rowless")


@dataclass(frozen=True)
class Purchase(ABC):
    """A question that is asked for its price, and what a query and a profile do differently on the way."""

    name: ClassVar[str]  # in summaries
    actions: ClassVar[str]  # the actions of the log begin with it

    services: Services
    actor: Actor
    question: Question
    loss: Loss
    store: OpenEdition

    @abstractmethod
    def slot_seconds(self) -> float:
        """Return the length of its slot, from public figures alone."""

    @abstractmethod
    def facts(self) -> Json:
        """Return what each entry of the log keeps: what was asked and what it costs, nothing of the answer."""

    @abstractmethod
    def confirm(self, transaction: sa.Connection) -> Question:
        """Check again, now that nothing can change in between, and return the question that is really asked."""

    @abstractmethod
    def reserve(self, transaction: sa.Connection, question: Question) -> Charge:
        """Charge the confirmed question, or resume its charge."""

    @abstractmethod
    def compute(self) -> Json:
        """Return the body of a new release (steps 6 and 7)."""

    def binding(self, body: Json) -> Json:  # noqa: ARG002
        """Return the facts by which the entry of a release binds its numbers, if certificates are made of it."""
        return {}

    @abstractmethod
    def refusal(self, error: OverBudget | AttemptsSpent) -> tuple[str, Json]:
        """Return the subject of the entry that records a refusal, and the facts that it adds."""

    def cancellable(self) -> AbstractContextManager[None]:
        """Return the context in which its asker can cancel it."""
        return nullcontext()

    @property
    def is_cancelled(self) -> bool:
        """Return whether its asker has cancelled it."""
        return False

    def recording_refusals(self) -> AbstractContextManager[None]:
        """Return the context in which other refusals are recorded."""
        return nullcontext()

    def replaying(self, stored: Release) -> Act:
        """Return the act of asking again for a release."""
        about = f"{self.actions}.replay", stored.id, stored.question.study
        return Act(self.actor, *about, "readings of a stored release")

    def log(self, transaction: sa.Connection, action: str, subject: str, summary: str, **facts: Any) -> None:
        """Append an entry to the log."""
        action, study = f"{self.actions}.{action}", self.question.study
        log.append(transaction, self.actor, action, subject, summary, study=study, facts={**self.facts(), **facts})


@contextmanager
def release(wanted: Purchase) -> Iterator[tuple[Release, bool]]:
    """Yield the release of a question, new or stored, and whether it is a replay; end at the beat of its slot.

    Raises what `replay_or_reserve`, `open_store` and `settle` raise, and Busy.
    """
    services = wanted.services
    running.step_aside()
    with ExitStack() as leaving:
        # The same question at the same time waits here for its answer, instead of a second scan.
        with services.turns.one(wanted.question):
            with wanted.recording_refusals():
                found = replay_or_reserve(wanted)
            slot = Slot.start(wanted.slot_seconds())
            leaving.callback(slot.wait)  # from here on every end waits for the slot
            if not isinstance(found, Release):
                with wanted.cancellable():
                    wanted = open_store(wanted, found)
                    made = scan(wanted, found)
                    late = slot.overran()
                    slot.wait(AHEAD)
                if late:
                    services.count_overrun(wanted.question.dataset)
            stored = found if isinstance(found, Release) else settle(wanted, found, made)
        yield stored, isinstance(found, Release)


def replay_or_reserve(wanted: Purchase) -> Release | Charge:
    """Return the stored release, or a charge for a new one (steps 4 and 5).

    Raises OverBudget, AttemptsSpent, UnderWay, and what the purchase's `confirm` and `reserve` raise.
    """
    try:
        with wanted.services.tallies.writing() as is_first, wanted.services.database.write() as transaction:
            question = wanted.confirm(transaction)
            stored = charges.find_release(transaction, question)
            if stored is not None:
                if is_first(wanted.replaying(stored)):
                    wanted.log(transaction, "replay", stored.id, "a stored release was read again")
                return stored
            charge = wanted.reserve(transaction, question)
            if charge.resumed:
                summary = f"{charge.loss.text} was resumed, attempt {charge.attempt}"
                wanted.log(transaction, "resume", charge.id, summary, attempt=charge.attempt)
            else:
                wanted.log(transaction, "reserve", charge.id, f"{charge.loss.text} was reserved")
            thresholds.after_charge(transaction, question.study, question.dataset)
    except (OverBudget, AttemptsSpent) as error:
        with wanted.services.database.write() as transaction:
            _record(transaction, wanted, error)
        raise
    if not charge.resumed:
        wanted.services.metrics.charged(wanted.name)
    return charge


def _record(transaction: sa.Connection, wanted: Purchase, error: OverBudget | AttemptsSpent) -> None:
    """Write the entry of a refusal, and look whether an alert is due."""
    subject, facts = wanted.refusal(error)
    why = "all attempts that its charge allows were made"
    if isinstance(error, OverBudget):
        why = f"it exceeds the {error.account}'s budget"
    wanted.log(transaction, "refuse", subject, f"a {wanted.name} of {wanted.loss.text} was refused: {why}", **facts)
    if isinstance(error, OverBudget):
        study, dataset = wanted.question.study, wanted.question.dataset
        owner = study if study is not None and error.account == accounts.STUDY else dataset
        thresholds.after_refusal(transaction, error.account, owner, wanted.loss)
    bursts.after_refusal(transaction, wanted.actor)


def open_store(wanted: Purchase, charge: Charge) -> Purchase:
    """Open the store for the scan, or give the charge back. Raises StoreUnavailable.

    No event was read yet, and whether a file opens is the same for every question, so the refund reveals nothing.
    If the edition's parts were made anew since the question came, the scan takes the new ones: they hold the same.
    """
    try:
        return replace(wanted, store=wanted.services.stores.ready(wanted.store))
    except (EngineFailed, StoreUnavailable) as failure:
        logger.exception("the store of charge %s cannot be opened", charge.id)
        with suppress(Unavailable), wanted.services.database.write() as transaction:
            # If this cannot be written, or another attempt already scans on the charge, it stays as it is.
            if charges.void(transaction, charge):
                wanted.log(transaction, "void", charge.id, f"{charge.loss.text} was given back")
        raise StoreUnavailable("its store cannot be opened; nothing was charged for this attempt") from failure


def scan(wanted: Purchase, charge: Charge) -> Made | None:
    """Scan, bound and add noise (steps 6 and 7), or return None: whatever failed, nothing is given back."""
    try:
        body = wanted.compute()
        # Bound here and not while settling, because the hash of a large answer takes a while.
        return body, _binding(wanted, charge.reserved_at, body)
    except Exception:
        # It may depend on data: the asker learns that it failed, and only the admin's log why.
        logger.exception("the %s on charge %s failed", wanted.name, charge.id)
        return None


def settle(wanted: Purchase, charge: Charge, made: Made | None) -> Release:
    """Store a release and spend its charge (step 8).

    Raises QueryFailed, and Cancelled if its asker has cancelled it, whether or not its scan had ended. Then nothing is
    given back.
    """
    stored = None
    try:
        if made is not None and not wanted.is_cancelled:
            stored = _store(wanted, charge, made)
    except Exception:
        logger.exception("the %s of charge %s could not be stored", wanted.name, charge.id)
    if stored is None:
        with suppress(Unavailable), wanted.services.database.write() as transaction:
            # If even this cannot be written, the charge stays reserved, which counts as gone until it is resumed.
            charges.settle(transaction, charge, None)
            what = "was cancelled" if wanted.is_cancelled else "failed"
            wanted.log(transaction, "fail", charge.id, f"a {wanted.name} {what}; its charge is spent")
        raise Cancelled if wanted.is_cancelled else QueryFailed
    return stored


def _store(wanted: Purchase, charge: Charge, made: Made) -> Release:
    body, binding = made
    with wanted.services.database.write() as transaction:
        stored = charges.settle(transaction, charge, body)
        assert stored is not None, "a body was given"
        if stored.body is not body:  # another attempt was there first
            binding = _binding(wanted, stored.charged_at, stored.body)
        summary = f"a release of {charge.loss.text} was made"
        wanted.log(transaction, "release", stored.id, summary, charge=charge.id, **binding)
    return stored


def _binding(wanted: Purchase, charged_at: str, body: Json) -> Json:
    """Return the facts by which the entry of a release binds its numbers, which stay out of the log."""
    bound = wanted.binding(body)
    return {certificates.CHARGED_AT: charged_at, **bound} if bound else {}
