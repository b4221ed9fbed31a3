"""What statements are made of: names, values, conditions; and the refusal of everything else, with its place."""

from __future__ import annotations

import math

from sqlglot import exp

from queries import nodes
from queries.errors import InvalidQuery
from queries.predicates import DEPTH_MAX
from queries.sql.writing import ORDER

CLAUSES = {  # in sqlglot's words -> in people's, with what to do instead
    "joins": "JOIN (one table is asked, which has its person's columns too)",
    "having": "HAVING (all cells are answered: choose among them afterwards)",
    "order": "ORDER BY (all cells are answered: sort them afterwards)",
    "limit": "LIMIT (all cells are answered: choose among them afterwards)",
    "db": "a schema before the table's name",
    "table": "a table before the column's name",
    "query": "a subquery",
    "with_": "WITH (one table is asked)",
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def predicate(part: exp.Expr, depth: int = 0) -> nodes.Predicate:
    """Return a condition."""
    if depth > DEPTH_MAX:
        raise refusal(part, f"nests deeper than {DEPTH_MAX} levels")
    match part:
        case exp.Paren():
            only(part, "this")
            return predicate(part.this, depth + 1)
        case exp.And() | exp.Or():
            parts = tuple(predicate(one, depth + 1) for one in _chain(part))
            return nodes.All(parts) if isinstance(part, exp.And) else nodes.Any(parts)
        case exp.Not():
            only(part, "this")
            return nodes.Not(predicate(part.this, depth + 1))
        case exp.Is(this=exp.Column() as column, expression=exp.Null()):
            only(part, "this", "expression")
            return nodes.Comparison(column_name(column), "is_null")
        case exp.In():
            only(part, "this", "expressions")
            if not part.expressions:
                raise refusal(part, "IN needs a list of values")
            return nodes.Comparison(column_name(part.this), "in", tuple(scalar(one) for one in part.expressions))
        case exp.Between():
            only(part, "this", "low", "high")
            ends = scalar(part.args["low"]), scalar(part.args["high"])
            return nodes.Comparison(column_name(part.this), "between", ends)
        case exp.Column():
            return nodes.Comparison(column_name(part), "=", True)
    for op, kind in ORDER.items():
        if type(part) is kind:
            only(part, "this", "expression")
            left, right = part.this, part.expression
            if isinstance(left, exp.Column):
                return nodes.Comparison(column_name(left), op, scalar(right))
            return nodes.Comparison(column_name(right), MIRRORED.get(op, op), scalar(left))
    raise refusal(
        part, "a condition compares a column with values: =, <>, <, <=, >, >=, IN, BETWEEN, IS NULL; AND, OR, NOT"
    )


def _chain(part: exp.Expr) -> list[exp.Expr]:
    """Return the parts of a chain of one connective, without going deeper for each."""
    kind, found = type(part), []
    while type(part) is kind:
        only(part, "this", "expression")
        found.append(part.expression)
        part = part.this
    return [part, *reversed(found)]


def column_name(part: exp.Expr) -> str:
    """Return the name of a column that stands by itself."""
    if not isinstance(part, exp.Column):
        raise refusal(part, "write the name of a column here")
    only(part, "this")
    return identifier(part.this)


def identifier(part: exp.Expr | str) -> str:
    """Return a name as it was written."""
    if isinstance(part, str):
        return part
    if not isinstance(part, exp.Identifier):
        raise refusal(part, "write a name here")
    return str(part.this)


def scalar(part: exp.Expr) -> nodes.Scalar:
    """Return the value of a literal."""
    match part:
        case exp.Literal(is_string=True):
            return str(part.this)
        case exp.Literal():
            return _number(part, part.this)
        case exp.Neg(this=exp.Literal(is_string=False) as literal):
            return _number(literal, f"-{literal.this}")
        case exp.Boolean():
            return bool(part.this)
        case exp.Cast(this=exp.Literal(is_string=True) as literal) if part.to.is_type("date"):
            only(part, "this", "to")
            return str(literal.this)
    raise refusal(part, "write a number, a 'text', DATE '2020-01-31', TRUE or FALSE here")


def _number(part: exp.Expr, text: str) -> int | float:
    try:
        number = int(text) if text.lstrip("-").isdecimal() else float(text)
    except ValueError:
        raise refusal(part, "this is no number that can be read") from None
    if not math.isfinite(number):
        raise refusal(part, "this number is too large")
    return number


def only(part: exp.Expr, *known: str) -> None:
    """Refuse a node with parts that nobody would look at."""
    for name, value in part.args.items():
        if name not in known and value not in (None, False, [], ""):
            where = value[0] if isinstance(value, list) else value
            inner = where if isinstance(where, exp.Expr) else part
            clause = CLAUSES.get(name, name.strip("_").replace("_", " ").upper())
            raise refusal(inner, f"{clause} is not known here")


def refusal(part: exp.Expr, message: str) -> InvalidQuery:
    """Return the refusal of a part of a statement, with the line and column where it begins."""
    places = [one.meta for one in part.walk() if "line" in one.meta]
    if not places:
        ancestor = part.parent
        while ancestor is not None and not places:
            places = [one.meta for one in ancestor.walk() if "line" in one.meta]
            ancestor = ancestor.parent
    if not places:
        return InvalidQuery("/sql", f"line 1, column 1: {message}")
    first = min(places, key=lambda meta: int(meta["start"]))
    column = int(first["col"]) - (int(first["end"]) - int(first["start"]))
    return InvalidQuery("/sql", f"line {first['line']}, column {column}: {message}")
