"""Datasets and their editions, as budgets need them: a name, a cap that all editions share, and their folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.alerts import thresholds
from budgets.audit import log
from budgets.database import clock
from budgets.database.tables import datasets, editions
from budgets.errors import NotFound, WrongState
from budgets.governance import dataset_terms
from budgets.identity import people
from budgets.ledger import accounts
from budgets.ledger import justification as justifications
from budgets.ledger.limits import LAPLACE_PERCENT, Budget
from budgets.loss import epsilon_text

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.formalities import Formalities


# Built once, because each question about a dataset executes it.
_FIND_EDITIONS = sa.select(editions).where(editions.c.dataset == sa.bindparam("dataset"))
_FIND_CURRENT = _FIND_EDITIONS.order_by(editions.c.number.desc()).limit(1)


@dataclass(frozen=True)
class Edition:
    """One import of a dataset. `folder` holds its store."""

    dataset: str
    number: int
    folder: str
    imported_at: str


def add_edition(
    transaction: sa.Connection,
    *,
    dataset: str,
    title: str,
    epsilon_nano: int,
    delta_atto: int,
    overcommit: bool,
    folder: str,
    by: Actor,
    noise: str,
    profile_nano: int = 0,
    laplace_percent: int | None = None,
    justification: str | None = None,
    named: Formalities | None = None,
) -> Edition:
    """Put a new edition in service. What earlier editions spent stays spent. `named` are the manifest's formalities.

    `noise` is what its queries may have. The first import proposes the cap and what profiles may take of it,
    `profile_nano`. They wait for an approver (`dataset_terms.py`). A later manifest may lower the cap, but no import
    can raise it, because the persons in the data were promised the first one. What it lowers, it lowers in terms that
    wait as well. Nor does an import divide the epsilon of an approved dataset anew. Raises Forbidden, WrongState.
    """
    people.require_role(by, "admin")
    known = transaction.execute(sa.select(datasets).where(datasets.c.name == dataset)).first()
    lowered = False
    if known is None:
        percent = LAPLACE_PERCENT if laplace_percent is None else laplace_percent
        budget = justifications.require(justifications.kept(Budget(epsilon_nano, delta_atto, percent, justification)))
        transaction.execute(
            sa.insert(datasets).values(name=dataset, title=title, overcommit=int(overcommit), created_at=clock.now())
        )
        accounts.open_account(transaction, accounts.DATASET, dataset, budget)
    else:
        before = accounts.balance(transaction, accounts.DATASET, dataset).budget
        percent = _laplace_percent(transaction, dataset, laplace_percent)
        budget = justifications.kept(Budget(epsilon_nano, delta_atto, percent, justification), before)
        lowered = _lower_cap(transaction, dataset, budget)
        transaction.execute(
            sa.update(datasets).where(datasets.c.name == dataset).values(title=title, overcommit=int(overcommit))
        )
    edition = _next_edition(transaction, dataset, folder)
    terms = dataset_terms.Terms(budget, profile_nano, named, noise)
    dataset_terms.imported(transaction, dataset, terms, by, lowered=lowered)
    log.append(
        transaction,
        by,
        "dataset.import",
        f"dataset:{dataset}",
        f"edition {edition.number} of {dataset} was imported",
        facts={"edition": edition.number, **terms.facts()},
    )
    if lowered:
        thresholds.after_limits(transaction, accounts.DATASET, dataset)
    return edition


def _next_edition(transaction: sa.Connection, dataset: str, folder: str) -> Edition:
    last = transaction.execute(sa.select(sa.func.max(editions.c.number)).where(editions.c.dataset == dataset)).scalar()
    edition = Edition(dataset, (last or 0) + 1, folder, clock.now())
    transaction.execute(
        sa.insert(editions).values(
            dataset=dataset, number=edition.number, folder=folder, imported_at=edition.imported_at
        )
    )
    return edition


def _laplace_percent(transaction: sa.Connection, dataset: str, wanted: int | None) -> int:
    """Return the part for Laplace noise of a known dataset: what it has, or what is wanted before it was approved."""
    present = accounts.balance(transaction, accounts.DATASET, dataset).limits.laplace_percent
    if wanted in {None, present}:
        return present
    if accounts.is_approved(transaction, dataset):
        raise WrongState(
            f"{present}% of the cap of {dataset} is for Laplace noise and a new edition cannot change it. An approver "
            "can: rowless dataset propose"
        )
    assert wanted is not None
    return wanted


def _lower_cap(transaction: sa.Connection, dataset: str, lower: Budget) -> bool:
    """Set what an import changes of a cap; return whether it changes something."""
    balance = accounts.balance(transaction, accounts.DATASET, dataset)
    cap = balance.limits
    if lower.epsilon_nano > cap.epsilon_nano or lower.delta_atto > cap.delta_atto:
        raise WrongState(
            f"the cap of {dataset} is epsilon {epsilon_text(cap.epsilon_nano)} and a new edition cannot raise it: "
            "that is what the persons in it were promised. An approver can: rowless dataset propose"
        )
    if lower.limits == cap:
        return False
    accounts.require_enough(balance, justifications.require(lower))
    accounts.set_limits(transaction, accounts.DATASET, dataset, lower)
    return True


def names(transaction: sa.Connection) -> list[str]:
    """Return the names of all datasets."""
    return list(transaction.execute(sa.select(datasets.c.name).order_by(datasets.c.name)).scalars())


def title(transaction: sa.Connection, dataset: str) -> str:
    """Return a dataset's title. Raises NotFound."""
    found: str | None = transaction.execute(sa.select(datasets.c.title).where(datasets.c.name == dataset)).scalar()
    if found is None:
        raise NotFound(f"there is no dataset {dataset}")
    return found


def current(transaction: sa.Connection, dataset: str) -> Edition:
    """Return the edition in service. Raises NotFound."""
    return _one(transaction, _FIND_CURRENT, dataset)


def edition(transaction: sa.Connection, dataset: str, number: int) -> Edition:
    """Return one edition. Raises NotFound."""
    return _one(transaction, _FIND_EDITIONS.where(editions.c.number == number), dataset)


def editions_of(transaction: sa.Connection, dataset: str) -> list[Edition]:
    """Return all editions of a dataset, newest first. Raises NotFound."""
    wanted = sa.select(editions).where(editions.c.dataset == dataset).order_by(editions.c.number.desc())
    found = [Edition(row.dataset, row.number, row.folder, row.imported_at) for row in transaction.execute(wanted)]
    if not found:
        raise NotFound(f"there is no dataset {dataset}")
    return found


def _one(transaction: sa.Connection, wanted: sa.Select[Any], dataset: str) -> Edition:
    row = transaction.execute(wanted, {"dataset": dataset}).first()
    if row is None:
        raise NotFound(f"there is no dataset {dataset}, or no such edition of it")
    return Edition(row.dataset, row.number, row.folder, row.imported_at)


def folders(transaction: sa.Connection, dataset: str) -> list[str]:
    """Return the folders of a dataset's editions, the one in service first."""
    wanted = sa.select(editions.c.folder).where(editions.c.dataset == dataset).order_by(editions.c.number.desc())
    return list(transaction.execute(wanted).scalars())
