"""The contribution profile: each person is in one bin of each histogram, whatever they did, and it is charged so."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import opendp.prelude as dp
import pytest

from queries.catalog.histograms import Histogram, bin_starts
from queries.catalog.schema import EPOCH, PERSONS, Column, Dataset, Kind, Table, frozen
from queries.contribution import profile, tallying
from queries.contribution.profile import Counted
from queries.errors import EngineFailed, InvalidQuery
from tests.laws import tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from queries.contribution.profile import Draft, Plan

dp.enable_features("contrib")

NANO = 10**9
SEX = Column("sex", Kind.CATEGORY, of_person=True, values=("female", "male"))
COLUMNS = {
    "sex": SEX,
    "region": Column("region", Kind.CATEGORY, nullable=True, values=("north", "east", "south")),
    "unit": Column("unit", Kind.CATEGORY, values=("A", "B", "C", "D", "E", "F", "G")),
    "text": Column("text", Kind.CATEGORY),  # undeclared
    "alone": Column("alone", Kind.CATEGORY, values=("one",)),
    "age": Column("age", Kind.INTEGER, low=0, high=30),
    "wide": Column("wide", Kind.INTEGER, low=0, high=10_000),
    "cost": Column("cost", Kind.NUMBER, low=0, high=100),
    "urgent": Column("urgent", Kind.BOOLEAN, nullable=True, low=0, high=1),
    "day": Column("day", Kind.DATE, low=(dt.date(2020, 1, 15) - EPOCH).days, high=(dt.date(2021, 3, 10) - EPOCH).days),
}
VISITS = Table("visits", frozen(COLUMNS))
LETTERS = Table("letters", frozen({"sex": SEX, "unit": COLUMNS["unit"]}))
DATASET = Dataset(
    "clinic",
    "A clinic",
    Decimal(10),
    Decimal(0),
    persons_max=100_000,
    epsilon_min=Decimal("1e-9"),
    tables=frozen({PERSONS: Table(PERSONS, frozen({"sex": SEX})), "visits": VISITS, "letters": LETTERS}),
)
KEYED = ("region", "unit", "age", "urgent", "day")
Event = tuple[int, dict[str, int]]  # a person and the codes of the columns


@dataclass(frozen=True)
class Memory:
    """Events in memory, streamed as an engine does, in some ranges and in batches of some size."""

    events: Mapping[str, Sequence[Event]]
    persons: int
    batch: int = 65_536
    edges: tuple[int, ...] = (0, 2**31)

    def ranges(self) -> list[range]:
        """Return the ranges."""
        return [range(first, stop) for first, stop in itertools.pairwise(self.edges)]

    def everybody(self) -> int:
        """Return the number of persons."""
        return self.persons

    def columns(
        self, table: Table, names: Sequence[str], persons: range
    ) -> Iterator[tuple[NDArray[np.int32], dict[str, Any]]]:
        """Yield the events of a range."""
        chosen = [event for event in self.events.get(table.name, ()) if event[0] in persons]
        for start in range(0, len(chosen), self.batch):
            part = chosen[start : start + self.batch]
            codes = {name: np.array([codes[name] for _, codes in part], dtype=np.uint16) for name in names}
            yield np.array([person for person, _ in part], dtype=np.int32), codes


def planned(epsilon_nano: int = NANO) -> Plan:
    """Return the plan of the clinic's profile."""
    return profile.plan(DATASET, epsilon_nano)


def random_events(random: np.random.Generator, persons: int, most: int) -> list[Event]:
    """Return events of persons in order, of whom some have none, with many nulls and repeated values."""
    most_of = {name: min(4, COLUMNS[name].size) for name in KEYED} | {"age": 31, "day": COLUMNS["day"].size}
    events: list[Event] = []
    for person in range(persons):
        shape = int(random.integers(0, most + 1)), len(most_of)
        drawn = random.integers(0, np.array(list(most_of.values())) + 1, shape)
        events += [(person, dict(zip(most_of, codes, strict=True))) for codes in drawn.tolist()]
    return events


