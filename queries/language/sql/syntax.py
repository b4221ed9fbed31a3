"""Names and values, and the refusal of everything else with the line and column where it begins."""

from __future__ import annotations

import math

from sqlglot import exp

from queries.errors import InvalidQuery
from queries.language import nodes

CLAUSES = {  # in sqlglot's words -> in people's, with what to do instead
    "joins": "JOIN (one table is asked, which has its person's columns too)",
    "distinct": "SELECT DISTINCT (each row of an answer is another group already; persons: COUNT(DISTINCT person))",
    "offset": "OFFSET (all rows but the first may be read from the answer: leave it out)",
    "windows": "WINDOW (compute with an answer's numbers afterwards)",
    "qualify": "QUALIFY (all cells are answered: choose among them afterwards)",
    "sample": "SAMPLE (all persons take part)",
    "having": "HAVING (it chooses among the rows of an answer, and a subquery has none)",
    "order": "ORDER BY (it orders the rows of an answer, and a subquery has none)",
    "limit": "LIMIT (it chooses among the rows of an answer, and a subquery has none)",
    "limit_options": "anything after the number of LIMIT",
    "db": "a schema before the table's name",
    "table": "a table before the column's name",
    "query": "a subquery",
    "with_": "WITH (one table is asked)",
}


def chain(part: exp.Expr) -> list[exp.Expr]:
    """Return the parts of a chain of one connective, without going deeper for each."""
    kind, found = type(part), []
    while type(part) is kind:
        only(part, "this", "expression")
        found.append(part.expression)
        part = part.this
    return [part, *reversed(found)]


def both(parts: list[nodes.Predicate]) -> nodes.Predicate | None:
    """Return the condition that all parts hold; None is no condition."""
    if len(parts) > 1:
        return nodes.All(tuple(parts))
    return parts[0] if parts else None


def subselect(part: exp.Expr) -> exp.Select:
    """Return the SELECT of a subquery without a name."""
    if isinstance(part, exp.Subquery):
        only(part, "this")
        part = part.this
    if not isinstance(part, exp.Select):
        raise refusal(part, "write one SELECT here")
    return part


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


def refusal(part: exp.Expr | None, message: str) -> InvalidQuery:
    """Return the refusal of a part of a statement, with the line and column where it begins.

    None stands where sqlglot read nothing, as in F(, 1).
    """
    if part is None:
        return InvalidQuery("/sql", f"line 1, column 1: something is missing: {message}")
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
