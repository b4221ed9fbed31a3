"""Group-by keys: how a code of a column becomes an index among the cells of the answer.

The list of cells is public: it follows from the catalog and the query alone, and the answer lists every cell, also the
empty ones. A code that belongs to no cell is ignored: one outside all bins, or null in a column declared without nulls.
"""

from __future__ import annotations

import bisect
import datetime as dt
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import numpy as np

from queries.binding import date_parts, names
from queries.catalog import codes
from queries.catalog.schema import EPOCH, Column, Kind, Table
from queries.errors import InvalidQuery
from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

TABLE_MAX = 2**20  # codes for which a look-up table is made; beyond, edges are searched
EDGES_MAX = 100_000
BOTH_ENDS = "bins are open only over a column whose bounds are declared: name both ends, as WHEN a >= 0 AND a < 18"
QUARTERS = (1, 4, 7, 10)
UNITS_MAX = 2**53  # of widths and origins: a larger number is not exact in JSON readers that use doubles

Label = str | int | float | bool | None


@dataclass(frozen=True)
class CellKey:
    """One group-by key over a column's codes.

    With `edges` (ascending codes) a code belongs to the bin i with edges[i] <= code < edges[i+1], whose label is
    labels[i]. With a `part` of a date, a code belongs to the cell of that part of its day. Without either, each code is
    a cell of its own. With `null`, null has the last cell. `named` is None if the column has declared values. Otherwise
    only the codes in it have cells, each with its label; it is empty until a threshold has chosen them
    (`partition_selection.py`).
    """

    name: str
    column: Column
    null: bool
    edges: tuple[int, ...] | None = None
    labels: tuple[str | int | float, ...] = ()
    named: tuple[int, ...] | None = None
    part: str | None = None

    @property
    def values(self) -> int:
        """Return the number of cells without null's."""
        if self.named is not None:
            return len(self.named)
        if self.edges is not None:
            return len(self.edges) - 1
        return self.column.size if self._each else len(self.labels)

    @property
    def _each(self) -> bool:
        """Return whether each declared value has a cell of its own, labelled with the value."""
        return self.edges is None and self.part is None and self.named is None

    @property
    def size(self) -> int:
        """Return the number of cells."""
        return self.values + self.null

    def label(self, index: int) -> Label:
        """Return the label of a cell in the answer. None is null's."""
        if index >= self.values:
            return None
        if self._each:
            return self.column.label(index + 1)
        return self.labels[index]

    def every_label(self) -> list[Label]:
        """Return the labels of all cells, in their order."""
        named: Iterable[Label] = self.column.labels(range(1, self.values + 1)) if self._each else self.labels
        return [*named, *([None] if self.null else [])]

    def index(self, code: int) -> int:
        """Return the cell of a code, or -1. This is the plain definition; the kernel uses `table` or `edges`."""
        if code == 0:
            return self.values if self.null else -1
        if self.named is not None:
            return self.named.index(code) if code in self.named else -1
        if self.part is not None:
            return self.labels.index(date_parts.of_day(self.part, code - 1 + self.column.low))
        if self.edges is None:
            return code - 1
        found = bisect.bisect_right(self.edges, code) - 1
        return found if found < self.values else -1

    @property
    def has_table(self) -> bool:
        """Return whether there are few enough codes for a table."""
        return self.named is not None or self.part is not None or self.edges is None or self.column.size <= TABLE_MAX

    def table(self) -> NDArray[np.int32] | None:
        """Return the cell of each code from 0 on, or None if there are too many. Codes beyond it have no cell."""
        if not self.has_table:
            return None
        if self.named is not None:
            table = np.full(max(self.named, default=0) + 1, -1, dtype=np.int32)
            table[list(self.named)] = np.arange(len(self.named), dtype=np.int32)
        elif self.part is not None:
            # A date never has too many codes, because the calendar has fewer than 4 million days.
            every_part = date_parts.of_days(self.part, self.column.low, self.column.high)
            table = np.full(self.column.size + 1, -1, dtype=np.int32)
            table[1:] = np.searchsorted(np.array(self.labels, dtype=np.int64), every_part)
        elif self.edges is None:
            table = np.arange(-1, self.column.size, dtype=np.int32)
        else:
            every_code = np.arange(self.column.size + 1)
            table = (np.searchsorted(np.array(self.edges), every_code, side="right") - 1).astype(np.int32)
            table[table >= self.values] = -1
        table[0] = self.index(0)
        return table


