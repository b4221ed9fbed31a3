"""The form that builds a query: fields of a browser's form <-> the query in JSON.

The form has a table and three lists of lines: what to compute (`s-0-what`, `s-0-column`, ...), for which groups
(`g-0-column`, ...) and of which events (`f-0-column`, ...). `to_query` never refuses: what makes no sense is refused by
the API, with a pointer to its place, and `line_of` tells on which line of the form that is. `to_fields` is its
inverse for the queries that the form can show. All other queries are shown in SQL alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.frame.language import has_decimal_comma

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Fields = dict[str, str]

LINES_MAX = 64
COLUMNS_MAX = 50  # columns of a table from which one is chosen in each line; those of a wider one are listed once
COMPARED = ("", "=", "!=", "<", "<=", ">", ">=")  # operators that compare with a value or a column; "" is =
TYPED = ("in", "between", "under", "begins")  # operators whose values are typed
CHOICES_MAX = 200  # declared values of a column from which one is chosen; one of more is typed
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "between", "is_null")
PERIODS = ("year", "quarter", "month", "week", "day")
PARTS = ("month", "quarter", "week", "weekday", "day", "year")
NUMBERS, ORDERED, EACH = ("integer", "number"), ("integer", "number", "date"), ("category", "boolean")


def operators(kind: str | None) -> tuple[str, ...]:
    """Return the operators for a type of column."""
    if kind in ORDERED:
        return OPERATORS
    return ("=", "!=", "in", "is_null", *(("under", "begins") if kind == "category" else ()))


def is_chosen(about: Mapping[str, Any], operator: str) -> bool:
    """Return whether a value of a column is chosen from a list, and not typed."""
    choices = _choices(about)
    return 0 < len(choices) <= CHOICES_MAX and operator not in TYPED


def is_searched(about: Mapping[str, Any], operator: str) -> bool:
    """Return whether codes of a column have names to be searched, and are typed."""
    named = any(about.get(what) for what in ("vocabulary", "value_labels", "hierarchy"))
    is_typed = operator != "is_null" and not is_chosen(about, operator)
    return about.get("type") == "category" and is_typed and (named or len(_choices(about)) > CHOICES_MAX)


def comparable(columns: Mapping[str, Any], column: str, operator: str) -> list[str]:
    """Return the other columns that a column may be compared with: numbers with numbers, and dates with dates."""
    kind = columns.get(column, {}).get("type")
    alike = NUMBERS if kind in NUMBERS else ("date",) if kind == "date" else ()
    if operator not in COMPARED:
        return []
    return [name for name, about in columns.items() if about.get("type") in alike and name != column]


def _choices(about: Mapping[str, Any]) -> Sequence[str]:
    if about.get("type") == "boolean":
        return ("true", "false")
    found: Sequence[str] = about.get("values", ()) if about.get("declared") else ()
    return found


def taken(fields: Mapping[str, str], prefix: str, code: str) -> Fields:
    """Return the fields that change when a code is taken from a search: a list of values gets it beside the others."""
    value = fields.get(f"{prefix}value", "").strip()
    if fields.get(f"{prefix}op") == "in" and value:
        code = f"{value}; {code}"
    return {f"{prefix}value": code, f"{prefix}search": ""}


@dataclass(frozen=True)
class What:
    """A statistic that the form offers: which types of columns it takes, and which further fields it has."""

    name: str
    types: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()

    @property
    def has_column(self) -> bool:
        """Return whether it is of a column."""
        return bool(self.types)


ALL = (*NUMBERS, "date", *EACH)
WHATS = {
    one.name: one
    for one in (
        What("persons"),
        What("events"),
        What("share", ALL, ("op", "value")),
        What("share_of_persons", ALL, ("op", "value")),
        What("mean", NUMBERS, ("low", "high")),
        What("sum", NUMBERS, ("low", "high")),
        What("quantile", ORDERED, ("at",)),
        What("iqr", NUMBERS, ("low", "high")),
        What("stddev", NUMBERS, ("low", "high")),
        What("variance", NUMBERS, ("low", "high")),
        What("histogram", (*NUMBERS, "category"), ("bins",)),
        What("top", ("category",), ("k",)),
        What("correlation", NUMBERS, ("other",)),
        What("slope", NUMBERS, ("other",)),
    )
}
OTHERS = {"correlation": NUMBERS, "slope": (*NUMBERS, "date")}  # types of the other column; a slope by days has a date
OF_A_COLUMN = ("mean", "sum", "iqr", "stddev", "variance")


@dataclass(frozen=True)
class Line:
    """One line of the form: its number and its fields without their prefix."""

    number: int
    values: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """Return a field as it was typed, without the spaces around it."""
        return self.values.get(name, default).strip()


def lines(fields: Mapping[str, str], kind: str) -> list[Line]:
    """Return the lines of one list, in their order: "s" statistics, "g" groups, "f" filters."""
    found: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        if match := re.fullmatch(rf"{kind}-(\d{{1,3}})-([a-z]+)", name):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [Line(number, found[number]) for number in sorted(found)][:LINES_MAX]


def to_query(fields: Mapping[str, str], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query that the fields describe, in JSON. `columns` are those of the table, as the catalog has them."""
    query: dict[str, Any] = {"from": fields.get("table", "")}
    conditions = [_condition(line, columns) for line in lines(fields, "f") if line.get("column")]
    if conditions:
        query["where"] = conditions[0] if len(conditions) == 1 else {"all": conditions}
    keys = [_key(line, columns) for line in lines(fields, "g") if line.get("column")]
    if keys:
        query["group_by"] = keys
    query["select"] = {name: _statistic(line, columns) for name, line in named(fields).items()}
    bounds = {
        name: number(fields[name]) for name in ("cells_per_person", "events_per_cell") if fields.get(name, "").strip()
    }
    if bounds:
        query["bounds"] = bounds
    return query


