"""How the tables of a store lie on disk.

Codes of one or two bytes lie as they are, wider ones are packed into the bits that they need. Left to itself, DuckDB
chooses a way for each column by its values, and takes the one with the smallest file. Where a few neighbours are alike,
as the attributes of a person are, it stores runs, which takes three times longer to read than the plain values. A way
that follows from the type also means that no person's values decide how a column is read.

Beside the attributes of each person the store has their number of events in each table (`event_numbers.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.catalog.codes import code_type
from queries.catalog.schema import PERSON
from queries.execution.event_numbers import NUMBER_TYPE, numbered
from queries.store.encoding import name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from queries.catalog.schema import Column
    from queries.store.persons import Link, Run

PLAIN = ("UTINYINT", "USMALLINT")


def types(columns: Iterable[Column]) -> dict[str, str]:
    """Return the types of a table's columns, the person's first."""
    return {PERSON: "INTEGER"} | {column.name: code_type(column) for column in columns}


def create(run: Run, table: str, columns: Mapping[str, str], select: str) -> None:
    """Make a table, which is already quoted, from the rows of a SELECT in their order. `columns` are names and types.

    The SELECT has the columns in the same order, of the same types.
    """
    defined = (f"{name(column)} {of_type} {_compression(of_type)}" for column, of_type in columns.items())
    run(f"CREATE TABLE {table} ({', '.join(defined)})")
    run(f"INSERT INTO {table} {select}")


def _compression(of_type: str) -> str:
    if of_type == "VARCHAR":
        return ""  # DuckDB's own choice: texts are not scanned
    return f"USING COMPRESSION {'uncompressed' if of_type in PLAIN else 'bitpacking'}"


def event_numbers(links: Mapping[str, Link]) -> tuple[dict[str, str], str, str]:
    """Return the columns with each person's number of events in each table, SQL of their values, and the joins.

    The SQL continues a SELECT from a relation of persons called `p`. Each link has one row for each id of a source,
    with the number of its events.
    """
    columns, values, joins = {}, "", ""
    for place, (table, link) in enumerate(links.items()):
        columns[numbered(table)] = NUMBER_TYPE
        values += f", coalesce(n{place}.events, 0)::{NUMBER_TYPE}"
        joins += f" LEFT JOIN ({link.numbers}) n{place} USING ({PERSON})"
    return columns, values, joins
