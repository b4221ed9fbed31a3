"""Columns that may be clamped, lists and filters: what functions of SQL are made of."""

from __future__ import annotations

from sqlglot import exp

from queries.language.sql.syntax import column_name, only, refusal, scalar


def filtered(body: exp.Filter) -> tuple[exp.Expr, exp.Expr]:
    """Return a function and the condition of its FILTER."""
    only(body, "this", "expression")
    where = body.expression
    if not isinstance(where, exp.Where):
        raise refusal(body, "FILTER takes (WHERE ...)")
    return body.this, where.this


def clamped(body: exp.Expr) -> tuple[str, tuple[float, float] | None]:
    """Return a column and the bounds to which it is clamped, if it is."""
    if isinstance(body, exp.Column):
        return column_name(body), None
    column, bounds = unclamped(body)
    return column_name(column), bounds


def unclamped(body: exp.Expr) -> tuple[exp.Expr, tuple[float, float]]:
    """Return what is clamped by a CASE, and its bounds."""
    wanted = (
        "write a column, or clamp it: CASE WHEN a < 0 THEN 0 WHEN a > 30 THEN 30 ELSE a END; to count what fulfils a "
        "condition, COUNT(*) FILTER (WHERE ...)"
    )
    if not isinstance(body, exp.Case) or len(body.args["ifs"]) != 2:
        raise refusal(body, wanted)
    only(body, "ifs", "default")
    low, high = body.args["ifs"]
    if not (isinstance(low.this, exp.LT) and isinstance(high.this, exp.GT) and body.args.get("default")):
        raise refusal(body, wanted)
    clamped = body.args["default"]
    numbers = [scalar(part) for branch in (low, high) for part in (branch.this.expression, branch.args["true"])]
    if any(one.this.this != clamped for one in (low, high)) or numbers[0] != numbers[1] or numbers[2] != numbers[3]:
        raise refusal(body, wanted)
    bounds = [number for number in numbers[::2] if isinstance(number, int | float) and not isinstance(number, bool)]
    if len(bounds) != 2:
        raise refusal(body, "bounds are numbers")
    return clamped, (bounds[0], bounds[1])


def items(array: exp.Array) -> list[exp.Expr]:
    """Return the parts of a list, which is not empty."""
    only(array, "expressions", "value_constructor")
    if not array.expressions:
        raise refusal(array, "write a list that is not empty, as [0.25, 0.5, 0.75]")
    return list(array.expressions)
