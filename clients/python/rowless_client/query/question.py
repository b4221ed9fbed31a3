"""A question about a table: each method returns the question with one thing more, and `to_json` its JSON."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from rowless_client.errors import Misused
from rowless_client.query import statistics
from rowless_client.query.columns import METHODS, Column, key
from rowless_client.query.conditions import Cohort, Condition, Events, condition
from rowless_client.query.statistics import Statistic
from rowless_client.query.values import Value


@dataclass(frozen=True)
class Question:
    """A question about one table. Columns are its attributes (`q.age`), or its items (`q["where"]`).

    `known` are the names of the columns, if a catalog was read: then others are refused at once.
    """

    table: str
    known: tuple[str, ...] | None = None
    _values: tuple[tuple[str, Value], ...] = ()  # of a table that is built, with a row for each person
    _of: Condition | None = None  # the events of which those values are made
    _where: Condition | None = None
    _keys: tuple[Any, ...] = ()
    _select: tuple[tuple[str, Statistic], ...] = ()
    _bounds: tuple[tuple[str, int], ...] = field(default=())

    # Columns

    def __getattr__(self, name: str) -> Column:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Column:
        if self.known is not None and name not in (*self.known, "person"):
            near = difflib.get_close_matches(name, self.known, 1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise AttributeError(
                f"{self.table} has no column {name}; {meant}there are {', '.join(self.known)}. "
                f"Methods of a question are {METHODS}"
            )
        return Column(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(self.known or ())]

    # What is asked

    def where(self, *conditions: Any) -> Question:
        """Return the question about events that fulfil all of these conditions too."""
        found = self._where
        for one in conditions:
            found = condition(one) if found is None else found & condition(one)
        return replace(self, _where=found)

    def by(self, *keys: Any) -> Question:
        """Return the question with a cell for each combination of keys."""
        return replace(self, _keys=(*self._keys, *map(key, keys)))

    def select(self, *unnamed: Statistic, **named: Statistic) -> Question:
        """Return the question with more statistics: `select(patients=count_persons(), cost=mean("cost"))`."""
        found = dict(self._select)
        for one in unnamed:
            found[_free(_checked(one).default, found)] = one
        for name, one in named.items():
            if name in found:
                raise Misused(f"{name} is already the name of a statistic of this question")
            found[name] = _checked(one)
        return replace(self, _select=tuple(found.items()))

    def bounds(self, *, cells_per_person: int | None = None, events_per_cell: int | None = None) -> Question:
        """Return the question with contribution bounds: how much of one person may count."""
        given = {"cells_per_person": cells_per_person, "events_per_cell": events_per_cell}
        kept = {**dict(self._bounds), **{name: value for name, value in given.items() if value is not None}}
        return replace(self, _bounds=tuple(kept.items()))

    def _and(self, statistic: Statistic, name: str | None) -> Question:
        return self.select(statistic) if name is None else self.select(**{name: statistic})

    def count_persons(self, name: str | None = None, *, where: Any = None) -> Question:
        """Ask how many persons have at least one event in the cell."""
        return self._and(statistics.count_persons(where=where), name)

    def count_events(self, name: str | None = None, *, where: Any = None) -> Question:
        """Ask how many events there are in the cell."""
        return self._and(statistics.count_events(where=where), name)

    def sum(self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None) -> Question:
        """Ask for a sum, each value clamped to the bounds."""
        return self._and(statistics.sum(column, bounds=bounds, where=where), name)

    def mean(self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None) -> Question:
        """Ask for a mean, each value clamped to the bounds."""
        return self._and(statistics.mean(column, bounds=bounds, where=where), name)

    def proportion(self, fulfilled: Any, name: str | None = None, *, of: str | None = None) -> Question:
        """Ask for the share of the events, or `of="persons"`, that fulfil a condition."""
        return self._and(statistics.proportion(fulfilled, of=of), name)

    def variance(
        self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for a sample variance."""
        return self._and(statistics.variance(column, bounds=bounds, where=where), name)

    def stddev(
        self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for a sample standard deviation."""
        return self._and(statistics.stddev(column, bounds=bounds, where=where), name)

    def quantile(
        self, column: str | Column, at: Any, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for a quantile, or for a list of them at one price."""
        return self._and(statistics.quantile(column, at, bounds=bounds, where=where), name)

    def median(
        self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for the quantile at 0.5."""
        return self._and(statistics.median(column, bounds=bounds, where=where), name)

    def iqr(self, column: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None) -> Question:
        """Ask for the interquartile range."""
        return self._and(statistics.iqr(column, bounds=bounds, where=where), name)

    def histogram(
        self, column: str | Column, bins: Any = None, name: str | None = None, *, where: Any = None
    ) -> Question:
        """Ask how many events fall into each bin, or have each declared value."""
        return self._and(statistics.histogram(column, bins, where=where), name)

    def top(self, column: str | Column, k: int, name: str | None = None, *, where: Any = None) -> Question:
        """Ask for the most frequent declared values."""
        return self._and(statistics.top(column, k, where=where), name)

    def covariance(
        self, x: str | Column, y: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for a sample covariance."""
        return self._and(statistics.covariance(x, y, bounds=bounds, where=where), name)

    def correlation(
        self, x: str | Column, y: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for Pearson's correlation."""
        return self._and(statistics.correlation(x, y, bounds=bounds, where=where), name)

    def survival(
        self,
        column: str | Column,
        bins: Any,
        name: str | None = None,
        *,
        ends: Any = None,
        censored: str | Column | None = None,
        where: Any = None,
    ) -> Question:
        """Ask for the survival curve of days to an event. Give `ends`, the last day of the data."""
        return self._and(statistics.survival(column, bins, ends=ends, censored=censored, where=where), name)

    def rate(
        self,
        column: str | Column,
        days: int,
        name: str | None = None,
        *,
        ends: Any,
        censored: str | Column | None = None,
        where: Any = None,
    ) -> Question:
        """Ask for the incidence rate of an event: persons who have it for each person-year at risk."""
        return self._and(statistics.rate(column, days, ends=ends, censored=censored, where=where), name)

    def slope(
        self, y: str | Column, x: str | Column, name: str | None = None, *, bounds: Any = None, where: Any = None
    ) -> Question:
        """Ask for the slope of y over x."""
        return self._and(statistics.slope(y, x, bounds=bounds, where=where), name)

    # What other questions are made of

    def per_person(self, **values: Value) -> Question:
        """Return a table with a row for each person with events that fulfil `where`, and values made of these."""
        self._only_filtered("per_person")
        for name, value in values.items():
            if not isinstance(value, Value):
                raise Misused(
                    f"{name} must be a value of rowless_client.values, for example values.count(bounds=(0, 30))"
                )
        if not values:
            raise Misused("name at least one value: per_person(visits=values.count(bounds=(0, 30)))")
        return Question(self.table, None, tuple(values.items()), self._where)

    def persons(
        self,
        *,
        at_least: int | None = None,
        after: Events | None = None,
        without: Events | None = None,
        date: str | None = None,
    ) -> Cohort:
        """Return the cohort of the persons with events of this table that fulfil `where`. It is a condition."""
        self._only_filtered("persons")
        for one in (after, without):
            if one is not None and not isinstance(one, Events):
                raise Misused('after and without are events: table("consultations").where(...).events(within_days=90)')
        return Cohort(self.table, self._where, at_least, after, without, date)

    def events(self, *, within_days: int | None = None, date: str | None = None) -> Events:
        """Return the events of this table that fulfil `where`, for `after`, `without` and `days_to`."""
        self._only_filtered("events")
        return Events(self.table, self._where, within_days, date)

    def _only_filtered(self, word: str) -> None:
        if self._values or self._keys or self._select or self._bounds:
            raise Misused(f"{word} is made of a table and its where alone: table(...).where(...).{word}(...)")

    def to_json(self) -> dict[str, Any]:
        """Return the query. Raises Misused without a statistic."""
        if not self._select:
            raise Misused("the question has no statistic yet: add, for example, .count_persons()")
        shape: dict[str, Any] = {"from": self._source()}
        if self._where is not None:
            shape["where"] = self._where.to_json()
        if self._keys:
            shape["group_by"] = list(self._keys)
        shape["select"] = {name: statistic.to_json() for name, statistic in self._select}
        if self._bounds:
            shape["bounds"] = dict(self._bounds)
        return shape

    def _source(self) -> Any:
        if not self._values:
            return self.table
        source: dict[str, Any] = {"per_person": self.table}
        if self._of is not None:
            source["where"] = self._of.to_json()
        return {**source, "values": {name: value.to_json() for name, value in self._values}}

    def __repr__(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False) if self._select else f"table({self.table!r})"


def table(name: str) -> Question:
    """Return a question about a table whose columns are not known here. `study.table(name)` checks columns too."""
    return Question(name)


def _checked(statistic: Any) -> Statistic:
    if not isinstance(statistic, Statistic):
        raise Misused(f"{statistic!r} is no statistic: write, for example, statistics.mean('cost')")
    return statistic


def _free(name: str, taken: Any) -> str:
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    return found
