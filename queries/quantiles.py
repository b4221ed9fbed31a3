"""Quantiles from a noisy tree of counts.

The range of the values is cut into at most 4,096 leaves, and these are joined by 16 and by 16 again. Each level is a
histogram of its own, released with its share of the charge: so the number of events below a leaf's edge is the sum of
at most 15 noisy numbers of each level, wherever the edge is, and one tree serves any number of quantiles.

For a share q, the balance of an edge is (1 - q) * (events below) - q * (events not below): it ascends with the edge
and crosses 0 at the quantile. Its noise is that of the counts it is made of, so that the quantile lies, with 95%,
between the first edge where the balance is not clearly below 0 and the last where it is not clearly above. Nothing
here depends on the data but through noisy counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from queries.intervals import reach
from queries.keys import CellKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.catalog import Column
    from queries.intervals import Floats

FANOUT = 16  # of the widths 2, 4, 8, 16 ... this has the least noise in a sum of three levels
LEAVES_MAX = 4096


def levels(column: Column, low: int, high: int, room: int) -> tuple[CellKey, ...]:
    """Return the levels of a tree over [low, high] in units, the coarsest first, none with more than `room` bins.

    Values beyond the range belong to its first and last leaf: they are clamped.
    """
    leaves = min(high - low + 1, LEAVES_MAX, room)
    starts = [low + (high - low + 1) * leaf // leaves for leaf in range(leaves)]
    edges = [1, *(start - column.low + 1 for start in starts[1:]), column.size + 1]
    found = []
    while True:
        found.append(CellKey(column.name, column, null=False, edges=tuple(edges)))
        if len(edges) <= FANOUT + 1:
            return tuple(reversed(found))
        edges = [*edges[:-1:FANOUT], edges[-1]]


def starts(levels: Sequence[CellKey], low: int) -> list[int]:
    """Return the first value of each leaf in units."""
    leaves = levels[-1]
    assert leaves.edges is not None
    return [low, *(edge - 1 + leaves.column.low for edge in leaves.edges[1:-1])]


def leaves_at(
    counts: Sequence[NDArray[np.int64]], scales: Sequence[float], share: float, confidence: float, *, gaussian: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return for each cell the leaves before and after the quantile, and the first and last where it may lie.

    `counts` has for each level, the coarsest first, an array of cells x nodes.
    """
    balance = _at_edges([level.astype(np.float64) for level in counts], 1 - share, -share)
    noise = rank_noise([level.shape[1] for level in counts], scales, share, confidence, gaussian=gaussian)
    # Whatever the noise, the quantile is not below the first edge and not above the last.
    balance[:, 0], balance[:, -1] = -np.inf, np.inf
    before = _last(balance[:, :-1] <= 0)
    after = _first(balance[:, 1:] >= 0)
    first = _first(balance[:, 1:] >= -noise[1:])
    last = _last(balance[:, :-1] <= noise[:-1])
    return before, after, np.minimum(first, last), np.maximum(first, last)


def rank_noise(
    nodes: Sequence[int], scales: Sequence[float], share: float, confidence: float, *, gaussian: bool
) -> Floats:
    """Return the quantile of the noise in the balance of each edge, in events."""
    ones = [np.ones((1, count)) for count in nodes]
    second, fourth = (
        _at_edges([level * scale**power for level, scale in zip(ones, scales, strict=True)], left**power, right**power)
        for power, left, right in ((2, 1 - share, share), (4, 1 - share, share))
    )
    return reach(second[0], fourth[0], confidence, gaussian=gaussian, step=max(share, 1 - share))


def _at_edges(levels: Sequence[Floats], left: float, right: float) -> Floats:
    """Return for each edge of the leaves left * (what is below it) + right * (what is not), from few nodes.

    Whatever lies outside a node is told by the coarser levels; inside it, by its children.
    """
    outside = np.zeros((len(levels[0]), 1))
    for level in levels:
        cells, nodes = level.shape
        parents = outside.shape[1]
        # Padded to full parents, so that each parent's children are a row.
        padded = np.zeros((cells, parents * FANOUT))
        padded[:, :nodes] = level
        children = padded.reshape(cells, parents, FANOUT)
        through = np.cumsum(children, axis=2)
        total = through[:, :, -1:]
        below, above = through - children, total - through
        at_start = (outside[:, :, None] + left * below + right * (above + children)).reshape(cells, -1)
        last = outside[:, -1] + left * total[:, -1, 0]
        outside = (outside[:, :, None] + left * below + right * above).reshape(cells, -1)[:, :nodes]
    return np.column_stack([at_start[:, :nodes], last])


def _first(holds: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(np.argmax(holds, axis=1))


def _last(holds: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(holds.shape[1] - 1 - np.argmax(holds[:, ::-1], axis=1))
