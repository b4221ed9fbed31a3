"""plan -> the engine's SQL, as a sqlglot tree.

The SQL selects columns and filters by ranges of codes. A per-person table is a GROUP BY person of integer aggregates
(`aggregates.py`). It contains names from the catalog, integers and lists of
integers, nothing else: no text of a user reaches the engine, and no expression can fail for a reason in the data. It
runs after the charge, because looking up the text of an undeclared category already touches data.

The kernel needs persons in order, and each person's events in an order that no other person's data can change. The
store has both orders, and a plain scan keeps them. After a join the engine may lose them. Therefore long lists and
cohorts are not in the scan: they are decided here for each event that the scan returns (`deciding.py`), and the persons
of a cohort are read before. A per-person table is built by the engine, and sorted by person.

The SQL is written so that the engine does the same work whether a single row, value or text is there or not
(`comparisons.py`). It depends on the request and on public metadata alone, except for the codes of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from queries.binding import predicates
from queries.binding.predicates import Member
from queries.catalog.schema import PERSON, PERSONS
from queries.execution import deciding
from queries.execution.aggregates import built_table
from queries.execution.sql_writer import Writer, of_persons
from queries.plan import condition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def fetched(plan: Plan) -> tuple[str, ...]:
    """Return the columns of the scan beside the person: those of the kernel, and those of what is decided here.

    A condition that is decided here is no column of the scan.
    """
    ours = decided_here(plan)
    left_out = {condition(place) for place in ours.conditions}
    needed = [name for one in (ours.where, *ours.conditions.values()) for name in sorted(predicates.columns(one))]
    return tuple(dict.fromkeys([*(name for name in columns(plan) if name not in left_out), *needed]))


@dataclass(frozen=True)
class DecidedHere:
    """What is decided for each event of the scan: a part of the filter, and conditions of statistics by their place."""

    where: Bound
    conditions: Mapping[int, Bound]


def decided_here(plan: Plan) -> DecidedHere:
    """Return what is decided here and not by the engine."""
    _, where = deciding.divided(plan.where)
    ours = {place: one for place, one in enumerate(plan.conditions) if deciding.is_decided_here(one)}
    return DecidedHere(where, ours)


def is_of_events_alone(cohort: Member) -> bool:
    """Return whether a cohort compares no days, so that its events can be read in any order."""
    return cohort.events.date is None and cohort.after is None and cohort.without is None


def events(table: str, where: Bound, names: Iterable[str], look_up: LookUp, persons: range | None = None) -> exp.Select:
    """Return SELECT person, columns FROM table WHERE predicate, of everybody or a range of persons."""
    writer = Writer(look_up, persons)
    select = exp.select(*(exp.column(name, quoted=True) for name in (PERSON, *names)))
    found = writer.condition(where, table)
    select = writer.of_table(select, table)
    return select if found is None else select.where(found)


def members(cohort: Member, look_up: LookUp, persons: range | None = None) -> exp.Select:
    """Return SELECT person of a cohort that compares days, of everybody or a range of persons. In no order."""
    return Writer(look_up, persons).members(cohort)


def scan(plan: Plan, look_up: LookUp, persons: range | None = None, number: str | None = None) -> exp.Select:
    """Return SELECT person, columns, conditions FROM table WHERE predicate, for everybody or a range of persons.

    With `number`, the rows are those of the table of persons, and that column of it is the last.
    """
    writer = Writer(look_up, persons)
    table = plan.table.name
    names = (*fetched(plan), *([] if number is None else [number]))
    held = {
        name: exp.cast(writer.condition(predicate, table) or exp.true(), "UTINYINT", dialect="duckdb")
        for place, predicate in enumerate(plan.conditions)
        if (name := condition(place)) in names
    }
    select = exp.select(*(held.get(name) or exp.column(name, quoted=True) for name in (PERSON, *names)))
    if plan.built is None:
        select = writer.of_table(select, table if number is None else PERSONS)
    else:
        built = built_table(plan.built, writer).subquery("built")
        select = select.from_(built).order_by(exp.column(PERSON, quoted=True))
    engines, _ = deciding.divided(plan.where)
    where = writer.condition(engines, table)
    return select if where is None else select.where(where)


def whole(table: str, names: Iterable[str], persons: range) -> exp.Select:
    """Return SELECT person, columns FROM table, for every event of a range of persons."""
    select = exp.select(*(exp.column(name, quoted=True) for name in (PERSON, *names)))
    select = select.from_(exp.Table(this=exp.to_identifier(table, quoted=True)))
    return select.where(of_persons(persons))
