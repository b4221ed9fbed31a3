"""The form that builds a query: fields of a browser's form <-> the query in JSON.

The form has a table and lists of lines: what to compute (`s-0-what`, `s-0-column`, ...), for which groups
(`g-0-column`, ...) and of which rows (`f-0-column`, ...). A row is an event, or with `rows=persons` a person: then the
lines `e` say of which events, and the lines `v` which values a person has. `to_query` never refuses: what makes no
sense is refused by the API, with a pointer to its place, and `line_of` tells on which line of the form that is.
`to_fields` is its inverse for the queries that the form can show. All other queries are shown in SQL alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.researcher.form import columns, conditions, keys, persons, statistics
from server.pages.researcher.form.lines import EVENTS, FILTERS, GROUPS, STATISTICS, VALUES, as_text, lines, with_name
from server.pages.researcher.form.lines import named as by_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.pages.researcher.form.columns import Columns
    from server.pages.researcher.form.lines import Fields, Line
    from server.pages.researcher.form.persons import Tables

BOUNDS = ("cells_per_person", "events_per_cell")
FIRST = {STATISTICS: ("what", "persons"), VALUES: ("what", "count")}  # the field of a new line, and what it says


def columns_of(fields: Mapping[str, str], tables: Tables) -> Columns:
    """Return the columns of the rows that the form asks about."""
    if persons.is_chosen(fields, tables):
        return persons.columns_of(fields, tables)
    return columns.of_table(tables, fields.get("table", ""))


def compared(fields: Mapping[str, str], tables: Tables, kind: str, line: Line) -> tuple[Mapping[str, Any], str]:
    """Return what is known of the column of a line's condition, and its name in the catalog, with its table."""
    table = fields.get("table", "")
    if kind == VALUES:
        table, column = persons.related(line, table), line.get(persons.WHEN)
    else:
        column = line.get("column")
    known = columns_of(fields, tables) if kind in (STATISTICS, FILTERS) else columns.of_table(tables, table)
    about = known.get(column, {})
    return about, about.get("stored_as", f"{table}.{column}")


def started(fields: Fields, tables: Tables) -> Fields:
    """Return the fields with a first value, if rows are persons and have none."""
    if persons.is_chosen(fields, tables) and not lines(fields, VALUES):
        return {**fields, f"{VALUES}-0-what": "count"}
    return fields


def added(fields: Fields, kind: str) -> Fields:
    """Return the fields with one more line of a kind."""
    place = max((line.number for line in lines(fields, kind)), default=-1) + 1
    name, value = FIRST.get(kind, ("column", ""))
    return {**fields, f"{kind}-{place}-{name}": value}


def taken(fields: Mapping[str, str], prefix: str, code: str) -> Fields:
    """Return the fields that change when a code is taken from a search: a list of values gets it beside the others."""
    value = fields.get(f"{prefix}value", "").strip()
    if fields.get(f"{prefix}op") == "in" and value:
        code = f"{value}; {code}"
    return {f"{prefix}value": code, f"{prefix}search": ""}


def to_query(fields: Mapping[str, str], tables: Tables) -> dict[str, Any]:
    """Return the query that the fields describe, in JSON. `tables` are those of the catalog."""
    is_of_persons = persons.is_chosen(fields, tables)
    known = columns_of(fields, tables)
    query: dict[str, Any] = {"from": persons.to_json(fields, tables) if is_of_persons else fields.get("table", "")}
    query |= conditions.where(lines(fields, FILTERS), known)
    groups = [keys.to_json(line, known) for line in lines(fields, GROUPS) if line.get("column")]
    if groups:
        query["group_by"] = groups
    query["select"] = {name: statistics.to_json(line, known) for name, line in named(fields).items()}
    bounds = {name: number(fields[name]) for name in BOUNDS if fields.get(name, "").strip()}
    if bounds:
        query["bounds"] = bounds
    return query


def named(fields: Mapping[str, str]) -> dict[str, Line]:
    """Return the lines of statistics by the names of their columns in the answer."""
    many = (line for line in lines(fields, STATISTICS) if line.get("what") in statistics.WHATS)
    return by_name(many, statistics.name_of)


def line_of(fields: Mapping[str, str], pointer: str) -> tuple[str, int] | None:
    """Return the list and the number of the line that a pointer into the query leads to, or None."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/query").split("/")[1:]]
    match parts:
        case ["select", name, *_]:
            return _of_name(named(fields), STATISTICS, name)
        case ["from", "values", name, *_]:
            return _of_name(persons.values_of(fields), VALUES, name)
        case ["group_by", place, *_] if place.isdigit():
            return _nth(fields, GROUPS, int(place))
        case ["where", *rest]:
            return _nth(fields, FILTERS, _place(rest))
        case ["from", "where", *rest]:
            return _nth(fields, EVENTS, _place(rest))
        case _:
            return None


def _of_name(found: Mapping[str, Line], kind: str, name: str) -> tuple[str, int] | None:
    return (kind, found[name].number) if name in found else None


def _place(rest: list[str]) -> int:
    match rest:
        case ["all", place, *_] if place.isdigit():
            return int(place)
        case _:
            return 0


def _nth(fields: Mapping[str, str], kind: str, place: int) -> tuple[str, int] | None:
    used = [line for line in lines(fields, kind) if line.get("column")]
    return (kind, used[place].number) if place < len(used) else None


def to_fields(query: Mapping[str, Any], tables: Tables) -> Fields | None:
    """Return the fields that describe a query, or None where the form cannot show it.

    The fields are read back: a text with spaces around it, or with a semicolon in a list, would be another one, and the
    form would ask another question than it shows.
    """
    found = _to_fields(query)
    if found is None or to_query(found, tables) != query:
        return None
    # The form groups dates by a period, and by nothing else.
    known = columns_of(found, tables)
    groups = [(known.get(line.get("column"), {}).get("type"), line) for line in lines(found, GROUPS)]
    return None if any(kind == "date" and not line.get("period") for kind, line in groups) else found


def _to_fields(query: Mapping[str, Any]) -> Fields | None:
    if query.keys() - {"from", "where", "group_by", "select", "bounds"}:
        return None
    found: Fields = {}
    read: dict[str, list[Fields | None]] | None = {}
    match query["from"]:
        case str(table):
            found["table"] = table
        case {"per_person": str(table)}:
            found |= {"table": table, persons.ROWS: persons.PERSONS}
            read = persons.to_fields(query["from"])
    if read is None or not found:
        return None
    read |= {
        STATISTICS: [
            with_name(statistics.to_fields(one), name, statistics.name_of) for name, one in query["select"].items()
        ],
        GROUPS: [keys.to_fields(key) for key in query.get("group_by", [])],
        FILTERS: conditions.where_fields(query.get("where")),
    }
    for kind, many in read.items():
        for place, one in enumerate(many):
            if one is None:
                return None
            found |= {f"{kind}-{place}-{name}": value for name, value in one.items()}
    return found | {name: as_text(value) for name, value in query.get("bounds", {}).items()}
