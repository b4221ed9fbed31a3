"""Filters: comparisons, combined with & (and), | (or) and ~ (not), and cohorts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NoReturn

from rowless_client.errors import Misused


class Condition(ABC):
    """A condition on an event, or on a row of a table that was built for each person."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the condition as the JSON of a query has it."""

    def __and__(self, other: Any) -> Condition:
        return _Group("all", (*_parts("all", self), *_parts("all", condition(other))))

    def __or__(self, other: Any) -> Condition:
        return _Group("any", (*_parts("any", self), *_parts("any", condition(other))))

    def __rand__(self, other: Any) -> Condition:
        return condition(other) & self

    def __ror__(self, other: Any) -> Condition:
        return condition(other) | self

    def __invert__(self) -> Condition:
        return _Not(self)

    def __bool__(self) -> NoReturn:
        raise Misused("conditions are combined with & (and), | (or) and ~ (not), each in parentheses")


@dataclass(frozen=True, eq=False)
class Comparison(Condition):
    """A column compared with a value."""

    column: str
    op: str
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the comparison."""
        shape = {"column": self.column, "op": self.op}
        return shape if self.op == "is_null" else {**shape, "value": self.value}


@dataclass(frozen=True, eq=False)
class _Group(Condition):
    word: str
    members: tuple[Condition, ...]

    def to_json(self) -> dict[str, Any]:
        return {self.word: [one.to_json() for one in self.members]}


@dataclass(frozen=True, eq=False)
class _Not(Condition):
    part: Condition

    def to_json(self) -> dict[str, Any]:
        return {"not": self.part.to_json()}


@dataclass(frozen=True, eq=False)
class Written(Condition):
    """A condition that was written as JSON."""

    shape: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return it as it was written."""
        return self.shape


@dataclass(frozen=True)
class Events:
    """Other events of the same person: those of a table that fulfil a condition, perhaps within so many days."""

    table: str
    where: Condition | None = None
    within_days: int | None = None
    date: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as `after`, `without` and `days_to` have it."""
        shape: dict[str, Any] = {"of": self.table}
        if self.where is not None:
            shape["where"] = self.where.to_json()
        if self.within_days is not None:
            shape["within_days"] = self.within_days
        if self.date is not None:
            shape["date"] = self.date
        return shape


@dataclass(frozen=True, eq=False)
class Cohort(Condition):
    """The condition that the person is one of those who have certain events."""

    table: str
    where: Condition | None = None
    at_least: int | None = None
    after: Events | None = None
    without: Events | None = None
    date: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a comparison of the column `person`."""
        value: dict[str, Any] = {"persons": self.table}
        if self.where is not None:
            value["where"] = self.where.to_json()
        if self.at_least is not None:
            value["at_least"] = self.at_least
        if self.after is not None:
            value["after"] = self.after.to_json()
        if self.without is not None:
            value["without"] = self.without.to_json()
        if self.date is not None:
            value["date"] = self.date
        return {"column": "person", "op": "in", "value": value}


def condition(value: Any) -> Condition:
    """Return a condition, a boolean column as the condition that it is true, or JSON as it is. Raises Misused."""
    if isinstance(value, Condition):
        return value
    if isinstance(value, dict):
        return Written(value)
    if hasattr(value, "is_true"):
        made = value.is_true()
        if isinstance(made, Condition):
            return made
    raise Misused(f"{value!r} is no condition: write, for example, q.age >= 18")


def _parts(word: str, value: Condition) -> tuple[Condition, ...]:
    """Return the members of a group of the same word, so that a & b & c is one list."""
    return value.members if isinstance(value, _Group) and value.word == word else (value,)
