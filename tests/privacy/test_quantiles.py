"""Quantiles keep the promise and their word: what each round is told, what it costs, what the intervals cover."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.catalog.schema import Column, Dataset, Kind, Table, frozen
from queries.errors import InvalidQuery
from queries.execution import kernel
from queries.language import nodes
from queries.mechanisms import DiscreteGaussian, DiscreteLaplace, Rounds
from queries.plan import CONFIDENCE, Output
from queries.planning import planner
from queries.release import assembly
from queries.statistics import quantiles
from tests.laws import tries
from tests.privacy.noise import fewest, most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from queries.plan import Measure, Plan, Search

    Integers = NDArray[np.int64]

NANO = 10**9
PAIRS = tries(400, audited=1_000)
RELEASES = tries(4_000, audited=10_000)
SOME = tries(1_000, audited=2_000)  # where there are many cases
AT_ONCE = 500  # releases, as cells of one plan
ROOT = Path(__file__).parents[2]

COLUMNS = {
    "place": Column("place", Kind.INTEGER, low=1, high=AT_ONCE),
    "cost": Column("cost", Kind.NUMBER, nullable=True, low=0, high=4_000_000, step=Decimal("0.01")),
    "balance": Column("balance", Kind.NUMBER, low=-(2**33), high=2**33, step=Decimal("0.5")),
    "visits": Column("visits", Kind.INTEGER, low=0, high=100),
    "stars": Column("stars", Kind.INTEGER, low=1, high=5),
}
HOSPITAL = Dataset("h", "h", Decimal(10), Decimal(0), 100_000, frozen({"t": Table("t", frozen(COLUMNS))}))
TYPES = {"place": np.uint16, "cost": np.uint32, "balance": np.int64, "visits": np.uint8, "stars": np.uint8}

dp.enable_features("contrib")


def ask(
    column: str,
    *shares: float,
    privacy: nodes.Privacy | None = None,
    by_place: bool = False,
    bounds: tuple[int, int] = (1, 1),
    between: tuple[float, float] | None = None,
) -> Plan:
    """Return the plan of quantiles of a column; several shares are a list."""
    statistic = nodes.Quantile(column, shares, between, listed=len(shares) > 1)
    keys = (nodes.ByValue("place"),) if by_place else ()
    query = nodes.Query("t", (("s", statistic),), None, keys, nodes.Bounds(*bounds))
    return planner.plan(query, HOSPITAL, privacy or nodes.Privacy(NANO), 10**7)


def exact(plan: Plan, person: Integers, **codes: Integers) -> Integers:
    """Return what the kernel counts in each leaf of each cell."""
    batch = {name: np.ascontiguousarray(each, dtype=TYPES[name]) for name, each in codes.items()}
    (counts,) = kernel.bound(plan, [(person.astype(np.int32), batch)])
    return counts


def search_of(plan: Plan) -> Search:
    """Return how a plan's quantiles are looked for."""
    search = plan.measures[0].search
    assert search is not None
    return search


def rounds_of(plan: Plan) -> tuple[DiscreteLaplace | DiscreteGaussian, ...]:
    """Return the mechanisms of a plan's rounds."""
    mechanism = plan.measures[0].mechanism
    assert isinstance(mechanism, Rounds)
    return mechanism.each


# What one person changes


@dataclass
class Scripted:
    """Stands where a mechanism stands: keeps what it is told, and says what it was given to say."""

    says: Integers
    scale: float
    gaussian: bool = False
    told: list[Integers] = field(default_factory=list)

    def release(self, cells: Integers) -> Integers:
        """Return the script."""
        self.told.append(cells.copy())
        return self.says


def told(plan: Plan, counts: Integers, script: Sequence[Integers]) -> tuple[list[Integers], Integers]:
    """Return what each round's mechanism is told of the exact counts when the rounds say this, and what is released."""
    said = [Scripted(says, one.scale) for says, one in zip(script, rounds_of(plan), strict=True)]
    released = quantiles.release(counts.reshape(-1, plan.measures[0].width), search_of(plan), said)
    return [one.told[0] for one in said], released


def random_script(plan: Plan, random: np.random.Generator) -> list[Integers]:
    """Return something that the rounds may say: noise alone, of any size, so that any bins may come of it."""
    size = plan.cells * search_of(plan).bins
    return [np.rint(random.laplace(0, 10 ** random.uniform(0, 3), size)).astype(np.int64) for _ in rounds_of(plan)]


