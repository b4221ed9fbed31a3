"""Quantiles by counting in rounds: each round asks more closely where the round before left the quantile possible.

The range of the values is cut into leaves (`leaves`), at most 4,096, finer where values are small. A round joins them
to a few bins and releases how many events are in each: a histogram, of which one person moves the bins by at most what
they may contribute, whatever the bins are. Therefore the bins may be chosen from what earlier rounds released, and the
rounds' losses add up (adaptive composition). The first round has no information; each later one cuts the range into
bins in which the quantile lies with about the same probability, as far as it is known (`next_edges`). The last has most
of the charge, and the answer is read from it alone.

For a share q, the balance of an edge is (1 - q) * (events below) - q * (events not below): it ascends with the edge
and crosses 0 at the quantile. Its noise is that of the bins of one round, so that the quantile lies, with 95%, between
the first bin at whose end the balance is not clearly below 0 and the last at whose start it is not clearly above. Only
the bin in which the quantile truly lies can make that false, at its two ends, with 2.5% each: so it holds for whatever
bins the earlier rounds led to. If there are several quantiles, each interval holds with 95%, not all at once.

Noisy max over the same leaves is nearer to the quantile for the same charge, but it does not show how near, and an
interval costs as much as all of this. A tree of counts (fan-out 16, three levels) shares its charge between levels of
which each has noise in the balance, also after least squares. docs/benchmarks.md has the numbers.

Everything here depends on the data through noisy counts alone; only `release` holds the exact ones.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from queries.binding.keys import CellKey
from queries.plan import Search
from queries.statistics.parts.intervals import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.catalog.schema import Column
    from queries.statistics.parts.intervals import Floats

    Integers = NDArray[np.int64]

LEAVES_MAX = 4096
BINS = 16  # of a round for one quantile; more of them are finer and have more noise in their sums
TENTHS = (1, 2, 7)  # of the charge, by round
SPREAD = 0.3  # of the next bins are cut from the old ones evenly: what is known of the quantile may be wrong


class Noise(Protocol):
    """What there is to know of noise afterwards."""

    @property
    def scale(self) -> float:
        """Return the scale of the noise."""

    @property
    def gaussian(self) -> bool:
        """Return True for Gaussian noise, False for Laplace."""


class Mechanism(Noise, Protocol):
    """Noise that is added to each number of a vector."""

    def release(self, cells: Integers) -> Integers:
        """Return the numbers with fresh noise on each."""


def search(shares: tuple[float, ...], leaves: int) -> Search:
    """Return the rounds for these shares; one, in which each leaf has its own bin, where there are few leaves.

    The noise in a balance grows with the root of the bins and falls with the charge of the round. Therefore up to
    1 / 0.7^2 = 2 times the bins, all of the charge for all leaves makes less noise than 7 tenths of it for the bins.
    """
    bins = round(BINS * math.sqrt(len(shares)))
    return Search(shares, leaves, (10,)) if leaves <= 2 * bins else Search(shares, bins, TENTHS)


def leaves(column: Column, low: int, high: int, room: int) -> CellKey:
    """Return the leaves over [low, high] in units, at most `room` and 4,096 of them.

    Values beyond the range belong to its first and last leaf: they are clamped.
    """
    starts = _starts(low, high, min(LEAVES_MAX, room))
    edges = (1, *(start - column.low + 1 for start in starts[1:]), column.size + 1)
    return CellKey(column.name, column, null=False, edges=edges)


def starts(leaves: CellKey, low: int, high: int) -> list[int]:
    """Return the first value of each leaf in units, and one more than the last leaf's last."""
    assert leaves.edges is not None
    return [low, *(edge - 1 + leaves.column.low for edge in leaves.edges[1:-1]), high + 1]


