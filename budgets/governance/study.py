"""What a study is: its terms, its states and the moves between them. `studies.py` has what can be done with one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from budgets.formalities import Formalities
    from budgets.ledger.limits import Budget

DRAFT, APPROVED, SUSPENDED, CLOSED = "draft", "approved", "suspended", "closed"
# action -> (the states it starts from, the state it leads to, the roles that may do it)
MOVES: Mapping[str, tuple[tuple[str, ...], str, tuple[str, ...]]] = {
    "approve": ((DRAFT,), APPROVED, ("approver",)),
    "suspend": ((APPROVED,), SUSPENDED, ("dpo",)),
    "resume": ((SUSPENDED,), APPROVED, ("dpo",)),
    "close": ((DRAFT, APPROVED, SUSPENDED), CLOSED, ("dpo", "admin")),
}


@dataclass(frozen=True)
class Terms:
    """What a study is for and may do. `protocol` holds JSON values; `starts` and `ends` are inclusive days."""

    title: str
    purpose: str
    legal_basis: str
    protocol: Mapping[str, Any] = field(default_factory=dict)
    starts: str | None = None
    ends: str | None = None
    formalities: Formalities | None = None

    def facts(self) -> dict[str, Any]:
        """Return them as the log has them. Terms of before formalities were asked for have no such member."""
        facts = {**vars(self), "protocol": dict(self.protocol)}
        del facts["formalities"]
        return facts if self.formalities is None else {**facts, "formalities": self.formalities.facts()}


@dataclass(frozen=True)
class Study:
    """A study. `raise_to` is a larger budget that waits for an approver; `raise_by` proposed it.

    `opened_by`, `edited_by`, `approved_by` and `raise_by` are commitments.
    """

    id: str
    dataset: str
    terms: Terms
    state: str
    created_at: str
    members: tuple[str, ...]
    raise_to: Budget | None
    opened_by: str
    edited_by: tuple[str, ...] = ()
    approved_by: str | None = None
    raise_by: str | None = None
