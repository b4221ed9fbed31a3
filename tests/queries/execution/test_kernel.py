from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries.binding.keys import TABLE_MAX
from queries.contribution.person_order import EVERYBODY
from queries.errors import EngineFailed
from queries.execution import kernel, passes
from queries.execution.fused import fused, shapes
from queries.language import nodes
from queries.plan import Plan
from tests.queries.clinic import (
    COLUMNS,
    EVERY_STATISTIC,
    TABLE,
    Event,
    bounded,
    largest_code,
    plan_of,
    planned,
    reference,
    stream,
)

KEYS: list[nodes.Key] = [
    nodes.ByValue("sex"),
    nodes.ByValue("birth_year"),
    nodes.ByValue("region"),
    nodes.ByValue("unit"),
    nodes.ByValue("urgent"),
    nodes.ByBins("balance", (-200, -0.25, 0, 99.9, 400)),
    nodes.ByBins("visits", (1, 2, 9)),
    nodes.ByBins("wide", (-(2**40), -5, 0, 2**31, 2**33)),
    nodes.ByPeriod("day", "month"),
    nodes.ByPeriod("day", "year"),
    nodes.ByPeriod("day", "week"),
    nodes.ByPart("day", "weekday"),
    nodes.ByWidth("balance", 50.25, -0.5),
    nodes.ByWidth("wide", 2**31),
]


@st.composite
def codes(draw: st.DrawFn) -> tuple[int, ...]:
    """Return the codes of one event, of which many are 0, 1 or the last."""
    return tuple(
        draw(st.one_of(st.sampled_from((0, 1, last)), st.integers(0, last)))
        for last in (largest_code(TABLE.columns[name]) for name in COLUMNS)
    )


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Return a person-ordered stream, with gaps between the numbers and few distinct events."""
    kinds = draw(st.lists(codes(), min_size=1, max_size=6))
    persons = sorted(draw(st.lists(st.integers(0, 9), max_size=40)))
    return [Event(person, draw(st.sampled_from(kinds))) for person in persons]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Return a plan with any keys, statistics and contribution bounds."""
    statistics = draw(st.lists(st.sampled_from(EVERY_STATISTIC), min_size=1, max_size=3))
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=3, unique_by=lambda key: key.column))
    select = tuple((f"s{place}", statistic) for place, statistic in enumerate(statistics))
    bounds = nodes.Bounds(draw(st.integers(1, 6)), draw(st.integers(1, 4)))
    return plan_of(nodes.Query("visits", select, None, tuple(keys), bounds))


@given(plans(), streams(), st.integers(1, 45))
def test_the_kernel_equals_its_plain_definition(plan: Plan, events: list[Event], batch: int) -> None:
    """Whatever the keys, bounds, nulls and batches, the compiled loops count what the plain Python counts."""
    assert [cells.tolist() for cells in bounded(plan, events, batch)] == reference(plan, events)


@given(plans(), streams(), st.integers(1, 45))
def test_the_fused_loops_equal_the_general_ones(plan: Plan, events: list[Event], batch: int) -> None:
    """Whoever adds a plan up, the cells are the same; a plan that does not fit is left to the general loops."""
    assert_alike(plan, events, batch)


def assert_alike(plan: Plan, events: list[Event], batch: int) -> None:
    """Check that the loops that are chosen for a plan count what the general ones count."""
    general, chosen = passes.Accumulator(plan), kernel.accumulator(plan)
    assert isinstance(chosen, fused.Accumulator) == fused.fits(plan)
    for person, codes in stream(events, batch, plan.conditions):
        general.take(person, codes)
        chosen.take(person, codes)
    assert [one.tolist() for one in chosen.cells()] == [one.tolist() for one in general.cells()]