def bind_all(query: nodes.Query, table: Table) -> tuple[CellKey, ...]:
    """Return the keys of a query. Raises InvalidQuery with the place, also if two columns would have one name."""
    bound = tuple(bind(key, table, f"/query/group_by/{i}", undeclared=True) for i, key in enumerate(query.group_by))
    taken = {name for name, _ in query.select}
    for place, key in enumerate(bound):
        if key.name in taken:
            raise InvalidQuery(
                f"/query/group_by/{place}", f'two columns of the answer are called {key.name}; rename one with "as"'
            )
        taken.add(key.name)
    undeclared = [(place, key) for place, key in enumerate(bound) if key.named is not None]
    for place, _ in undeclared[1:]:
        raise InvalidQuery(
            f"/query/group_by/{place}",
            f"{undeclared[0][1].column.name} has no declared values either; a query may have one such key",
        )
    return bound


def bind(key: nodes.Key, table: Table, pointer: str, named: str | None = None, *, undeclared: bool = False) -> CellKey:
    """Return a key bound to its column. `named` is the place of the column's name, if it is not the usual one.

    With `undeclared`, the column may have no declared values. Raises InvalidQuery with the place.
    """
    if named is None:
        named = pointer if isinstance(key, nodes.ByValue) else f"{pointer}/column"
    column = names.column_of(table, key.column, named)
    name = key.name or column.name
    match key:
        case nodes.ByValue():
            if not column.declared:
                if undeclared:
                    return CellKey(name, column, column.nullable, named=())
                raise InvalidQuery(
                    pointer,
                    f"{column.name} has no declared values, so they are not public; group by it instead, which names "
                    "those that many persons have, or have the custodian declare its values",
                )
            return CellKey(name, column, column.nullable)
        case nodes.ByBins(edges=edges):
            if key.open_below or key.open_above:
                raise InvalidQuery(pointer, BOTH_ENDS)
            return _bins(name, column, edges, f"{pointer}/bins")
        case nodes.ByPeriod(period=period):
            if column.kind is not Kind.DATE:
                raise InvalidQuery(f"{pointer}/period", f"{column.name} is not a date")
            return _periods(name, column, period, f"{pointer}/period")
        case nodes.ByWidth():
            return _widths(name, column, key, pointer)
        case nodes.ByPart(part=part):
            if column.kind is not Kind.DATE:
                raise InvalidQuery(f"{pointer}/part", f"{column.name} is not a date")
            found = date_parts.of_days(part, column.low, column.high)
            return CellKey(name, column, column.nullable, labels=tuple(np.unique(found).tolist()), part=part)
        case _:
            assert_never(key)


def _bins(name: str, column: Column, edges: tuple[nodes.Scalar, ...], pointer: str) -> CellKey:
    if not column.ordered:
        raise InvalidQuery(pointer, f"{column.name} has no order, so it cannot be cut into bins")
    if not 2 <= len(edges) <= EDGES_MAX:
        raise InvalidQuery(pointer, f"give from 2 to {EDGES_MAX} edges")
    units = [codes.units_of(column, edge, f"{pointer}/{place}") for place, edge in enumerate(edges)]
    for place, (left, right) in enumerate(itertools.pairwise(units), start=1):
        if left >= right:
            raise InvalidQuery(f"{pointer}/{place}", "the edges must ascend")
    # The first code at or above an edge. For an edge beyond the bounds, one code beyond them is enough.
    starts = tuple(min(max(math.ceil(edge) - column.low + 1, 0), column.size + 1) for edge in units)
    labels = tuple(f"[{left}, {right})" for left, right in itertools.pairwise(map(_edge, edges)))
    return CellKey(name, column, column.nullable, starts, labels)


def _edge(edge: nodes.Scalar) -> nodes.Scalar:
    """Return an edge as it is shown. 18.0 and 18 are shown alike, because they are one edge."""
    return int(edge) if isinstance(edge, float) and edge.is_integer() else edge


