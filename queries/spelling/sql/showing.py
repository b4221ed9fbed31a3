"""HAVING, ORDER BY, LIMIT and labels of bins, as how an answer is shown.

They name columns of the answer: by alias, by position, or by the expression that is selected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.showing import Order, Show
from queries.language.sql import bins
from queries.language.sql.conditions import predicate
from queries.language.sql.syntax import column_name, only, refusal
from queries.spelling.sql import statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMIT = "LIMIT takes a whole number of at least 1"
SELECTED = "rows are chosen by what is selected: select it too"


@dataclass(frozen=True)
class Selected:
    """One column of the answer: its name, the expression that it is, and that expression as a node."""

    name: str
    body: exp.Expr
    node: nodes.Key | nodes.Statistic
    alias: str | None = None


def shown(select: exp.Select, items: Sequence[Selected]) -> Show:
    """Return how a statement wants its answer shown. Raises InvalidQuery with line and column."""
    having, order, limit = (select.args.get(clause) for clause in ("having", "order", "limit"))
    labels = ((one.name, _own_labels(one.body)) for one in items if isinstance(one.body, exp.Case))
    return Show(
        None if having is None else predicate(_named(having.this, items)),
        () if order is None else tuple(_order(one, items) for one in _ordered(order)),
        None if limit is None else _limit(limit),
        tuple((name, own) for name, own in labels if own is not None),
    )


def _own_labels(body: exp.Case) -> tuple[str, ...] | None:
    """Return the labels of bins, or None if they are the bins' own."""
    key, labels = bins.read(body, None)
    return None if labels == bins.own_labels(key) else labels


def _ordered(order: exp.Expr) -> list[exp.Expr]:
    only(order, "expressions")
    return list(order.expressions)


def _order(item: exp.Expr, items: Sequence[Selected]) -> Order:
    only(item, "this", "desc", "nulls_first")
    if item.args.get("nulls_first"):
        raise refusal(item, "what has no value comes last: leave NULLS FIRST out")
    body = item.this
    if isinstance(body, exp.Literal) and not body.is_string and body.this.isdigit():
        place = int(body.this)
        if not 1 <= place <= len(items):
            raise refusal(body, f"there is no column {place}: {len(items)} are selected")
        return Order(items[place - 1].name, bool(item.args.get("desc")))
    found = _named(body, items)
    if not isinstance(found, exp.Column):
        raise refusal(body, SELECTED)
    return Order(column_name(found), bool(item.args.get("desc")))


def _limit(limit: exp.Expr) -> int:
    if not isinstance(limit, exp.Limit):
        raise refusal(limit, LIMIT)
    only(limit, "expression")
    number = limit.expression
    if not isinstance(number, exp.Literal) or number.is_string or not re.fullmatch(r"[0-9]{1,10}", number.this):
        raise refusal(limit, LIMIT)
    if not 1 <= int(number.this) < 2**31:
        raise refusal(limit, LIMIT)
    return int(number.this)


def _named(part: exp.Expr, items: Sequence[Selected]) -> exp.Expr:
    """Return an expression with the name of a column of the answer where it has what is selected under that name."""

    def named(node: exp.Expr) -> exp.Expr:
        name = _name(node, items)
        if name is None:
            return node
        column = exp.column(name)
        column.this.meta.update(next((one.meta for one in node.walk() if "line" in one.meta), {}))
        return column

    return part.transform(named)


def _name(node: exp.Expr, items: Sequence[Selected]) -> str | None:
    if isinstance(node, exp.Column):
        only(node, "this")
        called = [one.name for one in items if one.name.lower() == node.name.lower()]
        if called:
            return node.name  # as it was written: there may be two, which differ in case
    for one in items:
        if one.body == node:
            return one.name
    if not isinstance(node, exp.AggFunc | exp.Filter | exp.Div):
        return None
    asked, _ = statistics.statistic(node)
    for one in items:
        if one.node == asked:
            return one.name
    raise refusal(node, SELECTED)


def moved(error: InvalidQuery, lines: int) -> InvalidQuery:
    """Return the refusal of a text that had so many lines put before it."""
    message = re.sub(r"^line (\d+)", lambda found: f"line {max(int(found[1]) - lines, 1)}", error.message)
    return InvalidQuery("/show", message)