@functools.lru_cache(maxsize=1024)
def _starts(low: int, high: int, most: int) -> tuple[int, ...]:
    """Return where leaves start: one for each value, or narrow ones where values are small.

    A leaf is at most twice as wide as if all were equal, and no wider than a fraction of its first value: quantiles of
    skewed values lie near 0, and are then exact to about as many digits as others. The fraction is the least for which
    the leaves are few enough.
    """
    values = high - low + 1
    if values <= most:
        return tuple(range(low, high + 1))
    widest = -(-2 * values // most)
    precision = most
    while precision >= 1:
        found = [low]
        while len(found) <= most:
            width = min(max(abs(found[-1]) // precision, 1), widest)
            if found[-1] + width > high:
                return tuple(found)
            found.append(found[-1] + width)
        precision = precision * 7 // 8
    return tuple(low + values * leaf // most for leaf in range(most))


def release(exact: Integers, search: Search, rounds: Sequence[Mechanism]) -> Integers:
    """Return the last round's bins in each cell: their edges as numbers of leaves, then how many events are in each.

    `exact` has cells x leaves. Only the rounds' mechanisms read it, and each reads only how many events are in each
    bin. The bins were chosen from the noisy counts of the round before.
    """
    cells, leaves = exact.shape
    if not cells:  # no value of an undeclared key was named
        return np.zeros(0, dtype=np.int64)
    below = np.zeros((cells, leaves + 1), dtype=np.int64)
    np.cumsum(exact, axis=1, out=below[:, 1:])
    edges = np.tile(np.arange(search.bins + 1) * leaves // search.bins, (cells, 1))
    for place, mechanism in enumerate(rounds):
        counts = np.diff(np.take_along_axis(below, edges, axis=1), axis=1)
        noisy = mechanism.release(counts.ravel()).reshape(counts.shape)
        if place < len(rounds) - 1:
            edges = next_edges(edges, noisy, search.shares, mechanism)
    return np.concatenate([edges, noisy], axis=1).ravel()


def next_edges(edges: Integers, noisy: Integers, shares: Sequence[float], noise: Noise) -> Integers:
    """Return as many edges, the closer the likelier a quantile is there by the noisy counts between the old ones.

    The quantiles share the bins evenly. Whatever the counts are, each old bin gets an even part of `SPREAD`.
    """
    even = np.arange(edges.shape[1]) / (edges.shape[1] - 1)
    likely = sum((_likely_below(noisy, share, noise) / len(shares) for share in shares), np.zeros(edges.shape))
    levels = (1 - SPREAD) * likely + SPREAD * even
    found = [np.interp(even, level, edge) for level, edge in zip(levels, edges.astype(np.float64), strict=True)]
    return _distinct(np.rint(found).astype(np.int64))


def read(
    released: Integers, search: Search, share: float, noise: Noise, confidence: float
) -> tuple[Floats, Integers, Integers]:
    """Return for each cell where the quantile is, and the first and the last leaf where it may be.

    Where it is is a number of leaves and a fraction: within a bin the events are taken to be spread evenly. `released`
    is what `release` returned, and `noise` that of the last round.
    """
    edges, noisy = np.split(released.reshape(-1, 2 * search.bins + 1), [search.bins + 1], axis=1)
    balance = _balance(noisy, share)
    margin = rank_noise(search.bins, share, noise, confidence)
    rising = _ascending(balance)
    place = np.array([np.interp(0, level, edge) for level, edge in zip(rising, edges.astype(np.float64), strict=True)])
    # Whatever the noise, the quantile is not below the first edge and not above the last.
    balance[:, 0], balance[:, -1] = -np.inf, np.inf
    low = _first(balance[:, 1:] >= -margin[1:])
    high = _last(balance[:, :-1] <= margin[:-1])
    first = np.take_along_axis(edges, np.minimum(low, high)[:, None], axis=1)[:, 0]
    last = np.take_along_axis(edges, np.maximum(low, high)[:, None] + 1, axis=1)[:, 0] - 1
    return place, first, last


def rank_noise(bins: int, share: float, noise: Noise, confidence: float) -> Floats:
    """Return the quantile of the noise in the balance of each edge, in events."""
    second, fourth = _powers(bins, share, noise.scale)
    return reach(second, fourth, confidence, gaussian=noise.gaussian, step=max(share, 1 - share))


def _likely_below(noisy: Integers, share: float, noise: Noise) -> Floats:
    """Return how likely the quantile is below each edge, ascending from 0 to 1.

    The noise of a balance is nearly normal, so this is the normal distribution function of the balance over the noise's
    deviation; (1 + tanh(0.8 z)) / 2 is near enough to it, and more careful far out.
    """
    second, _ = _powers(noisy.shape[1], share, noise.scale)
    deviation = np.sqrt(second if noise.gaussian else 2 * second)
    likely = _ascending((1 + np.tanh(0.8 * _balance(noisy, share) / deviation)) / 2)
    likely[:, 0], likely[:, -1] = 0, 1
    return likely


def _balance(noisy: Integers, share: float) -> Floats:
    """Return at each edge (1 - share) * (events below) - share * (events not below)."""
    below = np.zeros((len(noisy), noisy.shape[1] + 1))
    np.cumsum(noisy, axis=1, out=below[:, 1:])
    return below - share * below[:, -1:]


def _powers(bins: int, share: float, scale: float) -> tuple[Floats, Floats]:
    """Return at each edge the sums of the second and fourth powers of the noises in its balance, weighted as there."""
    below = np.arange(bins + 1)
    second, fourth = (scale**power * ((1 - share) ** power * below + share**power * (bins - below)) for power in (2, 4))
    return np.asarray(second), np.asarray(fourth)


def _ascending(levels: Floats) -> Floats:
    """Return levels that do not descend: halfway between the highest so far and the lowest to come."""
    so_far = np.maximum.accumulate(levels, axis=1)
    to_come = np.minimum.accumulate(levels[:, ::-1], axis=1)[:, ::-1]
    return np.asarray((so_far + to_come) / 2)


def _distinct(edges: Integers) -> Integers:
    """Return ascending edges with the first and the last as they are, moved apart so that no bin is without leaves."""
    steps = np.arange(edges.shape[1])
    up = np.maximum.accumulate(edges - steps, axis=1) + steps
    room = edges[:, -1:] - steps[::-1]
    return np.asarray(np.minimum(up, room))


def _first(holds: NDArray[np.bool_]) -> Integers:
    return np.asarray(np.argmax(holds, axis=1))


def _last(holds: NDArray[np.bool_]) -> Integers:
    return np.asarray(holds.shape[1] - 1 - np.argmax(holds[:, ::-1], axis=1))
