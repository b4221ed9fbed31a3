"""A catalog from its description, as `GET /datasets/NAME` shows it: what can be made from what everybody may read."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from queries.catalog.schema import EPOCH, PERSONS, Column, Dataset, Kind, Table, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = Mapping[str, Any]


def read(described: Json) -> Dataset:
    """Return the dataset that `schema.describe` described. Its cap, hierarchies and labels are not read."""
    tables = {name: _table(name, table) for name, table in described["tables"].items()}
    return Dataset(
        described["name"],
        described["title"],
        Decimal(0),
        Decimal(0),
        persons_max=described["persons_max"],
        tables=frozen({PERSONS: tables[PERSONS], **tables}),
        epsilon_min=Decimal(repr(described["epsilon_min"])),
        persons_expected=described["persons_expected"],
    )


def _table(name: str, table: Json) -> Table:
    return Table(
        name,
        frozen({called: _column(called, column) for called, column in table["columns"].items()}),
        table["title"],
        table["bounds"].get("cells_per_person"),
        table["bounds"].get("events_per_cell"),
        events_expected=table["events_expected"],
    )


def _column(name: str, shown: Json) -> Column:
    kind, step = Kind(shown["type"]), Decimal(repr(shown.get("step", 1)))
    values = tuple(shown["values"]) if "values" in shown else None
    low, high = (_units(kind, step, bound) for bound in shown.get("bounds", (0, 1)))
    return Column(
        name,
        kind,
        shown["of_person"],
        shown["nullable"],
        shown["title"],
        values,
        low,
        high,
        step,
        professional=shown.get("professional", False),
        level_of=shown.get("level_of"),
    )


def _units(kind: Kind, step: Decimal, bound: Any) -> int:
    if kind is Kind.DATE and isinstance(bound, str):
        return (dt.date.fromisoformat(bound) - EPOCH).days
    return int(Decimal(repr(bound)) / step) if kind is Kind.NUMBER else int(bound)
