"""Accounts: one per study and one per dataset, each with a limit and the running sums of what it was charged.

Whether a charge fits is decided in `admit`, inside the transaction that writes it. An account admits a further charge
while the sum of epsilon over everything reserved and spent stays within its limit: the basic filter, valid for queries
chosen adaptively and concurrently (Rogers et al. 2016). The sums of rho are kept beside it from the first day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.errors import NotFound, OverBudget
from budgets.loss import Loss
from budgets.tables import accounts, charges, studies

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDY, DATASET = "study", "dataset"
UNITS = (("epsilon", "nano"), ("rho", "nano"), ("delta", "atto"))


@dataclass(frozen=True)
class Balance:
    """An account's limit and sums. What is reserved counts as gone until it is settled or voided."""

    kind: str
    owner: str
    limit: Loss
    reserved: Loss
    spent: Loss

    @property
    def used(self) -> Loss:
        """Return what is spent or reserved."""
        return self.spent + self.reserved

    @property
    def left(self) -> Loss:
        """Return what can still be charged."""
        assert self.limit.epsilon_nano is not None
        assert self.used.epsilon_nano is not None
        return Loss(self.limit.epsilon_nano - self.used.epsilon_nano, 0, self.limit.delta_atto - self.used.delta_atto)

    def to_json(self) -> dict[str, Any]:
        """Return the balance as people read it."""
        limit, left = self.limit.to_json(), self.left.to_json()
        return {
            "epsilon": limit["epsilon"],
            "delta": limit["delta"],
            "spent": self.spent.to_json(),
            "reserved": self.reserved.to_json(),
            "remaining": {"epsilon": left["epsilon"], "delta": left["delta"]},
        }


def open_account(
    transaction: sa.Connection, kind: str, owner: str, epsilon_limit_nano: int, delta_limit_atto: int
) -> None:
    """Open an account with nothing spent."""
    sums = {column.name: 0 for column in accounts.c if column.name.split("_")[1:2] in (["reserved"], ["spent"])}
    transaction.execute(
        sa.insert(accounts).values(
            kind=kind,
            owner=owner,
            epsilon_limit_nano=epsilon_limit_nano,
            delta_limit_atto=delta_limit_atto,
            **sums,
        )
    )


def balance(transaction: sa.Connection, kind: str, owner: str) -> Balance:
    """Return an account's balance. Raises NotFound."""
    row = transaction.execute(sa.select(accounts).where(accounts.c.kind == kind, accounts.c.owner == owner)).first()
    if row is None:
        raise NotFound(f"there is no account for the {kind} {owner}")
    return Balance(
        kind,
        owner,
        Loss(row.epsilon_limit_nano, 0, row.delta_limit_atto),
        Loss(row.epsilon_reserved_nano, row.rho_reserved_nano, row.delta_reserved_atto),
        Loss(row.epsilon_spent_nano, row.rho_spent_nano, row.delta_spent_atto),
    )


def promised_epsilon_nano(transaction: sa.Connection, dataset: str, *, besides: str | None) -> int:
    """Return the sum of the epsilon that a dataset's studies may still take or took, `besides` one of them.

    A closed study holds what it spent and no more.
    """
    closed = studies.c.state == "closed"
    used = accounts.c.epsilon_spent_nano + accounts.c.epsilon_reserved_nano
    total: int | None = transaction.execute(
        sa.select(sa.func.sum(sa.case((closed, used), else_=accounts.c.epsilon_limit_nano)))
        .join_from(accounts, studies, accounts.c.owner == studies.c.id)
        .where(accounts.c.kind == STUDY, studies.c.dataset == dataset, studies.c.id != (besides or ""))
    ).scalar()
    return int(total or 0)


def set_limit(
    transaction: sa.Connection, kind: str, owner: str, epsilon_limit_nano: int, delta_limit_atto: int
) -> None:
    """Set a limit. The database refuses one below what is spent and reserved."""
    transaction.execute(
        sa.update(accounts)
        .where(accounts.c.kind == kind, accounts.c.owner == owner)
        .values(epsilon_limit_nano=epsilon_limit_nano, delta_limit_atto=delta_limit_atto)
    )


def admit(transaction: sa.Connection, study: str, dataset: str, loss: Loss) -> None:
    """Reserve a loss on both accounts, or raise OverBudget having changed nothing."""
    if loss.epsilon_nano is None:
        raise OverBudget(STUDY, loss, balance(transaction, STUDY, study).left)
    for kind, owner in ((STUDY, study), (DATASET, dataset)):
        left = balance(transaction, kind, owner).left
        assert left.epsilon_nano is not None
        if loss.epsilon_nano > left.epsilon_nano or loss.delta_atto > left.delta_atto:
            raise OverBudget(kind, loss, left)
    _move(transaction, study, dataset, loss, reserved=1, spent=0)


def spend(transaction: sa.Connection, study: str, dataset: str, loss: Loss) -> None:
    """Turn a reserved loss into a spent one, on both accounts."""
    _move(transaction, study, dataset, loss, reserved=-1, spent=1)


def _move(transaction: sa.Connection, study: str, dataset: str, loss: Loss, *, reserved: int, spent: int) -> None:
    epsilon = loss.epsilon_nano or 0
    c = accounts.c
    moved = transaction.execute(
        sa.update(accounts)
        .where(sa.or_(sa.and_(c.kind == STUDY, c.owner == study), sa.and_(c.kind == DATASET, c.owner == dataset)))
        .values(
            epsilon_reserved_nano=c.epsilon_reserved_nano + reserved * epsilon,
            epsilon_spent_nano=c.epsilon_spent_nano + spent * epsilon,
            rho_reserved_nano=c.rho_reserved_nano + reserved * loss.rho_nano,
            rho_spent_nano=c.rho_spent_nano + spent * loss.rho_nano,
            delta_reserved_atto=c.delta_reserved_atto + reserved * loss.delta_atto,
            delta_spent_atto=c.delta_spent_atto + spent * loss.delta_atto,
        )
    )
    assert moved.rowcount == 2, "a charge always moves a study's account and its dataset's"


def discrepancies(transaction: sa.Connection) -> Iterator[str]:
    """Yield each account whose running sums are not the sums of its charges."""
    for row in transaction.execute(sa.select(accounts)).all():
        mine = charges.c.study if row.kind == STUDY else charges.c.dataset
        sums = _sums_of_charges(transaction, mine == row.owner)
        kept = {
            state: tuple(getattr(row, f"{unit}_{state}_{scale}") for unit, scale in UNITS)
            for state in ("reserved", "spent")
        }
        if sums != kept:
            yield f"{row.kind} {row.owner}: its sums are {kept}, its charges make {sums}"


def _sums_of_charges(transaction: sa.Connection, mine: sa.ColumnElement[bool]) -> dict[str, tuple[int, ...]]:
    def total(kind: str) -> tuple[int, ...]:
        columns = [sa.func.coalesce(sa.func.sum(charges.c[f"{unit}_{scale}"]), 0) for unit, scale in UNITS]
        row = transaction.execute(sa.select(*columns).where(mine, charges.c.kind == kind)).one()
        return tuple(int(value) for value in row)

    reserved, settled = total("reserve"), total("settle")
    return {"reserved": tuple(r - s for r, s in zip(reserved, settled, strict=True)), "spent": settled}
