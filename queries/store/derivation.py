"""SQL for the columns that the import computes from stored codes (`queries/catalog/derived.py`).

Every expression is total: the codes that it reads are within declared bounds, so that nothing overflows, and if one of
them is null the result is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from queries.catalog import derived
from queries.catalog.codes import code_type
from queries.catalog.derived import How, steps_of_product
from queries.catalog.formats import NULL
from queries.catalog.schema import PERSON, Kind
from queries.store.encoding import name, within_bounds
from queries.store.sources import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from queries.catalog.derived import Derived
    from queries.catalog.formats import Reading
    from queries.catalog.schema import Column
    from queries.store.persons import Link


@dataclass(frozen=True)
class Derivation:
    """SQL for a computed column. `value` reads codes; `code` and `beyond` read the value, which is called `named`.

    A value beyond the bounds becomes null, or else the nearest bound; `counted` is what it is in the report.
    """

    named: str
    value: str
    code: str
    beyond: str
    counted: str


def derivation(table: str, one: Derived, columns: Mapping[str, Column], public: str, reading: Reading) -> Derivation:
    """Return how a column of a table is computed. `columns` are all of the table."""
    column, named = columns[public], name(f"#value {public}")
    if one.how.is_of_events:  # a code of the same column of events, within the same bounds
        return Derivation(named, f"nullif({of_events(public)}, 0)", f"coalesce({named}, 0)", "false", "clamped")
    if one.level is not None:
        code = f"coalesce({named}, 0)::{code_type(column)}"
        return Derivation(named, _group(table, public, one, column), code, f"coalesce({named} = 0, false)", "unknown")
    beyond, code = within_bounds(column, named, reading.outside)
    counted = "outside" if reading.outside == NULL else "clamped"
    return Derivation(named, _value(one, column, columns), code, beyond, counted)


# Levels of codes


def groups(table: str, public: str) -> str:
    """Return the quoted name of the relation with the group of each code of a column that has one."""
    return name(f"#groups {table}.{public}")


def _group(table: str, public: str, one: Derived, column: Column) -> str:
    """Return SQL for the code of the group of a code: NULL for null, 0 for a code that belongs to no group."""
    assert one.level is not None
    other = 0 if one.level.other is None else (column.values or ()).index(one.level.other) + 1
    of = name(one.of[0])
    found = f'(SELECT "#group" FROM {groups(table, public)} WHERE "#code" = {of})'
    return f"CASE WHEN {of} > 0 THEN coalesce({found}, {other}) END"


def group_codes(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    public: str,
    one: Derived,
    columns: Mapping[str, Column],
    texts: str | None,
) -> None:
    """Make the relation `groups`. `texts` has code and value of an undeclared column; None: its values are declared."""
    of = columns[one.of[0]]
    numbers = derived.numbers(one, columns[public], of)
    pairs = pa.table({"text": pa.array(numbers.keys(), pa.string()), "number": pa.array(numbers.values(), pa.uint32())})
    values = of.values or ()
    coded = pa.table({"code": pa.array(range(1, len(values) + 1), pa.uint32()), "value": pa.array(values, pa.string())})
    registered = {"pairs_of_level": pairs, "codes_of_level": coded}
    for relation, rows in registered.items():
        connection.register(relation, rows)
    by_prefix = of.hierarchy is None or of.hierarchy.by_prefix
    same = [f"left(c.value, {length})" for length in sorted(set(map(len, numbers)))] if by_prefix else ["c.value"]
    found = " UNION ALL ".join(
        f"SELECT c.code, p.number FROM {texts or 'codes_of_level'} c JOIN pairs_of_level p ON p.text = {text}"
        for text in same
    )
    # Of several groups the first: only one declared so has several.
    run(
        connection,
        f'CREATE TABLE {groups(table, public)} AS SELECT code AS "#code", min(number) AS "#group" FROM ({found}) '
        "GROUP BY code",
    )
    for relation in registered:
        connection.unregister(relation)


def of_events(public: str) -> str:
    """Return the quoted name of a code that was found among a person's events; no public or source column has it."""
    return name(f"#of {public}")


def of_events_joined(public: str, one: Derived, coded: str, source: str, link: Link) -> str:
    """Return the join that ties a person `n` to the least or greatest code that their events have in a source.

    `coded` is SQL for the code of a row of the source.
    """
    aggregate = "min" if one.how is How.EARLIEST else "max"
    return (
        f" LEFT JOIN (SELECT l.{PERSON}, {aggregate}(s.code) AS {of_events(public)} FROM "
        f"(SELECT {link.keys}, nullif({coded}, 0) AS code FROM {source}) s JOIN {link.table} l ON {link.on('s', 'l')} "
        f"GROUP BY l.{PERSON}) {name(f'#events {public}')} USING ({PERSON})"
    )


def _value(one: Derived, column: Column, columns: Mapping[str, Column]) -> str:
    """Return SQL for a column's value in its steps, NULL if one that it is computed from is null."""
    first, second = (columns[each] for each in one.of)
    start, end = _units(first), _units(second)
    match one.how:
        case How.DAYS:
            return f"({end} - {start})"
        case How.YEARS:
            return _years(first, start, end)
        case How.PRODUCT:
            return _product(column, first, second, start, end)
        case How.EARLIEST | How.LATEST | How.LEVEL:
            raise AssertionError("such a value is a code")


def _units(column: Column) -> str:
    return f"(nullif({name(column.name)}, 0)::BIGINT - 1 + ({column.low}))"


def _years(first: Column, start: str, end: str) -> str:
    """Return SQL for whole years: one more on each birthday. Who was born on 29 February has it on 1 March otherwise.

    From a year alone, it is the age that is reached within the year of the other date.
    """
    later = f"(DATE '1970-01-01' + {end}::INTEGER)"
    if first.kind is not Kind.DATE:
        return f"(year({later}) - {start})"
    earlier = f"(DATE '1970-01-01' + {start}::INTEGER)"
    day_of = (f"(100 * month({date}) + day({date}))" for date in (later, earlier))
    return f"(year({later}) - year({earlier}) - ({' < '.join(day_of)})::BIGINT)"


def _product(column: Column, first: Column, second: Column, one: str, other: str) -> str:
    """Return SQL for a product in steps of its column, rounded half away from 0, exact in 128 bits."""
    times, parts = steps_of_product(column, first, second)
    product = f"({one}::HUGEINT * {other}::HUGEINT * {times}::HUGEINT)"
    if parts == 1:
        return product
    half = f"((abs({product}) + {parts // 2}::HUGEINT) // {parts}::HUGEINT)"
    return f"(sign({product}) * {half})"
