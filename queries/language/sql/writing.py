"""The query tree as SQL, for people to read."""

from __future__ import annotations

import itertools

from sqlglot import Dialect, exp

from queries.language import nodes, references
from queries.language.sql import keys as cuts

FUNCTION_WORDS = {*Dialect["duckdb"].parser_class.NO_PAREN_FUNCTION_PARSERS} | {
    token.name for token in Dialect["duckdb"].parser_class.NO_PAREN_FUNCTIONS
}
ORDER: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}

AGGREGATES: dict[str, type[exp.Func]] = {"sum": exp.Sum, "mean": exp.Avg, "min": exp.Min, "max": exp.Max}
ONE_COLUMN: dict[type[nodes.Sum | nodes.Mean | nodes.Variance | nodes.Stddev], type[exp.Func]] = {
    nodes.Sum: exp.Sum,
    nodes.Mean: exp.Avg,
    nodes.Variance: exp.Variance,
    nodes.Stddev: exp.Stddev,
}


def to_sql(query: nodes.Query) -> str:
    """Return a query as one SELECT statement.

    >>> to_sql(nodes.Query("years", (("patients", nodes.Count("persons")),), group_by=(nodes.ByValue("sex"),)))
    'SELECT sex, COUNT(DISTINCT person) AS patients FROM years GROUP BY sex'
    """
    keys = [_key(key) for key in query.group_by]
    named = [
        exp.alias_(shown, key.name or key.column) if key.name or not isinstance(key, nodes.ByValue) else shown
        for key, shown in zip(query.group_by, keys, strict=True)
    ]
    statistics = [exp.alias_(_statistic(statistic), name) for name, statistic in query.select]
    select = exp.select(*named, *statistics).from_(_source(query))
    if query.where is not None:
        select = select.where(_predicate(query.where))
    if keys:
        select = select.group_by(*(key.copy() for key in keys))
    for name in select.find_all(exp.Identifier):
        # Words that sqlglot reads as functions even without parentheses, and does not quote by itself.
        if name.name.upper() in FUNCTION_WORDS:
            name.set("quoted", True)
    return select.sql("duckdb")


def _source(query: nodes.Query) -> exp.Expr:
    """Return a table, or the subquery of persons that a query builds one from."""
    source = query.source
    if isinstance(source, str):
        return _table(source)
    own = [exp.column(name) for name in (nodes.PERSON, *references.attributes(query))]
    values = [exp.alias_(_value(value, source.table), name) for name, value in source.values]
    select = exp.select(*own, *values).from_(_table(source.table))
    if source.where is not None:
        select = select.where(_predicate(source.where))
    return select.group_by(*(column.copy() for column in own)).subquery()


def _table(name: str) -> exp.Table:
    return exp.Table(this=exp.to_identifier(name))


def _value(value: nodes.Value, table: str) -> exp.Expr:
    if value.word == "exists":
        assert value.where is not None
        return exp.GT(this=_filtered(exp.Count(this=exp.Star()), value.where), expression=exp.convert(0))
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
        shown = _filtered(shown, value.where)
    return _within(shown, value.bounds)


def _days_to(value: nodes.Value, to: nodes.Related, table: str) -> exp.Expr:
    assert value.date is not None, "dates.fill_in was called before"
    start = exp.Min(this=exp.column(value.date, table=table))
    later = _others(to, "later", table, exp.GTE, start).select(exp.Min(this=exp.column(str(to.date), table="later")))
    return exp.Sub(this=later.subquery(), expression=exp.Min(this=exp.column(value.date)))


def _others(related: nodes.Related, alias: str, table: str, op: type[exp.Binary], day: exp.Expr) -> exp.Select:
    """Return FROM other AS alias WHERE it is of the same person, on one side of a day, and fulfils its condition."""
    assert related.date is not None, "dates.fill_in was called before"
    date = exp.column(related.date, table=alias)
    conditions: list[exp.Condition] = [
        exp.EQ(this=exp.column(nodes.PERSON, table=alias), expression=exp.column(nodes.PERSON, table=table)),
        op(this=date, expression=day),
    ]
    if related.within_days is not None:
        further, back = (exp.Add, exp.LTE) if op is exp.GTE else (exp.Sub, exp.GTE)
        limit = further(this=day.copy(), expression=exp.convert(related.within_days))
        conditions.append(back(this=date.copy(), expression=limit))
    conditions += _parts(related.where)
    return exp.Select().from_(exp.alias_(_table(related.table), alias, table=True)).where(exp.and_(*conditions))


def _parts(where: nodes.Predicate | None) -> list[exp.Condition]:
    """Return the conditions that must all hold."""
    if where is None:
        return []
    return [_predicate(part) for part in (where.parts if isinstance(where, nodes.All) else (where,))]


