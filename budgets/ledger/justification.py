"""Why a budget is as large as it is: beyond a bound that excludes little, somebody has to say it.

The advantage of a test of who is in the data (its true positives less its false ones) is at most
(e^epsilon - 1 + 2 delta) / (e^epsilon + 1) under (epsilon, delta)-DP (Humphries et al. 2023). Beyond an advantage of
0.9 such a bound excludes little by itself: with delta 0 that is epsilon above ln 19 = 2.9444. Whoever sets or proposes
a larger budget gives a justification. It belongs to the budget: the approver reads it, the log and the report have it.
Nobody approves a budget without one that needs one, also if it waits from before this rule. What was approved before
stays as it is.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import TYPE_CHECKING

from budgets import texts
from budgets.errors import Invalid
from budgets.loss import ATTO, NANO, epsilon_text

if TYPE_CHECKING:
    from budgets.ledger.limits import Budget

DIGITS = 50
ADVANTAGE = Decimal("0.9")  # above it a bound excludes little by itself


def is_needed(epsilon_nano: int, delta_atto: int) -> bool:
    """Return whether a budget needs a justification: whether the advantage that it allows exceeds 0.9."""
    with localcontext(Context(prec=DIGITS, rounding=ROUND_HALF_EVEN)):
        factor, delta = (Decimal(epsilon_nano) / NANO).exp(), Decimal(delta_atto) / ATTO
        return factor - 1 + 2 * delta > ADVANTAGE * (factor + 1)


def require(budget: Budget) -> Budget:
    """Return a budget. Raises Invalid if it needs a justification and has none."""
    if budget.justification is None and is_needed(budget.epsilon_nano, budget.delta_atto):
        raise Invalid(
            "justification",
            f"is needed for epsilon {epsilon_text(budget.epsilon_nano)}: beyond epsilon 2.944 a bound excludes little "
            "by itself. Say why the budget has to be so large; the approver reads it, and the report has it",
        )
    return budget


def kept(budget: Budget, before: Budget | None = None) -> Budget:
    """Return a budget with the justification that it has now: its own, or that of a budget before that was no smaller.

    Raises Invalid if it is no text of a decent length.
    """
    text = budget.justification
    if text is None:
        grows = before is None or budget.epsilon_nano > before.epsilon_nano or budget.delta_atto > before.delta_atto
        return budget if before is None or grows else replace(budget, justification=before.justification)
    texts.require("justification", text)
    return budget
