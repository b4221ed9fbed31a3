"""The numbers of one statistic as a chart needs them: by what they stand along, and by what they are told apart.

An answer may have many keys, and a list is one more. A chart has room for two dimensions. Keys beyond two are folded
into one whose labels have a part for each key: `female · [0, 18)`.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from queries.statistics.parts import lists
from server.views.numbers import exact
from server.views.table import Cell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from queries.statistics.parts.lists import Listed
    from server.views.table import Label, Table

_TIME = re.compile(r"\d{4}(-Q[1-4]|-W\d\d|-\d\d(-\d\d)?)?")  # the labels of periods, and of days
_BIN = re.compile(r"\[.*, .*\)", re.DOTALL)
NO_CELL = Cell()


class Order(Enum):
    """Whether labels stand in an order of their own."""

    NONE = "none"
    NUMBERS = "numbers"
    BINS = "bins"
    TIME = "time"


@dataclass(frozen=True)
class Axis:
    """One dimension: the keys that it is made of, and its labels in the answer's order, one part for each key.

    Without keys it is no dimension, and has one label.
    """

    keys: tuple[str, ...]
    labels: tuple[tuple[Label, ...], ...]
    order: Order = Order.NONE
    is_days: bool = False

    def __len__(self) -> int:
        """Return the number of labels."""
        return len(self.labels)


NO_AXIS = Axis((), ((),))


@dataclass(frozen=True)
class Grid:
    """The numbers of a statistic. `cells` has a row for each label of `along`, with a cell for each label of `by`.

    `listed` is the list that the numbers are of, if they are. `margin_of` is the unit of the statistic's margin (value
    or events), and `confidence` is that of all intervals; None where a release does not say it. `hidden` is how many
    of the statistic's numbers are hidden, because their cells are small.
    """

    statistic: str
    along: Axis
    by: Axis
    cells: tuple[tuple[Cell, ...], ...]
    listed: Listed | None = None
    margin_of: str = "value"
    confidence: float | None = None
    hidden: int = 0

    def __iter__(self) -> Iterator[tuple[int, int, Cell]]:
        """Yield the cells that can be drawn, with their places: those of which value and both ends are known."""
        for along, row in enumerate(self.cells):
            for by, cell in enumerate(row):
                if is_drawn(cell):
                    yield along, by, cell

    @property
    def size(self) -> int:
        """Return the number of cells."""
        return len(self.cells) * len(self.by)

    def turned(self) -> Grid:
        """Return the same numbers with the two dimensions exchanged."""
        return replace(self, along=self.by, by=self.along, cells=tuple(zip(*self.cells, strict=True)))

    def only(self, places: Iterable[int]) -> Grid:
        """Return the rows at these places."""
        places = tuple(places)
        axis = replace(self.along, labels=tuple(self.along.labels[place] for place in places))
        return replace(self, along=axis, cells=tuple(self.cells[place] for place in places))

    def by_size(self) -> list[int]:
        """Return the places of the rows, those with the largest numbers first."""
        sums = [sum(exact(cell.value or 0) for cell in row if is_drawn(cell)) for row in self.cells]
        return sorted(range(len(sums)), key=lambda place: -sums[place])

    def flat(self) -> Grid:
        """Return the same numbers along one dimension, with joined labels."""
        if not self.by.keys:
            return self
        labels = tuple(one + other for one, other in itertools.product(self.along.labels, self.by.labels))
        axis = Axis(self.along.keys + self.by.keys, labels)
        return replace(self, along=axis, by=NO_AXIS, cells=tuple((cell,) for row in self.cells for cell in row))


def is_drawn(cell: Cell) -> bool:
    """Return whether a cell has a number with its interval. No number is drawn without one."""
    return cell.value is not None and cell.low is not None and cell.high is not None


def of(flat: Table, statistic: str) -> Grid:
    """Return the numbers of one statistic of an answer."""
    places = flat.columns_of(statistic)
    first = flat.columns[places[0]]
    hidden = sum(row.cells[place].hidden for row in flat.rows for place in places)
    empty = Grid(statistic, NO_AXIS, NO_AXIS, (), first.listed, first.margin_of, first.confidence, hidden)
    if first.listed is not None and first.listed.ranked:
        return _ranked(flat, places, empty)
    axes, heads = _keys(flat)
    if first.listed is not None and flat.rows:
        parts = tuple(flat.columns[place].part for place in places)
        axes.append(_axis(first.listed.heading, parts, first.listed))
        heads = [(*head, part) for head in heads for part in range(len(places))]
    cells = [row.cells[place] for row in flat.rows for place in places]
    return _folded(empty, axes, dict(zip(heads, cells, strict=True)))


def _keys(flat: Table) -> tuple[list[Axis], list[tuple[int, ...]]]:
    """Return an axis for each key, and for each row the places of its labels."""
    known: list[dict[tuple[type, Label], int]] = [{} for _ in flat.keys]  # with the type, because 1 is True in Python
    heads = [
        tuple(
            places.setdefault((type(label), label), len(places))
            for places, label in zip(known, row.labels, strict=True)
        )
        for row in flat.rows
    ]
    axes = [_axis(key, tuple(label for _, label in places)) for key, places in zip(flat.keys, known, strict=True)]
    # A line or bins beside each other would join what is not next to each other.
    return [replace(axis, order=Order.NONE) for axis in axes] if flat.rearranged else axes, heads


def _axis(key: str, labels: tuple[Label, ...], listed: Listed | None = None) -> Axis:
    order = _order([label for label in labels if label is not None])
    return Axis((key,), tuple((label,) for label in labels), order, listed in (lists.SURVIVAL, lists.DIFFERENCES))


def _order(labels: Sequence[Label]) -> Order:
    """Return the order in which labels stand, as far as they show it."""
    if len(labels) < 2:
        return Order.NONE
    if all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels):
        return Order.NUMBERS if _ascends(labels) else Order.NONE
    if not all(isinstance(label, str) for label in labels):
        return Order.NONE
    if all(_TIME.fullmatch(str(label)) for label in labels) and _ascends(labels):
        return Order.TIME
    return Order.BINS if all(_BIN.fullmatch(str(label)) for label in labels) else Order.NONE


def _ascends(labels: Sequence[Any]) -> bool:
    return all(left < right for left, right in itertools.pairwise(labels))


def _folded(empty: Grid, axes: Sequence[Axis], cells: Mapping[tuple[int, ...], Cell]) -> Grid:
    """Return the numbers by two axes. Of more than two axes, all but the last are folded into one."""
    missing = 2 - len(axes)
    if missing > 0:
        axes = [*axes, *[NO_AXIS] * missing]
        cells = {(*head, *[0] * missing): cell for head, cell in cells.items()}
    *first, by = axes
    heads = list(dict.fromkeys(head[:-1] for head in cells))
    along = first[0]
    if len(first) > 1:
        parts = (zip(first, head, strict=True) for head in heads)
        labels = tuple(tuple(axis.labels[place][0] for axis, place in head) for head in parts)
        along = Axis(tuple(axis.keys[0] for axis in first), labels)
    rows = tuple(tuple(cells.get((*head, place), NO_CELL) for place in range(len(by))) for head in heads)
    return replace(empty, along=along, by=by, cells=rows)


def _ranked(flat: Table, places: Sequence[int], empty: Grid) -> Grid:
    """Return a list whose labels differ from row to row: all its parts stand one after the other."""
    found = [(row.labels, row.cells[place]) for row in flat.rows for place in places if is_drawn(row.cells[place])]
    along = Axis((*flat.keys, lists.TOP.heading), tuple((*labels, cell.label) for labels, cell in found))
    return replace(empty, along=along, cells=tuple((cell,) for _, cell in found))