FEW = nodes.Comparison("visits", ">=", 3)
MANY = nodes.Comparison("visits", ">=", 5)
SHAPES: list[tuple[type[shapes.Shape] | None, dict[str, nodes.Statistic]]] = [
    (shapes.Persons, {"n": nodes.Count("persons")}),
    (shapes.ConditionalPersons, {"n": nodes.Count("persons", where=FEW)}),
    (shapes.ConditionalPersons, {"n": nodes.Count("persons"), "f": nodes.Count("persons", where=FEW)}),
    (shapes.ConditionalPersons, {"f": nodes.Count("persons", where=FEW), "m": nodes.Count("persons", where=MANY)}),
    (shapes.ConditionalPersons, {"p": nodes.Proportion(FEW, "persons"), "m": nodes.Count("persons", where=MANY)}),
    (shapes.Events, {"n": nodes.Count("events")}),
    (shapes.Events, {"n": nodes.Count("events", where=FEW)}),
    (shapes.Events, {"n": nodes.Count("events", where=FEW), "m": nodes.Count("events")}),
    (shapes.Events, {"n": nodes.Count("events"), "p": nodes.Count("persons")}),
    (shapes.Events, {"p": nodes.Proportion(FEW)}),
    (shapes.Values, {"s": nodes.Sum("visits")}),
    (shapes.Values, {"m": nodes.Mean("visits")}),
    (shapes.Values, {"m": nodes.Mean("visits", where=FEW)}),
    (shapes.Values, {"n": nodes.Count("persons"), "m": nodes.Mean("visits")}),
    (shapes.Values, {"n": nodes.Count("persons"), "m": nodes.Mean("visits", where=FEW), "e": nodes.Count("events")}),
    (shapes.Several, {"m": nodes.Mean("visits"), "o": nodes.Mean("balance")}),
    (shapes.Several, {"n": nodes.Count("events", where=FEW), "m": nodes.Count("events", where=MANY)}),
    (shapes.Several, {"m": nodes.Mean("visits"), "n": nodes.Count("events", where=FEW)}),
    (None, {"n": nodes.Count("persons", where=FEW), "e": nodes.Count("events")}),
]


@pytest.mark.parametrize(("shape", "select"), SHAPES)
@given(
    st.lists(st.sampled_from(KEYS), max_size=2, unique_by=lambda key: key.column),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    streams(),
    st.integers(1, 45),
)
def test_each_shape_equals_the_general_loops(
    shape: type[shapes.Shape] | None,
    select: dict[str, nodes.Statistic],
    keys: list[nodes.Key],
    bounds: tuple[int, int],
    events: list[Event],
    batch: int,
) -> None:
    """The same for what most questions ask, with bounds that bind."""
    plan = planned(*keys, cells=bounds[0], events=bounds[1], **select)
    assert shape is not None or not fused.fits(plan)
    assert_alike(plan, events, batch)


@pytest.mark.parametrize("select", [select for _, select in SHAPES])
@pytest.mark.parametrize("keys", [(), ("unit",), ("unit", "sex"), ("urgent", "unit", "region")])
def test_crowded_streams_have_the_same_cells(select: dict[str, nodes.Statistic], keys: tuple[str, ...]) -> None:
    """Many events of a person in few cells, so that each bound stops some of them, and batches that cut persons."""
    rng = np.random.default_rng(len(keys))
    table = np.column_stack([rng.integers(0, min(4, largest_code(TABLE.columns[name])) + 1, 900) for name in COLUMNS])
    persons = np.sort(rng.integers(0, 60, 900))
    events = [Event(int(person), tuple(codes)) for person, codes in zip(persons, table.tolist(), strict=True)]
    for cells, most in itertools.product((1, 2, 3, 5), (1, 2, 4, 150)):
        assert_alike(planned(*map(nodes.ByValue, keys), cells=cells, events=most, **select), events, 101)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("most", [1, 2, 4, 7, 30])
def test_events_of_all_are_bounded_across_batches(most: int, batch: int) -> None:
    """A person's events may fill many batches, or end with one; where there are no keys too, only the first count."""
    events = visits(0, *[3] * 17, 4, *[7] * 6, 9, 9)
    plan = planned(events=most, n=nodes.Count("events"))
    assert bounded(plan, events, batch)[0].tolist() == [2 + sum(min(most, had) for had in (17, 6, 2))]


def test_the_middle_of_a_sum_is_taken_off_each_value() -> None:
    """In every loop: today only squares have one."""
    plan = planned(cells=1, events=4, s=nodes.Sum("visits"))
    (output,) = plan.outputs
    changed = replace(plan, outputs=(replace(output, measures=(replace(output.measures[0], middle=7),)),))
    assert bounded(changed, visits(0, 0, 1))[0].tolist() == [bounded(plan, visits(0, 0, 1))[0][0] - 3 * 7]
    assert_alike(changed, visits(0, 0, 1), 2)


