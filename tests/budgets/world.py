"""A small ledger to test with: people, one dataset, studies on it, and the ledger's sums counted anew from its rows."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.actors import SYSTEM
from budgets.audit import log
from budgets.database import tables
from budgets.database.connection import Database
from budgets.database.tables import audit_entries, metadata
from budgets.formalities import Formalities
from budgets.governance import dataset_terms, datasets, rules, studies
from budgets.governance.study import Study, Terms
from budgets.identity import people
from budgets.ledger import accounts, charges
from budgets.ledger.charges import Question
from budgets.ledger.limits import Balance
from budgets.loss import NANO, Loss
from tests.databases import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from budgets.actors import Actor
    from budgets.ledger.charges import Charge, Release
    from tests.databases import Databases

FLU = "flu"
WHY = "a test"  # a budget so large
FORMALITIES = Formalities(
    kind="reference-methodology",
    number="MR-004, 1",
    issued="2020-01-01",
    expires=None,
    why_none=None,
    legal_basis="6(1)(e)",
    condition="9(2)(j)",
    controller="A hospital",
    processor="A host",
    recipients="its researchers",
    ends="2099-12-31",
    informed="by a letter in 2020",
    objections="by a letter",
    honoured="those of 2020 in edition 1",
    incentives="none",
)
TERMS = Terms("Flu and the heart", "to learn whether flu harms the heart", "article 6(1)(e)", formalities=FORMALITIES)
# Names that occur nowhere else, so that a search for them means something.
ADMIN, DPO, APPROVER = "zaphod.admin", "trillian.dpo", "fenchurch.approver"
ANNA, BEN = "anna.zwarts", "ben.quirk"
Sums = dict[tuple[str, str], tuple[int, ...]]


@dataclass(frozen=True)
class World:
    """A ledger with people in it: an admin, a DPO, an approver, and two researchers."""

    url: str
    database: Database
    admin: Actor
    dpo: Actor
    approver: Actor
    anna: Actor
    ben: Actor

    def import_edition(self, epsilon: int = 10 * NANO, delta: int = 10**12, *, overcommit: bool = True) -> int:
        """Import the dataset once more, and return the edition's number. The first one is approved, with any profiles."""
        with self.database.write() as transaction:
            number = add_edition(transaction, self.admin, epsilon, delta, overcommit=overcommit).number
            if number == 1:
                dataset_terms.approve(transaction, FLU, "as the test needs it", self.approver, without_advice="a test")
            return number

    def open_study(self, name: str, epsilon: int, delta: int | None = None, *, state: str = "approved") -> None:
        """Open a study in a state."""
        path = {"draft": (), "approved": ("approve",), "suspended": ("approve", "suspend"), "closed": ("close",)}
        with self.database.write() as transaction:
            studies.open_study(transaction, name, FLU, TERMS, epsilon, delta, self.admin, justification=WHY)
            for action in path[state]:
                by = self.approver if action == "approve" else self.dpo
                studies.move(transaction, name, action, "as the test needs it", by, without_advice="a test")

    def reserve(self, study: str, text: str, loss: Loss) -> Charge:
        """Charge a question, in a transaction of its own."""
        with self.database.write() as transaction:
            charge = charges.reserve(transaction, question(study, text), loss)
            action = "query.resume" if charge.resumed else "query.reserve"
            log.append(transaction, self.anna, action, charge.id, f"{loss.text} was reserved", study=study)
            return charge

    def settle(self, charge: Charge, body: dict[str, Any] | None) -> Release | None:
        """Settle a charge, in a transaction of its own."""
        with self.database.write() as transaction:
            return charges.settle(transaction, charge, body)

    def void(self, charge: Charge) -> bool:
        """Give a charge back, in a transaction of its own."""
        with self.database.write() as transaction:
            return charges.void(transaction, charge)

    def spend(self, study: str, text: str, loss: Loss) -> None:
        """Reserve and settle."""
        self.settle(self.reserve(study, text, loss), {"answer": text})

    def balance(self, study: str | None = None) -> Balance:
        """Return a study's balance, or the dataset's."""
        with self.database.read() as transaction:
            if study is None:
                return accounts.balance(transaction, accounts.DATASET, FLU)
            return accounts.balance(transaction, accounts.STUDY, study)

    def study(self, name: str) -> Study:
        """Return a study."""
        with self.database.read() as transaction:
            return studies.study(transaction, name)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every row of every table."""
        with self.database.read() as transaction:
            return everything(transaction)

    def check(self) -> None:
        """Assert what holds of every ledger at every moment."""
        with self.database.read() as transaction:
            check(transaction)

    def edit(self, *statements: str) -> None:
        """Run SQL behind the product's back, as somebody with access to the database could."""
        change(self.url, *statements)


def make_world(databases: Databases) -> World:
    """Make a ledger with people and nothing else."""
    url, actors = databases.filled(_with_people)
    return World(url, Database(url), *actors)


def _with_people(database: Database) -> tuple[Actor, Actor, Actor, Actor, Actor]:
    with database.write() as transaction:
        rules.begin(transaction)
        return (
            people.add_user(transaction, ADMIN, "admin", SYSTEM),
            people.add_user(transaction, DPO, "dpo", SYSTEM),
            people.add_user(transaction, APPROVER, "approver", SYSTEM),
            people.add_user(transaction, ANNA, "researcher", SYSTEM),
            people.add_user(transaction, BEN, "researcher", SYSTEM),
        )


class Interruption(Exception):
    """What ends a transaction that is to leave no trace."""


@contextlib.contextmanager
def interrupted(database: Database) -> Iterator[sa.Connection]:
    """Open a transaction that fails at its very end."""
    with contextlib.suppress(Interruption), database.write() as transaction:
        yield transaction
        raise Interruption


