"""What of a study differs from what was approved last, field by field: what an approver has to look at again.

The entry of an approval has terms, budget and cap to the letter. An approver cannot read the log; this shows of it what
they, or another approver, agreed to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from budgets.audit import search
from budgets.ledger import accounts
from budgets.ledger.limits import Budget
from budgets.verify import canonical_json
from server.views.study import shown_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from budgets.governance.study import Study

    Fields = dict[str, Any]

APPROVED, ASKED, RAISED = "study.approve", "study.budget.ask", "study.budget.approve"


def since_approval(transaction: sa.Connection, study: Study) -> dict[str, Any]:
    """Return the last approval of a study, each field that is no longer what was approved, and why a raise waits."""
    approval = _last(transaction, study.id, APPROVED)
    why = None if study.raise_to is None else _last(transaction, study.id, ASKED)
    raise_reason = None if why is None else why["facts"].get("reason")
    if approval is None:
        return {"approved": None, "changes": [], "raise_reason": raise_reason}
    limits = approval["facts"].get("budget")
    raised = _last(transaction, study.id, RAISED)
    if raised is not None and raised["index"] > approval["index"]:
        limits = raised["facts"]
    facts = approval["facts"]
    # Entries of earlier versions lack some parts. What is not known to have been approved is no change.
    before: Fields = {}
    after: Fields = {}
    if "terms" in facts:
        before |= _terms(facts["terms"])
        after |= _terms(study.terms.facts())
    for of, approved, present in (
        ("budget", limits, accounts.balance(transaction, accounts.STUDY, study.id).budget),
        (
            "cap",
            facts.get("dataset", {}).get("cap"),
            accounts.balance(transaction, accounts.DATASET, study.dataset).budget,
        ),
    ):
        if approved is not None:
            before |= _limits(of, Budget.read(approved))
            after |= _limits(of, present)
    return {
        "raise_reason": raise_reason,
        "approved": {
            "index": approval["index"],
            "time": approval["time"],
            "by": approval["actor_name"],
            "reason": facts.get("reason", ""),
        },
        "changes": [
            {"field": name, "before": before.get(name), "after": after.get(name)}
            for name in {**after, **before}
            if canonical_json.dumps(before.get(name)) != canonical_json.dumps(after.get(name))
        ],
    }


def _last(transaction: sa.Connection, study: str, action: str) -> dict[str, Any] | None:
    found = search.entries(transaction, study=study, action=action, newest_first=True, limit=1)
    return found[0].to_json() if found else None


def _terms(facts: Mapping[str, Any]) -> Fields:
    """Return terms by name, with the parts of the protocol and the formalities as fields of their own."""
    terms = dict(facts)
    parts = {"protocol": shown_protocol(terms.pop("protocol", {})), "formalities": terms.pop("formalities", {})}
    found = {f"{of}/{part}": value for of, values in parts.items() for part, value in values.items()}
    return {**terms, **found}


def _limits(of: str, budget: Budget) -> Fields:
    return {f"{of}/{name}": value for name, value in budget.to_json().items()}