def number_of(draft: Draft, own: Sequence[Event]) -> int:
    """Return what a histogram counts of one person, as plainly as Python says it."""
    if draft.key is None:
        return len(own)
    cells = Counter(draft.key.index(codes[draft.key.column.name]) for _, codes in own)
    del cells[-1]
    return len(cells) if draft.counted is Counted.VALUES else max(cells.values(), default=0)


def reference(plan: Plan, events: Mapping[str, Sequence[Event]], persons: int) -> list[list[int]]:
    """Return the exact histograms, as plainly as Python says it."""
    found = []
    for draft in plan.drafts:
        bins = [0] * len(draft.starts)
        for person in range(persons):
            own = [event for event in events.get(draft.table.name, ()) if event[0] == person]
            number = number_of(draft, own)
            bins[max(place for place, start in enumerate(draft.starts) if start <= number)] += 1
        found.append(bins)
    return found


def exact(plan: Plan, memory: Memory) -> list[list[int]]:
    """Return what the product makes of the events."""
    return [vector.tolist() for vector in tallying.tally(plan, memory)]


# What is described


def test_tables_and_columns_follow_from_the_catalog() -> None:
    """All events of each table, and two histograms of each declared column of events with 2 to 10,000 values."""
    told = [(d.table.name, d.key.column.name if d.key else None, d.counted) for d in planned().drafts]
    wanted: list[tuple[str, str | None, Counted]] = [("visits", None, Counted.EVENTS)]
    for name in KEYED:
        wanted += [("visits", name, Counted.VALUES), ("visits", name, Counted.REPEATS)]
    wanted.append(("letters", None, Counted.EVENTS))
    wanted += [("letters", "unit", Counted.VALUES), ("letters", "unit", Counted.REPEATS)]
    assert told == wanted


def test_bins_begin_at_powers_of_the_root_of_two() -> None:
    """Bins begin at 0 and at each whole number next to a power of the square root of 2, up to the most there is."""
    assert bin_starts(3) == (0, 1, 2, 3)
    assert bin_starts(100) == (0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91)
    assert bin_starts(2**20)[-1] == 2**20
    assert len(bin_starts(2**20)) == 41


def test_a_null_is_a_value_where_it_has_a_cell() -> None:
    """A nullable column's null counts as one of its values; another's counts as none, as in a query's cells."""
    events = {"visits": [(0, {"region": 0, "unit": 0, "age": 1, "urgent": 1, "day": 1})]}
    plan = planned()
    bins = dict(
        zip(
            [(d.key and d.key.column.name, d.counted) for d in plan.drafts],
            exact(plan, Memory(events, 1)),
            strict=False,
        )
    )
    assert bins["region", Counted.VALUES][:2] == [0, 1]
    assert bins["unit", Counted.VALUES][:2] == [1, 0]


def test_days_are_counted_by_their_months() -> None:
    """Two days of one month are one value, and two events with it."""
    codes = {"region": 1, "unit": 1, "age": 1, "urgent": 1}
    events = {"visits": [(0, {**codes, "day": day}) for day in (1, 2, 17, 18)]}  # 15 and 16 January, 31, 1 February
    plan = planned()
    found = {
        draft.counted: vector
        for draft, vector in zip(plan.drafts, exact(plan, Memory(events, 1)), strict=True)
        if draft.key and draft.key.column.name == "day"
    }
    assert found[Counted.VALUES][:4] == [0, 0, 1, 0]
    assert found[Counted.REPEATS][:5] == [0, 0, 0, 1, 0]


# Exact histograms