@pytest.mark.parametrize(("shape", "select"), SHAPES)
@pytest.mark.parametrize("keys", [(), (nodes.ByValue("sex"),), (nodes.ByValue("sex"), nodes.ByValue("region"))])
def test_common_questions_have_a_fused_loop(
    shape: type[shapes.Shape] | None, select: dict[str, nodes.Statistic], keys: tuple[nodes.Key, ...]
) -> None:
    """Counts, sums and means, by any keys, are in the shapes that have loops of their own."""
    plan = planned(*keys, **select)
    if shape is None:
        assert not fused.fits(plan)
    else:
        assert fused.fits(plan)
        alone = not keys and select == {"n": nodes.Count("events")}
        assert type(shapes.of(plan, EVERYBODY)) is (shapes.EventsAlone if alone else shape)


def test_codes_beyond_every_table_have_no_cell() -> None:
    """A code that no catalog declares, in one key or in all, belongs nowhere, whatever the other keys say."""
    keys = [nodes.ByValue(name) for name in ("sex", "region", "unit", "urgent")]
    plan = planned(*keys, cells=9, events=9, n=nodes.Count("events"), p=nodes.Count("persons"))
    sizes = [key.column.size for key in plan.keys]
    for codes in itertools.product(*((1, size, size + 1, 255) for size in sizes)):
        batch = {key.column.name: np.array([code], dtype=np.uint8) for key, code in zip(plan.keys, codes, strict=True)}
        expected = int(all(code <= size for code, size in zip(codes, sizes, strict=True)))
        for cells in kernel.bound(plan, [(np.zeros(1, dtype=np.int32), batch)]):
            assert cells.sum() == expected, codes


def test_the_keys_of_these_tests_use_both_ways_to_find_a_cell() -> None:
    """Some keys look cells up in a table and some search edges, so that both loops are compared."""
    tables = [planned(key, s=nodes.Count("events")).keys[0].table() for key in KEYS]
    assert any(table is None for table in tables)
    assert sum(table is not None for table in tables) > 1
    assert TABLE.columns["wide"].size > TABLE_MAX


def visits(*persons: int) -> list[Event]:
    """Return one event for each person number, all in one cell."""
    return [Event(person, (1,) * len(COLUMNS)) for person in persons]


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("persons", [(5, 4), (0, 1, 0), (3, 3, 7, 7, 6), (0, 9, 9, 9, 0), (1, 2, 3, 4, 5, 6, 7, 0)])
def test_a_stream_that_returns_to_an_earlier_person_is_refused(persons: tuple[int, ...], batch: int) -> None:
    """Within a batch and across batches a falling person number ends the query, with one constant text."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("persons"))
    with pytest.raises(EngineFailed, match=r"^the store's stream is not ordered by person; import"):
        bounded(plan, visits(*persons), batch)


@pytest.mark.parametrize("select", [select for _, select in SHAPES])
@given(st.lists(st.integers(0, 4), min_size=2, max_size=12), st.integers(1, 5))
def test_every_shape_refuses_a_stream_out_of_order(
    select: dict[str, nodes.Statistic], persons: list[int], batch: int
) -> None:
    """Both ways to add up: what is not in order never gives cells."""
    plan = planned(nodes.ByValue("sex"), **select)
    for made in (kernel.accumulator, passes.Accumulator):
        found = made(plan)
        if persons == sorted(persons):
            for person, codes in stream(visits(*persons), batch, plan.conditions):
                found.take(person, codes)
            continue
        with pytest.raises(EngineFailed):
            for person, codes in stream(visits(*persons), batch, plan.conditions):
                found.take(person, codes)


def test_a_stream_out_of_order_is_refused_though_no_event_counts() -> None:
    """Events that fall into no cell are held to the order too: the bound must not depend on where they fall."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("persons"))
    nowhere = [Event(person, (0,) * len(COLUMNS)) for person in (4, 2)]
    with pytest.raises(EngineFailed):
        bounded(plan, nowhere)


def test_equal_numbers_in_two_batches_are_one_person() -> None:
    """A person whose events are cut by the end of a batch keeps the bounds they used up."""
    plan = planned(nodes.ByValue("unit"), cells=1, events=2, n=nodes.Count("events"), p=nodes.Count("persons"))
    for batch in range(1, 8):
        rows, persons = bounded(plan, visits(0, 0, 0, 0, 0, 7, 7), batch)
        assert (rows.sum(), persons.sum()) == (4, 2)


