"""How often the values of one column occur, as a release says: the column is then made up with these shares.

It uses released numbers and the catalog alone, so it reveals nothing more (post-processing). Each column is drawn by
itself. What columns have to do with each other is not in it, and no result is to be computed from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from queries.store.made_up.rehearsal import mixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.binding.keys import CellKey
    from queries.store.made_up.rehearsal import Numbers


@dataclass(frozen=True)
class Marginal:
    """Whole weights of the cells of a key, and the codes of each: so many from its first one on.

    With `codes` these are places in that list.
    """

    weights: NDArray[np.uint64]
    firsts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    codes: NDArray[np.int64] | None = None

    def draw(self, rows: Numbers, place: str) -> NDArray[np.int64]:
        """Return a code for each row: a cell by its weight, and any of the cell's codes."""
        ends = np.cumsum(self.weights)
        cells = np.searchsorted(ends, mixed(rows, f"{place} cell") % ends[-1], side="right")
        within = (mixed(rows, place) % self.sizes.astype(np.uint64)[cells]).astype(np.int64)
        places = self.firsts[cells] + within
        return np.asarray(places if self.codes is None else self.codes[places])


def of(key: CellKey, numbers: Sequence[float]) -> Marginal | None:
    """Return the marginal of a key from the released number of each of its cells, or None if none is above 0.

    Noise may have made numbers negative: these count as 0.
    """
    firsts, sizes, codes = _codes(key)
    weights = np.maximum(np.rint(np.asarray(numbers, dtype=np.float64)), 0).astype(np.uint64)
    weights[sizes == 0] = 0  # a bin beyond the column's bounds
    return Marginal(weights, firsts, sizes, codes) if weights.sum() > 0 else None


def _codes(key: CellKey) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64] | None]:
    """Return where the codes of each cell begin, how many they are, and the list that they are places in."""
    if key.edges is not None:  # bins are ranges of codes, however many; 0 is null's
        edges = np.maximum(np.array(key.edges, dtype=np.int64), 1)
        null = [0] if key.null else []
        return np.append(edges[:-1], null).astype(np.int64), np.append(np.diff(edges), [1] * len(null)), None
    table = key.table()
    assert table is not None
    order = np.argsort(table, kind="stable").astype(np.int64)
    ends = np.searchsorted(table[order], np.arange(key.size + 1))
    return ends[:-1].astype(np.int64), np.diff(ends).astype(np.int64), order
