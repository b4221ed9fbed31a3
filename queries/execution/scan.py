"""plan -> the engine's SQL, as a sqlglot tree.

The SQL selects columns and filters by ranges of codes. Cohorts are subqueries of persons, and per-person tables are a
GROUP BY person of integer aggregates (`aggregates.py`). It contains names from the catalog, integers and lists of
integers, nothing else: no text of a user reaches the engine, and no expression can fail for a reason in the data. It
runs after the charge, because looking up the text of an undeclared category already touches data.

The kernel needs persons in order, and each person's events in an order that no other person's data can change. The
store has both orders, and a plain scan keeps them. With a subquery the engine may lose them, so the SQL sorts by person
and by place in the store.

The SQL is written so that the engine does the same work whether a single row, value or text is there or not
(`comparisons.py`). It depends on the request and on public metadata alone, except for the codes of texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

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
    """Return the columns that the kernel needs beside the person, each once, in a fixed order.

    The conditions of single statistics come last, under the names that `condition` gives them.
    """
    names = [key.column.name for key in plan.keys]
    names += [column.name for measure in plan.measures for column in measure.columns]
    names += [condition(place) for place in range(len(plan.conditions))]
    return tuple(dict.fromkeys(names))


def condition(place: int) -> str:
    """Return the name of the stream's column that is 1 if a plan's condition holds, else 0. No stored column has it."""
    return f"?{place}"


def scan(plan: Plan, look_up: LookUp, persons: range | None = None) -> exp.Select:
    """Return SELECT person, columns, conditions FROM table WHERE predicate, for everybody or a range of persons."""
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
    """Return SELECT person, columns FROM table, for every event of a range of persons."""
    select = exp.select(*(exp.column(name, quoted=True) for name in (PERSON, *names)))
    select = select.from_(exp.Table(this=exp.to_identifier(table, quoted=True)))
    return select.where(of_persons(persons))


def _may_reorder(predicate: Bound) -> bool:
    """Return whether the SQL of a predicate has a subquery, after which the engine may lose the store's order."""
    match predicate:
        case Member():
            return True
        case Among(_, alternatives) | Spelled(_, alternatives):
            return comparisons.is_long(alternatives)
        case Both(parts) | Either(parts):
            return any(map(_may_reorder, parts))
        case _:
            assert_never(predicate)
