"""The members that a statistic has in JSON.

`server/api/requests/statistics.py` reads them by their shape, `server/api/openapi.py` describes them, and
`queries/spelling/json_writing.py` writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Shape(Enum):
    """What a member is in JSON, and the value that its reader makes of it."""

    COUNTED = auto()  # "persons" or "events": a str
    COLUMN = auto()  # the name of a column: a str
    DAY_COLUMN = auto()  # the name of a column with a day of each person: a str
    TWO_COLUMNS = auto()  # a list of two: a tuple
    CONDITION = auto()  # a filter: a nodes.Predicate
    BOUNDS = auto()  # [lowest, highest]: a tuple
    TWO_BOUNDS = auto()  # a list of two of them: a tuple
    SHARES = auto()  # one share above 0 and below 1: a float; or a list of them: a tuple
    SCALARS = auto()  # a list of numbers or texts that is not empty: a tuple
    WHOLE = auto()  # a whole number from 1 on: an int
    DATE = auto()  # a text: a str


@dataclass(frozen=True)
class Member:
    """A member of a statistic's JSON object, and the field of its node that holds it."""

    name: str
    shape: Shape
    field: str
    required: bool = True


def column(word: str) -> Member:
    """Return the column that a statistic is about."""
    return Member(word, Shape.COLUMN, "column")


CENSORED = Member("censored", Shape.DAY_COLUMN, "censored", required=False)
BOUNDS = Member("bounds", Shape.BOUNDS, "bounds", required=False)
