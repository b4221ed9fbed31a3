"""Values of a table with a row for each person: each function returns one, for `per_person` of a table.

Give bounds for counts and sums: nobody knows beforehand how many events a person has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rowless_client.errors import Misused
from rowless_client.query.columns import Column, column_name
from rowless_client.query.conditions import Events, condition
from rowless_client.query.plain import pair


@dataclass(frozen=True)
class Value:
    """A value of each person, as JSON."""

    shape: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the value as the JSON of a query has it."""
        return dict(self.shape)


def count(*, bounds: Any = None, where: Any = None) -> Value:
    """Return how many events the person has."""
    return _made({"count": "events"}, bounds, where)


def sum(column: str | Column, *, bounds: Any = None, where: Any = None) -> Value:  # noqa: A001  the word of the JSON
    """Return the sum of a column."""
    return _made({"sum": column_name(column)}, bounds, where)


def mean(column: str | Column, *, bounds: Any = None, where: Any = None) -> Value:
    """Return the mean of a column."""
    return _made({"mean": column_name(column)}, bounds, where)


def min(column: str | Column, *, bounds: Any = None, where: Any = None) -> Value:  # noqa: A001  the word of the JSON
    """Return the least value of a column."""
    return _made({"min": column_name(column)}, bounds, where)


def max(column: str | Column, *, bounds: Any = None, where: Any = None) -> Value:  # noqa: A001  the word of the JSON
    """Return the greatest value of a column."""
    return _made({"max": column_name(column)}, bounds, where)


def first(column: str | Column, *, bounds: Any = None, where: Any = None, date: str | None = None) -> Value:
    """Return the value of the first event that has one."""
    return _made({"first": column_name(column)}, bounds, where, date)


def last(column: str | Column, *, bounds: Any = None, where: Any = None, date: str | None = None) -> Value:
    """Return the value of the last event that has one."""
    return _made({"last": column_name(column)}, bounds, where, date)


def exists(where: Any) -> Value:
    """Return whether the person has an event that fulfils a condition."""
    return Value({"exists": condition(where).to_json()})


def days_to(events: Events, *, bounds: Any = None, date: str | None = None) -> Value:
    """Return the days from the person's first event to the first of other events on that day or later."""
    if not isinstance(events, Events):
        raise Misused(f'{events!r} are no events: write table("prescriptions").where(...).events(within_days=365)')
    return _made({"days_to": events.to_json()}, bounds, None, date)


def _made(shape: dict[str, Any], bounds: Any, where: Any, date: str | None = None) -> Value:
    made = dict(shape)
    if bounds is not None:
        made["bounds"] = pair(bounds)
    if where is not None:
        made["where"] = condition(where).to_json()
    if date is not None:
        made["date"] = date
    return Value(made)
