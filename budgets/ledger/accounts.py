"""Accounts: one per study and one per dataset, each with limits and the running sums of what it was charged.

An account promises at most (E, D)-differential privacy. When its limits are set, D is split: D_conv for the conversions
from zero-concentrated DP, and D_keys for what thresholds may spend. E is split too, into E_L and E_G. R is the largest
rho that converts to E, and R_G the largest that converts to E_G, each at its share of D_conv. A further charge is
admitted when, with it, the sum of delta is within D_keys and at least one of three filters holds:

- basic: every charge has a finite epsilon, and their sum is within E;
- zCDP: the sum of rho is within R;
- split: the sum of the finite epsilons is within E_L, and that of rho of all other charges within R_G.

docs/ledger.md proves that one of them is enough. The first admits few large queries, the second many small ones, and
the third queries of Laplace noise beside others of Gaussian noise. `admit` decides whether a charge fits, inside the
transaction that writes it. `limits.py` has the limits and a balance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.database.tables import accounts, charges, datasets, profile_charges, studies
from budgets.errors import Invalid, NotApproved, NotFound, OverBudget, WrongState
from budgets.ledger.limits import Balance, Budget, Limits
from budgets.loss import Loss, Sum, epsilon_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

STUDY, DATASET = "study", "dataset"
UNITS = (("epsilon", "nano"), ("rho", "nano"), ("delta", "atto"), ("gaussian", "nano"))

_both = sa.or_(
    sa.and_(accounts.c.kind == STUDY, accounts.c.owner == sa.bindparam("of_study")),
    sa.and_(accounts.c.kind == DATASET, accounts.c.owner == sa.bindparam("of_dataset")),
)
_FIND_BOTH = sa.select(accounts).where(_both)
_FIND_ONE = sa.select(accounts).where(
    accounts.c.kind == sa.bindparam("of_kind"), accounts.c.owner == sa.bindparam("of_owner")
)


def _moved(state: str) -> dict[str, sa.ColumnElement[int]]:
    units = {"unbounded": f"unbounded_{state}"} | {unit: f"{unit}_{state}_{scale}" for unit, scale in UNITS}
    times = sa.bindparam(state, type_=sa.BigInteger)
    return {name: accounts.c[name] + times * sa.bindparam(unit, type_=sa.BigInteger) for unit, name in units.items()}


_MOVE = sa.update(accounts).where(_both).values(_moved("reserved") | _moved("spent"))


def open_account(transaction: sa.Connection, kind: str, owner: str, budget: Budget) -> None:
    """Open an account with nothing spent."""
    sums = {column.name: 0 for column in accounts.c if column.name.split("_")[1:2] in (["reserved"], ["spent"])}
    transaction.execute(sa.insert(accounts).values(kind=kind, owner=owner, **_columns(budget), **sums))


def _columns(budget: Budget) -> dict[str, Any]:
    limits = budget.limits
    return {
        "epsilon_limit_nano": limits.epsilon_nano,
        "delta_limit_atto": limits.delta_atto,
        "rho_limit_nano": limits.rho_nano,
        "delta_keys_limit_atto": limits.delta_keys_atto,
        "laplace_percent": limits.laplace_percent,
        "laplace_limit_nano": limits.laplace_nano,
        "gaussian_limit_nano": limits.gaussian_nano,
        "justification": budget.justification,
    }


def balance(transaction: sa.Connection, kind: str, owner: str) -> Balance:
    """Return an account's balance. Raises NotFound."""
    row = transaction.execute(_FIND_ONE, {"of_kind": kind, "of_owner": owner}).first()
    if row is None:
        raise NotFound(f"there is no account for the {kind} {owner}")
    return _balance(row)


def balances(transaction: sa.Connection, study: str, dataset: str) -> tuple[Balance, Balance]:
    """Return the balances of a study and its dataset, as of one moment. A charge of the study has to fit both."""
    rows = transaction.execute(_FIND_BOTH, {"of_study": study, "of_dataset": dataset})
    found = {row.kind: _balance(row) for row in rows}
    return found[STUDY], found[DATASET]


def _balance(row: sa.Row[Any]) -> Balance:
    limits = Limits(
        row.epsilon_limit_nano,
        row.delta_limit_atto,
        row.rho_limit_nano,
        row.delta_keys_limit_atto,
        row.laplace_percent,
        row.laplace_limit_nano,
        row.gaussian_limit_nano,
    )
    return Balance(row.kind, row.owner, limits, _sum(row, "reserved"), _sum(row, "spent"), row.justification)