def add_edition(
    transaction: sa.Connection,
    by: Actor,
    epsilon: int,
    delta: int,
    *,
    overcommit: bool = True,
    folder: str = "one",
    title: str = "Flu",
    named: Formalities | None = FORMALITIES,
    noise: str = "both",
) -> datasets.Edition:
    """Put an edition of the dataset in service."""
    return datasets.add_edition(
        transaction,
        dataset=FLU,
        title=title,
        epsilon_nano=epsilon,
        delta_atto=delta,
        overcommit=overcommit,
        folder=folder,
        by=by,
        noise=noise,
        profile_nano=epsilon,
        named=named,
        justification=WHY,
    )


def question(study: str, text: str, edition: int = 1) -> Question:
    """Return the question that a text stands for."""
    return Question(study, FLU, edition, hashlib.sha256(text.encode()).hexdigest())


def cost(epsilon: int, rho: int | None = None, delta: int = 0) -> Loss:
    """Return a loss in whole units; without a rho, that of pure DP."""
    return Loss(epsilon, -(-epsilon * epsilon // (2 * NANO)) if rho is None else rho, delta)


def everything(transaction: sa.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    return {
        table.name: [tuple(row) for row in transaction.execute(sa.select(table).order_by(*table.primary_key))]
        for table in metadata.sorted_tables
    }


def sums_of_rows(transaction: sa.Connection) -> Sums:
    """Return what the charge rows add up to for each account: epsilon, rho, delta, charges without epsilon and their rho, reserved, then spent."""
    rows: list[Any] = list(transaction.execute(sa.select(tables.charges)).mappings())
    rows += transaction.execute(sa.select(tables.profile_charges)).mappings()
    settled = {row["reserve_id"] for row in rows if row["kind"] == "settle"}
    voided = {row["reserve_id"] for row in rows if row["kind"] == "void"}
    sums: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        if row["kind"] != "reserve" or row["id"] in voided:
            continue
        at = 5 if row["id"] in settled else 0
        study = [("study", row["study"])] if "study" in row else []  # a profile belongs to none
        for owner in (*study, ("dataset", row["dataset"])):
            present = sums.setdefault(owner, [0] * 10)
            for place, column in enumerate(("epsilon_nano", "rho_nano", "delta_atto")):
                present[at + place] += row[column] or 0
            present[at + 3] += row["epsilon_nano"] is None
            present[at + 4] += row["rho_nano"] if row["epsilon_nano"] is None else 0
    return {owner: tuple(numbers) for owner, numbers in sums.items()}


def sums_kept(transaction: sa.Connection) -> Sums:
    """Return the running sums that the accounts keep, in the same form, without those of untouched accounts."""
    c = tables.accounts.c
    columns = (
        *(
            c.epsilon_reserved_nano,
            c.rho_reserved_nano,
            c.delta_reserved_atto,
            c.unbounded_reserved,
            c.gaussian_reserved_nano,
        ),
        *(c.epsilon_spent_nano, c.rho_spent_nano, c.delta_spent_atto, c.unbounded_spent, c.gaussian_spent_nano),
    )
    rows = transaction.execute(sa.select(c.kind, c.owner, *columns))
    kept = {(row[0], row[1]): tuple(row[2:]) for row in rows}
    return {owner: numbers for owner, numbers in kept.items() if any(numbers)}


def check(transaction: sa.Connection) -> None:
    """Assert what holds of every ledger at every moment."""
    assert sums_kept(transaction) == sums_of_rows(transaction), "the running sums are those of the rows"
    for row in transaction.execute(sa.select(tables.accounts)):
        basic = (
            row.unbounded_reserved + row.unbounded_spent == 0
            and row.epsilon_reserved_nano + row.epsilon_spent_nano <= row.epsilon_limit_nano
        )
        split = (
            row.epsilon_reserved_nano + row.epsilon_spent_nano <= row.laplace_limit_nano
            and row.gaussian_reserved_nano + row.gaussian_spent_nano <= row.gaussian_limit_nano
        )
        assert basic or row.rho_reserved_nano + row.rho_spent_nano <= row.rho_limit_nano or split
        assert row.delta_reserved_atto + row.delta_spent_atto <= row.delta_keys_limit_atto
    voids = sa.select(tables.charges.c.reserve_id).where(tables.charges.c.kind == "void")
    twice = transaction.execute(
        sa.select(tables.charges.c.fingerprint)
        .where(tables.charges.c.kind == "reserve", tables.charges.c.id.not_in(voids))
        .group_by(
            tables.charges.c.study, tables.charges.c.dataset, tables.charges.c.edition, tables.charges.c.fingerprint
        )
        .having(sa.func.count() > 1)
    ).all()
    assert twice == [], "a question is charged once"
    paid = sa.select(tables.charges.c.reserve_id).where(tables.charges.c.kind == "settle")
    unpaid = transaction.execute(sa.select(tables.releases.c.id).where(tables.releases.c.charge.not_in(paid))).all()
    assert unpaid == [], "a release has its settled charge"
    paid = sa.select(tables.profile_charges.c.reserve_id).where(tables.profile_charges.c.kind == "settle")
    unpaid = transaction.execute(sa.select(tables.profiles.c.id).where(tables.profiles.c.charge.not_in(paid))).all()
    assert unpaid == [], "a profile has its settled charge"


def actions(transaction: sa.Connection) -> list[str]:
    """Return the actions in the audit log, in order."""
    entries = sa.select(audit_entries.c.action).order_by(audit_entries.c.position)
    return list(transaction.execute(entries).scalars())


def log_problems(database: Database) -> list[str]:
    """Return what the audit log's chain check says."""
    with database.read() as transaction:
        return list(log.problems(transaction))
