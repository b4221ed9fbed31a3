"""Accounts: one per study and one per dataset, each with limits and the running sums of what it was charged.

An account promises at most (E, D)-differential privacy. When its limits are set, D is split: D_conv for the conversion
from zero-concentrated DP, and D_keys for what thresholds may spend. R is the largest rho that converts to E at D_conv.
A further charge is admitted when, with it, the sum of delta is within D_keys and at least one of two filters holds:

- basic: every charge has a finite epsilon, and their sum is within E;
- zCDP: the sum of rho is within R.

docs/ledger.md proves that one of them is enough. The first admits few large queries, the second many small ones.
`admit` decides whether a charge fits, inside the transaction that writes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets import conversion
from budgets.database.tables import accounts, charges, datasets, profile_charges, studies
from budgets.errors import Invalid, NotApproved, NotFound, OverBudget, WrongState
from budgets.loss import Loss, epsilon_text

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDY, DATASET = "study", "dataset"
UNITS = (("epsilon", "nano"), ("rho", "nano"), ("delta", "atto"))
NOTHING = Loss(0, 0, 0)

_both = sa.or_(
    sa.and_(accounts.c.kind == STUDY, accounts.c.owner == sa.bindparam("of_study")),
    sa.and_(accounts.c.kind == DATASET, accounts.c.owner == sa.bindparam("of_dataset")),
)
_FIND_BOTH = sa.select(accounts).where(_both)


def _moved(state: str) -> dict[str, sa.ColumnElement[int]]:
    units = {"unbounded": f"unbounded_{state}"} | {unit: f"{unit}_{state}_{scale}" for unit, scale in UNITS}
    times = sa.bindparam(state, type_=sa.BigInteger)
    return {name: accounts.c[name] + times * sa.bindparam(unit, type_=sa.BigInteger) for unit, name in units.items()}


_MOVE = sa.update(accounts).where(_both).values(_moved("reserved") | _moved("spent"))


@dataclass(frozen=True)
class Limits:
    """What an account promises: epsilon and delta, and the limits of the two filters that follow from them."""

    epsilon_nano: int
    delta_atto: int
    rho_nano: int
    delta_keys_atto: int

    @classmethod
    def of(cls, epsilon_nano: int, delta_atto: int) -> Limits:
        """Return limits with delta split in two halves: one for the conversion, one for thresholds."""
        for_conversion = delta_atto - delta_atto // 2
        return cls(epsilon_nano, delta_atto, conversion.rho_nano_max(epsilon_nano, for_conversion), delta_atto // 2)

    def hold(self, used: Loss) -> bool:
        """Return whether a sum of losses is within the limits, by the dual filter."""
        basic = used.epsilon_nano is not None and used.epsilon_nano <= self.epsilon_nano
        return used.delta_atto <= self.delta_keys_atto and (basic or used.rho_nano <= self.rho_nano)


@dataclass(frozen=True)
class Balance:
    """An account's limits and sums. A reserved loss counts as gone until it is settled or given back."""

    kind: str
    owner: str
    limits: Limits
    reserved: Loss
    spent: Loss

    @property
    def used(self) -> Loss:
        """Return what is spent or reserved. Its epsilon is None if a charge had no finite one."""
        return self.spent + self.reserved

    @property
    def left(self) -> Loss:
        """Return what each filter alone could still admit. Its epsilon is 0 if the basic filter is closed."""
        used, limits = self.used, self.limits
        epsilon = 0 if used.epsilon_nano is None else max(0, limits.epsilon_nano - used.epsilon_nano)
        return Loss(epsilon, max(0, limits.rho_nano - used.rho_nano), limits.delta_keys_atto - used.delta_atto)

    def admits(self, loss: Loss) -> bool:
        """Return whether a further charge would fit."""
        return self.limits.hold(self.used + loss)

    def to_json(self) -> dict[str, Any]:
        """Return the balance as people read it. `rho` is the limit of the zCDP filter."""
        limits = Loss(self.limits.epsilon_nano, self.limits.rho_nano, self.limits.delta_atto).to_json()
        return {
            "epsilon": limits["epsilon"],
            "delta": limits["delta"],
            "rho": limits["rho"],
            "spent": self.spent.to_json(),
            "reserved": self.reserved.to_json(),
            "remaining": self.left.to_json(),
        }


