"""The numbers of events that the store keeps beside each person's attributes, one for each table.

Of a person who is in one cell at most, the kernel counts min(n, m) events, where n is their number of events and m the
bound of events in a cell. A person is in one cell if every key is an attribute of theirs, and all or none of their
events are meant if every filter is about such attributes. For such a question the store does not read events: it reads
one row for each person, whatever they have. The cells are the same integers as those of the events.

The bound does not rest on the stored numbers being right: each person has one row, which the guard of the stream's
order makes sure of, and no row adds more than the bound. The import checks that the numbers add up to the events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.binding.predicates import columns
from queries.execution.fused import fused, shapes

if TYPE_CHECKING:
    from queries.plan import Plan

NUMBER_TYPE = "UINTEGER"
PERSONS_PER_STREAM = 1_000_000  # of each only a row is read: with fewer persons another stream does not pay


def numbered(table: str) -> str:
    """Return the name of the column of persons with their number of events in a table. No public name has a #."""
    return f"#{table}"


def suffice(plan: Plan) -> bool:
    """Return whether a plan counts events or persons, and needs of an event only whose it is."""
    if plan.built is not None or plan.table.one_row_per_person:
        return False
    of_person = {column.name for column in plan.table.columns.values() if column.of_person}
    needed = {key.column.name for key in plan.keys}.union(*map(columns, (plan.where, *plan.conditions)))
    return needed <= of_person and shapes.counts_alone(plan) and fused.has_tables(plan)
