"""The tables and columns that a query names, each with the place of the name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator


def tables(query: nodes.Query) -> Iterator[tuple[str, str]]:
    """Yield every table that a query reads, with the JSON pointer to its name."""
    yield from ((named.pointer, named.name) for named in _named(query) if named.is_table)


def columns(query: nodes.Query) -> Iterator[tuple[str, str]]:
    """Yield every stored column that a query names, with the JSON pointer to its name."""
    yield from ((named.pointer, named.name) for named in _named(query) if named.is_column)


def code_lists(query: nodes.Query) -> Iterator[tuple[str, str]]:
    """Yield every code list that a query names, with the JSON pointer to its name."""
    yield from ((named.pointer, named.name) for named in _named(query) if named.is_list)


def attributes(query: nodes.Query) -> tuple[str, ...]:
    """Return the attributes of the person that a query over a per-person table names, beside the built values."""
    assert isinstance(query.source, nodes.PerPerson)
    built = {name for name, _ in query.source.values}
    named = (one.name for one in _outer(query) if one.is_column and not one.of_cohort)
    return tuple(dict.fromkeys(name for name in named if name not in built))


@dataclass(frozen=True)
class _Name:
    pointer: str
    name: str
    is_table: bool = False
    is_list: bool = False  # of codes
    of_cohort: bool = False  # it stands within a cohort, whose events are those of a stored table

    @property
    def is_column(self) -> bool:
        return not (self.is_table or self.is_list)


def _named(query: nodes.Query) -> Iterator[_Name]:
    source = query.source
    if isinstance(source, str):
        yield _Name("/query/from", source, is_table=True)
        yield from _outer(query)
        return
    yield _Name("/query/from/per_person", source.table, is_table=True)
    yield from _of_predicate(source.where, "/query/from/where")
    for name, value in source.values:
        yield from _of_value(value, f"/query/from/values/{name}")
    # A built value is no stored column. The columns that it is built of are yielded above. Within a cohort, the same
    # name is that of a stored column: otherwise whoever called a value like a column could read it unseen.
    built = {name for name, _ in source.values}
    yield from (named for named in _outer(query) if not named.is_column or named.of_cohort or named.name not in built)


def _of_value(value: nodes.Value, pointer: str) -> Iterator[_Name]:
    if value.column is not None:
        yield _Name(f"{pointer}/{value.word}", value.column)
    if value.date is not None:
        yield _Name(f"{pointer}/date", value.date)
    yield from _of_predicate(value.where, f"{pointer}/{'exists' if value.word == 'exists' else 'where'}")
    if value.to is not None:
        yield from _of_related(value.to, f"{pointer}/days_to")


def _outer(query: nodes.Query) -> Iterator[_Name]:
    yield from _of_predicate(query.where, "/query/where")
    for place, key in enumerate(query.group_by):
        pointer = f"/query/group_by/{place}"
        yield _Name(pointer if isinstance(key, nodes.ByValue) else f"{pointer}/column", key.column)
    for name, statistic in query.select:
        pointer = f"/query/select/{name}/{nodes.word_of(statistic)}"
        named = columns_of(statistic)
        for place, column in enumerate(named):
            yield _Name(f"{pointer}/{place}" if len(named) > 1 else pointer, column)
        if (censored := censored_of(statistic)) is not None:
            yield _Name(f"/query/select/{name}/censored", censored)
        if isinstance(statistic, nodes.Proportion):
            yield from _of_predicate(statistic.holds, pointer)
        else:
            yield from _of_predicate(statistic.where, f"/query/select/{name}/where")


def _of_predicate(predicate: nodes.Predicate | None, pointer: str) -> Iterator[_Name]:
    match predicate:
        case nodes.Comparison(column, value=value):
            yield _Name(f"{pointer}/column", column)
            if isinstance(value, nodes.OtherColumn):
                yield _Name(f"{pointer}/value/column", value.name)
            if isinstance(value, nodes.CodeList):
                yield _Name(f"{pointer}/value/list", value.name, is_list=True)
        case nodes.Cohort():
            yield from (replace(named, of_cohort=True) for named in _of_cohort(predicate, f"{pointer}/value"))
        case nodes.Not(part):
            yield from _of_predicate(part, f"{pointer}/not")
        case nodes.All(parts) | nodes.Any(parts):
            word = "all" if isinstance(predicate, nodes.All) else "any"
            for place, part in enumerate(parts):
                yield from _of_predicate(part, f"{pointer}/{word}/{place}")
        case None:
            pass
        case _:
            assert_never(predicate)


def _of_cohort(cohort: nodes.Cohort, pointer: str) -> Iterator[_Name]:
    yield _Name(f"{pointer}/persons", cohort.table, is_table=True)
    yield from _of_predicate(cohort.where, f"{pointer}/where")
    if cohort.date is not None:
        yield _Name(f"{pointer}/date", cohort.date)
    for word, related in (("after", cohort.after), ("without", cohort.without)):
        if related is not None:
            yield from _of_related(related, f"{pointer}/{word}")


def _of_related(related: nodes.Related, pointer: str) -> Iterator[_Name]:
    yield _Name(f"{pointer}/of", related.table, is_table=True)
    yield from _of_predicate(related.where, f"{pointer}/where")
    if related.date is not None:
        yield _Name(f"{pointer}/date", related.date)


def censored_of(statistic: nodes.Statistic) -> str | None:
    """Return the column with the day on which each person's follow-up ends, if a statistic names one."""
    return statistic.censored if isinstance(statistic, nodes.Survival | nodes.Rate) else None


def columns_of(statistic: nodes.Statistic) -> tuple[str, ...]:
    """Return the columns whose values a statistic is about."""
    match statistic:
        case nodes.Count() | nodes.Proportion():
            return ()
        case nodes.Covariance(columns) | nodes.Correlation(columns) | nodes.Slope(columns):
            return columns
        case (
            nodes.Sum(column)
            | nodes.Mean(column)
            | nodes.Variance(column)
            | nodes.Stddev(column)
            | nodes.Quantile(column)
            | nodes.Iqr(column)
        ):
            return (column,)
        case nodes.Histogram(column) | nodes.Top(column) | nodes.Survival(column) | nodes.Rate(column):
            return (column,)
        case _:
            assert_never(statistic)
