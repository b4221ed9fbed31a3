"""Values for each person as the engine's SQL: integer aggregates over a person's events, coded as stored columns are.

Nothing here can fail or depend on an order. Sums of 64-bit integers are exact in 128 bits, and divisions are guarded.
Among several events on one day, `first` takes the one with the least code and `last` the one with the greatest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.binding.per_person import MEAN_PARTS
from queries.catalog.codes import code_type
from queries.catalog.schema import PERSON
from queries.execution.comparisons import integer, present, with_sentinels
from queries.execution.sql_writer import day_of, shifted

if TYPE_CHECKING:
    from queries.binding.per_person import Built, BuiltValue
    from queries.catalog.schema import Column
    from queries.execution.sql_writer import Writer


FOLLOWED = ("outcome", "at_risk", "happened")  # values of persons who are followed from their first event


def built_table(built: Built, writer: Writer) -> exp.Select:
    """Return SELECT person, attributes, values: one row for each person who has events."""
    person = exp.column(PERSON, quoted=True)
    attributes = [
        # An attribute is the same on all events of a person.
        exp.alias_(exp.Max(this=exp.column(name, quoted=True)), name, quoted=True)
        for name, column in built.table.columns.items()
        if column.of_person
    ]
    own = [
        exp.alias_(_coded(_units(value, writer, built), value.column), value.column.name, quoted=True)
        for value in built.values
        if value.to is None
    ]
    later = [value for value in built.values if value.to is not None]
    own += [
        exp.alias_(_first_day(value), f"?start{place}", quoted=True)
        for place, value in enumerate(later)
        if value.word in FOLLOWED
    ]
    select = writer.of_table(exp.select(person, *attributes, *own), built.events.name).group_by(person.copy())
    where = writer.condition(built.where, built.events.name)
    if where is not None:
        select = select.where(where)
    if not later:
        return select
    joined = exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier("own"))).from_(select.subquery("own"))
    for place, value in enumerate(later):
        name = f"to{place}"
        days: exp.Expr = exp.column("days", table=name)
        if value.word in FOLLOWED:
            followed = _followed(exp.column(f"?start{place}", table="own", quoted=True), value)
            days = (_outcome if value.word == "outcome" else _at_risk)(days, followed, value)
        else:
            days = _coded(days, value.column)
        joined = joined.select(exp.alias_(days, value.column.name, quoted=True))
        on = exp.EQ(
            this=exp.column(PERSON, table="own", quoted=True), expression=exp.column(PERSON, table=name, quoted=True)
        )
        days_to = with_sentinels(_days_to(value, built, writer), days=0)
        joined = joined.join(days_to.subquery(), on=on, join_type="LEFT", join_alias=name)
    return joined


def _days_to(value: BuiltValue, built: Built, writer: Writer) -> exp.Select:
    """Return, for each person, the days from their first event to the first other event on that day or later."""
    assert value.date is not None
    assert value.to is not None
    start = exp.alias_(_first_day(value), "start")
    starts = writer.of_table(exp.select(exp.column(PERSON, quoted=True), start), built.events.name)
    starts = starts.where(present(value.date.name))
    where = writer.condition(built.where, built.events.name)
    if where is not None:
        starts = starts.where(where)
    starts = starts.group_by(exp.column(PERSON, quoted=True))
    person = exp.column(PERSON, table="s", quoted=True)
    day, began = exp.column("day", table="b"), exp.column("start", table="s")
    same = exp.EQ(this=person, expression=exp.column(PERSON, table="b", quoted=True))
    apart = exp.Sub(this=day, expression=began)
    later = exp.and_(same, exp.GTE(this=day.copy(), expression=began.copy()))
    select = exp.select(person.copy(), exp.alias_(exp.Min(this=apart), "days"))
    select = select.from_(writer.days(value.to).subquery("b"))
    begun = with_sentinels(starts, start=0)
    select = select.join(begun.subquery(), on=later, join_alias="s").group_by(person.copy())
    if value.to.within_days is None:
        return select
    return select.where(exp.LTE(this=apart.copy(), expression=exp.Literal.number(value.to.within_days)))


def _first_day(value: BuiltValue) -> exp.Expr:
    """Return the day of a person's first event that has a day."""
    assert value.date is not None
    return _filtered(exp.Min(this=day_of(value.date.name, value.date.low)), present(value.date.name))


def _followed(start: exp.Expr, value: BuiltValue) -> exp.Expr:
    """Return how many days a person was followed: up to the last day of all, or their own if it is earlier."""
    last: exp.Expr = integer(value.end)
    if value.censored is not None:
        code = exp.column(value.censored.name, table="own", quoted=True)
        own = shifted(code, value.censored.low - 1)
        case = exp.Case().when(exp.EQ(this=code.copy(), expression=integer(0)), last)
        last = exp.Paren(this=case.else_(exp.Least(this=own, expressions=[last.copy()])))
    return exp.Paren(this=exp.Sub(this=last, expression=start))


