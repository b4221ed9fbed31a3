"""plan -> the engine's SQL, as a sqlglot tree.

The SQL only selects columns and filters by ranges of codes: names from the catalog and integers, nothing else. So no
text of a user reaches the engine, and no expression in it can fail for a reason in the data. It runs after the
charge: looking up an undeclared category's text already touches data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.catalog import PERSON
from queries.predicates import Among, Both, Either, Spelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from queries.plan import Plan
    from queries.predicates import Bound

    # (column, text) -> its code in this table, or None when nobody has that value
    LookUp = Callable[[str, str], int | None]


def columns(plan: Plan) -> tuple[str, ...]:
    """Return the columns the kernel needs beside the person, each once, in a fixed order.

    Last come the conditions of single statistics, under the names of `condition`.
    """
    names = [key.column.name for key in plan.keys]
    names += [column.name for measure in plan.measures for column in measure.columns]
    names += [condition(place) for place in range(len(plan.conditions))]
    return tuple(dict.fromkeys(names))


def condition(place: int) -> str:
    """Return the name under which the kernel finds whether a plan's condition holds: 1, or 0. No column has it."""
    return f"?{place}"


def scan(plan: Plan, look_up: LookUp, persons: range | None = None) -> exp.Select:
    """Return SELECT person, columns, conditions FROM table WHERE predicate, of everybody or of a range of persons.

    The store's own order is the order of persons.
    """
    held = {
        condition(place): exp.cast(_condition(predicate, look_up) or exp.true(), "UTINYINT", dialect="duckdb")
        for place, predicate in enumerate(plan.conditions)
    }
    named = (held.get(name) or exp.column(name, quoted=True) for name in (PERSON, *columns(plan)))
    select = exp.select(*named)
    select = select.from_(exp.Table(this=exp.to_identifier(plan.table.name, quoted=True)))
    if persons is not None:
        select = select.where(_between(PERSON, persons.start, persons.stop - 1))
    where = _condition(plan.where, look_up)
    return select if where is None else select.where(where)


def _condition(predicate: Bound, look_up: LookUp) -> exp.Condition | None:
    """Return the condition of a predicate; None is no condition."""
    match predicate:
        case Among(name, ranges):
            return _any([_between(name, low, high) for low, high in ranges])
        case Spelled(name, texts, negated):
            found = [code for text in texts if (code := look_up(name, text)) is not None]
            column = exp.column(name, quoted=True)
            if not negated:
                return _any([_equal(column, code) for code in found])
            others = [exp.NEQ(this=column.copy(), expression=exp.Literal.number(code)) for code in (0, *found)]
            return exp.and_(*others)
        case Both(parts):
            conditions = [c for part in parts if (c := _condition(part, look_up)) is not None]
            return exp.and_(*conditions) if conditions else None
        case Either(parts):
            return _any([_condition(part, look_up) or exp.true() for part in parts])


def _any(conditions: list[exp.Condition]) -> exp.Condition:
    return exp.or_(*conditions) if conditions else exp.false()


def _between(name: str, low: int, high: int) -> exp.Condition:
    column = exp.column(name, quoted=True)
    if low == high:
        return _equal(column, low)
    return exp.Between(this=column, low=exp.Literal.number(low), high=exp.Literal.number(high))


def _equal(column: exp.Column, code: int) -> exp.Condition:
    return exp.EQ(this=column.copy(), expression=exp.Literal.number(code))