def _sum(row: sa.Row[Any], state: str) -> Sum:
    return Sum(
        laplace_nano=getattr(row, f"epsilon_{state}_nano"),
        gaussian_nano=getattr(row, f"gaussian_{state}_nano"),
        rho_nano=getattr(row, f"rho_{state}_nano"),
        delta_atto=getattr(row, f"delta_{state}_atto"),
        unbounded=getattr(row, f"unbounded_{state}"),
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
    budget: Budget,
    *,
    raises: bool = True,
    held: Collection[Budget] = (),
) -> None:
    """Refuse a study's budget below what it spent and, if it rises, beyond the cap, alone or with the other studies'.

    `identifier` is None for a new study. `held` is as in `require_enough`. Raises Invalid, WrongState, NotFound.
    """
    epsilon_nano = budget.epsilon_nano
    if epsilon_nano == 0:
        raise Invalid("epsilon", "must be above 0")
    if identifier is not None:
        require_enough(balance(transaction, STUDY, identifier), budget, held)
    if not raises:
        return
    cap = balance(transaction, DATASET, dataset).limits
    if epsilon_nano > cap.epsilon_nano or budget.delta_atto > cap.delta_atto:
        raise WrongState(f"the dataset's own cap is epsilon {epsilon_text(cap.epsilon_nano)}; no study can have more")
    promised = promised_epsilon_nano(transaction, dataset, besides=identifier)
    if promised + epsilon_nano > cap.epsilon_nano and not overcommit(transaction, dataset):
        left = epsilon_text(max(0, cap.epsilon_nano - promised))
        raise WrongState(
            f"the other studies' budgets leave epsilon {left} of the dataset's cap "
            "(the manifest may say overcommit = true)"
        )


def require_enough(present: Balance, budget: Budget, held: Collection[Budget] = ()) -> None:
    """Refuse a budget below what was spent, and one that divides epsilon anew where that would promise too much.

    docs/ledger.md has the argument: epsilon may be divided anew while nothing was charged, or if every limit that the
    account had since then is within the new ones. `held` are its budgets since then. Raises WrongState.
    """
    limits, kind, owner = budget.limits, present.kind, present.owner
    if not limits.hold(present.used_sum):
        raise WrongState(f"{kind} {owner} has already spent {present.used.text}; its budget cannot be lower")
    divided = limits.laplace_percent != present.limits.laplace_percent
    before = (present.limits, *(one.limits for one in held))
    if divided and present.used_sum != Sum() and not all(limits.contain(one) for one in before):
        raise WrongState(
            f"{kind} {owner} has spent, so its epsilon can be divided anew between Laplace and Gaussian noise only "
            "with a budget by which no part and no filter gets less than it had"
        )


def set_limits(transaction: sa.Connection, kind: str, owner: str, budget: Budget) -> None:
    """Set limits. The database refuses limits below what is spent and reserved."""
    transaction.execute(
        sa.update(accounts).where(accounts.c.kind == kind, accounts.c.owner == owner).values(**_columns(budget))
    )


def admit(transaction: sa.Connection, study: str | None, dataset: str, loss: Loss) -> None:
    """Reserve a loss on both accounts, or raise OverBudget and change nothing.

    Without a study, only the dataset's account is charged; the same holds for the functions below.
    """
    held_to = (balance(transaction, DATASET, dataset),) if study is None else balances(transaction, study, dataset)
    for present in held_to:
        if not present.admits(loss):
            raise OverBudget(present.kind, loss, present.left_for(loss))
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
    one = Sum.of(loss)
    moved = transaction.execute(
        _MOVE,
        {
            "of_study": study,
            "of_dataset": dataset,
            "reserved": reserved,
            "spent": spent,
            "unbounded": one.unbounded,
            "epsilon": one.laplace_nano,
            "rho": one.rho_nano,
            "delta": one.delta_atto,
            "gaussian": one.gaussian_nano,
        },
    )
    # In SQL nothing equals NULL, so a charge without a study moves one account.
    wanted = 1 if study is None else 2
    assert moved.rowcount == wanted, "a charge moves its dataset's account, and its study's if it has a study"


def used(transaction: sa.Connection) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return what each (kind, owner) has spent or reserved.

    Epsilon, rho, delta, the rho of charges without an epsilon, and how many such charges there are.
    """
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
        gaussian = sa.case((table.c.epsilon_nano.is_(None), table.c.rho_nano), else_=0)
        each = (table.c.epsilon_nano, table.c.rho_nano, table.c.delta_atto, gaussian)
        columns = [sa.func.coalesce(sa.func.sum(one), 0) for one in each]
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