def _at_risk(days: exp.Expr, followed: exp.Expr, value: BuiltValue) -> exp.Expr:
    """Return the code of the days that a person was at risk, or of whether the event happened in them (`rates.py`).

    It is 0 if the person was not followed, and of the event also if it did not happen.
    """
    most = exp.Least(this=followed.copy(), expressions=[integer(value.edges[-1])])
    happened = exp.LTE(this=days, expression=most.copy())  # does not hold if days is null
    case = exp.Case().when(
        exp.or_(
            exp.Is(this=followed.copy(), expression=exp.null()),
            exp.LT(this=followed.copy(), expression=integer(0)),
        ),
        integer(0),
    )
    if value.word == "happened":
        case = case.when(happened, integer(1)).else_(integer(0))
    else:
        at_risk = exp.Case().when(happened, days.copy()).else_(most.copy())
        case = case.else_(exp.Add(this=exp.Paren(this=at_risk), expression=integer(1)))
    return exp.cast(case, code_type(value.column), dialect="duckdb")


def _outcome(days: exp.Expr, followed: exp.Expr, value: BuiltValue) -> exp.Expr:
    """Return the code of what became of a person (`survival.py`); 0 if the person was not followed."""
    happened = exp.LTE(this=days, expression=followed.copy())  # does not hold if days is null
    case = exp.Case().when(
        exp.or_(
            exp.Is(this=followed.copy(), expression=exp.null()),
            exp.LT(this=followed.copy(), expression=integer(0)),
        ),
        integer(0),
    )
    beyond = value.column.size
    # Without `copy=False` the whole case is copied for each branch, of which there may be thousands.
    for place, edge in enumerate(value.edges[1:]):
        within = exp.LT(this=days.copy(), expression=integer(edge))
        case = case.when(exp.And(this=happened.copy(), expression=within), integer(2 * place + 1), copy=False)
    case = case.when(happened.copy(), integer(beyond))
    for place, edge in enumerate(value.edges[1:]):
        followed_so_far = exp.LT(this=followed.copy(), expression=integer(edge))
        case = case.when(followed_so_far, integer(2 * place + 2), copy=False)
    return exp.cast(case.else_(integer(beyond)), code_type(value.column), dialect="duckdb")


def _units(value: BuiltValue, writer: Writer, built: Built) -> exp.Expr:
    """Return a value in the units of its column; NULL if the person has none."""
    of, date = value.of, value.date
    where = writer.condition(value.where, built.events.name)
    if of is None:
        count = _filtered(exp.Count(this=exp.Star()), where)
        if value.word == "count":
            return count
        return (
            exp.Case()
            .when(exp.GT(this=count, expression=exp.Literal.number(0)), exp.Literal.number(1))
            .else_(exp.Literal.number(0))
        )
    known = present(of.name) if where is None else exp.and_(present(of.name), where)
    column = exp.column(of.name, quoted=True)
    match value.word:
        case "sum":
            return _filtered(exp.Sum(this=shifted(column, of.low - 1)), known)
        case "mean":
            total = _filtered(exp.Sum(this=shifted(column, of.low - 1)), known)
            count = exp.cast(_filtered(exp.Count(this=exp.Star()), known.copy()), "HUGEINT", dialect="duckdb")
            scaled = exp.Mul(this=total, expression=exp.Literal.number(MEAN_PARTS))
            some = exp.Nullif(this=count, expression=exp.Literal.number(0))
            return exp.IntDiv(this=scaled, expression=some)
        case "min" | "max":
            extreme = exp.Min if value.word == "min" else exp.Max
            return shifted(_filtered(extreme(this=column), known), of.low - 1)
        case _:
            assert date is not None
            extreme = exp.Min if value.word == "first" else exp.Max
            # Make one number of the day and the code: its extreme has both.
            codes = exp.Literal.number(of.size + 1)
            day = exp.cast(exp.column(date.name, quoted=True), "HUGEINT", dialect="duckdb")
            both = exp.Add(this=exp.Mul(this=day, expression=codes), expression=column)
            found = _filtered(extreme(this=both), exp.and_(known, present(date.name)))
            return shifted(exp.Mod(this=exp.Paren(this=found), expression=codes.copy()), of.low - 1)


def _coded(units: exp.Expr, column: Column) -> exp.Expr:
    """Return the code of a value, clamped to its column."""
    last = column.low + column.size - 1
    units = exp.Paren(this=units)
    code = (
        exp.Case()
        .when(exp.Is(this=units.copy(), expression=exp.null()), exp.Literal.number(0))
        .when(exp.LT(this=units.copy(), expression=integer(column.low)), exp.Literal.number(1))
        .when(exp.GT(this=units.copy(), expression=integer(last)), exp.Literal.number(column.size))
        .else_(exp.Add(this=units, expression=integer(1 - column.low)))
    )
    return exp.cast(code, code_type(column), dialect="duckdb")


def _filtered(aggregate: exp.Expr, where: exp.Condition | None) -> exp.Expr:
    if where is None:
        return aggregate
    return exp.Filter(this=aggregate, expression=exp.Where(this=where.copy()))
