"""What standardised rates and differences of curves have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.statistics.parts.numbers import MEMBERS

if TYPE_CHECKING:
    from collections.abc import Mapping

NOISE = "noise"  # the member of a column that has the noise of all numbers in `raw`
NO_NUMBER: dict[str, Any] = dict.fromkeys(MEMBERS)
HIDDEN: dict[str, Any] = {**NO_NUMBER, "hidden": True}


@dataclass(frozen=True)
class Derived:
    """The columns and rows of an answer that is computed from another, and what a reader should know."""

    columns: list[dict[str, Any]]
    rows: list[dict[str, Any]]
    notes: list[str]


def text_of(label: object) -> str:
    """Return the label of a key as a request names it: as the CSV has it, and null by its word."""
    if label is None:
        return "null"
    return str(label).lower() if isinstance(label, bool) else str(label)


def without(members: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return members but for some."""
    return {name: value for name, value in members.items() if name not in names}
