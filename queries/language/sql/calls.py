"""Calls of functions, read and written: by name, of one column, of two columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.language.sql import written
from queries.language.sql.syntax import column_name, only, refusal, scalar
from queries.language.sql.values import clamped, items

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from queries.language import nodes

    Bounds = tuple[float, float] | None


def is_named(body: exp.Expr, *names: str) -> bool:
    """Return whether it calls one of these functions, of those that sqlglot knows by their name alone."""
    return isinstance(body, exp.Anonymous) and str(body.this).upper() in names


def arguments(body: exp.Expr) -> list[exp.Expr]:
    """Return the arguments of a call."""
    if isinstance(body, exp.Anonymous):
        only(body, "this", "expressions")
        return list(body.expressions)
    only(body, "this", "expression")
    return [body.this, body.expression]


def named(name: str, *given: exp.Expr) -> exp.Anonymous:
    """Return a call by name."""
    return exp.Anonymous(this=name, expressions=list(given))


def scalars(part: exp.Expr) -> tuple[nodes.Scalar, ...]:
    """Return the values of a list that is not empty."""
    assert isinstance(part, exp.Array)
    return tuple(map(scalar, items(part)))


def array(values: Iterable[nodes.Scalar]) -> exp.Array:
    """Return a list of numbers, or of days: their texts are no dates to a database that reads the list."""
    return exp.Array(expressions=[exp.cast(one, "DATE") if one.is_string else one for one in map(exp.convert, values)])


def follow_up(given: Sequence[exp.Expr]) -> tuple[str | None, str | None]:
    """Return until when persons are followed: to a last day, to the day in a column of each person, or both."""
    left = list(given)
    ends = None
    if left and not isinstance(left[0], exp.Column):
        last = scalar(left[0])
        if not isinstance(last, str):
            raise refusal(left[0], "the last day is a date: DATE '2023-12-31'")
        ends, left = last, left[1:]
    censored = column_name(left[0]) if left else None
    if len(left) > 1:
        raise refusal(left[1], "the last day stands before the column with each person's own")
    return ends, censored


def last_days(ends: str | None, censored: str | None) -> list[exp.Expr]:
    """Return the arguments that say until when persons are followed."""
    last: list[exp.Expr] = [] if ends is None else [exp.cast(exp.convert(ends), "DATE")]
    return last if censored is None else [*last, exp.column(censored)]


def one_column(body: exp.Expr) -> tuple[str, Bounds]:
    """Return the column that is the only argument of a function, and its clamping bounds."""
    only(body, "this")
    return clamped(body.this)


def two_columns(body: exp.Expr) -> tuple[tuple[str, str], tuple[tuple[float, float], tuple[float, float]] | None]:
    """Return the columns that are the two arguments of a function, and the clamping bounds of both."""
    only(body, "this", "expression")
    (x, of_x), (y, of_y) = clamped(body.this), clamped(body.expression)
    if (of_x is None) != (of_y is None):
        raise refusal(body, "clamp both columns or none")
    return (x, y), None if of_x is None or of_y is None else (of_x, of_y)


def of_two(
    kind: type[exp.Func], columns: tuple[str, str], bounds: tuple[tuple[float, float], tuple[float, float]] | None
) -> exp.Func:
    """Return a function of two columns."""
    (x, y), (of_x, of_y) = columns, bounds or (None, None)
    return kind(this=written.clamped(x, of_x), expression=written.clamped(y, of_y))
