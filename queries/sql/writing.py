"""The query tree as SQL, for people to read."""

from __future__ import annotations

import itertools

from sqlglot import exp

from queries import nodes

ORDER: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}

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
    select = exp.select(*named, *statistics).from_(exp.to_table(query.table))
    if query.where is not None:
        select = select.where(_predicate(query.where))
    if keys:
        select = select.group_by(*(key.copy() for key in keys))
    return select.sql("duckdb")


def _key(key: nodes.Key) -> exp.Expr:
    column = exp.column(key.column)
    match key:
        case nodes.ByValue():
            return column
        case nodes.ByPeriod(period=period):
            return exp.func("date_trunc", exp.Literal.string(period), column)
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
            return exp.Count(this=exp.Distinct(expressions=[exp.column("person")]))
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
    if bounds is None:
        return exp.column(column)
    # CASE leaves a null null; DuckDB's and PostgreSQL's LEAST and GREATEST would make it a bound.
    clamped = exp.Case()
    for beyond, bound in ((exp.LT, bounds[0]), (exp.GT, bounds[1])):
        clamped = clamped.when(beyond(this=exp.column(column), expression=exp.convert(bound)), exp.convert(bound))
    return clamped.else_(exp.column(column))


def _predicate(predicate: nodes.Predicate) -> exp.Condition:
    match predicate:
        case nodes.All(parts):
            return exp.and_(*map(_predicate, parts)) if parts else exp.true()
        case nodes.Any(parts):
            return exp.or_(*map(_predicate, parts)) if parts else exp.false()
        case nodes.Not(part):
            return exp.not_(_predicate(part))
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
