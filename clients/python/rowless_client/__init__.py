"""The client of Rowless: ask statistics of data that stay where they are, and get them with their margins.

from rowless_client import Rowless

study = Rowless("https://stats.example.org").study("pathways")
answer = study.ask(sql="SELECT sex, AVG(cost) AS cost FROM consultations GROUP BY sex", epsilon=0.3)
answer.to_pandas()
"""

from __future__ import annotations

from typing import Any

from rowless_client.answers.answer import Answer, Certificate
from rowless_client.answers.estimate import Estimate
from rowless_client.calls.catalog import Catalog
from rowless_client.calls.dataset import Dataset
from rowless_client.calls.records import Budget, Record, Records
from rowless_client.calls.study import Study
from rowless_client.cautions import Caution, Drowned, TruncationUnknown
from rowless_client.client import Rowless
from rowless_client.errors import (
    BudgetExceeded,
    Cancelled,
    Conflict,
    GaveUp,
    InvalidQuery,
    InvalidRequest,
    MissingPackage,
    Misused,
    NotAllowed,
    NotFound,
    NoToken,
    NotRowless,
    QueryFailed,
    Refused,
    RowlessError,
    ServerFailed,
    SignInFailed,
    TooBusy,
    Unauthenticated,
    Unreachable,
    WouldDrown,
)
from rowless_client.query import statistics, values
from rowless_client.query.columns import Column
from rowless_client.query.plain import code_list
from rowless_client.query.question import Question, table
from rowless_client.query.templates import parameter

__all__ = [
    "Answer",
    "Budget",
    "BudgetExceeded",
    "Cancelled",
    "Catalog",
    "Caution",
    "Certificate",
    "Column",
    "Conflict",
    "Dataset",
    "Drowned",
    "Estimate",
    "GaveUp",
    "InvalidQuery",
    "InvalidRequest",
    "MissingPackage",
    "Misused",
    "NoToken",
    "NotAllowed",
    "NotFound",
    "NotRowless",
    "QueryFailed",
    "Question",
    "Record",
    "Records",
    "Refused",
    "Rowless",
    "RowlessError",
    "ServerFailed",
    "SignInFailed",
    "Study",
    "TooBusy",
    "TruncationUnknown",
    "Unauthenticated",
    "Unreachable",
    "WouldDrown",
    "code_list",
    "load_ipython_extension",
    "parameter",
    "statistics",
    "table",
    "values",
]


def load_ipython_extension(ipython: Any) -> None:
    """Give notebooks the cell magic `%%rowless`: this is what `%load_ext rowless_client` calls."""
    from rowless_client.magic import register  # needs IPython, which is optional

    register(ipython)