def _cohort(cohort: nodes.Cohort) -> exp.Condition:
    person = exp.column(nodes.PERSON)
    conditions = _parts(cohort.where)
    for related, op in ((cohort.after, exp.LTE), (cohort.without, exp.LT)):
        if related is None:
            continue
        assert cohort.date is not None, "dates.fill_in was called before"
        others = _others(related, "earlier", cohort.table, op, exp.column(cohort.date, table=cohort.table))
        exists: exp.Condition = exp.Exists(this=others.select(exp.convert(1)))
        conditions.append(exists if op is exp.LTE else exp.not_(exists))
    select = exp.select(person.copy()).from_(_table(cohort.table))
    if conditions:
        select = select.where(exp.and_(*conditions))
    if cohort.at_least > 1:
        count = exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.convert(cohort.at_least))
        select = select.group_by(person.copy()).having(count)
    return exp.In(this=person, query=select.subquery())


def _key(key: nodes.Key) -> exp.Expr:
    column = exp.column(key.column)
    match key:
        case nodes.ByValue():
            return column
        case nodes.ByPeriod(period=period):
            return exp.func("date_trunc", exp.Literal.string(period), column)
        case nodes.ByWidth() | nodes.ByPart():
            return cuts.written(key)
        case nodes.ByBins(edges=edges):
            bins = exp.Case()
            for low, high in itertools.pairwise(edges):
                inside = exp.and_(
                    exp.GTE(this=column.copy(), expression=exp.convert(low)),
                    exp.LT(this=column.copy(), expression=exp.convert(high)),
                )
                bins = bins.when(inside, exp.Literal.string(f"[{low}, {high})"))
            return bins


def _statistic(statistic: nodes.Statistic) -> exp.Expr:
    if isinstance(statistic, nodes.Proportion):
        all_of = _function(nodes.Count(statistic.of))
        return exp.Div(this=_filtered(all_of.copy(), statistic.holds), expression=all_of)
    shown = _function(statistic)
    return shown if statistic.where is None else _filtered(shown, statistic.where)


def _filtered(function: exp.Expr, where: nodes.Predicate) -> exp.Expr:
    return exp.Filter(this=function, expression=exp.Where(this=_predicate(where)))


def _function(statistic: nodes.Statistic) -> exp.Expr:
    match statistic:
        case nodes.Count("persons"):
            return exp.Count(this=exp.Distinct(expressions=[exp.column(nodes.PERSON)]))
        case nodes.Count():
            return exp.Count(this=exp.Star())
        case nodes.Quantile(column, at, bounds, listed):
            shares = [exp.convert(share) for share in at]
            return exp.PercentileCont(
                this=_clamped(column, bounds), expression=exp.Array(expressions=shares) if listed else shares[0]
            )
        case nodes.Histogram(column, edges):
            bins = [] if edges is None else [exp.Array(expressions=[exp.convert(edge) for edge in edges])]
            return exp.Anonymous(this="HISTOGRAM", expressions=[exp.column(column), *bins])
        case nodes.Survival(column, edges, ends):
            intervals = exp.Array(expressions=[exp.convert(edge) for edge in edges])
            last = [] if ends is None else [exp.cast(exp.convert(ends), "DATE")]
            return exp.Anonymous(this="SURVIVAL", expressions=[exp.column(column), intervals, *last])
        case nodes.Top(column, k):
            return exp.Anonymous(this="APPROX_TOP_K", expressions=[exp.column(column), exp.convert(k)])
        case nodes.Covariance((x, y), pair) | nodes.Correlation((x, y), pair):
            of_x, of_y = pair or (None, None)
            kind = exp.CovarSamp if isinstance(statistic, nodes.Covariance) else exp.Corr
            return kind(this=_clamped(x, of_x), expression=_clamped(y, of_y))
        case nodes.Sum() | nodes.Mean() | nodes.Variance() | nodes.Stddev():
            return ONE_COLUMN[type(statistic)](this=_clamped(statistic.column, statistic.bounds))
        case nodes.Proportion():
            raise AssertionError("two counts, one over the other")


def _clamped(column: str, bounds: tuple[float, float] | None) -> exp.Expr:
    return _within(exp.column(column), bounds)


def _within(value: exp.Expr, bounds: tuple[float, float] | None) -> exp.Expr:
    if bounds is None:
        return value
    # CASE leaves a null null; DuckDB's and PostgreSQL's LEAST and GREATEST would make it a bound.
    clamped = exp.Case()
    for beyond, bound in ((exp.LT, bounds[0]), (exp.GT, bounds[1])):
        clamped = clamped.when(beyond(this=value.copy(), expression=exp.convert(bound)), exp.convert(bound))
    return clamped.else_(value.copy())


def _predicate(predicate: nodes.Predicate) -> exp.Condition:
    match predicate:
        case nodes.All(parts):
            return exp.and_(*map(_predicate, parts)) if parts else exp.true()
        case nodes.Any(parts):
            return exp.or_(*map(_predicate, parts)) if parts else exp.false()
        case nodes.Not(part):
            return exp.not_(_predicate(part))
        case nodes.Cohort():
            return _cohort(predicate)
        case nodes.Comparison(name, op, value):
            column = exp.column(name)
            values = value if isinstance(value, tuple) else (value,)
            literals = [exp.convert(literal) for literal in values]
            if op == "is_null":
                return exp.Is(this=column, expression=exp.null())
            if op == "in":
                return exp.In(this=column, expressions=literals)
            if op == "between":
                return exp.Between(this=column, low=literals[0], high=literals[1])
            return ORDER[op](this=column, expression=literals[0])
