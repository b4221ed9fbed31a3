"""plan -> the engine's SQL, as a sqlglot tree.

The SQL selects columns and filters by ranges of codes; cohorts are subqueries of persons, per-person tables a GROUP BY
person of integer aggregates (`aggregates.py`). Names from the catalog, integers and lists of integers, nothing else:
no text of a user reaches the engine, and no expression in it can fail for a reason in the data. It runs after the
charge: looking up an undeclared category's text already touches data.

The kernel needs persons in order, and each person's events in an order that nobody else's data can change. The store
has both, and a plain scan keeps them. Where a subquery is in it, the engine may not, so it is told to sort: by person
and by place in the store.

The SQL is written so that the engine does the same work whether a single row, value or text is there or not
(`comparisons.py`): what it says depends on the request and on public metadata, but for the codes that texts have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.binding.predicates import Among, Both, Either, Member, Spelled
from queries.catalog.schema import PERSON, PLACE
from queries.execution import comparisons
from queries.execution.aggregates import built_table
from queries.execution.sql_writer import Writer, of_persons

if TYPE_CHECKING:
    from collections.abc import Iterable

    from queries.binding.predicates import Bound
    from queries.execution.sql_writer import LookUp
    from queries.plan import Plan


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
    """Return SELECT person, columns, conditions FROM table WHERE predicate, of everybody or of a range of persons."""
    writer = Writer(look_up, persons)
    table = plan.table.name
    held = {
        condition(place): exp.cast(writer.condition(predicate, table) or exp.true(), "UTINYINT", dialect="duckdb")
        for place, predicate in enumerate(plan.conditions)
    }
    select = exp.select(*(held.get(name) or exp.column(name, quoted=True) for name in (PERSON, *columns(plan))))
    where = writer.condition(plan.where, table)
    if plan.built is not None:
        select = select.from_(built_table(plan.built, writer).subquery("built")).order_by(
            exp.column(PERSON, quoted=True)
        )
        return select if where is None else select.where(where)
    select = writer.of_table(select, table)
    if any(map(_may_reorder, (plan.where, *plan.conditions))):
        select = select.order_by(exp.column(PERSON, quoted=True), exp.column(PLACE))
    return select if where is None else select.where(where)


def whole(table: str, names: Iterable[str], persons: range) -> exp.Select:
    """Return SELECT person, columns FROM table of a range of persons: every event of theirs."""
    select = exp.select(*(exp.column(name, quoted=True) for name in (PERSON, *names)))
    select = select.from_(exp.Table(this=exp.to_identifier(table, quoted=True)))
    return select.where(of_persons(persons))


def _may_reorder(predicate: Bound) -> bool:
    """Say whether the SQL of a predicate has a subquery in it."""
    match predicate:
        case Member():
            return True
        case Among(_, alternatives) | Spelled(_, alternatives):
            return comparisons.is_long(alternatives)
        case Both(parts) | Either(parts):
            return any(map(_may_reorder, parts))
