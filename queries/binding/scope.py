"""Where the names of a statistic are resolved: the table that it is asked of, and the tables beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries.binding import filters, keys, names
from queries.binding.bound import Operand
from queries.catalog import codes
from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding.keys import CellKey
    from queries.binding.per_person import Built
    from queries.binding.predicates import Bound
    from queries.catalog.schema import Column, Table
    from queries.language import nodes


@dataclass(frozen=True)
class Scope:
    """The table whose columns may be named, the tables of which cohorts may be made, and what an answer has room for.

    `room` is how many numbers each cell of the answer may have. Each method takes the JSON pointer of what it resolves,
    and raises InvalidQuery with it.
    """

    table: Table
    tables: Mapping[str, Table]
    built: Built | None  # how `table` is made, where the query builds it
    room: int

    def column(self, name: str, pointer: str) -> Column:
        """Return a column of the table."""
        return names.column_of(self.table, name, pointer)

    def filter(self, predicate: nodes.Predicate | None, pointer: str) -> Bound:
        """Return the canonical form of a predicate over the table."""
        return filters.bind(predicate, self.table, pointer, self.tables)

    def key(self, node: nodes.Key, pointer: str, named: str | None = None) -> CellKey:
        """Return bins or values of a column, which is `named` at another place than the key's own if that is given."""
        return keys.bind(node, self.table, pointer, named)

    def clamped(
        self, name: str, bounds: tuple[float, float] | None, word: str, pointer: str, bounds_pointer: str
    ) -> Operand:
        """Return a numeric column and the clamping bounds in its units, for the statistic called by this word."""
        column = self.column(name, pointer)
        if not column.numeric:
            raise InvalidQuery(pointer, f"{name} is a {column.kind.value}; a {word} needs numbers")
        if bounds is None:
            return Operand(column, column.low, column.high)
        units = []
        for place, bound in enumerate(bounds):
            unit = codes.units_of(column, bound, f"{bounds_pointer}/{place}")
            if unit.denominator != 1 or not column.low <= unit <= column.high:
                raise InvalidQuery(
                    f"{bounds_pointer}/{place}",
                    f"must be a multiple of {name}'s step {column.step} "
                    f"from {column.value(column.low)} to {column.value(column.high)}",
                )
            units.append(int(unit))
        low, high = units
        if low >= high:
            raise InvalidQuery(bounds_pointer, "must ascend")
        return Operand(column, low, high)

    def require_room(self, width: int, pointer: str) -> None:
        """Raise InvalidQuery unless each cell may have so many numbers."""
        if width > self.room:
            raise InvalidQuery(
                pointer,
                f"{width} numbers in each cell are more than an answer may have: take fewer bins, or fewer cells",
            )
