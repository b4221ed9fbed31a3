"""Keys that are computed of a column, both ways: bins of a width, and parts of dates."""

from __future__ import annotations

import re

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.syntax import column_name, only, refusal, scalar

PARTS = {  # SQL's word -> ours; of several the first is written
    "YEAR": "year",
    "QUARTER": "quarter",
    "MONTH": "month",
    "WEEK": "week",
    "WEEKOFYEAR": "week",
    "ISODOW": "weekday",
    "DAY": "day",
    "DAYOFMONTH": "day",
}
FUNCTIONS: dict[type[exp.Expr], str] = {
    exp.Year: "year",
    exp.Quarter: "quarter",
    exp.Month: "month",
    exp.Week: "week",
    exp.WeekOfYear: "week",
    exp.DayOfWeekIso: "weekday",
    exp.Day: "day",
    exp.DayOfMonth: "day",
}
KEYS = (
    "a key is a column, DATE_TRUNC('month', column), EXTRACT(MONTH FROM column), FLOOR(column / 10) * 10 or a CASE "
    "of bins [a, b)"
)
WIDTH = "bins of a width are written FLOOR(a / 10) * 10, or with another origin FLOOR((a - 5) / 10) * 10 + 5"
BUCKET = "bins of days are written TIME_BUCKET(INTERVAL 7 DAY, a, DATE '2020-01-06')"


def key(body: exp.Expr, name: str | None) -> nodes.ByWidth | nodes.ByPart | None:
    """Return the key if the expression is meant as one of these. Raises InvalidQuery with line and column."""
    found: nodes.ByWidth | nodes.ByPart
    if type(body) in FUNCTIONS:
        only(body, "this")
        found = nodes.ByPart(column_name(body.this), FUNCTIONS[type(body)])
    elif isinstance(body, exp.Extract):
        only(body, "this", "expression")
        word = body.this.name.upper()
        if word not in PARTS:
            raise refusal(body, f"EXTRACT takes one of {', '.join(PARTS)} (of ISODOW, 1 is Monday)")
        found = nodes.ByPart(column_name(body.expression), PARTS[word])
    elif isinstance(body, exp.DateBin):
        found = _days(body)
    elif isinstance(body, exp.Mul | exp.Add | exp.Sub):
        found = _width(body)
    else:
        return None
    if name is None or name == found.column:
        return found
    if isinstance(found, nodes.ByPart):
        return nodes.ByPart(found.column, found.part, name)
    return nodes.ByWidth(found.column, found.width, found.origin, name)


def _width(body: exp.Expr) -> nodes.ByWidth:
    """Read FLOOR((a - origin) / width) * width + origin."""
    bins, origin = _shifted(body)
    bins = _bare(bins)
    if not isinstance(bins, exp.Mul):
        raise refusal(body, WIDTH)
    only(bins, "this", "expression")
    counted, factor = _bare(bins.this), bins.expression
    if isinstance(_bare(factor), exp.Floor | exp.IntDiv):
        counted, factor = _bare(factor), bins.this
    if isinstance(counted, exp.Floor):
        only(counted, "this")
        counted = _bare(counted.this)
        if not isinstance(counted, exp.Div):
            raise refusal(body, WIDTH)
    elif not isinstance(counted, exp.IntDiv):
        raise refusal(body, WIDTH)
    only(counted, "this", "expression", "typed", "safe")
    divided, taken = _shifted(_bare(counted.this))
    width, divisor = _number(factor), _number(counted.expression)
    if width != divisor:
        raise refusal(body, f"divide by the width and multiply by the same: {WIDTH}")
    if (origin is None) != (taken is None) or (origin is not None and taken is not None and origin != -taken):
        raise refusal(body, f"take the origin away and add it again: {WIDTH}")
    return nodes.ByWidth(column_name(divided), width, origin)


def _shifted(body: exp.Expr) -> tuple[exp.Expr, int | float | None]:
    """Return what a number is added to or taken from, and that number with its sign; None: there is none."""
    if not isinstance(body, exp.Add | exp.Sub):
        return body, None
    only(body, "this", "expression")
    number = _number(body.expression)
    return body.this, number if isinstance(body, exp.Add) else -number


def _bare(body: exp.Expr) -> exp.Expr:
    """Return what stands in parentheses."""
    while isinstance(body, exp.Paren):
        only(body, "this")
        body = body.this
    return body


def _number(body: exp.Expr) -> int | float:
    number = scalar(body)
    if isinstance(number, bool | str):
        raise refusal(body, f"write a number here: {WIDTH}")
    return number


def _days(body: exp.DateBin) -> nodes.ByWidth:
    only(body, "this", "expression", "unit")
    interval, origin = body.this, body.args.get("unit")
    if not isinstance(interval, exp.Interval) or origin is None:
        raise refusal(body, BUCKET)
    only(interval, "this", "unit")
    unit, days, begins = interval.args.get("unit"), interval.this, scalar(origin)
    # sqlglot keeps the number of an interval as a text.
    is_whole = isinstance(days, exp.Literal) and re.fullmatch(r"[0-9]{1,9}", str(days.this))
    if unit is None or unit.name.upper() not in ("DAY", "DAYS") or not is_whole or not isinstance(begins, str):
        raise refusal(body, BUCKET)
    return nodes.ByWidth(column_name(body.expression), int(days.this), begins)


def written(key: nodes.ByWidth | nodes.ByPart) -> exp.Expr:
    """Return a key as an expression."""
    column = exp.column(key.column)
    if isinstance(key, nodes.ByPart):
        word = next(word for word, part in PARTS.items() if part == key.part)
        return exp.Extract(this=exp.Var(this=word), expression=column)
    if isinstance(key.origin, str):
        interval = exp.Interval(this=exp.Literal.string(str(key.width)), unit=exp.Var(this="DAY"))
        return exp.DateBin(this=interval, expression=column, unit=exp.cast(exp.convert(key.origin), "DATE"))
    taken = column if key.origin is None else exp.Paren(this=_plus(column, -key.origin))
    floor = exp.Floor(this=exp.Div(this=taken, expression=exp.convert(key.width)))
    bins = exp.Mul(this=floor, expression=exp.convert(key.width))
    return bins if key.origin is None else _plus(bins, key.origin)


def _plus(body: exp.Expr, number: float) -> exp.Expr:
    kind = exp.Sub if number < 0 else exp.Add
    return kind(this=body, expression=exp.convert(abs(number)))
