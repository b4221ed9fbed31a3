"""The query tree as SQL, for people to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from sqlglot import Dialect, exp

from queries.language import nodes, references
from queries.language.showing import NOTHING
from queries.language.sql import bins, written
from queries.language.sql import keys as cuts
from queries.statistics import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.language.showing import Show

FUNCTION_WORDS = {*Dialect["duckdb"].parser_class.NO_PAREN_FUNCTION_PARSERS} | {
    token.name for token in Dialect["duckdb"].parser_class.NO_PAREN_FUNCTIONS
}

CLAUSES: dict[type[exp.Expr], str] = {exp.Having: "having", exp.Order: "order", exp.Limit: "limit"}
AGGREGATES: dict[str, type[exp.Func]] = {"sum": exp.Sum, "mean": exp.Avg, "min": exp.Min, "max": exp.Max}


def to_sql(query: nodes.Query, show: Show = NOTHING) -> str:
    """Return a query as one SELECT statement, perhaps with how its answer is shown.

    >>> to_sql(nodes.Query("years", (("patients", nodes.Count("persons")),), group_by=(nodes.ByValue("sex"),)))
    'SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex'
    """
    labels = dict(show.labels)
    keys = [_key(key, labels.get(key.name or key.column)) for key in query.group_by]
    named = [
        exp.alias_(shown, key.name or key.column) if key.name or not isinstance(key, nodes.ByValue) else shown
        for key, shown in zip(query.group_by, keys, strict=True)
    ]
    statistics = [exp.alias_(_statistic(statistic), name) for name, statistic in query.select]
    select = exp.select(*named, *statistics).from_(_source(query))
    if query.where is not None:
        select = select.where(written.predicate(query.where))
    if keys:
        select = select.group_by(*(key.copy() for key in keys))
    for clause in _clauses(show):
        select.set(CLAUSES[type(clause)], clause)
    return _text(select)


def tail(show: Show) -> str:
    """Return how an answer is shown as the end of a SELECT statement; labels stand at its beginning."""
    return " ".join(_text(clause).strip() for clause in _clauses(show))


def _clauses(show: Show) -> Iterator[exp.Expr]:
    if show.having is not None:
        yield exp.Having(this=written.predicate(show.having))
    if show.order_by:
        # What has no value is last, as DuckDB has it by default, both ways.
        ordered = [
            exp.Ordered(this=exp.column(one.column), desc=one.descending or None, nulls_first=False)
            for one in show.order_by
        ]
        yield exp.Order(expressions=ordered)
    if show.limit is not None:
        yield exp.Limit(expression=exp.convert(show.limit))


def _text(part: exp.Expr) -> str:
    for name in part.find_all(exp.Identifier):
        # Words that sqlglot reads as functions even without parentheses, and does not quote by itself.
        if name.name.upper() in FUNCTION_WORDS:
            name.set("quoted", True)
    return part.sql("duckdb")


def _source(query: nodes.Query) -> exp.Expr:
    """Return a table, or the subquery of persons that a query builds one from."""
    source = query.source
    if isinstance(source, str):
        return written.table_of(source)
    own = [exp.column(name) for name in (nodes.PERSON, *references.attributes(query))]
    values = [exp.alias_(_value(value, source.table), name) for name, value in source.values]
    select = exp.select(*own, *values).from_(written.table_of(source.table))
    if source.where is not None:
        select = select.where(written.predicate(source.where))
    return select.group_by(*(column.copy() for column in own)).subquery()


def _value(value: nodes.Value, table: str) -> exp.Expr:
    if value.word == "exists":
        assert value.where is not None
        return exp.GT(this=written.filtered(exp.Count(this=exp.Star()), value.where), expression=exp.convert(0))
    if value.to is not None:
        shown: exp.Expr = _days_to(value, value.to, table)
    elif value.column is None:
        shown = exp.Count(this=exp.Star())
    elif value.date is not None:
        kind = exp.ArgMin if value.word == "first" else exp.ArgMax
        shown = kind(this=exp.column(value.column), expression=exp.column(value.date))
    else:
        shown = AGGREGATES[value.word](this=exp.column(value.column))
    if value.where is not None:
        shown = written.filtered(shown, value.where)
    return written.within(shown, value.bounds)


def _days_to(value: nodes.Value, to: nodes.Related, table: str) -> exp.Expr:
    assert value.date is not None, "dates.fill_in was called before"
    start = exp.Min(this=exp.column(value.date, table=table))
    first = exp.Min(this=exp.column(str(to.date), table="later"))
    later = written.others(to, "later", table, exp.GTE, start).select(first)
    return exp.Sub(this=later.subquery(), expression=exp.Min(this=exp.column(value.date)))


def _key(key: nodes.Key, labels: tuple[str, ...] | None) -> exp.Expr:
    column = exp.column(key.column)
    match key:
        case nodes.ByValue():
            return column
        case nodes.ByPeriod(period=period):
            return exp.func("date_trunc", exp.Literal.string(period), column)
        case nodes.ByWidth() | nodes.ByPart():
            return cuts.written(key)
        case nodes.ByBins():
            return bins.written(key, labels)
        case _:
            assert_never(key)


def _statistic(statistic: nodes.Statistic) -> exp.Expr:
    shown: exp.Expr = registry.of(statistic).write_sql(statistic)
    if isinstance(statistic, nodes.Proportion) or statistic.where is None:
        return shown
    return written.filtered(shown, statistic.where)
