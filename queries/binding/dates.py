"""A query with the date columns that it left unsaid.

"Within 90 days" is about a date, and a table that has but one need not be told which. Here the name is filled in, so
that the study's protocol is asked about that column too, and that the query can be shown as SQL. What cannot be filled
in stays as it is: planning says what is wrong with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from queries.catalog.schema import Kind
from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Table


def fill_in(query: nodes.Query, tables: Mapping[str, Table]) -> nodes.Query:
    """Return the query with every date column named where its table has just one."""
    filler = _Filler(tables)
    source = query.source
    if isinstance(source, nodes.PerPerson):
        events = source.table
        values = tuple((name, filler.value(value, events)) for name, value in source.values)
        source = replace(source, values=values)
    select = tuple((name, filler.statistic(statistic)) for name, statistic in query.select)
    where = None if query.where is None else filler.predicate(query.where)
    return replace(query, source=source, select=select, where=where)


class _Filler:
    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables

    def date(self, given: str | None, table: str) -> str | None:
        if given is not None or table not in self._tables:
            return given
        dates = [column.name for column in self._tables[table].columns.values() if column.kind is Kind.DATE]
        return dates[0] if len(dates) == 1 else None

    def related(self, related: nodes.Related | None) -> nodes.Related | None:
        return None if related is None else replace(related, date=self.date(related.date, related.table))

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
            case nodes.Cohort(table=table) if predicate.after is not None or predicate.without is not None:
                after, without = self.related(predicate.after), self.related(predicate.without)
                return replace(predicate, after=after, without=without, date=self.date(predicate.date, table))
            case _:
                return predicate
