"""The shapes of what the server sends, one module for each subject: they make the OpenAPI document.

Rows and answers are sent as the journeys made them; these schemas describe them. A test holds every reply to its shape.
"""

from server.api.replies.audit import Alert, Certificate, Checkpoint, Consistency, Entry, Inclusion, Verified
from server.api.replies.common import Problem, page_of
from server.api.replies.custody import Edition, Server, Shares
from server.api.replies.datasets import BoughtProfile, Dataset, DatasetName, DecidedDataset, FoundCodes
from server.api.replies.losses import Charge, StudyBudget
from server.api.replies.people import (
    ConfirmedProposal,
    Erased,
    Health,
    Identity,
    ListedToken,
    ListedUser,
    Me,
    NewProposal,
    Proposal,
    SignIn,
    Token,
    User,
)
from server.api.replies.queries import Cancelling, Estimate, Rehearsal, Release, ReleaseHead
from server.api.replies.report import Meaning, Methods, Notice, Report
from server.api.replies.studies import Changes, ShownTemplate, Study

__all__ = [
    "Alert",
    "BoughtProfile",
    "Cancelling",
    "Certificate",
    "Changes",
    "Charge",
    "Checkpoint",
    "ConfirmedProposal",
    "Consistency",
    "Dataset",
    "DatasetName",
    "DecidedDataset",
    "Edition",
    "Entry",
    "Erased",
    "Estimate",
    "FoundCodes",
    "Health",
    "Identity",
    "Inclusion",
    "ListedToken",
    "ListedUser",
    "Me",
    "Meaning",
    "Methods",
    "NewProposal",
    "Notice",
    "Problem",
    "Proposal",
    "Rehearsal",
    "Release",
    "ReleaseHead",
    "Report",
    "Server",
    "Shares",
    "ShownTemplate",
    "SignIn",
    "Study",
    "StudyBudget",
    "Token",
    "User",
    "Verified",
    "page_of",
]