def _widths(name: str, column: Column, key: nodes.ByWidth, pointer: str) -> CellKey:
    """Return the bins of a width that cover the declared bounds, each labelled with its first value."""
    width_of, origin_of = f"{pointer}/width", f"{pointer}/from"
    if not column.ordered:
        raise InvalidQuery(width_of, f"{column.name} has no order, so it cannot be cut into bins")
    if column.kind is Kind.DATE:
        if key.origin is None:
            raise InvalidQuery(
                pointer, f'{column.name} holds dates: say at which a bin begins, as in "from": "2020-01-06"'
            )
        width = codes.exact(key.width, width_of)
        what = "days"
    else:
        width = codes.units_of(column, key.width, width_of)
        what = f"steps of {column.step}" if column.kind is Kind.NUMBER else "numbers"
    origin = codes.units_of(column, 0 if key.origin is None else key.origin, origin_of)
    if width <= 0 or width.denominator != 1:
        raise InvalidQuery(width_of, f"must be above 0 and whole: {column.name} is counted in {what}")
    if origin.denominator != 1:
        raise InvalidQuery(origin_of, f"must be a value that {column.name} can have: it is counted in {what}")
    for units, place in ((width, width_of), (abs(origin), origin_of)):
        if units > UNITS_MAX:
            raise InvalidQuery(place, "is too large")
    begins = int(origin) + int((column.low - origin) // width) * int(width)
    if (column.high - begins) // width >= EDGES_MAX:
        raise InvalidQuery(width_of, f"makes more than {EDGES_MAX} bins within the bounds of {column.name}")
    starts = range(begins, column.high + 1, int(width))
    labels: Iterable[str | int | float]
    if column.kind is Kind.DATE:
        # The calendar begins with the year 1. A bin that would reach further back begins there.
        labels = (dt.date.fromordinal(max(EPOCH.toordinal() + start, 1)).isoformat() for start in starts)
    else:
        labels = column.numbers(starts)
    edges = (1, *(start - column.low + 1 for start in starts[1:]), column.size + 1)
    return CellKey(name, column, column.nullable, edges, tuple(labels))


def _periods(name: str, column: Column, period: str, pointer: str) -> CellKey:
    if period == "day":
        return CellKey(name, column, column.nullable)
    if period == "week":
        return _weeks(name, column, pointer)
    first = EPOCH + dt.timedelta(days=column.low)
    last = EPOCH + dt.timedelta(days=column.high)
    starts: list[int] = []
    labels: list[str] = []
    for year in range(first.year, last.year + 1):
        for month in {"year": (1,), "quarter": QUARTERS, "month": range(1, 13)}[period]:
            start = dt.date(year, month, 1)
            if start > last:
                break
            starts.append((start - EPOCH).days - column.low + 1)
            labels.append(_period_label(year, month, period))
    # Leave out periods that ended before the column's first day.
    skip = sum(start <= 1 for start in starts) - 1
    return CellKey(name, column, column.nullable, (*starts[skip:], column.size + 1), tuple(labels[skip:]))


def _weeks(name: str, column: Column, pointer: str) -> CellKey:
    """Return the weeks of ISO 8601, which begin with a Monday and belong to the year of their Thursday."""
    monday = column.low - date_parts.of_day("weekday", column.low) + 1
    if (column.high - monday) // 7 >= EDGES_MAX:
        raise InvalidQuery(pointer, f"makes more than {EDGES_MAX} weeks within the bounds of {column.name}")
    starts = range(monday, column.high + 1, 7)
    weeks = [(EPOCH + dt.timedelta(days=max(start, column.low))).isocalendar() for start in starts]
    edges = (1, *(start - column.low + 1 for start in starts[1:]), column.size + 1)
    return CellKey(name, column, column.nullable, edges, tuple(f"{week.year}-W{week.week:02}" for week in weeks))


def _period_label(year: int, month: int, period: str) -> str:
    match period:
        case "year":
            return f"{year}"
        case "quarter":
            return f"{year}-Q{QUARTERS.index(month) + 1}"
        case _:
            return f"{year}-{month:02}"
