"""All errors that this package raises on purpose. The tree is closed: the server maps each leaf to one reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from budgets.actors import Actor
    from budgets.loss import Loss


class BudgetsError(Exception):
    """Root of the tree."""


class Invalid(BudgetsError):
    """A value that is not allowed: a negative limit, a name with odd characters. `field` is where it was given."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(BudgetsError):
    """There is no such thing, or the asker may not know that there is."""


class AlreadyExists(BudgetsError):
    """Something with that name exists already."""


class Forbidden(BudgetsError):
    """The actor's role does not include this. `is_recorded`: the log has it already."""

    is_recorded = False


class FourEyes(BudgetsError):
    """This needs a second person: nobody can approve what they proposed, whatever their role.

    `action` is the refused action and `subject` what it is about, as the audit log names them.
    """

    def __init__(self, study: str | None, action: str, by: Actor, rule: str, subject: str | None = None) -> None:
        super().__init__(f"{rule}: somebody else has to")
        self.study = study
        self.subject = f"study:{study}" if subject is None else subject
        self.action = action
        self.by = by


class NeedsSecond(BudgetsError):
    """One person cannot do this: an admin proposes it, and a DPO or an approver confirms."""


class WrongState(BudgetsError):
    """The current state of a study, a user or a name does not allow this."""


class NotApproved(BudgetsError):
    """The study may not ask now: it is not approved yet, suspended, closed, or outside its dates.

    Or an approver has not approved the dataset, or a profile that costs so much.
    """


class NotAdvised(BudgetsError):
    """An approval needs the DPO's advice on what it is about, or the reason why it goes without."""


class NoFormality(BudgetsError):
    """An approval needs the formalities of the study and of its dataset, on record and in force."""


class OverBudget(BudgetsError):
    """A charge would exceed a limit. Nothing was charged.

    `account` is "study" or "dataset"; `left` is what that account has left.
    """

    def __init__(self, account: str, cost: Loss, left: Loss) -> None:
        delta = f", with delta {left.delta_text}" if cost.delta_atto else ""
        super().__init__(f"this would cost {cost.text}, and the {account} has {left.alternatives}{delta} left")
        self.account = account
        self.cost = cost
        self.left = left


class AttemptsSpent(BudgetsError):
    """A charge was resumed as often as it may be. Nothing was charged for this attempt, and nothing is given back."""


class UnderWay(BudgetsError):
    """All attempts of a charge were begun, and one may still be scanning. Nothing was charged for this attempt."""


class KeyConflict(BudgetsError):
    """An idempotency key was used before for another request."""


class Unavailable(BudgetsError):
    """The database cannot be opened, reached or written to. The transaction left no trace."""


class SchemaOutdated(BudgetsError):
    """The database's schema is not the one that this version works with."""