def open_account(transaction: sa.Connection, kind: str, owner: str, limits: Limits) -> None:
    """Open an account with nothing spent."""
    sums = {column.name: 0 for column in accounts.c if column.name.split("_")[1:2] in (["reserved"], ["spent"])}
    transaction.execute(sa.insert(accounts).values(kind=kind, owner=owner, **_columns(limits), **sums))


def _columns(limits: Limits) -> dict[str, int]:
    return {
        "epsilon_limit_nano": limits.epsilon_nano,
        "delta_limit_atto": limits.delta_atto,
        "rho_limit_nano": limits.rho_nano,
        "delta_keys_limit_atto": limits.delta_keys_atto,
    }


def balance(transaction: sa.Connection, kind: str, owner: str) -> Balance:
    """Return an account's balance. Raises NotFound."""
    row = transaction.execute(sa.select(accounts).where(accounts.c.kind == kind, accounts.c.owner == owner)).first()
    if row is None:
        raise NotFound(f"there is no account for the {kind} {owner}")
    return _balance(row)


def balances(transaction: sa.Connection, study: str, dataset: str) -> tuple[Balance, Balance]:
    """Return the balances of a study and its dataset, as of one moment. A charge of the study has to fit both."""
    rows = transaction.execute(_FIND_BOTH, {"of_study": study, "of_dataset": dataset})
    found = {row.kind: _balance(row) for row in rows}
    return found[STUDY], found[DATASET]


def _balance(row: sa.Row[Any]) -> Balance:
    return Balance(
        row.kind,
        row.owner,
        Limits(row.epsilon_limit_nano, row.delta_limit_atto, row.rho_limit_nano, row.delta_keys_limit_atto),
        Loss(
            None if row.unbounded_reserved else row.epsilon_reserved_nano,
            row.rho_reserved_nano,
            row.delta_reserved_atto,
        ),
        Loss(None if row.unbounded_spent else row.epsilon_spent_nano, row.rho_spent_nano, row.delta_spent_atto),
    )


def promised_epsilon_nano(transaction: sa.Connection, dataset: str, *, besides: str | None) -> int:
    """Return the sum of the epsilon that a dataset's studies spent or may still spend, without the one in `besides`.

    The charges of the dataset's profiles are part of the sum.
    """
    promised = promised_by_study(transaction, dataset)
    promised.pop(besides or "", None)
    return sum(promised.values()) + taken_by_profiles(transaction, dataset)


def promised_by_study(transaction: sa.Connection, dataset: str) -> dict[str, int]:
    """Return the epsilon, in billionths, that each of a dataset's studies spent or may still spend, by name.

    A closed study counts with what it spent.
    """
    c = accounts.c
    closed = sa.and_(studies.c.state == "closed", c.unbounded_spent + c.unbounded_reserved == 0)
    used = c.epsilon_spent_nano + c.epsilon_reserved_nano
    # The zCDP filter may admit a sum beyond the limit, but no more than the limit is promised.
    kept = sa.case((sa.and_(closed, used < c.epsilon_limit_nano), used), else_=c.epsilon_limit_nano)
    found = transaction.execute(
        sa.select(studies.c.id, kept)
        .join_from(accounts, studies, accounts.c.owner == studies.c.id)
        .where(accounts.c.kind == STUDY, studies.c.dataset == dataset)
        .order_by(studies.c.id)
    )
    return {name: int(epsilon_nano) for name, epsilon_nano in found}


