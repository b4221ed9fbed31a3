"""Conditions, other events and clamped columns as SQL."""

from __future__ import annotations

from typing import assert_never

from sqlglot import exp

from queries.language import nodes

WILDCARDS = "%_\\"  # of LIKE, with the sign that some databases escape them with
ORDER: dict[str, type[exp.Binary]] = {
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
}


def predicate(node: nodes.Predicate) -> exp.Condition:
    """Return a condition."""
    match node:
        case nodes.All(parts):
            return exp.and_(*map(predicate, parts)) if parts else exp.true()
        case nodes.Any(parts):
            return exp.or_(*map(predicate, parts)) if parts else exp.false()
        case nodes.Not(part):
            return exp.not_(predicate(part))
        case nodes.Cohort():
            return _cohort(node)
        case nodes.Comparison(name, op, nodes.CodeList(listed)):
            codes = exp.Anonymous(this="CODES", expressions=[exp.convert(listed)])
            if op == "begins":
                return exp.StartsWith(this=exp.column(name), expression=codes)
            return exp.In(this=exp.column(name), field=codes if op == "in" else _descendants(codes))
        case nodes.Comparison(name, op, nodes.OtherColumn(other)):
            return ORDER[op](this=exp.column(name), expression=exp.column(other))
        case nodes.Comparison(name, op, value):
            column = exp.column(name)
            values = value if isinstance(value, tuple) else (value,)
            literals = [exp.convert(literal) for literal in values]
            if op == "is_null":
                return exp.Is(this=column, expression=exp.null())
            if op == "in":
                return exp.In(this=column, expressions=literals)
            if op == "under":
                return exp.In(this=column, field=_descendants(literals[0]))
            if op == "begins":
                return _beginning(column, str(value))
            if op == "between":
                return exp.Between(this=column, low=literals[0], high=literals[1])
            return ORDER[op](this=column, expression=literals[0])
        case _:
            assert_never(node)


def _descendants(of: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="DESCENDANTS", expressions=[of])


def _beginning(column: exp.Column, prefix: str) -> exp.Condition:
    if any(wildcard in prefix for wildcard in WILDCARDS):
        return exp.StartsWith(this=column, expression=exp.convert(prefix))
    return exp.Like(this=column, expression=exp.convert(f"{prefix}%"))


def _cohort(cohort: nodes.Cohort) -> exp.Condition:
    person = exp.column(nodes.PERSON)
    conditions = _parts(cohort.where)
    for related, op in ((cohort.after, exp.LTE), (cohort.without, exp.LT)):
        if related is None:
            continue
        assert cohort.date is not None, "dates.fill_in was called before"
        earlier = others(related, "earlier", cohort.table, op, exp.column(cohort.date, table=cohort.table))
        exists: exp.Condition = exp.Exists(this=earlier.select(exp.convert(1)))
        conditions.append(exists if op is exp.LTE else exp.not_(exists))
    select = exp.select(person.copy()).from_(table_of(cohort.table))
    if conditions:
        select = select.where(exp.and_(*conditions))
    if cohort.at_least > 1:
        count = exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.convert(cohort.at_least))
        select = select.group_by(person.copy()).having(count)
    return exp.In(this=person, query=select.subquery())


def others(related: nodes.Related, alias: str, table: str, op: type[exp.Binary], day: exp.Expr) -> exp.Select:
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
    return exp.Select().from_(exp.alias_(table_of(related.table), alias, table=True)).where(exp.and_(*conditions))


def _parts(where: nodes.Predicate | None) -> list[exp.Condition]:
    """Return the conditions that must all hold."""
    if where is None:
        return []
    return [predicate(part) for part in (where.parts if isinstance(where, nodes.All) else (where,))]


def table_of(name: str) -> exp.Table:
    """Return a table by its name."""
    return exp.Table(this=exp.to_identifier(name))


def filtered(function: exp.Expr, where: nodes.Predicate) -> exp.Expr:
    """Return a function over the events that fulfil a condition."""
    return exp.Filter(this=function, expression=exp.Where(this=predicate(where)))


def clamped(column: str, bounds: tuple[float, float] | None) -> exp.Expr:
    """Return a column, each value clamped to the bounds if there are any."""
    return within(exp.column(column), bounds)


def within(value: exp.Expr, bounds: tuple[float, float] | None) -> exp.Expr:
    """Return a value clamped to the bounds if there are any."""
    if bounds is None:
        return value
    # CASE leaves a null null; DuckDB's and PostgreSQL's LEAST and GREATEST would make it a bound.
    clamped = exp.Case()
    for beyond, bound in ((exp.LT, bounds[0]), (exp.GT, bounds[1])):
        clamped = clamped.when(beyond(this=value.copy(), expression=exp.convert(bound)), exp.convert(bound))
    return clamped.else_(value.copy())
