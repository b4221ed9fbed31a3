"""From a name to a table or a column of the catalog. A name that is not there is refused with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalog import codes
from queries.catalog.schema import Kind
from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Column, Table


def table_of(tables: Mapping[str, Table], name: str, pointer: str) -> Table:
    """Return a table. Raises InvalidQuery, which suggests the nearest name."""
    table = tables.get(name)
    if table is None:
        raise InvalidQuery(pointer, f"there is no such table{codes.nearest(name, tables)}")
    return table


def column_of(table: Table, name: str, pointer: str) -> Column:
    """Return a column of a table. Raises InvalidQuery, which suggests the nearest name."""
    column = table.columns.get(name)
    if column is None:
        raise InvalidQuery(pointer, f"table {table.name} has no such column{codes.nearest(name, table.columns)}")
    return column


def date_of(table: Table, name: str | None, pointer: str) -> Column:
    """Return the column that holds the day of an event: the named one, or the only one if none is named.

    Dates of the person, such as the end of their observation, are meant only by name if events have their own.
    Raises InvalidQuery.
    """
    dates = _dates(table)
    if not dates:
        raise InvalidQuery(pointer, f"table {table.name} has no date")
    if name is not None and name not in dates:
        raise InvalidQuery(pointer, f"{name} is no date of table {table.name}{codes.nearest(name, dates)}")
    chosen = name or only_date(table)
    if chosen is None:
        raise InvalidQuery(pointer, f"table {table.name} has the dates {', '.join(_meant(dates))}; name one")
    return dates[chosen]


def only_date(table: Table) -> str | None:
    """Return the name of the date that is meant if none is named, where there is exactly one."""
    meant = _meant(_dates(table))
    return next(iter(meant)) if len(meant) == 1 else None


def _meant(dates: Mapping[str, Column]) -> Mapping[str, Column]:
    return {name: column for name, column in dates.items() if not column.of_person} or dates


def _dates(table: Table) -> dict[str, Column]:
    return {name: column for name, column in table.columns.items() if column.kind is Kind.DATE}
