"""Columns: compared they become conditions, cut into cells they become keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn

from rowless_client.errors import Misused
from rowless_client.query.conditions import Cohort, Comparison, Condition, condition
from rowless_client.query.plain import CodeList, scalar, scalars


@dataclass(frozen=True)
class Key:
    """A key of the cells: a column, perhaps cut into bins or periods, perhaps with another name in the answer."""

    column: str
    cut: tuple[tuple[str, Any], ...] = ()
    name: str | None = None

    def named(self, name: str) -> Key:
        """Return the key with another name in the answer."""
        return replace(self, name=name)

    def to_json(self) -> Any:
        """Return the key as the JSON of a query has it."""
        if not self.cut and self.name is None:
            return self.column
        shape = {"column": self.column, **dict(self.cut)}
        return shape if self.name is None else {**shape, "as": self.name}


class Column:
    """A column of a table. Compare it to get a condition; cut it to get a key."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Column({self.name!r})"

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compared("=", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compared("!=", other)

    def __lt__(self, other: object) -> Condition:
        return self._compared("<", other)

    def __le__(self, other: object) -> Condition:
        return self._compared("<=", other)

    def __gt__(self, other: object) -> Condition:
        return self._compared(">", other)

    def __ge__(self, other: object) -> Condition:
        return self._compared(">=", other)

    __hash__ = object.__hash__

    def isin(self, values: Any) -> Condition:
        """Return the condition that the value is one of a list; for `person`, that they are one of a cohort."""
        if isinstance(values, Cohort):
            if self.name != "person":
                raise Misused(f"{self.name} is not compared with persons: write person.isin(...), or the cohort alone")
            return values
        return Comparison(self.name, "in", scalars(values))

    def between(self, low: Any, high: Any) -> Condition:
        """Return the condition that the value lies between two others, both included."""
        return Comparison(self.name, "between", [scalar(low), scalar(high)])

    def under(self, code: str | CodeList) -> Condition:
        """Return the condition that a code is this one or under it, by the column's hierarchy or else its beginning."""
        return Comparison(self.name, "under", code.to_json() if isinstance(code, CodeList) else scalar(code))

    def begins(self, text: str | CodeList) -> Condition:
        """Return the condition that a code begins so: `begins("E11")` means E11, E11.9 and all others."""
        return Comparison(self.name, "begins", text.to_json() if isinstance(text, CodeList) else scalar(text))

    def is_null(self) -> Condition:
        """Return the condition that there is no value."""
        return Comparison(self.name, "is_null")

    def is_true(self) -> Condition:
        """Return the condition that a boolean is true. A column that stands for a condition means this."""
        return Comparison(self.name, "=", value=True)

    def __and__(self, other: Any) -> Condition:
        return self.is_true() & condition(other)

    def __or__(self, other: Any) -> Condition:
        return self.is_true() | condition(other)

    def __invert__(self) -> Condition:
        return ~self.is_true()

    def bins(self, *edges: Any) -> Key:
        """Return the key of bins: with edges 0, 18, 65 those from 0 to below 18, and from 18 to below 65."""
        listed = edges[0] if len(edges) == 1 and not isinstance(edges[0], (str, int, float)) else edges
        return Key(self.name, (("bins", scalars(listed)),))

    def width(self, width: float, start: Any = None) -> Key:
        """Return the key of bins of one width, one of which begins at `start` (by default 0; a date must be given)."""
        cut: tuple[tuple[str, Any], ...] = (("width", scalar(width)),)
        return Key(self.name, cut if start is None else (*cut, ("from", scalar(start))))

    def period(self, unit: str) -> Key:
        """Return the key of a date's periods: year, quarter, month, week or day."""
        return Key(self.name, (("period", unit),))

    def part(self, unit: str) -> Key:
        """Return the key of a part of a date over all years: year, quarter, month, week, weekday or day."""
        return Key(self.name, (("part", unit),))

    def named(self, name: str) -> Key:
        """Return the key of this column with another name in the answer."""
        return Key(self.name, name=name)

    def _compared(self, op: str, other: object) -> Condition:
        if isinstance(other, Column):
            return Comparison(self.name, op, {"column": other.name})
        return Comparison(self.name, op, scalar(other))

    def __bool__(self) -> NoReturn:
        raise Misused("conditions are combined with & (and), | (or) and ~ (not), each in parentheses")

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Raise Misused: somebody called a method that a question does not have."""
        raise Misused(f"a question has no method {self.name}; its methods are {METHODS}")

    def __iter__(self) -> NoReturn:
        raise Misused(f"{self.name} is a column and holds no values here: they stay on the server")


METHODS = "where, by, select, bounds, count_persons, count_events, sum, mean, proportion, median, top and others"


def column_name(value: str | Column) -> str:
    """Return the name of a column. Raises Misused."""
    if isinstance(value, Column):
        return value.name
    if isinstance(value, str):
        return value
    raise Misused(f'{value!r} is no column: write its name, as "age", or q.age')


def key(value: Any) -> Any:
    """Return a key as JSON, however it was written. Raises Misused."""
    if isinstance(value, Key):
        return value.to_json()
    if isinstance(value, Column):
        return value.name
    if isinstance(value, (str, dict)):
        return value
    raise Misused(f'{value!r} is no key: write "sex", q.age.bins(0, 18, 65) or q.date.period("month")')
