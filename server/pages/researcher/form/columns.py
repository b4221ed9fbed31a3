"""What the form offers for a column, by what the catalog says of it: operators, values to choose, other columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Columns = Mapping[str, Any]

COLUMNS_MAX = 50  # columns of a table from which one is chosen in each line; those of a wider one are listed once
CHOICES_MAX = 200  # declared values of a column from which one is chosen; one of more is typed
NUMBERS, ORDERED, EACH = ("integer", "number"), ("integer", "number", "date"), ("category", "boolean")
ALL = (*NUMBERS, "date", *EACH)
DAYS_TO = "days_to"  # beside the types: a value of a person that counts days to another event
COMPARED = ("", "=", "!=", "<", "<=", ">", ">=")  # operators that compare with a value or a column; "" is =
TYPED = ("in", "between", "under", "begins")  # operators whose values are typed
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "is_null")


def of_table(tables: Mapping[str, Any], name: str) -> Columns:
    """Return the columns of a table, as the catalog has them; none of a table that is not there."""
    found: Columns = tables.get(name, {}).get("columns", {})
    return found


def of_types(columns: Columns, types: Sequence[str]) -> dict[str, Any]:
    """Return the columns that are of one of these types."""
    return {
        name: about
        for name, about in columns.items()
        if about.get("type") in types or (DAYS_TO in types and about.get(DAYS_TO))
    }


def days_of_events(columns: Columns, chosen: str) -> dict[str, Any]:
    """Return the dates that may be the day of an event: its own, and the chosen one; the person's if it has none."""
    dates = of_types(columns, ("date",))
    own = {name for name, about in dates.items() if not about.get("of_person")}
    return {name: about for name, about in dates.items() if not own or name in {*own, chosen}}


def operators(kind: str | None) -> tuple[str, ...]:
    """Return the operators for a type of column."""
    if kind in ORDERED:
        return OPERATORS
    return ("=", "!=", "in", "is_null", *(("under", "begins") if kind == "category" else ()))


def is_chosen(about: Mapping[str, Any], operator: str) -> bool:
    """Return whether a value of a column is chosen from a list, and not typed."""
    return 0 < len(choices(about)) <= CHOICES_MAX and operator not in TYPED


def is_searched(about: Mapping[str, Any], operator: str) -> bool:
    """Return whether codes of a column have names to be searched, and are typed."""
    named = any(about.get(what) for what in ("vocabulary", "value_labels", "hierarchy"))
    is_typed = operator != "is_null" and not is_chosen(about, operator)
    return about.get("type") == "category" and is_typed and (named or len(choices(about)) > CHOICES_MAX)


def comparable(columns: Columns, column: str, operator: str) -> list[str]:
    """Return the other columns that a column may be compared with: numbers with numbers, and dates with dates."""
    kind = columns.get(column, {}).get("type")
    alike = NUMBERS if kind in NUMBERS else ("date",) if kind == "date" else ()
    if operator not in COMPARED:
        return []
    return [name for name, about in columns.items() if about.get("type") in alike and name != column]


def choices(about: Mapping[str, Any]) -> Sequence[str]:
    """Return the values that a column can have, if they are declared."""
    if about.get("type") == "boolean":
        return ("true", "false")
    found: Sequence[str] = about.get("values", ()) if about.get("declared") else ()
    return found
