"""The lines of the form and the values that are typed into them.

A line is the fields that share a prefix, such as `f-0-column`, `f-0-op` and `f-0-value`: a letter for its list, and a
number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.pages.frame.forms import number
from server.pages.frame.language import has_decimal_comma
from server.pages.researcher.form.columns import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Fields = dict[str, str]

LINES_MAX = 64
STATISTICS, GROUPS, FILTERS, EVENTS, VALUES = "s", "g", "f", "e", "v"
KINDS = (STATISTICS, GROUPS, FILTERS, EVENTS, VALUES)


@dataclass(frozen=True)
class Line:
    """One line of the form: its number and its fields without their prefix."""

    number: int
    values: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """Return a field as it was typed, without the spaces around it."""
        return self.values.get(name, default).strip()


def lines(fields: Mapping[str, str], kind: str) -> list[Line]:
    """Return the lines of one list, in their order: statistics, groups, filters, events and values of persons."""
    found: dict[int, dict[str, str]] = {}
    for name, value in fields.items():
        if match := re.fullmatch(rf"{kind}-(\d{{1,3}})-([a-z]+)", name):
            found.setdefault(int(match[1]), {})[match[2]] = value
    return [Line(number, found[number]) for number in sorted(found)][:LINES_MAX]


def is_of_line(name: str) -> bool:
    """Return whether a field is one of a line."""
    return name[:1] in KINDS and name[1:2] == "-"


def named(many: Iterable[Line], name_of: Callable[[Line], str]) -> dict[str, Line]:
    """Return lines by the names that were typed or follow from them; of two equal ones the second gets a number."""
    found: dict[str, Line] = {}
    for line in many:
        first = name = line.get("name") or name_of(line)
        count = 2
        while name in found:
            name, count = f"{first}_{count}", count + 1
        found[name] = line
    return found


def with_name(found: Fields | None, name: str, name_of: Callable[[Line], str]) -> Fields | None:
    """Return the fields of a line with its name, unless it follows from them."""
    return found if found is None or name == name_of(Line(0, found)) else {**found, "name": name}


# Values


def value(text: str, kind: str | None) -> Any:
    """Return one value of a column of this type."""
    if kind in NUMBERS:
        return number(text)
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text


def values(text: str, *, column_type: str | None = "number") -> list[Any]:
    """Return the values of a list. They are separated by semicolons, or by commas where there is no semicolon.

    Where people write 0,5 for a half, a comma between numbers separates them only if a space follows.
    """
    is_decimal = column_type in NUMBERS and has_decimal_comma()
    parts = text.split(";") if ";" in text else re.split(r",\s+" if is_decimal else ",", text)
    return [value(part.strip(), column_type) for part in parts if part.strip()]


def texts(many: Sequence[Any]) -> str:
    """Return a list as it is typed."""
    return "; ".join(map(as_text, many))


def as_text(one: Any) -> str:
    """Return a value as it is typed."""
    return str(one).lower() if isinstance(one, bool) else str(one)
