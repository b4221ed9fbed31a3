"""Values of Python (also those of NumPy and pandas) as values of JSON."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rowless_client.errors import Misused


@dataclass(frozen=True)
class CodeList:
    """A list of codes that the study's protocol keeps."""

    name: str

    def to_json(self) -> dict[str, str]:
        """Return the list as the JSON of a query has it."""
        return {"list": self.name}


def code_list(name: str) -> CodeList:
    """Return a code list of the study's protocol: `q.diagnosis.isin(code_list("diabetes"))`, or with `under`."""
    return CodeList(name)


def scalar(value: Any) -> Any:
    """Return a value to compare with as JSON has it. Dates become texts. Raises Misused."""
    if isinstance(value, (bool, int, float, str)):
        return _unwrapped(value)
    if isinstance(value, dt.datetime):  # a pandas Timestamp too: the days of Rowless have no time
        return value.date().isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if hasattr(value, "to_json") and hasattr(value, "parameter"):
        return value.to_json()
    if hasattr(value, "item"):  # a number of NumPy
        return scalar(value.item())
    if value is None:
        raise Misused("nothing equals null: write column.is_null(), or ~column.is_null()")
    raise Misused(f"{value!r} cannot be compared with: write a text, a number, a date, True or False")


def scalars(values: Any) -> Any:
    """Return values to compare with as a list. A template's parameter stands for a whole list. Raises Misused."""
    if isinstance(values, CodeList) or (hasattr(values, "to_json") and hasattr(values, "parameter")):
        return values.to_json()
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise Misused(f"{values!r} is no list: write a list of values")
    return [scalar(value) for value in values]


def pair(values: Any) -> list[Any]:
    """Return two values, lowest first, as a list. Raises Misused."""
    found = list(scalars(values))
    if len(found) != 2:
        raise Misused(f"{values!r} must be two values: (lowest, highest)")
    return found


def _unwrapped(value: Any) -> Any:
    """Return a number or text of a subclass (NumPy's float64 is one of float) as Python's own."""
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value
