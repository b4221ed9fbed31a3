"""That a decision is about what its maker read: digests of what waits for one.

What waits can change between the reading and the decision. Whoever reads it gets its digest, and sends it with advice
or an approval. The transaction of the decision compares it with what waits then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from budgets.errors import WrongState
from budgets.ledger import accounts
from budgets.verify import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import sqlalchemy as sa

    from budgets.governance.study import Study


def of_study(transaction: sa.Connection, present: Study) -> str:
    """Return the digest of a study's terms and budget: SHA-256 of canonical JSON, in hex."""
    budget = accounts.balance(transaction, accounts.STUDY, present.id).budget.facts()
    return canonical_json.sha256({"study": present.id, "terms": present.terms.facts(), "budget": budget})


def of_raise(present: Study) -> str | None:
    """Return the digest of the larger budget that waits, if one does."""
    if present.raise_to is None:
        return None
    return canonical_json.sha256({"study": present.id, "raise": present.raise_to.facts()})


def of_terms(dataset: str, terms: Mapping[str, Any]) -> str:
    """Return the digest of a dataset's terms, in the form in which the log has them."""
    return canonical_json.sha256({"dataset": dataset, "terms": terms})


def require_study(read: str | None, transaction: sa.Connection, present: Study) -> None:
    """Raise WrongState if a digest is given that is not of a study as it is. Without one, nothing is compared."""
    if read is not None and read != of_study(transaction, present):
        raise WrongState(f"study {present.id} has changed since you read it: read it as it is now, and then decide")


def require_raise(read: str | None, present: Study) -> None:
    """Raise WrongState if a digest is given that is not of the larger budget that waits."""
    if read is not None and read != of_raise(present):
        raise WrongState(
            f"the larger budget of study {present.id} has changed since you read it: read it as it is now, and then "
            "decide"
        )


def require_terms(read: str | None, dataset: str, terms: Mapping[str, Any]) -> None:
    """Raise WrongState if a digest is given that is not of the terms of a dataset that wait."""
    if read is not None and read != of_terms(dataset, terms):
        raise WrongState(
            f"what waits of the dataset {dataset} has changed since you read it: read it as it is now, and then decide"
        )
