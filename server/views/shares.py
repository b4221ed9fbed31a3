"""How a dataset's contribution profile and its studies share the dataset's cap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import studies
from budgets.ledger import accounts
from budgets.loss import NANO

if TYPE_CHECKING:
    import sqlalchemy as sa


def of(transaction: sa.Connection, dataset: str) -> dict[str, Any]:
    """Return the shares as they are sent, studies by name. Raises NotFound.

    A study is promised its limit; a closed one what it spent.
    """
    cap = accounts.balance(transaction, accounts.DATASET, dataset)
    promised = accounts.promised_by_study(transaction, dataset)
    profiles = accounts.taken_by_profiles(transaction, dataset)
    whole = sum(promised.values()) + profiles
    return {
        "dataset": dataset,
        "budget": cap.to_json(),
        "overcommit": accounts.overcommit(transaction, dataset),
        "profiles": profiles / NANO,
        "promised": whole / NANO,
        "free": max(0, cap.limits.epsilon_nano - whole) / NANO,
        "studies": [_of_study(transaction, name, nano) for name, nano in promised.items()],
    }


def _of_study(transaction: sa.Connection, name: str, promised_nano: int) -> dict[str, Any]:
    present = studies.study(transaction, name)
    return {
        "study": name,
        "title": present.terms.title,
        "state": present.state,
        "promised": promised_nano / NANO,
        "budget": accounts.balance(transaction, accounts.STUDY, name).to_json(),
    }
