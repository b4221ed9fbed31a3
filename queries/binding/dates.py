"""A query with the date columns that it leaves out.

"Within 90 days" is about a date, and a query need not name the date of a table that has only one. The name is filled in
here, before the query is permitted and bound: the study's protocol is then asked about that column too, and the query
can be shown as SQL. What cannot be filled in stays as it is, and binding refuses it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from queries.binding import names
from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Table


def fill_in(query: nodes.Query, tables: Mapping[str, Table]) -> nodes.Query:
    """Return the query with every date column named whose table has only one date."""
    filler = _Filler(tables)
    select = tuple((name, filler.statistic(statistic)) for name, statistic in query.select)
    where = None if query.where is None else filler.predicate(query.where)
    return replace(query, source=filler.source(query.source), select=select, where=where)


class _Filler:
    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables

    def date(self, given: str | None, table: str) -> str | None:
        if given is not None or table not in self._tables:
            return given
        return names.only_date(self._tables[table])

    def related(self, related: nodes.Related | None) -> nodes.Related | None:
        return None if related is None else replace(related, date=self.date(related.date, related.table))

    def source(self, source: str | nodes.PerPerson) -> str | nodes.PerPerson:
        match source:
            case str():
                return source
            case nodes.PerPerson(table, values):
                return replace(source, values=tuple((name, self.value(value, table)) for name, value in values))
            case _:
                assert_never(source)

    def value(self, value: nodes.Value, table: str) -> nodes.Value:
        date = self.date(value.date, table) if value.word in ("first", "last", "days_to") else value.date
        return replace(value, date=date, to=self.related(value.to))

    def statistic(self, statistic: nodes.Statistic) -> nodes.Statistic:
        if isinstance(statistic, nodes.Proportion):
            return replace(statistic, holds=self.predicate(statistic.holds))
        return statistic if statistic.where is None else replace(statistic, where=self.predicate(statistic.where))

    def predicate(self, predicate: nodes.Predicate) -> nodes.Predicate:
        match predicate:
            case nodes.Not(part):
                return nodes.Not(self.predicate(part))
            case nodes.All(parts):
                return nodes.All(tuple(map(self.predicate, parts)))
            case nodes.Any(parts):
                return nodes.Any(tuple(map(self.predicate, parts)))
            case nodes.Cohort(table=table, after=after, without=without):
                if after is None and without is None:  # the day of its events does not matter
                    return predicate
                date = self.date(predicate.date, table)
                return replace(predicate, after=self.related(after), without=self.related(without), date=date)
            case nodes.Comparison():
                return predicate
            case _:
                assert_never(predicate)