def random_events(random: np.random.Generator, events: int) -> dict[str, Integers]:
    """Return persons in order and their codes, rich in nulls, in extreme values and in persons with many events."""
    found = {"person": np.sort(random.integers(0, 4, events))}
    for name, column in COLUMNS.items():
        size = 6 if name == "place" else column.size
        extreme = random.choice([0 if column.nullable else 1, 1, size], events)
        found[name] = np.where(random.random(events) < 0.5, extreme, random.integers(1, size + 1, events))
    return found


def without(events: dict[str, Integers], person: int) -> dict[str, Integers]:
    """Return the events of all others."""
    return {name: each[events["person"] != person] for name, each in events.items()}


def few_places() -> Dataset:
    """Return the hospital with only six places."""
    place = Column("place", Kind.INTEGER, low=1, high=6)
    return replace(HOSPITAL, tables=frozen({"t": Table("t", frozen({**COLUMNS, "place": place}))}))


@pytest.mark.parametrize("column", ["cost", "balance", "visits", "stars"])
def test_a_person_moves_what_each_round_is_told_by_no_more_than_planned(column: str) -> None:
    """Given what the rounds before said, each round is told of neighbours what differs by at most its sensitivity."""
    random = np.random.default_rng(1)
    largest = 0.0
    for _ in range(PAIRS // 4):
        bounds = nodes.Bounds(int(random.integers(1, 8)), int(random.integers(1, 5)))
        shares = tuple(np.sort(random.uniform(0.01, 0.99, int(random.integers(1, 6)))).tolist())
        select = (("s", nodes.Quantile(column, shares, None, listed=True)),)
        query = nodes.Query("t", select, None, (nodes.ByValue("place"),), bounds)
        plan = planner.plan(query, few_places(), nodes.Privacy(NANO), 10**5)
        events = random_events(random, int(random.integers(0, 60)))
        person = int(random.integers(0, 4))
        script = random_script(plan, random)
        here, released = told(plan, exact(plan, **events), script)
        there, same = told(plan, exact(plan, **without(events, person)), script)
        assert np.array_equal(released, same), "what is released follows from what the rounds said"
        for one, left, right in zip(rounds_of(plan), here, there, strict=True):
            assert left.dtype == right.dtype == np.int64
            assert isinstance(one, DiscreteLaplace)
            moved = np.abs(left - right).reshape(plan.cells, -1).sum(axis=1)
            assert moved.sum() <= one.sensitivity_l1 == plan.cells_per_person * plan.events_per_cell
            assert moved.max() <= plan.events_per_cell
            assert np.count_nonzero(moved) <= plan.cells_per_person
            largest = max(largest, moved.sum() / one.sensitivity_l1)
    assert largest == 1, "some pair moves by all that is allowed"


@pytest.mark.parametrize("privacy", [nodes.Privacy(NANO), nodes.Privacy(rho_nano=NANO // 10)])
def test_in_the_worst_case_each_round_moves_by_exactly_its_sensitivity(privacy: nodes.Privacy) -> None:
    """A person with as many events as count, all of one value, in as many places as count: L1 and L2 are reached."""
    plan = ask("cost", 0.5, privacy=privacy, by_place=True, bounds=(3, 4))
    person = np.zeros(100, dtype=np.int64)
    place = np.repeat(np.arange(1, 21), 5)
    counts = exact(plan, person, place=place, cost=np.full(100, 77))
    script = random_script(plan, np.random.default_rng(2))
    here, _ = told(plan, counts, script)
    there, _ = told(plan, np.zeros_like(counts), script)
    for one, left, right in zip(rounds_of(plan), here, there, strict=True):
        moved = np.abs(left - right)
        if isinstance(one, DiscreteGaussian):
            assert (moved**2).sum() == one.sensitivity_l2_squared == 3 * 4**2
        else:
            assert moved.sum() == one.sensitivity_l1 == 3 * 4


@pytest.mark.parametrize("column", ["cost", "stars"])
@pytest.mark.parametrize("epsilon_nano", [NANO, 123_456_789, 10])
def test_the_charge_is_what_opendp_says_of_all_rounds(column: str, epsilon_nano: int) -> None:
    """The rounds cost together what OpenDP's privacy maps say, rounded up, and no more than was allowed."""
    query = nodes.Query("t", (("s", nodes.Quantile(column, (0.5,), None)),), None, (), nodes.Bounds(1, 3))
    hospital = replace(HOSPITAL, epsilon_min=Decimal("1e-9"))
    plan = planner.plan(query, hospital, nodes.Privacy(epsilon_nano), 10**7)
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    maps = [dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=one.scale) for one in rounds_of(plan)]
    charged = [Fraction(one.epsilon_nano or 0, NANO) for one in rounds_of(plan)]
    for paid, each in zip(charged, maps, strict=True):
        assert paid >= Fraction(each.map(3))  # type: ignore[no-untyped-call]
    assert sum(charged) == plan.cost.epsilon
    assert 0 < sum(charged) <= Fraction(epsilon_nano, NANO)
    assert plan.cost.rho == sum(paid**2 / 2 for paid in charged)


def test_gaussian_rounds_cost_no_more_rho_than_allowed() -> None:
    """With rho the rounds are Gaussian where that is better; what they cost adds up to what was allowed at most."""
    plan = ask("cost", 0.5, privacy=nodes.Privacy(rho_nano=NANO // 10), by_place=True, bounds=(20, 1))
    assert all(isinstance(one, DiscreteGaussian) for one in rounds_of(plan))
    assert plan.cost.epsilon is None
    assert Fraction(99, 1000) < plan.cost.rho <= Fraction(1, 10)


@pytest.mark.parametrize("privacy", [nodes.Privacy(9), nodes.Privacy(rho_nano=9)])
def test_too_small_a_charge_for_the_rounds_is_refused(privacy: nodes.Privacy) -> None:
    """What cannot be split into tenths is refused with its place."""
    word = "epsilon" if privacy.rho_nano is None else "rho"
    with pytest.raises(InvalidQuery) as refused:
        ask("cost", 0.5, privacy=privacy)
    assert refused.value.pointer == f"/privacy/{word}"


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=16, max_size=16),
    st.integers(33, 4096),
    st.floats(1e-6, 1 - 1e-6),
    st.floats(0.01, 1e9),
)
def test_whatever_is_released_the_next_bins_are_a_partition(
    noisy: list[int], leaves: int, share: float, scale: float
) -> None:
    """However the noise falls, the next edges ascend from the first leaf to the last and no bin is without leaves."""
    edges = (np.arange(17) * leaves // 16)[None]
    for _ in range(3):
        edges = quantiles.next_edges(edges, np.array([noisy]), (share,), DiscreteLaplace(1, scale, NANO))
        assert edges.shape == (1, 17)
        assert edges.dtype == np.int64
        assert (edges[0, 0], edges[0, -1]) == (0, leaves)
        assert np.all(np.diff(edges) >= 1)


# The leaves


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**41), st.integers(16, 5_000))
def test_leaves_cover_the_range_and_are_finer_where_values_are_small(low: int, width: int, room: int) -> None:
    """Leaves ascend, are few enough, one a value where that goes, and at most four times as wide as equal ones."""
    high = low + width
    column = Column("x", Kind.NUMBER, low=low - 10, high=high + 10)
    leaves = quantiles.leaves(column, low, high, room)
    starts = np.array(quantiles.starts(leaves, low, high))
    most = min(room, quantiles.LEAVES_MAX)
    widths = np.diff(starts)
    assert (starts[0], starts[-1]) == (low, high + 1)
    assert widths.min() >= 1
    assert leaves.size == len(widths) <= most
    assert leaves.size == width + 1 or width + 1 > most
    assert widths.max() <= -(-2 * (width + 1) // most)
    # Values beyond the range belong to the first and the last leaf.
    assert [leaves.index(code) for code in (1, column.size)] == [0, leaves.size - 1]
    assert all(leaves.index(int(start) - column.low + 1) == place for place, start in enumerate(starts[:-1]))


def test_leaves_near_0_are_as_exact_as_far_from_it() -> None:
    """Of costs up to 40,000.00 each leaf is one cent wide up to some dollars and never wider than a 256th of its value."""
    leaves = quantiles.leaves(COLUMNS["cost"], 0, 4_000_000, 10**6)
    starts = np.array(quantiles.starts(leaves, 0, 4_000_000))
    widths, firsts = np.diff(starts), np.maximum(starts[:-1], 1)
    assert np.all(widths <= np.maximum(firsts / 180, 1))
    assert np.all(widths[firsts < 180] == 1)


# What the intervals cover

RANDOM = np.random.default_rng(7)
DATA: dict[str, tuple[str, Integers]] = {
    "skewed": ("cost", (np.exp(RANDOM.normal(9.6, 1.5, 3_000))).clip(0, 4_000_000).astype(np.int64)),
    "small": ("cost", (np.exp(RANDOM.normal(9.6, 1.5, 60))).clip(0, 4_000_000).astype(np.int64)),
    "one value": ("cost", np.full(500, 12_345)),
    "two far apart": ("cost", np.repeat([0, 4_000_000], [300, 301])),
    "whole numbers": ("visits", RANDOM.poisson(3, 1_000).clip(0, 100)),
    "few leaves": ("stars", RANDOM.integers(1, 6, 500)),
    "nobody": ("visits", np.zeros(0, dtype=np.int64)),
}
PRIVACY = {
    "laplace": nodes.Privacy(NANO),
    "little": nodes.Privacy(NANO // 10),
    "gaussian": nodes.Privacy(rho_nano=NANO // 2),
}


def truth(values: Integers, share: float) -> int:
    """Return the least value at or below which this share of the values lies."""
    return int(np.sort(values)[int(np.ceil(share * len(values))) - 1])


def many(plan: Plan, values: Integers, noise: Plan | None = None, releases: int = RELEASES) -> list[dict[str, Any]]:
    """Return the results of so many releases over the same values; the noise may be another plan's."""
    column = COLUMNS[plan.measures[0].factors[0].column.name]
    one = ask(column.name, *search_of(plan).shares)
    assert one.measures[0].width == plan.measures[0].width
    counts = exact(one, np.arange(len(values)), **{column.name: values - column.low + 1})
    found: list[dict[str, Any]] = []
    for _ in range(releases // AT_ONCE):
        noisy = assembly.add_noise(noise or plan, [np.tile(counts, AT_ONCE)])
        rows: Any = assembly.rows(plan, noisy)
        found += [row["s"] for row in rows]
    return found


def covered(results: list[dict[str, Any]], wanted: float) -> float:
    """Return how many of the intervals hold the true value."""
    return float(np.mean([one["low"] <= wanted <= one["high"] for one in results]))


def rescaled(plan: Plan, factor: float) -> Plan:
    """Return a plan with the scale of all noise multiplied. Half of it is a planted fault."""

    def change(measure: Measure) -> Measure:
        each = tuple(replace(one, scale=one.scale * factor) for one in rounds_of(plan))
        return replace(measure, mechanism=Rounds(each))

    outputs = tuple(Output(o.name, o.statistic, tuple(map(change, o.measures))) for o in plan.outputs)
    return replace(plan, outputs=outputs)


@pytest.mark.parametrize("privacy", PRIVACY)
@pytest.mark.parametrize("kind", [kind for kind in DATA if kind != "nobody"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_cover_at_least_95_percent(kind: str, share: float, privacy: str) -> None:
    """Of a thousand releases at least 95% hold the true quantile, but for chance, whatever the data and the noise; no value is beyond it."""
    column, values = DATA[kind]
    plan = ask(column, share, privacy=PRIVACY[privacy], by_place=True)
    results = many(plan, values, releases=SOME)
    step = float(COLUMNS[column].step)
    assert covered(results, truth(values, share) * step) >= fewest(SOME)
    assert all(one["low"] <= one["value"] <= one["high"] for one in results)
    whole = np.array([one["value"] for one in results]) / step
    assert np.allclose(whole, np.rint(whole), rtol=0, atol=1e-6), "values are whole steps of the column"


def test_thousands_of_intervals_of_a_skewed_column_cover_95_percent() -> None:
    """At an extreme share too, and no more often than a bin's width explains."""
    column, values = DATA["skewed"]
    plan = ask(column, 0.98, by_place=True)
    assert fewest(RELEASES) <= covered(many(plan, values), truth(values, 0.98) / 100) <= 0.999


def test_each_of_several_quantiles_is_covered() -> None:
    """Of deciles that share their rounds each interval holds with 95%."""
    column, values = DATA["skewed"]
    shares = tuple(tenth / 10 for tenth in range(1, 10))
    results = many(ask(column, *shares, by_place=True), values, releases=SOME)
    for place, share in enumerate(shares):
        each = [one["quantiles"][place] for one in results]
        assert {one["at"] for one in each} == {share}
        assert covered(each, truth(values, share) / 100) >= fewest(SOME)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_stated_for_a_third_of_the_noise_are_caught(share: float) -> None:
    """The check has power: intervals for a third of the noise that there is cover too little."""
    column, values = DATA["skewed"]
    plan = ask(column, share, by_place=True)
    assert covered(many(rescaled(plan, 1 / 3), values, noise=plan), truth(values, share) / 100) < fewest(RELEASES)


def test_the_rank_noise_is_covered_as_often_as_stated() -> None:
    """The noise in a balance stays within the margin that is foretold in 95% of the releases, at most edges in 97 at most, both but for chance."""
    for privacy in PRIVACY.values():
        plan = ask("cost", 0.9, privacy=privacy)
        mechanism, bins = rounds_of(plan)[-1], search_of(plan).bins
        noise = mechanism.release(np.zeros(RELEASES * bins, dtype=np.int64)).reshape(RELEASES, bins)
        below = np.concatenate([np.zeros((RELEASES, 1)), np.cumsum(noise, axis=1)], axis=1)
        balance = below - 0.9 * below[:, -1:]
        margins = quantiles.rank_noise(bins, 0.9, mechanism, CONFIDENCE)
        shown: Any = assembly.columns(plan)[0]["margin_events"]
        assert shown == pytest.approx(margins.max())
        share = np.mean(np.abs(balance) <= margins, axis=0)
        assert np.all(share >= fewest(RELEASES)), share
        assert np.median(share) <= most(RELEASES, 0.97), share


def test_nobody_at_all_has_the_whole_range() -> None:
    """Without events nearly every interval is from end to end: a quantile of nothing may be anywhere."""
    column, values = DATA["nobody"]
    results = many(ask(column, 0.5, by_place=True), values, releases=1_000)
    assert np.mean([(one["low"], one["high"]) == (0, 100) for one in results]) > 0.5
    assert all(0 <= one["value"] <= 100 for one in results)


def test_the_shape_of_a_release_does_not_depend_on_data() -> None:
    """As many numbers are drawn and kept for nobody as for many, and for a value as for a range of them."""
    for shares in ((0.5,), (0.25, 0.5, 0.75)):
        plan = ask("cost", *shares)
        sizes = set()
        for values in (np.zeros(0, dtype=np.int64), np.full(900, 5), np.arange(4_000_000, step=999)):
            counts = exact(plan, np.arange(len(values)), cost=values + 1)
            (noisy,) = assembly.add_noise(plan, [counts])
            sizes.add(len(noisy))
        assert sizes == {2 * search_of(plan).bins + 1}
        assert len(rounds_of(plan)) == 3


def test_a_column_of_few_values_is_asked_in_one_round() -> None:
    """Where each value can have its own bin there is nothing to look for: one histogram has the whole charge."""
    plan = ask("stars", 0.5)
    (only,) = rounds_of(plan)
    assert only.epsilon_nano == NANO
    assert search_of(plan).bins == 5


def test_bounds_clamp_the_values() -> None:
    """Values beyond the bounds belong to their ends."""
    values = np.array([0] * 10 + [500] * 10 + [4_000_000] * 100)
    plan = ask("cost", 0.9, privacy=nodes.Privacy(100 * NANO), between=(1, 20))
    counts = exact(plan, np.arange(len(values)), cost=values + 1)
    rows: Any = assembly.rows(plan, assembly.add_noise(plan, [counts]))
    assert rows[0]["s"] == {"value": 20, "low": 20, "high": 20}


# On real data


@pytest.mark.parametrize(("column", "source"), [("cost", "meddol"), ("visits", "mdvis")])
def test_quantiles_of_real_data_fit(column: str, source: str) -> None:
    """Of the RAND experiment's 20,190 years the quartiles lie in nearly all intervals, and those are narrow."""
    step = float(COLUMNS[column].step)
    sql = f"SELECT {source} FROM '{ROOT / 'server' / 'demo' / 'data' / 'rand_hie.parquet'}'"
    real = cast("NDArray[Any]", duckdb.connect().execute(sql).fetchnumpy()[source])  # it has no categories
    values = np.rint(real / step).astype(np.int64)
    assert len(values) == 20_190
    shares = (0.25, 0.5, 0.75)
    results = many(ask(column, *shares, by_place=True), values, releases=AT_ONCE)
    for place, share in enumerate(shares):
        each = [one["quantiles"][place] for one in results]
        wanted = truth(values, share) * step
        assert covered(each, wanted) >= fewest(AT_ONCE)
        assert np.median([abs(one["value"] - wanted) for one in each]) <= 0.02 * wanted
        assert np.median([one["high"] - one["low"] for one in each]) <= 0.1 * wanted + 1
