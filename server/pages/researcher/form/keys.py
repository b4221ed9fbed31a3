"""Groups in the form: a column, or bins of numbers, or periods and parts of dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.pages.researcher.form.columns import ORDERED
from server.pages.researcher.form.lines import texts, values

if TYPE_CHECKING:
    from server.pages.researcher.form.columns import Columns
    from server.pages.researcher.form.lines import Fields, Line

PERIODS = ("year", "quarter", "month", "week", "day")
PARTS = ("month", "quarter", "week", "weekday", "day", "year")


def to_json(line: Line, columns: Columns) -> Any:
    """Return the key of a line."""
    column = line.get("column")
    kind = columns.get(column, {}).get("type")
    if kind == "date" and line.get("period"):
        period = line.get("period")
        if period.startswith("part "):
            return {"column": column, "part": period.removeprefix("part ")}
        return {"column": column, "period": period}
    if kind in ORDERED and line.get("bins"):
        return {"column": column, "bins": values(line.get("bins"), column_type=kind)}
    return column


def to_fields(key: Any) -> Fields | None:
    """Return the fields of a line, None for a key that the form cannot show."""
    match key:
        case str(column):
            return {"column": column}
        case {"column": str(column), "bins": list(bins), **others} if not others:
            return {"column": column, "bins": texts(bins)}
        case {"column": str(column), "period": str(period), **others} if not others:
            return {"column": column, "period": period}
        case {"column": str(column), "part": str(part), **others} if not others:
            return {"column": column, "period": f"part {part}"}
        case _:
            return None