@pytest.mark.parametrize("batch", [1, 7, 65_536])
@pytest.mark.parametrize("edges", [(0, 2**31), (0, 3, 8, 2**31)])
def test_the_histograms_are_what_plain_python_counts(batch: int, edges: tuple[int, ...]) -> None:
    """However the stream is cut into ranges and batches, the bins are those of a plain count."""
    random = np.random.default_rng(batch)
    for most in (0, 1, 5, 60):
        events = {"visits": random_events(random, 12, most), "letters": random_events(random, 12, 3)}
        plan = planned()
        assert exact(plan, Memory(events, 14, batch, edges)) == reference(plan, events, 14)


def test_every_person_is_in_one_bin_of_each_histogram() -> None:
    """Each histogram adds up to the number of persons, those without events among them."""
    random = np.random.default_rng(3)
    events = {"visits": random_events(random, 40, 20)}
    for bins in exact(planned(), Memory(events, 50)):
        assert sum(bins) == 50
        assert min(bins) >= 0


def test_a_person_moves_each_histogram_by_one() -> None:
    """In hundreds of random pairs of neighbours one bin of each histogram moves, by exactly 1."""
    random = np.random.default_rng(7)
    plan = planned()
    for pair in range(tries(300, audited=1_000)):
        persons = int(random.integers(1, 8))
        events = {
            "visits": random_events(random, persons, (2, 20, 90)[pair % 3]),
            "letters": random_events(random, persons, 2),
        }
        gone = int(random.integers(0, persons))
        without = {name: [event for event in rows if event[0] != gone] for name, rows in events.items()}
        batch = int(random.integers(1, 60))
        here = exact(plan, Memory(events, persons, batch))
        there = exact(plan, Memory(without, persons - 1, batch))
        assert_moved_by_one(plan, here, there)


def test_the_worst_person_moves_each_histogram_by_one() -> None:
    """A person with every value, and one of them a million times and more, moves each histogram by exactly 1."""
    codes = dict.fromkeys(KEYED, 1)
    everywhere = [(1, {name: 1 + place % COLUMNS[name].size for name in KEYED}) for place in range(COLUMNS["day"].size)]
    repeated = [(1, codes)] * 1_100_000
    quiet = [(0, codes), (2, codes)]
    plan = planned()
    here = exact(plan, Memory({"visits": [quiet[0], *everywhere, *repeated, quiet[1]]}, 3))
    assert_moved_by_one(plan, here, exact(plan, Memory({"visits": quiet}, 2)))
    assert here[0][-1] == 1, "whoever has more than the most is in the last bin"


def assert_moved_by_one(plan: Plan, here: list[list[int]], there: list[list[int]]) -> None:
    """Check that neighbours differ by the sensitivity of each histogram."""
    for mechanism, left, right in zip(plan.mechanisms, here, there, strict=True):
        moved = sum(abs(a - b) for a, b in zip(left, right, strict=True))
        assert moved == 1 == profile.SENSITIVITY == mechanism.sensitivity_l1


def test_a_stream_in_disorder_is_refused() -> None:
    """A person who comes twice would be in two bins: within a batch, between batches and outside a range."""
    codes = dict.fromkeys(KEYED, 1)
    events = {"visits": [(1, codes), (2, codes), (1, codes)]}
    for batch in (3, 2, 1):
        with pytest.raises(EngineFailed, match="not ordered"):
            exact(planned(), Memory(events, 3, batch))

    class Elsewhere(Memory):
        def columns(self, table: Table, names: Sequence[str], persons: range) -> Any:
            assert persons
            return super().columns(table, names, range(2**31))

    with pytest.raises(EngineFailed, match="not ordered"):
        exact(planned(), Elsewhere({"visits": [(1, codes), (5, codes)]}, 6, edges=(0, 3, 2**31)))


# Charge and noise


