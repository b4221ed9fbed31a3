"""Layer 1 of the audit: exact sensitivity, without statistics.

For each statistic hundreds of random pairs of neighbours and the worst cases: the integers before the noise move by no
more than the plan says, and in the worst case by exactly as much.
"""

from __future__ import annotations

import shutil
from fractions import Fraction
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest

from queries.catalog.schema import PERSONS
from queries.execution.duckdb import Store
from queries.execution.engine import CellsOf, of_part
from queries.language import nodes
from tests.laws import tries
from tests.privacy.checks import (
    cells_violate,
    everywhere,
    moves,
    neighbours_violate,
    opendp_epsilon,
    random_events,
    undercharged,
)
from tests.queries.clinic import (
    NANO,
    STATISTICS,
    TABLE,
    URGENT,
    Event,
    bounded,
    columns_of,
    plan_of,
    planned,
)
from tests.queries.sources import clinic_store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.plan import Plan

KEYS: tuple[tuple[nodes.Key, ...], ...] = (
    (),
    (nodes.ByValue("sex"),),
    (nodes.ByValue("birth_year"),),
    (nodes.ByValue("region"),),
    (nodes.ByValue("unit"), nodes.ByValue("urgent")),
    (nodes.ByValue("sex"), nodes.ByValue("region")),
    (nodes.ByBins("balance", (-100, 0, 0.5, 250)),),
    (nodes.ByBins("wide", (-10, 0, 2**30, 2**33)),),
    (nodes.ByPeriod("day", "quarter"), nodes.ByValue("sex")),
    (nodes.ByWidth("visits", 3, 1), nodes.ByPart("day", "quarter")),
    (nodes.ByBins("visits", (0, 1, 5, 9)), nodes.ByValue("region")),
)
PAIRS = tries(250, audited=1_000)


