"""The query tree: what a researcher asks, frozen, in the words they used.

JSON and SQL are two spellings of this tree. It says nothing of the data or of privacy: `plan.py` binds it to a
catalog. Its shape mirrors the JSON form one to one, so that a place in the tree is a JSON pointer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # of a column of the answer

Scalar = str | int | float | bool

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "is_null")
PERIODS = ("year", "quarter", "month")


@dataclass(frozen=True)
class Comparison:
    """One column against one value, a list of values (in), a pair (between) or nothing (is_null).

    As in SQL, a comparison holds for no null, and neither does its negation; only is_null does.
    """

    column: str
    op: str
    value: Scalar | tuple[Scalar, ...] | None = None


@dataclass(frozen=True)
class All:
    """Every part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Any:
    """At least one part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True)
class Not:
    """The part does not hold."""

    part: Predicate


Predicate = Comparison | All | Any | Not


@dataclass(frozen=True)
class ByValue:
    """One cell for each declared value of a column."""

    column: str
    name: str | None = None  # in the answer; the column's own when not given


@dataclass(frozen=True)
class ByBins:
    """One cell for each bin [edges[i], edges[i+1]); what lies outside falls into none."""

    column: str
    edges: tuple[Scalar, ...]
    name: str | None = None


@dataclass(frozen=True)
class ByPeriod:
    """One cell for each year, quarter or month within the declared bounds of a date column."""

    column: str
    period: str
    name: str | None = None


Key = ByValue | ByBins | ByPeriod


@dataclass(frozen=True)
class Count:
    """How many persons, or how many events."""

    of: str  # "persons" or "events"


@dataclass(frozen=True)
class Sum:
    """The sum of a column, each value clamped to the bounds; nulls add nothing."""

    column: str
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Mean:
    """The mean of a column over the events where it is not null, each value clamped to the bounds."""

    column: str
    bounds: tuple[float, float] | None = None


Statistic = Count | Sum | Mean


@dataclass(frozen=True)
class Bounds:
    """How much of one person may count: distinct cells, and events in each of them. None: the planner's choice."""

    cells_per_person: int | None = None
    events_per_cell: int | None = None


@dataclass(frozen=True)
class Query:
    """A question about one table. `select` ties each statistic to the name of its column in the answer."""

    table: str
    select: tuple[tuple[str, Statistic], ...]
    where: Predicate | None = None
    group_by: tuple[Key, ...] = ()
    bounds: Bounds = Bounds()


@dataclass(frozen=True)
class Privacy:
    """What a query may spend, in billionths: epsilon (pure DP) or rho (zero-concentrated DP), one of them."""

    epsilon_nano: int | None = None
    rho_nano: int | None = None

    def __post_init__(self) -> None:
        assert (self.epsilon_nano is None) != (self.rho_nano is None), "one of them"


def to_json(query: Query) -> dict[str, object]:
    """Return the JSON form of a query, as a release shows what was asked."""
    shown: dict[str, object] = {"from": query.table}
    if query.where is not None:
        shown["where"] = _predicate_json(query.where)
    if query.group_by:
        shown["group_by"] = [_key_json(key) for key in query.group_by]
    shown["select"] = {name: _statistic_json(statistic) for name, statistic in query.select}
    bounds = {
        "cells_per_person": query.bounds.cells_per_person,
        "events_per_cell": query.bounds.events_per_cell,
    }
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if given:
        shown["bounds"] = given
    return shown


def _predicate_json(predicate: Predicate) -> dict[str, object]:
    match predicate:
        case All(parts):
            return {"all": [_predicate_json(part) for part in parts]}
        case Any(parts):
            return {"any": [_predicate_json(part) for part in parts]}
        case Not(part):
            return {"not": _predicate_json(part)}
        case Comparison(column, "is_null", _):
            return {"column": column, "op": "is_null"}
        case Comparison(column, op, value):
            return {"column": column, "op": op, "value": list(value) if isinstance(value, tuple) else value}


def _key_json(key: Key) -> str | dict[str, object]:
    shown: dict[str, object] = {"column": key.column}
    match key:
        case ByBins(edges=edges):
            shown["bins"] = list(edges)
        case ByPeriod(period=period):
            shown["period"] = period
        case ByValue(name=None):
            return key.column
    if key.name is not None:
        shown["as"] = key.name
    return shown


def _statistic_json(statistic: Statistic) -> dict[str, object]:
    match statistic:
        case Count(of):
            return {"count": of}
        case Sum(column, bounds):
            shown: dict[str, object] = {"sum": column}
        case Mean(column, bounds):
            shown = {"mean": column}
    if bounds is not None:
        shown["bounds"] = list(bounds)
    return shown