def named(fields: Mapping[str, str]) -> dict[str, Line]:
    """Return the lines of statistics by the names of their columns in the answer."""
    found: dict[str, Line] = {}
    for line in lines(fields, "s"):
        if line.get("what") not in WHATS:
            continue
        name = line.get("name") or _name_of(line)
        number = 2
        while name in found:
            name, number = f"{line.get('name') or _name_of(line)}_{number}", number + 1
        found[name] = line
    return found


def line_of(fields: Mapping[str, str], pointer: str) -> tuple[str, int] | None:
    """Return the list and the number of the line that a pointer into the query leads to, or None."""
    parts = pointer.removeprefix("/query").split("/")[1:]
    match parts:
        case ["select", name, *_]:
            line = named(fields).get(name.replace("~1", "/").replace("~0", "~"))
            return None if line is None else ("s", line.number)
        case ["group_by", place, *_] if place.isdigit():
            return _nth(fields, "g", int(place))
        case ["where", "all", place, *_] if place.isdigit():
            return _nth(fields, "f", int(place))
        case ["where", *_]:
            return _nth(fields, "f", 0)
        case _:
            return None


def to_fields(query: Mapping[str, Any], columns: Mapping[str, Any]) -> Fields | None:
    """Return the fields that describe a query, or None where the form cannot show it.

    The fields are read back: a text with spaces around it, or with a semicolon in a list, would be another one, and the
    form would ask another question than it shows.
    """
    found = _to_fields(query)
    if found is None or to_query(found, columns) != query:
        return None
    # The form groups dates by a period, and by nothing else.
    keys = [(columns.get(line.get("column"), {}).get("type"), line) for line in lines(found, "g")]
    return None if any(kind == "date" and not line.get("period") for kind, line in keys) else found


def _to_fields(query: Mapping[str, Any]) -> Fields | None:
    if not isinstance(query.get("from"), str) or query.keys() - {"from", "where", "group_by", "select", "bounds"}:
        return None
    found: Fields = {"table": query["from"]}
    read = (
        ("s", [_statistic_fields(name, one) for name, one in query["select"].items()]),
        ("g", [_key_fields(key) for key in query.get("group_by", [])]),
        ("f", _where_fields(query.get("where"))),
    )
    for kind, many in read:
        if many is None or any(one is None for one in many):
            return None
        for place, one in enumerate(many):
            found |= {f"{kind}-{place}-{name}": value for name, value in (one or {}).items()}
    bounds = query.get("bounds", {})
    return found | {name: _text(value) for name, value in bounds.items()}


# Statistics


def _name_of(line: Line) -> str:
    what = line.get("what")
    return f"{what}_{line.get('column')}" if WHATS[what].has_column else what


def _statistic(line: Line, columns: Mapping[str, Any]) -> dict[str, Any]:
    what, column = line.get("what"), line.get("column")
    match what:
        case "persons" | "events":
            return {"count": what}
        case "share" | "share_of_persons":
            of = {"of": "persons"} if what == "share_of_persons" else {}
            return {"proportion": _condition(line, columns), **of}
        case "quantile":
            at = _list(line.get("at") or "0.5")
            return {"quantile": column, "at": at[0] if len(at) == 1 else at}
        case "histogram":
            bins = {"bins": _list(line.get("bins"))} if line.get("bins") else {}
            return {"histogram": column, **bins}
        case "top":
            return {"top": column, "k": number(line.get("k") or "3")}
        case "correlation" | "slope":
            return {what: [column, line.get("other")]}
        case _:
            low, high = line.get("low"), line.get("high")
            bounds = {"bounds": [number(low), number(high)]} if low or high else {}
            return {what: column, **bounds}


def _statistic_fields(name: str, statistic: Mapping[str, Any]) -> Fields | None:
    found = _statistic_parts(statistic)
    if found is None:
        return None
    line = Line(0, found)
    return found if name == _name_of(line) else {**found, "name": name}


