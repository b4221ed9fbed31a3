"""What binding makes of a query: every name is a column or a table of the catalog, every literal a code.

Types alone. Planning, execution and release work on these. What they keep of the query as it was asked is for showing
it (`BoundQuery.query`) and for a statistic's parameters that name nothing, as the `k` of the most frequent values
(`BoundStatistic.node`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.binding.keys import CellKey
    from queries.binding.per_person import Built, BuiltValue
    from queries.binding.predicates import Bound
    from queries.catalog.schema import Column, Dataset, Table
    from queries.language import nodes


@dataclass(frozen=True)
class Operand:
    """A numeric column that a statistic is about; each value is clamped to [low, high], in the column's units."""

    column: Column
    low: int
    high: int


@dataclass(frozen=True)
class BoundStatistic:
    """One statistic of the answer.

    `operands` are the columns whose values enter sums. `within` are the bins of a histogram in each cell. Only events
    for which `where` holds count; `split` divides them into those for which it holds and the others. `outcomes` are
    values that the statistic needs in the per-person table beside those the query builds. `notes` are what a reader
    should know of how it was bound.
    """

    name: str  # of its column in the answer
    node: nodes.Statistic  # read for parameters that name nothing in the catalog
    operands: tuple[Operand, ...] = ()
    within: CellKey | None = None
    where: Bound | None = None
    split: Bound | None = None
    outcomes: tuple[BuiltValue, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoundQuery:
    """A query whose names and literals are resolved.

    `table` is what the keys, filters and statistics are about: a stored table, or one that is `built` for the query.
    The answer has at most `cells_max` cells.
    """

    query: nodes.Query  # as it was asked, to be shown
    dataset: Dataset
    table: Table
    built: Built | None
    where: Bound
    keys: tuple[CellKey, ...]
    select: tuple[BoundStatistic, ...]
    bounds: nodes.Bounds  # what the query names of the contribution bounds
    cells_max: int

    @property
    def tables(self) -> Mapping[str, Table]:
        """Return all tables of the dataset: cohorts may be made of any."""
        return self.dataset.tables

    @property
    def undeclared(self) -> CellKey | None:
        """Return the one key without declared values, if there is one."""
        return next((key for key in self.keys if key.named is not None), None)

    @property
    def cells(self) -> int:
        """Return how many cells the keys make; with an undeclared key, how many each of its values has."""
        return math.prod(key.size for key in self.keys if key.named is None)
