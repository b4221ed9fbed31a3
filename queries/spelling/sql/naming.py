"""Names in SQL without regard to case: a query with the names of the catalog.

SQL's names differ by more than upper and lower case, so `Sex` asks for the column `sex`. JSON's names are the catalog's
own, and so is the tree from here on: the study's protocol, its templates and the fingerprint compare names as they are.
A name that is there as it was written is that one. One that may be two others is refused with both.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from sqlglot import exp

from queries.catalog.schema import EPOCH, PERSONS, Kind
from queries.errors import InvalidQuery
from queries.language import nodes, references
from queries.spelling.sql import statistics
from queries.statistics import registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from queries.catalog.schema import Column, Table


def one_spelling(statement: exp.Expr) -> None:
    """Write each column of a statement as it is written first, so that equal expressions are equal trees.

    Two names that the statement itself gives stay as they are, although they differ in case only.
    """
    aliases = {one.alias for one in statement.find_all(exp.Alias)}
    several = {name for name, times in Counter(alias.lower() for alias in aliases).items() if times > 1}
    spelled: dict[str, str] = {}
    for column in statement.find_all(exp.Column):
        if isinstance(column.this, exp.Identifier) and column.name.lower() not in several:
            column.this.set("this", spelled.setdefault(column.name.lower(), column.name))


def among(name: str, known: Iterable[str], pointer: str) -> str:
    """Return the known name that is meant, or the name itself if none is. Raises InvalidQuery if two are."""
    names = list(known)
    found = [name] if name in names else [one for one in names if one.lower() == name.lower()]
    if len(found) > 1:
        raise InvalidQuery(
            pointer, f"{name} may be {found[0]} or {found[1]}, which differ in case only: write one of them"
        )
    return found[0] if found else name


def resolved(query: nodes.Query, tables: Mapping[str, Table]) -> nodes.Query:
    """Return a query that was read from SQL with the names of the catalog's tables and columns.

    A statistic without a name of its own is called after its columns. Raises InvalidQuery if a name is ambiguous.
    """
    names = _Names(tables)
    source, known = names.source(query.source)
    where = None if query.where is None else names.predicate(query.where, known, "/query/where")
    declared = tables[source].columns if isinstance(source, str) and source in tables else {}
    keys = tuple(_key(key, known, declared, f"/query/group_by/{place}") for place, key in enumerate(query.group_by))
    select = tuple(names.selected(name, statistic, known) for name, statistic in query.select)
    for name, times in Counter(name for name, _ in select).items():
        if times > 1:
            raise InvalidQuery(f"/query/select/{name}", f"there are two columns {name}: give one of them an alias")
    return replace(query, source=source, where=where, group_by=keys, select=select)


def _key(key: nodes.Key, known: Iterable[str], declared: Mapping[str, Column], pointer: str) -> nodes.Key:
    column = among(key.column, known, pointer)
    found = replace(key, column=column, name=None if key.name == column else key.name)
    if isinstance(found, nodes.ByBins) and column in declared and declared[column].ordered:
        return _closed(found, declared[column])
    return found


def _closed(key: nodes.ByBins, column: Column) -> nodes.ByBins:
    """Return bins with the column's declared bounds in place of open ends: no value lies beyond them."""
    edges = key.edges
    if key.open_below:
        edges = (_edge(column, column.low), *edges)
    if key.open_above and (last := _edge(column, column.high + 1)) is not None:
        return replace(key, edges=(*edges, last), open_below=False, open_above=False)
    return replace(key, edges=edges, open_below=False)


def _edge(column: Column, units: int) -> Any:
    """Return an edge as a query writes it. None: no day comes after the last one of the calendar."""
    if column.kind is not Kind.DATE:
        return column.value(units)
    day = EPOCH.toordinal() + units
    return dt.date.fromordinal(day).isoformat() if day <= dt.date.max.toordinal() else None


