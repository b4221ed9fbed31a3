"""The facts of an entry of the log, as the rows of a table: what is inside of what is told by names with slashes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNITS = {"_nano": Decimal(10) ** -9, "_atto": Decimal(10) ** -18}
DEPTH_MAX = 4  # what is deeper is shown as JSON


@dataclass(frozen=True)
class Row:
    """A fact: its name, its value as the log has it, and the amount that it stands for, if it is one."""

    name: str
    value: Any
    amount: float | None = None


def rows(facts: Mapping[str, Any]) -> list[Row]:
    """Return the facts in the order of the log."""
    return list(_rows(facts, ""))


def _rows(facts: Mapping[str, Any], within: str) -> Iterator[Row]:
    for name, value in facts.items():
        place = f"{within} / {name}" if within else name
        if isinstance(value, dict) and value and place.count("/") < DEPTH_MAX:
            yield from _rows(value, place)
        elif isinstance(value, list | dict):
            yield Row(place, _listed(value))
        else:
            yield Row(place, value, _amount(name, value))


def _listed(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False, indent=2)


def _amount(name: str, value: Any) -> float | None:
    for unit, scale in UNITS.items():
        if name.endswith(unit) and type(value) is int:
            return float(value * scale)
    return None
