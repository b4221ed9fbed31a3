"""Conditions in the form: a column, an operator, and a value, several or another column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.researcher.form.columns import COMPARED, comparable
from server.pages.researcher.form.lines import as_text, texts, value, values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.pages.researcher.form.columns import Columns
    from server.pages.researcher.form.lines import Fields, Line


def to_json(line: Line, columns: Columns, named: str = "column") -> dict[str, Any]:
    """Return the condition of a line. The field `named` has its column."""
    column, op = line.get(named), line.get("op") or "="
    if op == "is_null":
        return {"column": column, "op": op}
    kind = columns.get(column, {}).get("type")
    other, is_empty = line.get("with"), not line.get("value")
    if other and (other in comparable(columns, column, op) or (is_empty and op in COMPARED)):
        return {"column": column, "op": op, "value": {"column": other}}
    if op in ("in", "between"):
        return {"column": column, "op": op, "value": values(line.get("value"), column_type=kind)}
    if is_empty:  # nothing was typed yet; who means the empty text writes SQL
        return {"column": column, "op": op}
    return {"column": column, "op": op, "value": value(line.get("value"), kind)}


def where(many: Iterable[Line], columns: Columns) -> dict[str, Any]:
    """Return the member `where` for the lines that have a column, or nothing."""
    found = [to_json(line, columns) for line in many if line.get("column")]
    if not found:
        return {}
    return {"where": found[0] if len(found) == 1 else {"all": found}}


def where_fields(condition: Any) -> list[Fields | None]:
    """Return the fields of each line; None stands for a condition that the form cannot show."""
    match condition:
        case None:
            return []
        case {"all": list(conditions), **others} if not others:
            return [to_fields(one) for one in conditions]
        case _:
            return [to_fields(condition)]


def to_fields(condition: Any, named: str = "column") -> Fields | None:
    """Return the fields of a line, None for a condition that the form cannot show."""
    match condition:
        case {"column": str(column), "op": "is_null", **others} if not others:
            return {named: column, "op": "is_null"}
        case {"column": str(column), "op": "in" | "between" as op, "value": list(many), **others} if not others:
            # A text with a comma in it would be read as two.
            return None if any("," in str(one) for one in many) else {named: column, "op": op, "value": texts(many)}
        case {"column": str(column), "op": str(op), "value": {"column": str(other), **beyond}, **others} if not (
            others or beyond
        ):
            return {named: column, "op": op, "with": other}
        case {"column": str(column), "op": str(op), "value": str() | int() | float() as one, **others} if not others:
            return {named: column, "op": op, "value": as_text(one)}
        case _:
            return None
