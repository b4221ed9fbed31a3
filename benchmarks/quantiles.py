"""Quantiles for the same charge: `python -m benchmarks.quantiles`.

How far off a quantile is, and how wide its 95% interval, by

- `tree`: what Rowless had before: 4,096 equal leaves, a histogram for each of three levels of fan-out 16;
- `least squares`: the same over the leaves that Rowless has now, made consistent by least squares (Hay et al. 2010),
  with the interval of its own noise;
- `noisy max`: of the same leaves the one whose balances are nearest to 0, for the whole charge. It has no interval;
- `three maxima`: noisy max for the value and, at balances shifted down and up by what noisy max is off at most with
  97.5% (McSherry and Talwar 2007), for two ends, a third of the charge each;
- `max and rounds`: noisy max for the value and rounds for the interval, half of the charge each;
- `rounds`: what Rowless does: all of it by counting in rounds.

Of several quantiles noisy max pays for each; the trees and the rounds serve all. The rounds are the product's code with
OpenDP's noise. The others draw the same distributions with NumPy, many at once: Laplace noise, and for noisy max
exponential noise on the scores, as OpenDP's for pure DP. A person has up to `EVENTS_PER_PERSON`
values. Errors are of the quantile of the data before any leaves, in units (cents, visits).
"""

from __future__ import annotations

import argparse
import functools
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from queries import mechanisms
from queries.catalog.schema import Column, Kind
from queries.statistics import quantiles
from queries.statistics.parts.intervals import reach

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Found = tuple[Integers, Integers, Integers]  # value, low and high in units, one for each release
    Method = Callable[["Data", tuple[float, ...], float, int], list[Found]]

DEMO = Path(__file__).parent.parent / "server/demo/data/rand_hie.parquet"
EVENTS_PER_PERSON = 5
FANOUT = 16
SHARES: dict[str, tuple[float, ...]] = {
    "0.5": (0.5,),
    "0.9": (0.9,),
    "0.99": (0.99,),
    "quartiles": (0.25, 0.5, 0.75),
    "deciles": tuple(tenth / 10 for tenth in range(1, 10)),
}


@dataclass(frozen=True)
class Data:
    """Values in units between 0 and `high`, sorted."""

    name: str
    values: Integers
    high: int

    def truth(self, share: float) -> int:
        """Return the least value at or below which this share of the values lies."""
        return int(self.values[int(np.ceil(share * len(self.values))) - 1])

    def counts(self, starts: Sequence[int]) -> Integers:
        """Return how many values are in each leaf."""
        places = np.searchsorted(starts[:-1], self.values, side="right") - 1
        return np.bincount(places, minlength=len(starts) - 1)


def data(name: str, size: int) -> Data:
    """Return so many values: real ones, evenly taken from the sorted column, or made-up ones."""
    random = np.random.default_rng(size)
    real = {"cost": ("meddol", 100, 4_000_000), "visits": ("mdvis", 1, 100), "drug cost": ("drugdol", 100, 200_000)}
    real |= {"income": ("income", 1, 30_000)}
    if name in real:
        source, unit, high = real[name]
        read = duckdb.connect().execute(f"SELECT {source} FROM '{DEMO}'").fetchnumpy()[source]
        values = np.sort(read)[np.linspace(0, len(read) - 1, size).astype(int)] * unit
    else:
        values, high = {
            "lognormal": (np.exp(random.normal(9.6, 1.5, size)), 4_000_000),
            "normal": (random.normal(120_000, 20_000, size), 250_000),
            "two humps": (np.where(random.random(size) < 0.6, random.gamma(4, 900, size), 70_000), 100_000),
        }[name]
    return Data(name, np.sort(np.rint(values).astype(np.int64).clip(0, high)), high)


