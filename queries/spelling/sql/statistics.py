"""Functions of SQL as statistics: each statistic reads its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from queries.language.sql.conditions import predicate
from queries.language.sql.idioms import plain
from queries.language.sql.syntax import refusal
from queries.language.sql.values import filtered
from queries.statistics import registry

if TYPE_CHECKING:
    from queries.language import nodes
    from queries.statistics.statistic import Statistic

KNOWN = ", ".join(name for statistic in registry.STATISTICS for name in statistic.sql_names)
COMPUTED = (
    "nothing is computed with a statistic: select it by itself, and compute with the numbers of the answer (rounding: "
    '"post": ["round"]; a share: COUNT(*) FILTER (WHERE ...) / COUNT(*))'
)
OTHERS: dict[type[exp.Expr], str] = {
    exp.Min: "there is no minimum over persons, which would be one person's value: ask for QUANTILE_CONT(column, 0.01)",
    exp.Max: "there is no maximum over persons, which would be one person's value: ask for QUANTILE_CONT(column, 0.99)",
    exp.WithinGroup: "this is no statistic that is known here: write QUANTILE_CONT(column, 0.5)",
}


def is_statistic(body: exp.Expr) -> bool:
    """Return whether an expression is meant as a statistic (and not as a key)."""
    if isinstance(body, exp.Div):  # a share of counts; of columns it is meant as a key
        return body.find(exp.AggFunc) is not None
    return isinstance(body, exp.AggFunc | exp.Anonymous | exp.Filter | exp.Paren | exp.WithinGroup)


def statistic(body: exp.Expr) -> tuple[nodes.Statistic, str]:
    """Return a statistic and the name it has without an alias. Raises InvalidQuery with line and column."""
    body = plain(body)
    if not isinstance(body, exp.Filter):
        return _reader(body).read_sql(body)
    function, condition = filtered(body)
    reader = _reader(function)
    if not reader.has_filter:
        raise refusal(function, f"this is no statistic that is known here; there are {KNOWN}")
    found, name = reader.read_sql(function)
    return replace(found, where=predicate(condition)), name


def _reader(body: exp.Expr) -> Statistic[Any]:
    """Return the statistic that is written like this."""
    for one in registry.STATISTICS:
        if one.is_written(body):
            return one
    if isinstance(body, exp.Anonymous):
        raise refusal(body, f"there is no such function here; there are {KNOWN}")
    raise refusal(body, OTHERS.get(type(body), f"this is no statistic that is known here; there are {KNOWN}"))
