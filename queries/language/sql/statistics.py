"""Functions of SQL as statistics."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from queries.language import nodes
from queries.language.sql.conditions import predicate
from queries.language.sql.syntax import column_name, only, refusal, scalar

PERSON = "person"
FUNCTIONS: dict[type[exp.Expr], type[nodes.Sum | nodes.Mean | nodes.Variance | nodes.Stddev]] = {
    exp.Sum: nodes.Sum,
    exp.Avg: nodes.Mean,
    exp.Variance: nodes.Variance,
    exp.Stddev: nodes.Stddev,
    exp.StddevSamp: nodes.Stddev,
}
PAIRS: dict[type[exp.Expr], type[nodes.Covariance | nodes.Correlation]] = {
    exp.CovarSamp: nodes.Covariance,
    exp.Corr: nodes.Correlation,
}
KNOWN = "COUNT, SUM, AVG, VARIANCE, STDDEV, MEDIAN, QUANTILE_CONT, COVAR_SAMP, CORR, HISTOGRAM, APPROX_TOP_K, SURVIVAL"


def is_statistic(body: exp.Expr) -> bool:
    """Say whether an expression is meant as a statistic (and not as a key)."""
    return isinstance(body, exp.AggFunc | exp.Anonymous | exp.Filter | exp.Div | exp.Paren | exp.WithinGroup)


def statistic(body: exp.Expr) -> tuple[nodes.Statistic, str]:
    """Return a statistic and the name it has without an alias. Raises InvalidQuery with line and column."""
    if isinstance(body, exp.Div):
        return _proportion(body)
    if isinstance(body, exp.Filter):
        only(body, "this", "expression")
        where = body.expression
        if not isinstance(where, exp.Where):
            raise refusal(body, "FILTER takes (WHERE ...)")
        found, name = _function(body.this)
        return replace(found, where=predicate(where.this)), name
    return _function(body)


def _function(body: exp.Expr) -> tuple[nodes.Function, str]:
    """Return a statistic without its filter."""
    if isinstance(body, exp.Count):
        of = _counted(body)
        return nodes.Count(of), "count" if of == "events" else of
    if type(body) in FUNCTIONS:
        only(body, "this")
        column, bounds = _clamped(body.this)
        kind = FUNCTIONS[type(body)]
        return kind(column, bounds), f"{kind.__name__.lower()}_{column}"
    if type(body) in PAIRS:
        only(body, "this", "expression")
        (x, of_x), (y, of_y) = _clamped(body.this), _clamped(body.expression)
        if (of_x is None) != (of_y is None):
            raise refusal(body, "clamp both columns or none")
        pair = None if of_x is None or of_y is None else (of_x, of_y)
        kind_of_pair = PAIRS[type(body)]
        return kind_of_pair((x, y), pair), f"{kind_of_pair.__name__.lower()}_{x}_{y}"
    if isinstance(body, exp.Median):
        only(body, "this")
        column, bounds = _clamped(body.this)
        return nodes.Quantile(column, (0.5,), bounds), f"median_{column}"
    if isinstance(body, exp.PercentileCont):
        return _quantile(body)
    if isinstance(body, exp.ApproxTopK):
        only(body, "this", "expression")
        return _top(body, [body.this, body.expression])
    if isinstance(body, exp.Anonymous):
        return _anonymous(body)
    raise refusal(body, f"this is no statistic that is known here; there are {KNOWN}")


def _counted(body: exp.Count) -> str:
    only(body, "this", "big_int")
    counted = body.this
    if isinstance(counted, exp.Star):
        only(counted)
        return "events"
    if isinstance(counted, exp.Distinct):
        only(counted, "expressions")
        if [column_name(one).lower() for one in counted.expressions] == [PERSON]:
            return "persons"
    raise refusal(body, "count events with COUNT(*) or persons with COUNT(DISTINCT person)")


def _proportion(body: exp.Div) -> tuple[nodes.Proportion, str]:
    """Read COUNT(x) FILTER (WHERE ...) / COUNT(x)."""
    wanted = "a proportion is written: COUNT(*) FILTER (WHERE a > 0) / COUNT(*), or with COUNT(DISTINCT person)"
    only(body, "this", "expression", "typed", "safe")
    part, whole = body.this, body.expression
    if not (isinstance(part, exp.Filter) and isinstance(part.this, exp.Count) and isinstance(whole, exp.Count)):
        raise refusal(body, wanted)
    found, _ = statistic(part)
    of = _counted(whole)
    if not isinstance(found, nodes.Count) or found.where is None or found.of != of:
        raise refusal(body, wanted)
    return nodes.Proportion(found.where, of), "proportion"


def _quantile(body: exp.PercentileCont) -> tuple[nodes.Quantile, str]:
    only(body, "this", "expression")
    column, bounds = _clamped(body.this)
    given = body.expression
    if isinstance(given, exp.Array):
        return nodes.Quantile(column, tuple(map(_share, _items(given))), bounds, listed=True), f"quantile_{column}"
    if given is None:
        raise refusal(body, "write QUANTILE_CONT(column, 0.5)")
    return nodes.Quantile(column, (_share(given),), bounds), f"quantile_{column}"


def _share(part: exp.Expr) -> float:
    share = scalar(part)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise refusal(part, "a quantile is at a share above 0 and below 1, as 0.5")
    return float(share)


def _items(array: exp.Array) -> list[exp.Expr]:
    only(array, "expressions", "value_constructor")
    if not array.expressions:
        raise refusal(array, "write a list that is not empty, as [0.25, 0.5, 0.75]")
    return list(array.expressions)


def _anonymous(body: exp.Anonymous) -> tuple[nodes.Function, str]:
    """Read the functions that sqlglot knows by name alone."""
    only(body, "this", "expressions")
    name, arguments = str(body.this).upper(), list(body.expressions)
    if name == "APPROX_TOP_K":
        return _top(body, arguments)
    if name == "SURVIVAL":
        return _survival(body, arguments)
    if name != "HISTOGRAM":
        raise refusal(body, f"there is no such function here; there are {KNOWN}")
    if len(arguments) not in (1, 2) or (len(arguments) == 2 and not isinstance(arguments[1], exp.Array)):
        raise refusal(body, "write HISTOGRAM(column), or with the edges of its bins HISTOGRAM(column, [0, 18, 65])")
    column = column_name(arguments[0])
    edges = tuple(map(scalar, _items(arguments[1]))) if len(arguments) == 2 else None
    return nodes.Histogram(column, edges), f"histogram_{column}"


def _survival(body: exp.Expr, arguments: list[exp.Expr]) -> tuple[nodes.Survival, str]:
    if len(arguments) not in (2, 3) or not isinstance(arguments[1], exp.Array):
        raise refusal(body, "write SURVIVAL(days, [0, 30, 60, 90]), or with the last day DATE '2023-12-31' after it")
    column = column_name(arguments[0])
    ends = scalar(arguments[2]) if len(arguments) == 3 else None
    if ends is not None and not isinstance(ends, str):
        raise refusal(arguments[2], "the last day is a date: DATE '2023-12-31'")
    return nodes.Survival(column, tuple(map(scalar, _items(arguments[1]))), ends), f"survival_{column}"


def _top(body: exp.Expr, arguments: list[exp.Expr]) -> tuple[nodes.Top, str]:
    k = scalar(arguments[1]) if len(arguments) == 2 and arguments[1] is not None else None
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise refusal(body, "write APPROX_TOP_K(column, 5): the five most frequent values")
    column = column_name(arguments[0])
    return nodes.Top(column, k), f"top_{column}"


def _clamped(body: exp.Expr) -> tuple[str, tuple[float, float] | None]:
    if isinstance(body, exp.Column):
        return column_name(body), None
    column, bounds = unclamped(body)
    return column_name(column), bounds


def unclamped(body: exp.Expr) -> tuple[exp.Expr, tuple[float, float]]:
    """Return what is clamped by a CASE, and its bounds."""
    wanted = "write a column, or clamp it: CASE WHEN a < 0 THEN 0 WHEN a > 30 THEN 30 ELSE a END"
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
