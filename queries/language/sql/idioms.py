"""Statistics of a CASE, as people write them, in the words that are known here: a FILTER, or a share of counts.

A CASE of one branch takes part only where its condition holds, and so does FILTER, with the same meaning of null: a
condition that is null does not hold. Both spellings therefore are one query, with one price.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlglot import exp

from queries.language import nodes


class _Branch(NamedTuple):
    """A CASE of one branch: where its condition holds it is a value, elsewhere another one (None for null)."""

    condition: exp.Expr
    value: exp.Expr
    otherwise: exp.Expr | None


def plain(body: exp.Expr) -> exp.Expr:
    """Return a statistic of a CASE of one branch as one with a FILTER, and all others as they are.

    `SUM(CASE WHEN c THEN 1 ELSE 0 END)`, `COUNT(CASE WHEN c THEN 1 END)` and `COUNT_IF(c)` count events,
    `COUNT(DISTINCT CASE WHEN c THEN person END)` persons; `AVG(CASE WHEN c THEN 1 ELSE 0 END)` is a proportion;
    `AVG(CASE WHEN c THEN a END)` and the like are statistics of some events.
    """
    if isinstance(body, exp.Filter):
        inner = plain(body.this)
        if not isinstance(inner, exp.Filter) or not isinstance(body.expression, exp.Where):
            return body
        return _filtered(inner.this, exp.and_(body.expression.this, inner.expression.this))
    if isinstance(body, exp.CountIf) and body.this is not None:
        return _filtered(_count(), body.this)
    if not isinstance(body, exp.AggFunc):
        return body
    if isinstance(body, exp.Count) and isinstance(body.this, exp.Distinct):
        return _of_persons(body)
    branch = _branch(body.this)
    if branch is None:
        return body
    condition, value, otherwise = branch
    if isinstance(body, exp.Avg) and _is(value, 1) and _is(otherwise, 0):
        return exp.Div(this=_filtered(_count(), condition), expression=_count())
    if isinstance(body, exp.Sum) and _is(otherwise, 0):
        otherwise = None  # nothing and 0 are the same to a sum
    if otherwise is not None:
        return body
    if isinstance(value, exp.Literal):
        counts = isinstance(body, exp.Count) or (isinstance(body, exp.Sum) and _is(value, 1))
        return _filtered(_count(), condition) if counts else body
    if isinstance(body, exp.Count):
        return body
    of_value = body.copy()
    of_value.set("this", value.copy())
    return _filtered(of_value, condition)


def _of_persons(body: exp.Count) -> exp.Expr:
    """Return COUNT(DISTINCT CASE WHEN c THEN person END) as one with a FILTER."""
    told = body.this.expressions
    branch = _branch(told[0]) if len(told) == 1 else None
    if branch is None or branch.otherwise is not None or not _is_person(branch.value):
        return body
    return _filtered(exp.Count(this=exp.Distinct(expressions=[branch.value.copy()])), branch.condition)


def _branch(body: exp.Expr | None) -> _Branch | None:
    """Return the parts of a CASE of one branch, or of an IF."""
    if isinstance(body, exp.If):
        found = body, body.args.get("false")
    elif isinstance(body, exp.Case) and body.args.get("this") is None and len(body.args["ifs"]) == 1:
        found = body.args["ifs"][0], body.args.get("default")
    else:
        return None
    one, otherwise = found
    condition, value = one.args.get("this"), one.args.get("true")
    if condition is None or value is None:  # what somebody left out is refused by whoever reads it
        return None
    return _Branch(condition, value, None if isinstance(otherwise, exp.Null) else otherwise)


def _is(body: exp.Expr | None, number: int) -> bool:
    return isinstance(body, exp.Literal) and not body.is_string and float(body.this) == number


def _is_person(body: exp.Expr) -> bool:
    return isinstance(body, exp.Column) and body.name.lower() == nodes.PERSON


def _count() -> exp.Count:
    return exp.Count(this=exp.Star(), big_int=True)


def _filtered(function: exp.Expr, condition: exp.Expr) -> exp.Filter:
    # Copies: what was written stays whole, for GROUP BY and HAVING to be compared with.
    return exp.Filter(this=function.copy(), expression=exp.Where(this=condition.copy()))
