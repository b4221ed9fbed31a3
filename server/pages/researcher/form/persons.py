"""Tables with a row for each person in the form: from which events they are made, and which values persons have.

The line of a value has what it is (`what`), of which column, perhaps only of events that fulfil a condition (`when`,
`op`, `value`), and bounds. Days to another event have its table (`of`), and the condition is on that one's events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.researcher.form import conditions
from server.pages.researcher.form.columns import ALL, DAYS_TO, NUMBERS, ORDERED, of_table
from server.pages.researcher.form.lines import EVENTS, VALUES, Line, as_text, lines, named, with_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.pages.researcher.form.columns import Columns
    from server.pages.researcher.form.lines import Fields

    Tables = Mapping[str, Any]

ROWS, PERSONS = "rows", "persons"  # the field that says what a row is, and its value for these tables
WHEN = "when"  # the field with the column of a value's condition


@dataclass(frozen=True)
class Built:
    """A value of a person that the form offers: of which types of columns, and with which further fields."""

    name: str
    types: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


BUILT = {
    one.name: one
    for one in (
        Built("count", (), ("low", "high")),
        Built("sum", NUMBERS, ("low", "high")),
        Built("mean", NUMBERS),
        Built("min", ORDERED),
        Built("max", ORDERED),
        Built("first", ALL, ("date",)),
        Built("last", ALL, ("date",)),
        Built("exists"),
        Built(DAYS_TO, (), ("of", "date", "within")),
    )
}


def is_chosen(fields: Mapping[str, str], tables: Tables) -> bool:
    """Return whether a row of the form's table is a person. That of a table of persons is one anyway."""
    about = tables.get(fields.get("table", ""), {})
    return fields.get(ROWS) == PERSONS and not about.get("one_row_per_person", False)


def name_of(line: Line) -> str:
    """Return the name of a value where none was typed."""
    what = line.get("what")
    of = {"count": "", "exists": line.get(WHEN), DAYS_TO: line.get("of")}.get(what, line.get("column"))
    return f"{ {'count': 'number', 'exists': 'has'}.get(what, what) }_{of}".strip("_")


def values_of(fields: Mapping[str, str]) -> dict[str, Line]:
    """Return the lines of values by their names."""
    return named((line for line in lines(fields, VALUES) if line.get("what") in BUILT), name_of)


def columns_of(fields: Mapping[str, str], tables: Tables) -> dict[str, Any]:
    """Return the columns of the table as the catalog would describe them: the persons' own, and the values."""
    table = fields.get("table", "")
    events = of_table(tables, table)
    found = {name: about for name, about in events.items() if about.get("of_person")}
    return found | {name: _about(line, table, events) for name, line in values_of(fields).items()}


def _about(line: Line, table: str, events: Columns) -> dict[str, Any]:
    what, column = line.get("what"), line.get("column")
    of = events.get(column, {})
    match what:
        case "count" | "sum" | "mean":
            bounds = [number(line.get("low")), number(line.get("high"))]
            about = {"bounds": bounds} if line.get("low") and line.get("high") else {}
            return {"type": {"count": "integer", "mean": "number"}.get(what, of.get("type", "number")), **about}
        case "exists":
            return {"type": "boolean"}
        case "days_to":
            return {"type": "integer", DAYS_TO: True}
        case _:
            return {**of, "of_person": False, "stored_as": f"{table}.{column}"}


def related(line: Line, table: str) -> str:
    """Return the table whose events a value's condition is about."""
    return line.get("of") if line.get("what") == DAYS_TO else table


def to_json(fields: Mapping[str, str], tables: Tables) -> dict[str, Any]:
    """Return the table that the form describes."""
    table = fields.get("table", "")
    where = conditions.where(lines(fields, EVENTS), of_table(tables, table))
    values = {name: _value(line, tables, table) for name, line in values_of(fields).items()}
    return {"per_person": table, **where, "values": values}


def _value(line: Line, tables: Tables, table: str) -> dict[str, Any]:
    what = line.get("what")
    columns = of_table(tables, related(line, table))
    condition = conditions.to_json(line, columns, WHEN)
    where = {"where": condition} if line.get(WHEN) else {}
    date = {"date": line.get("date")} if line.get("date") and "date" in BUILT[what].extras else {}
    low, high = (line.get("low"), line.get("high")) if "low" in BUILT[what].extras else ("", "")
    bounds = {"bounds": [number(low), number(high)]} if low or high else {}
    match what:
        case "count":
            return {"count": "events", **where, **bounds}
        case "exists":
            return {"exists": condition}
        case "days_to":
            within = {"within_days": number(line.get("within"))} if line.get("within") else {}
            on = {"date": line.get("otherdate")} if line.get("otherdate") else {}
            return {what: {"of": line.get("of"), **where, **within, **on}, **date}
        case _:
            return {what: line.get("column"), **where, **date, **bounds}


def to_fields(source: Mapping[str, Any]) -> dict[str, list[Fields | None]] | None:
    """Return the fields of the lines of events and of values, None for a table that the form cannot show."""
    if source.keys() - {"per_person", "where", "values"}:
        return None
    values = [with_name(_value_fields(value), name, name_of) for name, value in source["values"].items()]
    return {EVENTS: conditions.where_fields(source.get("where")), VALUES: values}


def _value_fields(value: Mapping[str, Any]) -> Fields | None:
    what = next((name for name in BUILT if name in value), None)
    if what is None or value.keys() - {what, "where", "date", "bounds"}:
        return None
    found: Fields = {"what": what}
    about = value[what]
    condition = value.get("where")
    match what, about:
        case "exists", condition:
            pass
        case "days_to", {"of": str(table), **others} if not others.keys() - {"where", "within_days", "date"}:
            condition = others.get("where")
            names = {"within_days": "within", "date": "otherdate"}
            found |= {"of": table} | {names[name]: as_text(one) for name, one in others.items() if name in names}
        case "count", _:
            pass
        case _, str(column):
            found["column"] = column
        case _:
            return None
    if condition is not None:
        read = conditions.to_fields(condition, WHEN)
        if read is None:
            return None
        found |= read
    if "date" in value:
        found["date"] = as_text(value["date"])
    if "bounds" in value:
        found["low"], found["high"] = map(as_text, value["bounds"])
    return found