def test_the_first_events_count_and_later_ones_do_not() -> None:
    """Of a person's events the first cells and the first in each cell count."""
    plan = planned(nodes.ByValue("unit"), cells=2, events=1, total=nodes.Sum("visits"))
    place = {name: COLUMNS.index(name) for name in ("unit", "visits")}

    def event(unit: int, visits: int) -> Event:
        codes = [1] * len(COLUMNS)
        codes[place["unit"]], codes[place["visits"]] = unit, visits + 1
        return Event(0, tuple(codes))

    (total,) = bounded(plan, [event(3, 5), event(1, 2), event(3, 9), event(2, 7), event(1, 1)])
    assert total.tolist() == [2, 0, 5, 0]


@given(plans(), streams(), st.lists(st.integers(0, 10), max_size=4), st.integers(1, 20))
def test_parts_add_up_to_the_whole(plan: Plan, events: list[Event], cuts: list[int], batch: int) -> None:
    """Cutting the persons into any ranges, empty ones too, changes no cell."""
    edges = [0, *sorted(cuts), 2**31]
    ranges = [range(first, stop) for first, stop in itertools.pairwise(edges)]

    def part(_plan: Plan, persons: range) -> kernel.Stream:
        return stream([event for event in events if event.person in persons], batch, plan.conditions)

    cells = kernel.bound_in_parts(plan, ranges, part)
    assert [one.tolist() for one in cells] == reference(plan, events)
    assert all(one.dtype == np.int64 for one in cells)


@pytest.mark.parametrize("persons", [(4,), (4, 5), (3, 6), (5, 10), (10,), (9, 11), (5, 6, 7, 12)])
@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_stream_with_a_person_of_another_range_is_refused(persons: tuple[int, ...], batch: int) -> None:
    """A person whom another stream counts too would escape the bounds: from 5 to 9 means neither 4 nor 10."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("persons"))
    with pytest.raises(EngineFailed):
        kernel.bound(plan, stream(visits(*persons), batch), range(5, 10))


def test_a_stream_of_its_own_range_is_counted() -> None:
    """The first and the last person of a range belong to it."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("persons"))
    assert kernel.bound(plan, stream(visits(5, 5, 7, 9)), range(5, 10))[0].tolist() == [3, 0]


def test_a_failure_in_one_part_fails_the_whole() -> None:
    """No answer is made of the parts that went well."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("persons"))
    parts = {0: visits(0, 1), 5: visits(7, 6)}
    with pytest.raises(EngineFailed):
        kernel.bound_in_parts(plan, [range(5), range(5, 10)], lambda _, persons: stream(parts[persons.start]))


def test_batches_of_no_events_change_nothing() -> None:
    """An engine may hand over empty batches."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("events"))
    person, batch = next(stream(visits(0)))
    empty = (person[:0], {name: column[:0] for name, column in batch.items()})
    (cells,) = kernel.bound(plan, [empty, (person, batch), empty])
    assert cells.tolist() == [1, 0]


def test_sums_at_the_widest_bounds_are_exact() -> None:
    """Units near 2^33 over many persons add up without rounding and without overflow."""
    plan = planned(events=3, total=nodes.Sum("wide"), low=nodes.Sum("wide"))
    last = TABLE.columns["wide"].size
    wide = COLUMNS.index("wide")
    events = [
        Event(person, tuple(last if place == wide else 1 for place in range(len(COLUMNS))))
        for person in range(20_000)
        for _ in range(3)
    ]
    assert bounded(plan, events)[0].tolist() == [60_000 * 2**33]


@pytest.mark.parametrize("code_type", passes.CODE_TYPES)
def test_every_stored_type_gives_the_same_cells(code_type: type[np.generic]) -> None:
    """The four integer types of the store are four compilations of one definition."""
    plan = planned(
        nodes.ByValue("region"),
        nodes.ByBins("visits", (0, 3, 9)),
        cells=6,
        events=2,
        total=nodes.Sum("visits", (1, 7)),
        average=nodes.Mean("visits"),
    )
    events = [
        Event(person, tuple(min(code, largest_code(TABLE.columns[name])) for name in COLUMNS))
        for person, code in itertools.product(range(3), range(11))
    ]
    person, batch = next(stream(events))
    cast = {name: column.astype(code_type) for name, column in batch.items() if name in ("region", "visits")}
    cells = kernel.bound(plan, [(person, cast)])
    assert [one.tolist() for one in cells] == reference(plan, events)


def test_warming_compiles_without_touching_a_query() -> None:
    """Warming may be called at any time, twice too, and leaves later answers as they are."""
    plan = planned(n=nodes.Count("events"))
    before = bounded(plan, visits(0, 1))[0].tolist()
    kernel.warm()
    kernel.warm()
    assert bounded(plan, visits(0, 1))[0].tolist() == before == [2]