def taken_by_profiles(transaction: sa.Connection, dataset: str) -> int:
    """Return the epsilon, in billionths, that a dataset was charged for profiles, without what was given back."""
    c = profile_charges.c
    signed = sa.case((c.kind == "reserve", c.epsilon_nano), (c.kind == "void", -c.epsilon_nano), else_=0)
    taken: int | None = transaction.execute(sa.select(sa.func.sum(signed)).where(c.dataset == dataset)).scalar()
    return int(taken or 0)


def require_fitting(
    transaction: sa.Connection,
    dataset: str,
    identifier: str | None,
    epsilon_nano: int,
    delta_atto: int,
    *,
    raises: bool = True,
) -> None:
    """Refuse a study's limits below what it spent and, if they rise, beyond the cap, alone or with the other studies'.

    `identifier` is None for a new study. Raises Invalid, WrongState, NotFound.
    """
    if epsilon_nano == 0:
        raise Invalid("epsilon", "must be above 0")
    if identifier is not None:
        used = balance(transaction, STUDY, identifier).used
        if not Limits.of(epsilon_nano, delta_atto).hold(used):
            raise WrongState(f"study {identifier} has already spent {used.text}")
    if not raises:
        return
    cap = balance(transaction, DATASET, dataset).limits
    if epsilon_nano > cap.epsilon_nano or delta_atto > cap.delta_atto:
        raise WrongState(f"the dataset's own cap is epsilon {epsilon_text(cap.epsilon_nano)}; no study can have more")
    promised = promised_epsilon_nano(transaction, dataset, besides=identifier)
    if promised + epsilon_nano > cap.epsilon_nano and not overcommit(transaction, dataset):
        left = epsilon_text(max(0, cap.epsilon_nano - promised))
        raise WrongState(
            f"the other studies' budgets leave epsilon {left} of the dataset's cap "
            "(the manifest may say overcommit = true)"
        )


def set_limits(transaction: sa.Connection, kind: str, owner: str, limits: Limits) -> None:
    """Set limits. The database refuses limits below what is spent and reserved."""
    transaction.execute(
        sa.update(accounts).where(accounts.c.kind == kind, accounts.c.owner == owner).values(**_columns(limits))
    )


def admit(transaction: sa.Connection, study: str | None, dataset: str, loss: Loss) -> None:
    """Reserve a loss on both accounts, or raise OverBudget and change nothing.

    Without a study, only the dataset's account is charged; the same holds for the functions below.
    """
    held_to = (balance(transaction, DATASET, dataset),) if study is None else balances(transaction, study, dataset)
    for present in held_to:
        if not present.admits(loss):
            raise OverBudget(present.kind, loss, present.left)
    _move(transaction, study, dataset, loss, reserved=1, spent=0)


def spend(transaction: sa.Connection, study: str | None, dataset: str, loss: Loss) -> None:
    """Turn a reserved loss into a spent one, on both accounts."""
    _move(transaction, study, dataset, loss, reserved=-1, spent=1)


def owners_with_reserves(kind: str) -> sa.Select[Any]:
    """Return the SELECT of the studies, or of the datasets, that have something reserved."""
    c = accounts.c
    # Every loss has an epsilon above 0, or counts as unbounded.
    return sa.select(c.owner).where(c.kind == kind, c.epsilon_reserved_nano + c.unbounded_reserved > 0)


def give_back(transaction: sa.Connection, study: str | None, dataset: str, loss: Loss) -> None:
    """Release a reserved loss, on both accounts."""
    _move(transaction, study, dataset, loss, reserved=-1, spent=0)


