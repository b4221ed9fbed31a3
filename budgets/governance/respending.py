"""Charging a restored ledger again with what it forgot.

A ledger that was restored from a backup forgets what was spent since, but what was released stays released. A later
export of the log shows it. The export is verified first, and it has to be of the same log: it begins with the same
entries. Beyond the last entry that both have, it shows:

- charges that the ledger does not have: each is charged again;
- answers to charges that the ledger has without their answer. The ledger would resume such a charge for free, and draw
  other noise for the same charge. Therefore its loss is charged once more, which pays for that second answer.

What is charged here belongs to no question: whoever asks one of them again pays again, because the numbers will be
other ones. Each charge has the id that the export gives it (for an answer, one derived from it), so it is charged once
however often the command runs.

A study that the ledger does not know, or that has too little left, is left out: then the dataset alone is charged. Its
cap is what persons were promised. If not even the dataset has enough left, the rest of it is taken, so that nothing
further can be asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import thresholds
from budgets.audit import log
from budgets.audit.history import RESERVES, RESPEND
from budgets.database.tables import charges as charge_rows
from budgets.database.tables import profile_charges, releases, studies
from budgets.errors import Invalid, NotFound, OverBudget
from budgets.governance import datasets
from budgets.identity import people
from budgets.ledger import accounts, charges
from budgets.ledger.charges import Question
from budgets.loss import Loss
from budgets.verify.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from budgets.actors import Actor

CHARGED, ANSWERED, REST = "charged", "answered", "rest"
VOIDS = ("query.void", "dataset.profile.void")
RELEASES = ("query.release", "dataset.profile.release")


@dataclass(frozen=True)
class Forgotten:
    """A loss that an export shows and the ledger may not have. `entry` is its place in the export."""

    id: str
    study: str | None
    dataset: str
    loss: Loss
    why: str
    entry: int


@dataclass
class Respent:
    """What was charged again: the charges, those that the ledger had already, and what an admin has to look at."""

    entries: int
    common: int
    charged: list[Forgotten] = field(default_factory=list)
    known: int = 0
    problems: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        losses = [
            {"study": one.study, "dataset": one.dataset, "why": one.why, "entry": one.entry, "cost": one.loss.to_json()}
            for one in self.charged
        ]
        return {
            "entries": self.entries,
            "common": self.common,
            "known": self.known,
            "charged": losses,
            "problems": self.problems,
        }


def respend(transaction: sa.Connection, lines: Iterable[bytes], by: Actor) -> Respent:
    """Charge what a verified export shows and the ledger forgot.

    Raises Forbidden, and Invalid if it is an export of another log.
    """
    people.require_role(by, "admin")
    found, entries, common = _forgotten(transaction, lines)
    told = Respent(entries, common)
    exhausted: set[str] = set()
    for one in found:
        if _is_known(transaction, one.id):
            told.known += 1
        else:
            _charge(transaction, one, by, told, exhausted)
    for study, dataset in dict.fromkeys((one.study, one.dataset) for one in told.charged):
        thresholds.after_charge(transaction, study, dataset)
    return told


def _forgotten(transaction: sa.Connection, lines: Iterable[bytes]) -> tuple[list[Forgotten], int, int]:
    """Return what an export shows beyond the entries that the ledger has too; how many it has; how many are common."""
    reserved: dict[str, Forgotten] = {}
    found: dict[str, Forgotten] = {}
    own = log.every_body(transaction, log.size(transaction))
    position, common, together = -1, 0, True
    for position, line in enumerate(lines):
        text = line.removesuffix(b"\n")
        body = next(own, None) if together else None
        together = body is not None and leaf_hash(body.encode()) == leaf_hash(text)
        common += together
        _read(json.loads(text), position, reserved, None if together else found)
    if not common:
        raise Invalid("export", "is of another log: its first entry is not that of this ledger")
    again = [one for one in found.values() if one.why == ANSWERED and not _has_release(transaction, one)]
    kept = [one for one in found.values() if one.why == CHARGED]
    kept += [replace(one, id=_derived("again", one.id)) for one in again]
    return sorted(kept, key=lambda one: one.entry), position + 1, common


def _read(
    entry: dict[str, Any], position: int, reserved: dict[str, Forgotten], found: dict[str, Forgotten] | None
) -> None:
    """Read an entry. `found` is None as long as the ledger has the same entry."""
    action, facts = entry["action"], entry["facts"]
    if action in RESERVES or action == RESPEND:
        identifier = entry["subject"].removeprefix("charge:")
        one = Forgotten(identifier, entry["study"], facts["dataset"], Loss(**facts["loss"]), CHARGED, position)
        reserved[identifier] = one
        if found is not None:
            found[identifier] = one
    elif action in VOIDS and found is not None:
        found.pop(entry["subject"], None)
    elif action in RELEASES and found is not None and facts.get("charge") in reserved:
        one = reserved[facts["charge"]]
        found.setdefault(one.id, replace(one, why=ANSWERED, entry=position))


def _derived(what: str, identifier: str) -> str:
    return hashlib.sha256(f"{what} {identifier}".encode()).hexdigest()[:32]


def _has_release(transaction: sa.Connection, one: Forgotten) -> bool:
    """Return whether the ledger has the answer of a charge. It then stays the answer, and nothing is drawn again."""
    table = charges.PROFILES.releases if one.study is None else releases
    return transaction.execute(sa.select(table.c.id).where(table.c.charge == one.id)).first() is not None


def _is_known(transaction: sa.Connection, identifier: str) -> bool:
    return any(
        transaction.execute(sa.select(table.c.id).where(table.c.id == identifier)).first() is not None
        for table in (charge_rows, profile_charges)
    )


def _charge(transaction: sa.Connection, one: Forgotten, by: Actor, told: Respent, exhausted: set[str]) -> None:
    try:
        edition = datasets.current(transaction, one.dataset).number
    except NotFound:
        told.problems.append(
            f"entry {one.entry}: the dataset {one.dataset} is not in this ledger, so {one.loss.text} could not be "
            "charged. Import it, and run this again before anybody asks"
        )
        return
    with_study = one if one.study is None else _require_room(transaction, one, told)
    try:
        _spend(transaction, with_study, edition, by)
        told.charged.append(with_study)
    except OverBudget:
        if one.dataset not in exhausted:
            exhausted.add(one.dataset)
            told.problems.append(
                f"the dataset {one.dataset} spent more than its cap, counting what was asked since the backup was "
                "restored: the rest of the cap is taken, and no query is admitted any more"
            )
            _take_rest(transaction, one, edition, by, told)


def _require_room(transaction: sa.Connection, one: Forgotten, told: Respent) -> Forgotten:
    """Return the charge, without its study if that is not known or has too little left."""
    known = transaction.execute(sa.select(studies.c.dataset).where(studies.c.id == one.study)).scalar()
    if known == one.dataset:
        if accounts.balance(transaction, accounts.STUDY, str(one.study)).admits(one.loss):
            return one
        why = "has too little left in this ledger"
    else:
        why = "is not in this ledger"
    told.problems.append(
        f"entry {one.entry}: the study {one.study} {why}, so {one.loss.text} was charged to {one.dataset} alone"
    )
    return replace(one, study=None)


def _take_rest(transaction: sa.Connection, one: Forgotten, edition: int, by: Actor, told: Respent) -> None:
    for number, loss in enumerate(accounts.balance(transaction, accounts.DATASET, one.dataset).rest()):
        # The first has the name that it had when there was but one.
        what = f"rest {number}" if number else "rest"
        rest = Forgotten(_derived(what, one.id), None, one.dataset, loss, REST, one.entry)
        _spend(transaction, rest, edition, by)
        told.charged.append(rest)


def _spend(transaction: sa.Connection, one: Forgotten, edition: int, by: Actor) -> None:
    """Charge a loss to the accounts, as spent, for a question that nobody can ask. Raises OverBudget."""
    # No question has this fingerprint, so nothing resumes the charge.
    fingerprint = hashlib.sha256(f"{RESPEND} {one.id}".encode()).hexdigest()
    question = Question(one.study, one.dataset, edition, fingerprint)
    charges.settle(transaction, charges.reserve(transaction, question, one.loss, identifier=one.id), None)
    log.append(
        transaction,
        by,
        RESPEND,
        f"charge:{one.id}",
        f"{one.loss.text} was charged again, which entry {one.entry} of an export shows",
        study=one.study,
        facts={"dataset": one.dataset, "loss": vars(one.loss), "why": one.why, "entry": one.entry},
    )