class _Names:
    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables

    def table(self, name: str, pointer: str) -> str:
        return among(name, self._tables, pointer)

    def columns(self, table: str) -> list[str]:
        return list(self._tables[table].columns) if table in self._tables else []

    def source(self, source: str | nodes.PerPerson) -> tuple[str | nodes.PerPerson, list[str]]:
        """Return what a query asks of, and the columns that it has."""
        pointer = "/query/from"
        if isinstance(source, str):
            table = self.table(source, pointer)
            return table, self.columns(table)
        table = self.table(source.table, pointer)
        known = self.columns(table)
        where = None if source.where is None else self.predicate(source.where, known, pointer)
        values = tuple((name, self.value(value, known, pointer)) for name, value in source.values)
        built = nodes.PerPerson(table, values, where)
        return built, [*(name for name, _ in values), *self.columns(PERSONS)]

    def value(self, value: nodes.Value, known: list[str], pointer: str) -> nodes.Value:
        return replace(
            value,
            column=self._optional(value.column, known, pointer),
            where=None if value.where is None else self.predicate(value.where, known, pointer),
            date=self._optional(value.date, known, pointer),
            to=self.related(value.to, pointer),
        )

    def selected(self, name: str, statistic: nodes.Statistic, known: list[str]) -> tuple[str, nodes.Statistic]:
        pointer = f"/query/select/{name}"
        changed: dict[str, Any] = {}
        if isinstance(statistic, nodes.Proportion):
            changed["holds"] = self.predicate(statistic.holds, known, pointer)
        elif statistic.where is not None:
            changed["where"] = self.predicate(statistic.where, known, pointer)
        columns = tuple(among(column, known, pointer) for column in references.columns_of(statistic))
        if columns:
            word = "columns" if hasattr(statistic, "columns") else "column"
            changed[word] = columns if word == "columns" else columns[0]
        if (censored := references.censored_of(statistic)) is not None:
            changed["censored"] = among(censored, known, pointer)
        found = replace(statistic, **changed)
        return _default_name(found) if name == _default_name(statistic) else name, found

    def predicate(self, predicate: nodes.Predicate, known: list[str], pointer: str) -> nodes.Predicate:
        match predicate:
            case nodes.Not(part):
                return nodes.Not(self.predicate(part, known, pointer))
            case nodes.All(parts) | nodes.Any(parts):
                return type(predicate)(tuple(self.predicate(part, known, pointer) for part in parts))
            case nodes.Cohort():
                return self.cohort(predicate, pointer)
            case nodes.Comparison(column, _, nodes.OtherColumn(other)):
                value = nodes.OtherColumn(among(other, known, pointer))
                return replace(predicate, column=among(column, known, pointer), value=value)
            case nodes.Comparison(column):
                return replace(predicate, column=among(column, known, pointer))
            case _:
                assert_never(predicate)

    def cohort(self, cohort: nodes.Cohort, pointer: str) -> nodes.Cohort:
        table = self.table(cohort.table, pointer)
        known = self.columns(table)
        return replace(
            cohort,
            table=table,
            where=None if cohort.where is None else self.predicate(cohort.where, known, pointer),
            after=self.related(cohort.after, pointer),
            without=self.related(cohort.without, pointer),
            date=self._optional(cohort.date, known, pointer),
        )

    def related(self, related: nodes.Related | None, pointer: str) -> nodes.Related | None:
        if related is None:
            return None
        table = self.table(related.table, pointer)
        known = self.columns(table)
        where = None if related.where is None else self.predicate(related.where, known, pointer)
        return replace(related, table=table, where=where, date=self._optional(related.date, known, pointer))

    def _optional(self, name: str | None, known: list[str], pointer: str) -> str | None:
        return None if name is None else among(name, known, pointer)


def _default_name(statistic: nodes.Statistic) -> str:
    """Return the name of a statistic that has no alias."""
    written: exp.Expr = registry.of(statistic).write_sql(statistic)
    return statistics.statistic(written)[1]