def _move(
    transaction: sa.Connection, study: str | None, dataset: str, loss: Loss, *, reserved: int, spent: int
) -> None:
    epsilon, unbounded = (0, 1) if loss.epsilon_nano is None else (loss.epsilon_nano, 0)
    moved = transaction.execute(
        _MOVE,
        {
            "of_study": study,
            "of_dataset": dataset,
            "reserved": reserved,
            "spent": spent,
            "unbounded": unbounded,
            "epsilon": epsilon,
            "rho": loss.rho_nano,
            "delta": loss.delta_atto,
        },
    )
    # In SQL nothing equals NULL, so a charge without a study moves one account.
    wanted = 1 if study is None else 2
    assert moved.rowcount == wanted, "a charge moves its dataset's account, and its study's if it has a study"


def used(transaction: sa.Connection) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return what each (kind, owner) has spent or reserved: epsilon, rho, delta, and charges without an epsilon."""
    c = accounts.c
    sums = [c[f"{unit}_spent_{scale}"] + c[f"{unit}_reserved_{scale}"] for unit, scale in UNITS]
    wanted = sa.select(c.kind, c.owner, *sums, c.unbounded_spent + c.unbounded_reserved)
    return {(row[0], row[1]): tuple(map(int, row[2:])) for row in transaction.execute(wanted)}


def discrepancies(transaction: sa.Connection) -> Iterator[str]:
    """Yield each account whose running sums differ from the sums of its charges."""
    for row in transaction.execute(sa.select(accounts)).all():
        if row.kind == STUDY:
            sums = _sums_of_charges(transaction, charges, charges.c.study == row.owner)
        else:
            of_studies = _sums_of_charges(transaction, charges, charges.c.dataset == row.owner)
            own = _sums_of_charges(transaction, profile_charges, profile_charges.c.dataset == row.owner)
            sums = {state: tuple(map(sum, zip(of_studies[state], own[state], strict=True))) for state in of_studies}
        kept = {
            state: (
                *(getattr(row, f"{unit}_{state}_{scale}") for unit, scale in UNITS),
                getattr(row, f"unbounded_{state}"),
            )
            for state in ("reserved", "spent")
        }
        if sums != kept:
            yield f"{row.kind} {row.owner}: its sums are {kept}, but its charges add up to {sums}"


def _sums_of_charges(
    transaction: sa.Connection, table: sa.Table, mine: sa.ColumnElement[bool]
) -> dict[str, tuple[int, ...]]:
    def total(kind: str) -> tuple[int, ...]:
        columns = [sa.func.coalesce(sa.func.sum(table.c[f"{unit}_{scale}"]), 0) for unit, scale in UNITS]
        unbounded = sa.func.count() - sa.func.count(table.c.epsilon_nano)
        row = transaction.execute(sa.select(*columns, unbounded).where(mine, table.c.kind == kind)).one()
        return tuple(int(value) for value in row)

    reserved, settled, voided = total("reserve"), total("settle"), total("void")
    open_ = tuple(r - s - v for r, s, v in zip(reserved, settled, voided, strict=True))
    return {"reserved": open_, "spent": settled}


def overcommit(transaction: sa.Connection, dataset: str) -> bool:
    """Return whether the studies' limits may together exceed the dataset's cap. Raises NotFound."""
    allowed: int | None = transaction.execute(
        sa.select(datasets.c.overcommit).where(datasets.c.name == dataset)
    ).scalar()
    if allowed is None:
        raise NotFound(f"there is no dataset {dataset}")
    return bool(allowed)


def is_approved(transaction: sa.Connection, dataset: str) -> bool:
    """Return whether an approver has approved a dataset, so that something may be charged to it. Raises NotFound."""
    found = transaction.execute(sa.select(datasets.c.approved_at).where(datasets.c.name == dataset)).first()
    if found is None:
        raise NotFound(f"there is no dataset {dataset}")
    return found.approved_at is not None


def require_approved(transaction: sa.Connection, dataset: str) -> None:
    """Raise NotApproved unless something may be charged to a dataset; NotFound."""
    if not is_approved(transaction, dataset):
        raise NotApproved(f"the dataset {dataset} waits for an approver; nothing is charged to it before that")