def edges_of(leaves: int, high: int) -> list[int]:
    """Return the edges of equal leaves."""
    leaves = min(leaves, high + 1)
    return [(high + 1) * leaf // leaves for leaf in range(leaves + 1)]


def product_edges(high: int) -> tuple[int, list[int]]:
    """Return how many leaves the product has over [0, high] and their edges."""
    column = Column("x", Kind.NUMBER, low=0, high=high, step=Decimal(1))
    leaves = quantiles.leaves(column, 0, high, 10**6)
    return leaves.size, quantiles.starts(leaves, 0, high)


# The methods. Each returns for each share what its releases found.


def rounds(one: Data, shares: tuple[float, ...], epsilon: float, releases: int) -> list[Found]:
    """Return what the product finds."""
    size, starts = product_edges(one.high)
    search = quantiles.search(shares, size)
    each = [mechanisms.discrete_laplace(EVENTS_PER_PERSON, round(epsilon * tenth * 10**8)) for tenth in search.tenths]
    released = quantiles.release(np.tile(one.counts(starts), (releases, 1)), search, each)
    return [in_units(np.array(starts), *quantiles.read(released, search, share, each[-1], 0.95)) for share in shares]


def in_units(starts: Integers, place: Floats, first: Integers, last: Integers) -> Found:
    """Return a place among leaves, and a first and a last leaf, in units."""
    leaf = np.minimum(place.astype(np.int64), len(starts) - 2)
    low, high = starts[first], starts[last + 1] - 1
    inside = ((place - leaf) * (starts[leaf + 1] - starts[leaf])).astype(np.int64)
    return np.clip(starts[leaf] + inside, low, high), low, high


def tree(one: Data, shares: tuple[float, ...], epsilon: float, releases: int) -> list[Found]:
    """Return what the tree of equal leaves finds, each balance from the nodes beside the path to its edge."""
    starts = edges_of(4096, one.high)
    levels = levels_of(one.counts(starts))
    scale = EVENTS_PER_PERSON * len(levels) / epsilon
    noisy = [noise(level, scale, releases) for level in levels]
    found = []
    for share in shares:
        balance = beside_path(noisy, 1 - share, -share)
        second, fourth = (
            scale**power
            * beside_path([np.ones((1, len(level))) for level in levels], (1 - share) ** power, share**power)
            for power in (2, 4)
        )
        found.append(crossing(np.array(starts), balance, reach(second[0], fourth[0], 0.95, gaussian=False)))
    return found


def least_squares(
    one: Data,
    shares: tuple[float, ...],
    epsilon: float,
    releases: int,
    fanout: int = FANOUT,
    weights: tuple[int, ...] | None = None,
) -> list[Found]:
    """Return what a consistent tree over the product's leaves finds. `weights` splits the charge among the levels."""
    _, starts = product_edges(one.high)
    levels = levels_of(one.counts(starts), fanout)
    weights = weights if weights is not None and len(weights) == len(levels) else (1,) * len(levels)
    scales = [EVENTS_PER_PERSON * sum(weights) / weight / epsilon for weight in weights]
    found = []
    noisy = [noise(level, scale, releases) for level, scale in zip(levels, scales, strict=True)]
    # Least squares is linear: the noise of a balance is the same over no data at all.
    blank = [noise(np.zeros(len(level)), scale, 1_000) for level, scale in zip(levels, scales, strict=True)]
    below, alone = (np.cumsum(consistent(part, scales, fanout), axis=1) for part in (noisy, blank))
    for share in shares:
        balance, error = (
            np.column_stack([np.zeros(len(part)), part]) - share * part[:, -1:] for part in (below, alone)
        )
        deviation = np.sqrt(np.mean(error**2, axis=0))
        found.append(crossing(np.array(starts), balance, NormalDist().inv_cdf(0.975) * deviation))
    return found


def noisy_max(one: Data, shares: tuple[float, ...], epsilon: float, releases: int) -> list[Found]:
    """Return what noisy max finds: the middle of a leaf. Its ends are the value itself."""
    _, edges = product_edges(one.high)
    counts, starts = one.counts(edges), np.array(edges)
    found = []
    for share in shares:
        leaf = maximum(counts, share, epsilon / len(shares), releases)
        value = (starts[leaf] + starts[leaf + 1] - 1) // 2
        found.append((value, value, value))
    return found


def three_maxima(
    one: Data, shares: tuple[float, ...], epsilon: float, releases: int, for_value: float = 1 / 3
) -> list[Found]:
    """Return what three noisy maxima find, of which that of the value has a part of the charge."""
    size, edges = product_edges(one.high)
    counts, starts = one.counts(edges), np.array(edges)
    each = epsilon / len(shares)
    for_end = each * (1 - for_value) / 2
    found = []
    for share in shares:
        off = max_scale(share, for_end) * np.log(size / 0.025)
        leaf, first, last = (
            maximum(counts, share, paid, releases, shift)
            for paid, shift in ((each * for_value, 0), (for_end, -off), (for_end, off))
        )
        first, last = np.minimum(first, last), np.maximum(first, last)
        low, high = starts[first], starts[last + 1] - 1
        found.append((np.clip((starts[leaf] + starts[leaf + 1] - 1) // 2, low, high), low, high))
    return found


def max_and_rounds(
    one: Data, shares: tuple[float, ...], epsilon: float, releases: int, for_value: float = 1 / 2
) -> list[Found]:
    """Return the values of noisy max, for a part of the charge, between the ends of the rounds."""
    values = noisy_max(one, shares, epsilon * for_value, releases)
    ends = rounds(one, shares, epsilon * (1 - for_value), releases)
    return [(np.clip(value, low, high), low, high) for (value, _, _), (_, low, high) in zip(values, ends, strict=True)]


METHODS: dict[str, Method] = {
    "tree": tree,
    "least squares": least_squares,
    "noisy max": noisy_max,
    "three maxima": three_maxima,
    "max and rounds": max_and_rounds,
    "rounds": rounds,
}

# Other choices for the rivals of the rounds: so that they are not beaten for want of tuning.
VARIANTS: dict[str, Method] = {
    "squares of 4": functools.partial(least_squares, fanout=4),
    "squares of 8": functools.partial(least_squares, fanout=8),
    "squares of 64": functools.partial(least_squares, fanout=64),
    "squares 1:2:3": functools.partial(least_squares, weights=(1, 2, 3)),
    "squares 3:2:1": functools.partial(least_squares, weights=(3, 2, 1)),
    "maxima .2": functools.partial(three_maxima, for_value=0.2),
    "max .2, rounds": functools.partial(max_and_rounds, for_value=0.2),
    "max .35, rounds": functools.partial(max_and_rounds, for_value=0.35),
}

# What the methods are made of

RANDOM = np.random.default_rng(1)


def noise(level: Floats | Integers, scale: float, releases: int) -> Floats:
    """Return so many noisy copies of a level."""
    return np.asarray(level + RANDOM.laplace(0, scale, (releases, len(level))))


def max_scale(share: float, epsilon: float) -> float:
    """Return the scale of noisy max over balances: 2 * sensitivity / epsilon, for scores that go both ways.

    An event moves a balance by 1 - share or by share, up or down.
    """
    return 2 * EVENTS_PER_PERSON * max(share, 1 - share) / epsilon


def maximum(counts: Integers, share: float, epsilon: float, releases: int, shift: float = 0) -> Integers:
    """Return the leaf between whose balances 0 lies, or is nearest, by report noisy max."""
    below = np.concatenate([[0], np.cumsum(counts)])
    balance = below - share * below[-1] - shift
    scores = -np.maximum(np.maximum(balance[:-1], -balance[1:]), 0) / max_scale(share, epsilon)
    return np.array([np.argmax(scores + RANDOM.exponential(1, len(scores))) for _ in range(releases)])


def levels_of(leaves: Integers, fanout: int = FANOUT) -> list[Integers]:
    """Return the levels of a tree over leaves, the coarsest first."""
    levels = [leaves]
    while len(levels[0]) > fanout:
        levels.insert(0, families(levels[0][None], fanout).sum(axis=2)[0].astype(np.int64))
    return levels


def families(level: Floats | Integers, fanout: int = FANOUT) -> Floats:
    """Return the nodes of a level as releases x parents x children."""
    missing = -level.shape[1] % fanout
    return np.asarray(np.pad(level, ((0, 0), (0, missing))).reshape(len(level), -1, fanout))


def beside_path(levels: list[Floats], left: float, right: float) -> Floats:
    """Return at each edge left * (what is below) + right * (what is not), from the nodes beside the way to it."""
    outside = np.zeros((len(levels[0]), 1))
    for level in levels:
        children = families(level)
        through = np.cumsum(children, axis=2)
        beside = left * (through - children) + right * (through[:, :, -1:] - through)
        start = (outside[:, :, None] + beside + right * children).reshape(len(level), -1)[:, : level.shape[1]]
        last = outside[:, -1] + left * through[:, -1, -1]
        outside = (outside[:, :, None] + beside).reshape(len(level), -1)[:, : level.shape[1]]
    return np.column_stack([start, last])


def consistent(levels: list[Floats], scales: list[float], fanout: int) -> Floats:
    """Return the leaves that fit all levels best, by variance, once up the tree and once down."""
    estimates, variances = [levels[-1]], [np.full((1, levels[-1].shape[1]), scales[-1] ** 2)]
    for level, scale in zip(reversed(levels[:-1]), reversed(scales[:-1]), strict=True):
        sums, variance = (families(part, fanout).sum(axis=2) for part in (estimates[0], variances[0]))
        weight = variance / (variance + scale**2)
        estimates.insert(0, weight * level + (1 - weight) * sums)
        variances.insert(0, weight * scale**2)
    above = estimates[0]
    for level, variance in zip(estimates[1:], variances[1:], strict=True):
        children, part = families(level, fanout), families(variance, fanout)
        surplus = above - children.sum(axis=2)
        above = (children + surplus[:, :, None] * part / part.sum(axis=2, keepdims=True)).reshape(len(level), -1)
        above = above[:, : level.shape[1]]
    return above


def crossing(starts: Integers, balance: Floats, margin: Floats) -> Found:
    """Return where noisy balances cross 0, and the first and last leaf where they may."""
    balance[:, 0], balance[:, -1] = -np.inf, np.inf
    leaves = balance.shape[1] - 1
    before, last = (leaves - 1 - np.argmax((balance[:, :-1] <= limit)[:, ::-1], axis=1) for limit in (0, margin[:-1]))
    after, first = (np.argmax(balance[:, 1:] >= limit, axis=1) for limit in (0, -margin[1:]))
    return in_units(starts, (before + after) / 2 + 0.5, np.minimum(first, last), np.maximum(first, last))


# The table


@dataclass(frozen=True)
class Quality:
    """Of the releases of one method: errors in units and in events, the width of the interval, how often it holds."""

    error: float
    error_95: float
    rank_error: float
    rank_error_95: float
    width: float
    width_95: float
    covered: float


def quality(one: Data, shares: tuple[float, ...], found: list[Found]) -> Quality:
    """Return the quality over all shares and releases: medians and 95% quantiles."""
    errors, ranks, widths, holds = [], [], [], []
    for share, (value, low, high) in zip(shares, found, strict=True):
        truth, target = one.truth(share), share * len(one.values)
        under, upto = (np.searchsorted(one.values, value, side=side) for side in ("left", "right"))
        errors.append(np.abs(value - truth))
        ranks.append(np.maximum(np.maximum(under - target, target - upto), 0))
        widths.append(high - low)
        holds.append((low <= truth) & (truth <= high))
    of = [np.quantile(np.concatenate(part), level) for part in (errors, ranks, widths) for level in (0.5, 0.95)]
    return Quality(*map(float, [*of, np.mean(holds)]))


def main() -> None:
    """Print the table, and the ratios to the tree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=100)
    parser.add_argument("--data", nargs="*", default=["cost", "visits", "lognormal", "normal"])
    parser.add_argument("--sizes", nargs="*", type=int, default=[300, 3_000, 30_000])
    parser.add_argument("--all", action="store_true", help="with other choices of fan-outs and splits of the charge")
    given = parser.parse_args()
    methods = METHODS | VARIANTS if given.all else METHODS
    ratios: dict[tuple[str, str], list[list[float]]] = {}
    print(f"{given.releases} releases; median / 95% quantile; errors and widths in units, rank errors in events")
    print(f"{'':43}{'error':>21}{'rank error':>17}{'width':>21}   holds")
    for name in given.data:
        for size in given.sizes:
            one = data(name, size)
            for epsilon in (0.1, 1.0):
                for asked, shares in SHARES.items():
                    for method, release in methods.items():
                        got = quality(one, shares, release(one, shares, epsilon, given.releases))
                        if method == "tree":
                            base = got
                        numbers = zip(
                            (got.error, got.error_95, got.width, got.width_95),
                            (base.error, base.error_95, base.width, base.width_95),
                            strict=True,
                        )
                        # A unit more on both sides: half a step of visits is as good as none.
                        ratios.setdefault((asked, method), []).append([(a + 1) / (b + 1) for a, b in numbers])
                        print(
                            f"{name:10}{size:>6}{epsilon:>5} {asked:10}{method:16}"
                            f"{got.error:>10.0f} /{got.error_95:>9.0f}{got.rank_error:>8.0f} /{got.rank_error_95:>7.0f}"
                            f"{got.width:>10.0f} /{got.width_95:>9.0f}{got.covered:>8.3f}"
                        )
    print("\nRatios to the tree, geometric means over all of the above")
    print(f"{'':26}{'error':>8}{'95%':>8}{'width':>8}{'95%':>8}")
    for (asked, method), each in ratios.items():
        means = np.exp(np.mean(np.log(each), axis=0))
        print(f"{asked:10}{method:16}" + "".join(f"{mean:>8.3f}" for mean in means))
    time_noise()


def time_noise() -> None:
    """Print how long the noise of a median takes by the number of cells, beside that of a tree of 4,368 nodes."""
    size, starts = product_edges(4_000_000)
    counts, search = data("lognormal", 30_000).counts(starts), quantiles.search((0.5,), size)
    each = [mechanisms.discrete_laplace(EVENTS_PER_PERSON, tenth * 10**8) for tenth in search.tenths]
    print("\nTime of the noise of a median in milliseconds")
    for cells in (1, 10, 100, 1_000):
        exact, nodes = np.tile(counts, (cells, 1)), np.zeros(cells * (4096 + 256 + 16), dtype=np.int64)
        began = time.perf_counter()
        quantiles.release(exact, search, each)
        between = time.perf_counter()
        if cells <= 100:
            each[0].release(nodes)
        shown = f"{(time.perf_counter() - between) * 1000:8.0f}" if cells <= 100 else "       -"
        print(f"{cells:>6} cells: rounds {(between - began) * 1000:8.1f}, tree {shown}")


if __name__ == "__main__":
    main()
