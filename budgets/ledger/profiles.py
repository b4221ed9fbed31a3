"""Contribution profiles in the ledger: when one may be bought, and which one describes an edition.

A profile describes how much single persons contribute to an edition. The custodian buys it, it belongs to no study, and
everybody may see it. Its charge is that of a query (`charges.py`), but only the dataset's account pays.

An edition may have several profiles, each more exact than those before it; the most exact one is shown. An edition
without one uses those of the editions before it. That spends nothing: a profile is a release, and a release may be used
for anything (post-processing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.database.tables import datasets, profile_charges, profiles
from budgets.errors import NotApproved, WrongState
from budgets.ledger import accounts, charges
from budgets.ledger.charges import Question
from budgets.loss import Loss, epsilon_text

if TYPE_CHECKING:
    from budgets.ledger.charges import Charge, Release

_with_charge = profiles.join(profile_charges, profile_charges.c.id == profiles.c.charge)
_most_exact_first = profile_charges.c.epsilon_nano.desc(), profiles.c.charged_at.desc(), profiles.c.id


def _in_use(*columns: Any) -> sa.Select[Any]:
    return (
        sa.select(*columns)
        .select_from(_with_charge)
        .where(profiles.c.dataset == sa.bindparam("of_dataset"), profiles.c.edition <= sa.bindparam("up_to"))
        .order_by(profiles.c.edition.desc(), *_most_exact_first)
    )


_IDS_IN_USE = _in_use(profiles.c.id)  # built once, because each question about a dataset executes it


def question(dataset: str, edition: int, fingerprint: str) -> Question:
    """Return what a profile's plan asks; `fingerprint` is the SHA-256 of the canonical plan, in hex."""
    return Question(None, dataset, edition, fingerprint)


def reserve(transaction: sa.Connection, question: Question, loss: Loss) -> Charge:
    """Charge a profile to its dataset, or resume (and spend) the charge it has.

    Raises OverBudget, AttemptsSpent; NotApproved if no approver approved the dataset and so large a profile; WrongState
    if a profile that is as exact is there already, or if the dataset's studies were promised what it would take.
    """
    assert loss.epsilon_nano is not None, "a profile has Laplace noise"
    if charges.find_standing(transaction, question) is None:
        accounts.require_approved(transaction, question.dataset)
        _require_more_exact(transaction, question, loss.epsilon_nano)
        if accounts.balance(transaction, accounts.DATASET, question.dataset).admits(loss):
            _require_unpromised(transaction, question.dataset, loss.epsilon_nano)
            _require_allowed(transaction, question.dataset, loss.epsilon_nano)
    return charges.reserve(transaction, question, loss)


def of_edition(transaction: sa.Connection, dataset: str, edition: int) -> list[Release]:
    """Return an edition's own profiles. The first is the one that is shown: the most exact, then the latest."""
    rows = transaction.execute(
        sa.select(profiles)
        .select_from(_with_charge)
        .where(profiles.c.dataset == dataset, profiles.c.edition == edition)
        .order_by(*_most_exact_first)
    )
    return [charges.release_of(row) for row in rows]


def in_use(transaction: sa.Connection, dataset: str, edition: int) -> list[Release]:
    """Return the profiles that may describe an edition, the one that is shown first.

    Those of the edition itself come first, as `of_edition` returns them, then those of earlier editions, latest first.
    """
    rows = transaction.execute(_in_use(profiles), {"of_dataset": dataset, "up_to": edition})
    return [charges.release_of(row) for row in rows]


def ids_in_use(transaction: sa.Connection, dataset: str, edition: int) -> tuple[str, ...]:
    """Return the ids of the profiles that `in_use` returns, which never change."""
    return tuple(transaction.execute(_IDS_IN_USE, {"of_dataset": dataset, "up_to": edition}).scalars())


def standing(transaction: sa.Connection, dataset: str) -> dict[str, Any] | None:
    """Return the edition and the cost of the profile that a dataset uses, for the person who approves its studies."""
    found = charged(transaction, dataset)
    return None if found is None else {"edition": found[0], "cost": found[1].to_json()}


def charged(transaction: sa.Connection, dataset: str) -> tuple[int, Loss] | None:
    """Return the edition of the profile that a dataset uses, and what it took of the dataset's cap."""
    row = transaction.execute(
        sa.select(profile_charges)
        .select_from(_with_charge)
        .where(profiles.c.dataset == dataset)
        .order_by(profiles.c.edition.desc(), profile_charges.c.epsilon_nano.desc())
        .limit(1)
    ).first()
    return None if row is None else (row.edition, Loss(row.epsilon_nano, row.rho_nano, row.delta_atto))


def ever_charged(transaction: sa.Connection, dataset: str) -> bool:
    """Return whether a dataset was ever charged for a profile. A charge that was given back does not count."""
    wanted = charges.PROFILES.standing.where(profile_charges.c.dataset == dataset).limit(1)
    return transaction.execute(wanted).first() is not None


def left_nano(transaction: sa.Connection, dataset: str) -> int:
    """Return the epsilon that further profiles may take by what was approved, in billionths."""
    allowed: int = transaction.execute(
        sa.select(datasets.c.profile_nano).where(datasets.c.name == dataset)
    ).scalar_one()
    return max(0, allowed - accounts.taken_by_profiles(transaction, dataset))


def _require_allowed(transaction: sa.Connection, dataset: str, epsilon_nano: int) -> None:
    left = left_nano(transaction, dataset)
    if epsilon_nano > left:
        raise NotApproved(
            f"profiles of {dataset} may cost epsilon {epsilon_text(left)} more by what was approved; propose "
            f"a larger one to the approver: rowless dataset propose {dataset} --profile EPSILON"
        )


def _require_more_exact(transaction: sa.Connection, question: Question, epsilon_nano: int) -> None:
    best: int | None = transaction.execute(
        sa.select(sa.func.max(profile_charges.c.epsilon_nano))
        .select_from(_with_charge)
        .where(profiles.c.dataset == question.dataset, profiles.c.edition == question.edition)
    ).scalar()
    if best is not None and best >= epsilon_nano:
        raise WrongState(
            f"edition {question.edition} of {question.dataset} has a profile of epsilon {epsilon_text(best)}; "
            "another is of use only with a larger epsilon"
        )


def _require_unpromised(transaction: sa.Connection, dataset: str, epsilon_nano: int) -> None:
    if accounts.overcommit(transaction, dataset):
        return
    cap = accounts.balance(transaction, accounts.DATASET, dataset).limits.epsilon_nano
    left = cap - accounts.promised_epsilon_nano(transaction, dataset, besides=None)
    if epsilon_nano > left:
        raise WrongState(
            f"the studies' budgets leave epsilon {epsilon_text(max(0, left))} of the dataset's cap; lower or close one "
            "(or let the manifest say overcommit = true)"
        )