@pytest.mark.parametrize("epsilon_nano", [14, NANO // 10, NANO // 10 + 5, 3 * NANO])
def test_the_charge_covers_what_opendp_says(epsilon_nano: int) -> None:
    """The sum of the charges is what was asked for, and each covers OpenDP's own map at a sensitivity of 1."""
    plan = planned(epsilon_nano)
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    told = Fraction(0)
    for mechanism in plan.mechanisms:
        measurement = dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=mechanism.scale)
        own = Fraction(measurement.map(1))  # type: ignore[no-untyped-call]
        assert Fraction(mechanism.epsilon_nano, NANO) >= own
        told += own
    epsilon, rho = plan.cost
    assert told <= epsilon <= Fraction(epsilon_nano, NANO)
    assert rho == sum(Fraction(mechanism.epsilon_nano, NANO) ** 2 / 2 for mechanism in plan.mechanisms)


def test_too_little_to_be_split_is_refused() -> None:
    """An epsilon of fewer billionths than there are histograms is refused with its place."""
    with pytest.raises(InvalidQuery, match="14 histograms") as refused:
        planned(13)
    assert refused.value.pointer == "/epsilon"


def test_only_noisy_numbers_are_released() -> None:
    """Released bins are integers with fresh noise of the planned scale on each, and read back as they are."""
    plan = planned(7 * NANO)
    exact_bins = [np.full(len(draft.starts), 1_000, dtype=np.int64) for draft in plan.drafts]
    moved = []
    for _ in range(40):
        body = profile.release(plan, exact_bins)
        read = profile.read(body)
        assert set(read) == {"visits", "letters"}
        assert set(read["visits"].columns) == set(KEYED)
        assert body["tables"]["visits"]["columns"]["day"]["by"] == "month"
        for table in read.values():
            for one in (table.events, *(h for c in table.columns.values() for h in (c.values, c.repeats))):
                assert one.scale == plan.mechanisms[0].scale
                moved += [persons - 1_000 for persons in one.persons]
    assert len(moved) > 10_000
    expected = 2 * np.exp(-1 / 2) / (1 - np.exp(-1.0))  # E|z| of discrete Laplace noise of scale 2
    # Six standard deviations of 10,000 draws: 2.04 of the magnitude, 2.8 of the noise. Chance passes them once in 10^8 runs.
    assert np.mean(np.abs(moved)) == pytest.approx(expected, abs=0.123)
    assert abs(np.mean(moved)) < 0.168


def test_the_canonical_text_tells_prices_and_catalogs_apart() -> None:
    """The same profile at the same price has one text; another price or another column makes another."""
    assert profile.canonical(planned()) == profile.canonical(planned())
    assert profile.canonical(planned()) != profile.canonical(planned(NANO + 1))
    fewer = {name: column for name, column in COLUMNS.items() if name != "unit"}
    other = Dataset("clinic", "", Decimal(10), Decimal(0), 100_000, frozen({"visits": Table("visits", frozen(fewer))}))
    assert profile.canonical(planned()) != profile.canonical(profile.plan(other, NANO))


def test_what_noise_alone_puts_into_empty_bins_is_left_out() -> None:
    """Up to the last bin that is hardly noise numbers stand; beyond it no more than a falling tail would have."""
    noisy = (500, -20, 300, 90, 40, 60, -70) + (30,) * 7
    cleaned = profile.likely(Histogram(100, noisy, scale=15.0))
    # 300 is sure; 90 and 60 are near it; then what the rest lets expect, and at most half a scale above the noisy ones.
    assert cleaned.persons[:6] == (500, 0, 300, 90, 40, 60)
    assert cleaned.persons[6] <= 7
    assert sum(cleaned.persons[7:]) <= 3
    assert list(cleaned.bins())[-1] == (91, 100, 0)


def test_a_few_persons_with_very_much_are_seen_if_they_are_no_noise() -> None:
    """Far beyond all others a bin stands when noise would hardly ever reach it, and not when it sometimes would."""
    for far, stands in ((400, True), (120, False)):
        noisy = [0, 5_000, 3_000] + [0] * 38
        noisy[35] = far
        cleaned = profile.likely(Histogram(2**20, tuple(noisy), scale=20.0))
        assert (cleaned.persons[35] == far) == stands
        assert sum(cleaned.persons[36:]) <= (40 if stands else 0)


def test_a_histogram_in_which_noise_hides_all_shows_nobody() -> None:
    """Where not even the largest bin is more than noise, only the bin of 0 stands."""
    assert profile.likely(Histogram(100, (9,) + (70,) * 13, scale=15.0)).persons == (9,) + (0,) * 13


def test_empty_histograms_seldom_seem_to_have_somebody() -> None:
    """Of a thousand empty histograms about one in twenty shows anybody: 48, and in 10^7 runs never so few or so many."""
    noise = planned(NANO).mechanisms[0]
    empty = np.zeros(len(bin_starts(2**20)), dtype=np.int64)
    drawn = (Histogram(2**20, tuple(map(int, noise.release(empty))), noise.scale) for _ in range(1_000))
    assert 15 < sum(any(profile.likely(one).persons[1:]) for one in drawn) < 95


def test_noise_hardly_ever_makes_a_tail_of_giants() -> None:
    """When everybody has at most 5 events, of a thousand noisy profiles hardly one shows anybody with over a hundred.

    Noise does it in four steps of the last bin, or at once: three times in 10^6 profiles. Three of a thousand do so
    once in 10^8 runs.
    """
    noise = planned(NANO // 2).mechanisms[0]
    exact_bins = np.zeros(len(bin_starts(2**20)), dtype=np.int64)
    exact_bins[1:5] = 270, 260, 3_750, 1_640
    giants = 0
    for _ in range(1_000):
        found = profile.likely(Histogram(2**20, tuple(map(int, noise.release(exact_bins))), noise.scale))
        giants += max(high for _, high, persons in found.bins() if persons) > 127
    assert giants <= 2


# A later edition


def test_of_an_earlier_edition_what_fits_is_used() -> None:
    """A column that is gone, has more values or another kind is left out; more months, fewer values and the rest stay."""
    plan = planned()
    body = profile.release(plan, [np.full(len(draft.starts), 1_000, dtype=np.int64) for draft in plan.drafts])
    made = profile.read(body)
    whole = profile.with_profile(DATASET, made).tables["visits"].profile
    assert whole is not None
    assert set(whole.columns) == set(KEYED)
    visits = DATASET.tables["visits"]
    for name, column in COLUMNS.items():
        if name not in KEYED:
            continue
        later = {other: kept for other, kept in visits.columns.items() if other != name}
        assert fitting(visits, later, made) == set(KEYED) - {name}, "it is gone"
        if column.kind is Kind.DATE:
            grown = replace(column, high=column.high + 400)
            assert fitting(visits, {**later, name: grown}, made) == set(KEYED), "data grow"
            number = replace(column, kind=Kind.INTEGER, low=1, high=20)
            assert fitting(visits, {**later, name: number}, made) == set(KEYED) - {name}, "it is no date any more"
        elif column.kind is Kind.INTEGER:
            wider, narrower = replace(column, high=column.high + 1), replace(column, high=column.high - 1)
            assert fitting(visits, {**later, name: wider}, made) == set(KEYED) - {name}
            assert fitting(visits, {**later, name: narrower}, made) == set(KEYED)
    others = profile.with_profile(DATASET, {"elsewhere": made["visits"]}).tables
    assert all(table.profile is None for table in others.values())


def fitting(visits: Table, columns: dict[str, Column], made: Any) -> set[str]:
    """Return the columns of a profile that are used of a table with other columns."""
    later = replace(visits, columns=frozen(columns))
    found = profile.with_profile(replace(DATASET, tables=frozen({"visits": later})), made).tables["visits"].profile
    assert found is not None
    assert found.events == made["visits"].events
    return set(found.columns)