def _statistic_parts(statistic: Mapping[str, Any]) -> Fields | None:
    rest = dict(statistic)
    match rest:
        case {"count": "persons" | "events" as what, **others} if not others:
            return {"what": what}
        case {"proportion": condition, **others} if others in ({}, {"of": "persons"}):
            compared = _condition_fields(condition)
            return None if compared is None else {"what": "share_of_persons" if others else "share", **compared}
        case {"quantile": str(column), "at": at, **others} if not others:
            return {"what": "quantile", "column": column, "at": _texts(at if isinstance(at, list) else [at])}
        case {"histogram": str(column), "bins": list(bins), **others} if not others:
            return {"what": "histogram", "column": column, "bins": _texts(bins)}
        case {"histogram": str(column), **others} if not others:
            return {"what": "histogram", "column": column}
        case {"top": str(column), "k": k, **others} if not others:
            return {"what": "top", "column": column, "k": _text(k)}
    for what in OTHERS:
        match rest:
            case {**others} if list(others) == [what] and _are_texts(others[what]):
                column, other = others[what]
                return {"what": what, "column": column, "other": other}
    for what in OF_A_COLUMN:
        match rest:
            case {"bounds": [low, high], **others} if list(others) == [what] and isinstance(others[what], str):
                return {"what": what, "column": others[what], "low": _text(low), "high": _text(high)}
            case {**others} if list(others) == [what] and isinstance(others[what], str):
                return {"what": what, "column": others[what]}
    return None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(one, str) for one in value)


# Groups


def _key(line: Line, columns: Mapping[str, Any]) -> Any:
    column = line.get("column")
    kind = columns.get(column, {}).get("type")
    if kind == "date" and line.get("period"):
        period = line.get("period")
        if period.startswith("part "):
            return {"column": column, "part": period.removeprefix("part ")}
        return {"column": column, "period": period}
    if kind in ORDERED and line.get("bins"):
        return {"column": column, "bins": _list(line.get("bins"), column_type=kind)}
    return column


def _key_fields(key: Any) -> Fields | None:
    match key:
        case str(column):
            return {"column": column}
        case {"column": str(column), "bins": list(bins), **others} if not others:
            return {"column": column, "bins": _texts(bins)}
        case {"column": str(column), "period": str(period), **others} if not others:
            return {"column": column, "period": period}
        case {"column": str(column), "part": str(part), **others} if not others:
            return {"column": column, "period": f"part {part}"}
        case _:
            return None


# Filters


def _condition(line: Line, columns: Mapping[str, Any]) -> dict[str, Any]:
    column, op = line.get("column"), line.get("op") or "="
    if op == "is_null":
        return {"column": column, "op": op}
    kind = columns.get(column, {}).get("type")
    if line.get("with") and line.get("with") in comparable(columns, column, op):
        return {"column": column, "op": op, "value": {"column": line.get("with")}}
    if op in ("in", "between"):
        return {"column": column, "op": op, "value": _list(line.get("value"), column_type=kind)}
    return {"column": column, "op": op, "value": _value(line.get("value"), kind)}


def _where_fields(where: Any) -> list[Fields | None]:
    match where:
        case None:
            return []
        case {"all": list(conditions), **others} if not others:
            return [_condition_fields(one) for one in conditions]
        case _:
            return [_condition_fields(where)]


def _condition_fields(condition: Any) -> Fields | None:
    match condition:
        case {"column": str(column), "op": "is_null", **others} if not others:
            return {"column": column, "op": "is_null"}
        case {"column": str(column), "op": "in" | "between" as op, "value": list(values), **others} if not others:
            # A text with a comma in it would be read as two.
            return (
                None
                if any("," in str(one) for one in values)
                else {"column": column, "op": op, "value": _texts(values)}
            )
        case {"column": str(column), "op": str(op), "value": {"column": str(other), **beyond}, **others} if not (
            others or beyond
        ):
            return {"column": column, "op": op, "with": other}
        case {"column": str(column), "op": str(op), "value": str() | int() | float() as value, **others} if not others:
            return {"column": column, "op": op, "value": _text(value)}
        case _:
            return None


# Values


def _value(text: str, kind: str | None) -> Any:
    if kind in NUMBERS:
        return number(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def _list(text: str, *, column_type: str | None = "number") -> list[Any]:
    """Return the values of a list. They are separated by semicolons, or by commas where there is no semicolon.

    Where people write 0,5 for a half, a comma between numbers separates them only if a space follows.
    """
    is_decimal = column_type in NUMBERS and has_decimal_comma()
    parts = text.split(";") if ";" in text else re.split(r",\s+" if is_decimal else ",", text)
    return [_value(part.strip(), column_type) for part in parts if part.strip()]


def _texts(values: Iterable[Any] | Sequence[Any]) -> str:
    return "; ".join(map(_text, values))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _nth(fields: Mapping[str, str], kind: str, place: int) -> tuple[str, int] | None:
    used = [line for line in lines(fields, kind) if line.get("column")]
    return (kind, used[place].number) if place < len(used) else None
