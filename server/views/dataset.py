"""What was decided on a dataset, as the API and the command line show it to all but researchers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.governance import dataset_terms, datasets
from budgets.ledger import accounts, profiles

if TYPE_CHECKING:
    import sqlalchemy as sa


def describe_dataset(transaction: sa.Connection, name: str) -> dict[str, Any]:
    """Return a dataset's budget, the cost of its profile, and its terms. Raises NotFound."""
    return {
        "name": name,
        "title": datasets.title(transaction, name),
        "edition": datasets.current(transaction, name).number,
        "profile": profiles.standing(transaction, name),
        "budget": accounts.balance(transaction, accounts.DATASET, name).to_json(),
        "terms": dataset_terms.describe(transaction, name),
    }