def plans(statistic: str, random: np.random.Generator) -> list[Plan]:
    """Return a plan for every choice of keys, with random contribution bounds; every third filled with others."""
    made = []
    for place, keys in enumerate(KEYS):
        for asked in STATISTICS[statistic]:
            select: tuple[tuple[str, nodes.Statistic], ...] = (("asked", asked),)
            if place % 3 == 0:
                select += (("rows", nodes.Count("events")),)
            bounds = nodes.Bounds(int(random.integers(1, 12)), int(random.integers(1, 7)))
            query = nodes.Query("visits", select, None, keys, bounds)
            made.append(plan_of(query, int(random.integers(NANO // 100, NANO))))
    return made


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_random_person_moves_the_cells_by_no_more_than_planned(statistic: str) -> None:
    """In hundreds of random pairs of neighbours no cell, number of cells or vector moves further than planned."""
    random = np.random.default_rng(len(statistic))
    pool = plans(statistic, random)
    moved = 0
    for pair in range(PAIRS):
        one = pool[pair % len(pool)]
        events = random_events(random, persons=int(random.integers(1, 6)), most_events=(3, 30, 100)[pair % 3])
        person = int(random.integers(0, 5))
        batch = int(random.integers(1, 200))
        run = lambda plan, chosen, batch=batch: bounded(plan, chosen, batch)  # noqa: E731
        assert neighbours_violate(one, events, person, run) == set(), one.query
        moved += any(event.person == person for event in events)
    assert moved > PAIRS / 3, "many pairs differ"


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("extreme", ["low", "high"])
@pytest.mark.parametrize("others", ["nobody", "everybody alike"])
def test_the_worst_person_moves_the_cells_by_exactly_the_sensitivity(statistic: str, extreme: str, others: str) -> None:
    """A person with events at the bounds in every cell reaches the planned L1 at the further end, and no more.

    The high end is never the nearer one to a centre, fulfils every filter and has both values of a pair at once; a sum
    that is not centred may be further at the low end. A column that is a key as well has not every value in each cell.
    """
    reached = 0
    for one in plans(statistic, np.random.default_rng(5)):
        each = one.events_per_cell + 3
        rest = [] if others == "nobody" else everywhere(one, 0, each, "high") + everywhere(one, 1, each, "low")
        everyone = [*rest, *everywhere(one, 2, each, extreme)]
        assert neighbours_violate(one, everyone, 2) == set()
        for measure, here, there in zip(one.measures, bounded(one, everyone), bounded(one, rest), strict=True):
            keyed = columns_of(measure) & {key.column.name for key in one.keys}
            further = "low" if any(f.centre - f.low > abs(f.high - f.centre) for f in measure.factors) else "high"
            if extreme == further and not keyed:
                assert sum(moves(here, there).values()) == measure.mechanism.sensitivity_l1, one.query
                reached += 1
    assert reached or extreme == "low"


def test_a_person_with_ten_thousand_events_in_every_cell_moves_it_by_exactly_the_sensitivity() -> None:
    """Ten thousand events in each of 16 cells change every statistic by its sensitivity and not by one more."""
    one = planned(
        nodes.ByValue("region"),
        nodes.ByValue("unit"),
        cells=9,
        events=50,
        persons=nodes.Count("persons"),
        rows=nodes.Count("events"),
        total=nodes.Sum("balance"),
        average=nodes.Mean("balance"),
        share=nodes.Proportion(URGENT),
        people=nodes.Proportion(URGENT, "persons"),
        spread=nodes.Stddev("balance", where=URGENT),
        median=nodes.Quantile("balance", (0.5,)),
        between=nodes.Iqr("balance"),
        bins=nodes.Histogram("visits"),
        often=nodes.Top("urgent", 1),
        alike=nodes.Correlation(("visits", "balance")),
    )
    assert one.cells == 16
    worst = everywhere(one, 1, 1, "high")
    repeated = [event for event in worst for _ in range(10_000)]
    quiet = [Event(0, worst[5].codes), Event(2, worst[6].codes)]
    here, there = bounded(one, [quiet[0], *repeated, quiet[1]]), bounded(one, quiet)
    assert cells_violate(one, here, there) == set()
    for measure, left, right in zip(one.measures, here, there, strict=True):
        assert sum(moves(left, right).values()) == measure.mechanism.sensitivity_l1


@pytest.mark.parametrize("statistic", STATISTICS)
def test_an_empty_dataset_and_a_dataset_of_one_person_are_neighbours(statistic: str) -> None:
    """Without events every cell is 0, and the only person's events stay within the plan, nulls and all."""
    random = np.random.default_rng(9)
    for one in plans(statistic, random):
        for measure, cells in zip(one.measures, bounded(one, []), strict=True):
            assert not cells.any()
            assert len(cells) == one.cells * measure.width
        nulls = [Event(0, (0,) * len(TABLE.columns))] * 40
        assert neighbours_violate(one, nulls, 0) == set()
        assert neighbours_violate(one, random_events(random, 1, 200), 0) == set()


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("epsilon_nano", [7, 999, NANO // 3, NANO, 17 * NANO])
def test_the_charge_covers_what_opendp_says(statistic: str, epsilon_nano: int) -> None:
    """Every measure is charged at least OpenDP's map at the full sensitivity, and all together what was asked for."""
    for keys in KEYS[:: tries(3, audited=1)]:
        for asked in STATISTICS[statistic]:
            if epsilon_nano < 1000 and isinstance(asked, nodes.Mean | nodes.Sum) and asked.column == "wide":
                continue  # refused: the noise could overflow
            if epsilon_nano < 10 and isinstance(asked, nodes.Quantile | nodes.Iqr):
                continue  # refused: the first round would have nothing to spend
            one = planned(*keys, epsilon_nano=epsilon_nano, cells=3, events=4, asked=asked)
            assert undercharged(one) == []
            assert one.cost.epsilon is not None
            assert one.cost.epsilon * NANO <= epsilon_nano
            charged = [opendp_epsilon(measure.mechanism) for measure in one.measures]
            assert sum(charged, Fraction(0)) <= one.cost.epsilon


# Through a real store and engine


def without(store: Path, person: int) -> Path:
    """Return a copy of a store in which a person never was: their events gone, all else in its order."""
    copy = store.with_name(f"without-{person}.duckdb")
    shutil.copy(store, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("DELETE FROM visits WHERE person = ?", [person])
        connection.execute(f"DELETE FROM {PERSONS} WHERE person = ?", [person])
    return copy


def scanned(store: Path, asked: Sequence[Plan]) -> list[list[NDArray[np.int64]]]:
    """Return the exact cells of some plans over a store."""
    engine = Store(store, memory_limit="200MB", threads=2, query_seconds=60)
    try:
        return [of_part(CellsOf(one), engine) for one in asked]
    finally:
        engine.close()


def test_neighbouring_stores_stay_within_the_plan(tmp_path: Path) -> None:
    """Through import, engine and kernel a person, even of 10,000 events, moves the cells no further than planned."""
    random = np.random.default_rng(3)
    events = random_events(random, persons=12, most_events=40)
    heavy = [Event(12, tuple(int(random.integers(0, 3)) for _ in TABLE.columns)) for _ in range(10_000)]
    heavy = [Event(12, (*heavy[0].codes[:2], *event.codes[2:])) for event in heavy]
    built = clinic_store(tmp_path, [*events, *heavy])
    asked = [one for statistic in STATISTICS for one in plans(statistic, random)]
    asked.append(planned(table=PERSONS, people=nodes.Count("persons")))
    everyone = scanned(built, asked)
    moved: set[str] = set()
    for person in range(13 - tries(3, audited=13), 13):  # the last one has the 10,000 events
        for one, here, there in zip(asked, everyone, scanned(without(built, person), asked), strict=True):
            assert cells_violate(one, here, there) == set(), one.query
            moved |= {name for name, _ in one.query.select if any(map(np.any, map(np.subtract, here, there)))}
    assert moved == {"asked", "rows", "people"}
