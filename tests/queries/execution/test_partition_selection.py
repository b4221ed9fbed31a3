"""A key without declared values: its plan, its refusals, the kernel's scores, and which values are named in what order."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries import mechanisms
from queries.binding.query import VALUES_ROOM
from queries.catalog.schema import PERSONS
from queries.contribution import bounds
from queries.errors import EngineFailed, ImportFailed, InvalidQuery
from queries.execution import partition_selection
from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine
from queries.language import nodes
from queries.mechanisms import DiscreteGaussian, DiscreteLaplace
from queries.planning import fingerprint
from queries.release import assembly
from queries.store import staging
from tests.queries.sources import rows
from tests.queries.wards import (
    ATTO,
    NANO,
    Event,
    bounded,
    event,
    given,
    hospital_store,
    look_up,
    named,
    planned,
    reference,
    scored,
    scores_over,
    stream,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from queries.plan import Plan

CERTAIN = 10**4 * NANO  # so large an epsilon that there is no noise


def random_events(random: np.random.Generator, persons: int, most: int, codes: int = 9) -> list[Event]:
    """Return events of some persons, rich in nulls and repeated values."""
    return [
        event(
            person,
            origin=person % 4,
            sex=1 + person % 2,
            ward=int(random.integers(0, 4)),
            unit=int(random.integers(0, 3)),
            diagnosis=int(random.integers(0, codes)),
            doctor=int(random.integers(0, codes)),
            visits=int(random.integers(1, 11)),
        )
        for person in range(persons)
        for _ in range(int(random.integers(0, most + 1)))
    ]


# The plan


@pytest.mark.parametrize(
    ("keys", "table", "cells", "values_per_person"),
    [
        (("diagnosis",), "stays", 3, 3),
        (("diagnosis", "ward"), "stays", 7, 7),
        (("sex", "diagnosis"), "stays", None, bounds.DEFAULT_CELLS_PER_PERSON),
        (("origin",), "stays", 5, 1),
        (("origin", "ward"), "stays", 3, 1),
        (("origin",), PERSONS, 5, 1),
    ],
)
def test_a_person_counts_for_as_many_values_as_cells(
    keys: tuple[str, ...], table: str, cells: int | None, values_per_person: int
) -> None:
    """The threshold's noise is made for cells_per_person values, and for one where the column is the person's own."""
    one = planned(*keys, table=table, cells=cells)
    assert one.listing is not None
    assert one.listing.values_per_person == one.listing.mechanism.keys_per_person == values_per_person
    noise = one.listing.mechanism.noise
    assert isinstance(noise, DiscreteLaplace)
    assert noise.sensitivity_l1 == values_per_person
    assert one.keys[one.listing.key].named == ()


def test_an_attribute_of_the_person_leaves_them_one_cell() -> None:
    """Where every key is the person's own, they fall into one cell, and the null cell is not another."""
    assert planned("origin", "sex", cells=9).cells_per_person == 1
    assert planned("origin", "ward", cells=9).cells_per_person == 4
    assert planned("diagnosis", "ward", cells=9).cells_per_person == 9


@pytest.mark.parametrize("statistics", [1, 2, 3])
def test_the_naming_has_a_share_like_a_statistic(statistics: int) -> None:
    """Epsilon is split evenly, delta is the naming's alone, and the cost is within both."""
    select: dict[str, nodes.Statistic] = {f"s{place}": nodes.Count("events") for place in range(statistics)}
    one = planned("diagnosis", epsilon_nano=NANO, cells=2, **select)
    assert one.listing is not None
    shares = [one.listing.mechanism.epsilon_nano, *(measure.mechanism.epsilon_nano for measure in one.measures)]
    assert all(share is not None and abs(share - NANO // (statistics + 1)) <= 1 for share in shares)
    assert one.cost.epsilon is not None
    assert Fraction(NANO - 2 * statistics, NANO) <= one.cost.epsilon <= 1
    assert one.cost.delta == Fraction(one.listing.mechanism.delta_atto, ATTO) <= Fraction(1, 10**8)


def test_rho_buys_gaussian_noise_where_it_is_smaller() -> None:
    """A query has one kind of noise, the threshold's included; many cells per person make it Gaussian."""
    wide = planned("diagnosis", rho_nano=NANO // 10, cells=50)
    assert wide.listing is not None
    assert isinstance(wide.listing.mechanism.noise, DiscreteGaussian)
    assert wide.listing.mechanism.name == "discrete_gaussian_threshold"
    assert wide.cost.epsilon is None
    assert wide.cost.rho <= Fraction(1, 10)
    narrow = planned("origin", rho_nano=2 * NANO, delta_atto=ATTO // 1000)
    assert narrow.listing is not None
    kinds = {narrow.listing.mechanism.noise.name, *(measure.mechanism.name for measure in narrow.measures)}
    assert len(kinds) == 1
    assert narrow.cost.rho <= 2


def test_the_threshold_is_the_least_that_delta_pays_for() -> None:
    """One less would be charged more than was asked for; twice the delta never needs a higher one."""
    before = 10**9
    for exponent in (15, 12, 8, 5, 2):
        one = planned("diagnosis", delta_atto=ATTO // 10**exponent, cells=3).listing
        assert one is not None
        mechanism = one.mechanism
        assert mechanism.delta_atto <= ATTO // 10**exponent
        lower = mechanisms._delta_atto(mechanism.noise, 3, mechanism.threshold - 1)
        assert lower > ATTO // 10**exponent
        assert mechanism.threshold < before
        before = mechanism.threshold


def test_the_price_is_part_of_the_question() -> None:
    """Another delta is another question; another spelling of the same is not; a threshold is part of it."""
    one = planned("diagnosis", cells=3)
    assert fingerprint.of(one) == fingerprint.of(planned("diagnosis", cells=3))
    assert fingerprint.of(one) != fingerprint.of(planned("diagnosis", cells=3, delta_atto=ATTO // 10**9))
    assert fingerprint.of(one) != fingerprint.of(planned("diagnosis", cells=3, cells_max=10_000))
    assert "named" in fingerprint.of(planned("ward", delta_atto=None))


def test_what_is_said_beforehand_does_not_depend_on_data() -> None:
    """The columns tell mechanism, scale and threshold of the key; a note says what it means."""
    one = planned("ward", nodes.ByValue("diagnosis", "what"), cells=3)
    assert one.listing is not None
    ward, what, _ = assembly.columns(one)
    assert ward == {"name": "ward", "kind": "key"}
    assert what == {
        "name": "what",
        "kind": "key",
        "mechanism": "discrete_laplace_threshold",
        "scale": one.listing.mechanism.scale,
        "threshold": one.listing.mechanism.threshold,
    }
    assert any(f"at least {one.listing.mechanism.threshold}" in note and "what has no" in note for note in one.notes)
    assert any("10 of the cells" in note for note in planned("diagnosis").notes)


@pytest.mark.parametrize(
    ("changes", "keys", "pointer", "words"),
    [
        ({"delta_atto": None}, ("diagnosis",), "/privacy/delta", '"delta": 1e-8'),
        ({"delta_atto": None, "rho_nano": 10**8}, ("ward", "origin"), "/privacy/delta", "left of it is in its budget"),
        ({}, ("ward",), "/privacy/delta", "nothing in this query costs delta"),
        ({}, (), "/privacy/delta", "nothing in this query costs delta"),
        ({}, ("diagnosis", "ward", "doctor"), "/query/group_by/2", "one such key"),
        ({}, ("diagnosis", nodes.ByValue("diagnosis", "again")), "/query/group_by/1", "one such key"),
        ({}, (nodes.ByBins("diagnosis", ("a", "b")),), "/query/group_by/0/bins", "no order"),
        ({}, (nodes.ByPeriod("diagnosis", "year"),), "/query/group_by/0/period", "not a date"),
        ({"delta_atto": 100}, ("diagnosis",), "/privacy/delta", "give more than 1.1e-15"),
        ({"epsilon_nano": 1}, ("diagnosis",), "/privacy/epsilon", "so small"),
        ({"epsilon_nano": 2, "cells": 2**31 - 1}, ("diagnosis",), "/privacy/epsilon", "overflow"),
        ({"cells_max": 1000}, ("diagnosis", "ward", "visits"), "/query/group_by", "at most 10 fit"),
    ],
)
def test_partition_selection_fault_refused_with_its_place(
    changes: dict[str, Any], keys: tuple[str | nodes.Key, ...], pointer: str, words: str
) -> None:
    """Delta that is missing or not needed, a second such key, too little to spend: refused from the request alone."""
    with pytest.raises(InvalidQuery) as refused:
        planned(*keys, **changes)
    assert refused.value.pointer == pointer
    assert words in refused.value.message


@pytest.mark.parametrize("statistic", [nodes.Top("diagnosis", 3), nodes.Histogram("diagnosis")])
def test_statistics_over_undeclared_values_point_to_the_key(statistic: nodes.Statistic) -> None:
    """The most frequent of secret values, or all of them, are no statistic: the hint says to group by them."""
    with pytest.raises(InvalidQuery, match="group by it instead") as refused:
        planned("ward", delta_atto=None, s=statistic)
    assert refused.value.pointer == f"/query/select/s/{nodes.word_of(statistic)}"


def test_there_is_room_for_a_hundred_values_whatever_else_is_asked() -> None:
    """The numbers of an answer stay within the limit, and the widest statistic leaves room for 100 values."""
    for statistic in (nodes.Count("events"), nodes.Quantile("visits", (0.5,)), nodes.Histogram("ward")):
        one = planned("diagnosis", "unit", cells_max=3_300, s=statistic)
        assert one.listing is not None
        widest = max(measure.width for measure in one.measures)
        assert one.listing.values_max >= VALUES_ROOM - 1
        assert (one.listing.values_max + 1) * one.cells * widest <= 3_300


# The key


def test_a_named_code_has_its_own_cell_and_all_others_have_none() -> None:
    """The plain definition and the table agree, for codes beyond the table too, and null stands last."""
    for column in ("diagnosis", "doctor"):
        key = given(planned(column), 7, 3, 12).keys[0]
        assert key.named == tuple(sorted((7, 3, 12), key=text))
        assert key.size == 3 + key.null
        table = key.table()
        assert table is not None
        for code in range(20):
            assert key.index(code) == (table[code] if code < len(table) else -1)
        assert sorted(key.index(code) for code in (7, 3, 12)) == [0, 1, 2]
        assert key.every_label() == [*sorted(map(text, (7, 3, 12))), *([None] if key.null else [])]
        assert [key.label(place) for place in range(key.size)] == key.every_label()


def test_codes_beyond_the_table_fall_into_no_cell() -> None:
    """The kernel reads no memory beyond the table of the named codes."""
    one = given(planned("doctor", cells=5), 2)
    events = [event(0, doctor=2), event(0, doctor=2**32 - 1), event(1, doctor=3), event(2, doctor=2)]
    assert [cells.tolist() for cells in bounded(one, events)] == [[2]]


# The scores


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "keys", [("diagnosis",), ("doctor", "unit"), ("ward", "origin"), ("unit", "diagnosis", "ward")]
)
def test_the_kernel_counts_as_plain_python_does(seed: int, keys: tuple[str, ...]) -> None:
    """Persons by value, within the bound, over the events that fall into a cell of the other keys."""
    random = np.random.default_rng(seed)
    one = planned(*keys, cells=int(random.integers(1, 6)))
    events = random_events(random, persons=25, most=15)
    expected = reference(one, events)
    assert expected
    for batch in (1, 7, 65_536):
        assert scored(one, events, batch) == expected


def test_null_is_no_value_and_takes_up_no_room() -> None:
    """Events without a value are not counted, and a person has their whole bound for the others."""
    one = planned("diagnosis", cells=1)
    assert scored(one, [event(0, diagnosis=0), event(0, diagnosis=5), event(0, diagnosis=6)]) == {5: 1}


def test_an_event_outside_the_other_keys_counts_for_no_value() -> None:
    """A unit that is null falls into no cell, so it makes no value worth naming."""
    one = planned("diagnosis", "unit", cells=3)
    assert scored(one, [event(0, diagnosis=4, unit=0), event(1, diagnosis=4, unit=2)]) == {4: 1}


def test_a_stream_in_disorder_or_of_other_persons_is_refused() -> None:
    """A person who was passed would escape the bound, and one of another range would count twice."""
    one = planned("diagnosis", cells=3)
    with pytest.raises(EngineFailed):
        scored(one, [event(3), event(2)])
    with pytest.raises(EngineFailed):
        scored(one, [event(3), event(2)], batch=1)
    for person in (4, 10):
        scores = partition_selection.Scores(one, range(5, 10))
        with pytest.raises(EngineFailed):
            scores.take(*next(iter(stream([event(person)]))))
    partition_selection.Scores(one, range(5, 10)).take(*next(iter(stream([event(5), event(9)]))))


@pytest.mark.parametrize("edges", [(0, 30), (0, 1, 30), (0, 7, 8, 20, 30), (0, 29, 30)])
def test_ranges_of_persons_add_up(edges: tuple[int, ...]) -> None:
    """Scores of disjoint ranges, each with codes of its own, add up to those of the whole; so do the named cells."""
    events = [
        event(person, diagnosis=1 + code, doctor=1 + (person * 37 + code) % 50)
        for person in range(30)
        for code in range(person % 5)
    ]
    ranges = [range(low, high) for low, high in itertools.pairwise(edges)]

    def stream_of(_plan: Plan, persons: range) -> Any:
        return stream([one for one in events if one.person in persons], batch=3)

    for column in ("diagnosis", "doctor"):
        one = planned(column, cells=3)
        codes, counts = partition_selection.scored(partition_selection.persons_by_code(one, ranges, stream_of))
        assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == scored(one, events) == reference(one, events)


# What is named


def rows_of(one: Plan, events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return the rows of an answer."""
    filled = named(one, events)
    return assembly.rows(filled, assembly.add_noise(filled, bounded(filled, events)))


def crowd(**persons: int) -> list[Event]:
    """Return persons with one event each: so many with diagnosis N as `dN` says."""
    codes = [int(name[1:]) for name, count in persons.items() for _ in range(count)]
    return [event(person, diagnosis=code, ward=1 + person % 3) for person, code in enumerate(codes)]


def test_values_that_pass_are_listed_in_the_order_of_their_texts() -> None:
    """Every combination with the other keys is there, empty ones too; null's rows stand last; the rest leaves no trace."""
    found = rows_of(planned("diagnosis", "ward", epsilon_nano=CERTAIN, cells=1), crowd(d5=40, d2=30, d9=1, d3=50, d0=4))
    # Without noise a count of 1 is under the least threshold.
    texts = [*sorted(map(text, (5, 2, 3))), None]
    assert [(row["diagnosis"], row["ward"]) for row in found] == [(t, w) for t in texts for w in ("A", "B", "C", None)]
    sums = {t: sum(row["n"]["value"] for row in found if row["diagnosis"] == t) for t in texts}
    assert sums == {text(5): 40, text(2): 30, text(3): 50, None: 4}


def test_what_is_too_much_is_cut_to_the_largest_with_a_note() -> None:
    """Of more values than fit, those with the most persons stay, and equals in the order of their texts."""
    one = planned("diagnosis", epsilon_nano=CERTAIN, cells=1)
    assert one.listing is not None
    tight = replace(one, listing=replace(one.listing, values_max=3))
    events = crowd(d5=40, d2=30, d9=90, d3=30, d4=30)
    filled = named(tight, events)
    first = min((2, 3, 4), key=text)
    assert filled.keys[0].every_label() == [*sorted(map(text, (5, 9, first))), None]
    assert "5 values of diagnosis passed the threshold" in filled.notes[-1]
    assert "the 3 with the largest" in filled.notes[-1]
    assert filled.cells == 4
    assert named(one, events).notes == one.notes


def test_numbers_of_codes_do_not_matter() -> None:
    """The same data under other codes give the same rows: neither order nor choice tells of the dictionary."""
    events = crowd(d5=40, d2=30, d9=90, d3=30, d4=30)
    one = planned("diagnosis", "ward", epsilon_nano=CERTAIN, cells=1)
    assert one.listing is not None
    one = replace(one, listing=replace(one.listing, values_max=3))
    renumbered = {5: 2, 2: 77, 9: 3, 3: 5, 4: 1}
    back = {new: old for old, new in renumbered.items()}
    moved = [Event(e.person, {**e.codes, "diagnosis": renumbered[e.code("diagnosis")]}) for e in events]
    filled = partition_selection.name_values(
        one, scores_over(moved), lambda _t, _c, codes: {c: text(back[c]) for c in codes}
    )
    assert assembly.rows(filled, assembly.add_noise(filled, bounded(filled, moved))) == rows_of(one, events)


def test_texts_are_looked_up_only_for_values_that_passed() -> None:
    """Nothing but released codes reaches the dictionary."""
    asked: list[list[int]] = []

    def recorded(table: Any, column: Any, codes: Sequence[int]) -> dict[int, str]:
        asked.append(sorted(codes))
        return look_up(table, column, codes)

    events = crowd(d5=4000, d2=1, d9=3000, d3=2)
    partition_selection.name_values(planned("diagnosis", cells=1), scores_over(events), recorded)
    assert asked == [[5, 9]]


STATISTICS: dict[str, nodes.Statistic] = {
    "people": nodes.Count("persons"),
    "total": nodes.Sum("visits"),
    "average": nodes.Mean("visits"),
    "spread": nodes.Stddev("visits"),
    "middle": nodes.Quantile("visits", (0.25, 0.5), listed=True),
    "apart": nodes.Iqr("visits"),
    "wards": nodes.Histogram("ward"),
    "often": nodes.Top("ward", 2),
    "share": nodes.Proportion(nodes.Comparison("ward", "=", "A")),
}


def test_an_empty_dataset_has_a_typed_answer() -> None:
    """Without any event no value is named: no rows where null has no cell, and only null's where it has one."""
    assert rows_of(planned("doctor", **STATISTICS), []) == []
    assert rows_of(planned("doctor", "ward", **STATISTICS), []) == []
    (row,) = rows_of(planned("diagnosis", **STATISTICS), [])
    assert row["diagnosis"] is None
    assert set(row) == {"diagnosis", *STATISTICS}
    assert isinstance(row["people"]["value"], int)


def test_a_plan_without_such_a_key_stays_as_it_is() -> None:
    """Nothing is scanned for a query whose keys are all declared."""
    one = planned("ward", delta_atto=None)

    def unwanted(*_: Any) -> Any:
        raise AssertionError

    assert partition_selection.name_values(one, unwanted, unwanted) is one


# Through a store


def test_the_journey_through_store_and_engine(tmp_path: Path) -> None:
    """Filters, a person's own column, both tables: the texts of the source come out, with their numbers of persons."""
    events = [
        event(person, origin=person % 3, diagnosis=1 + person % 7, doctor=1 + person, ward=1 + person % 2)
        for person in range(400)
    ]
    store = Store(hospital_store(tmp_path, events), memory_limit="200MB", threads=2, query_seconds=60)
    engine = LocalEngine([store])
    asked: list[tuple[Plan, list[str | None]]] = [
        (planned("diagnosis", epsilon_nano=CERTAIN), [*sorted(map(text, range(1, 8))), None]),
        (
            planned("diagnosis", epsilon_nano=CERTAIN, where=nodes.Comparison("diagnosis", "in", (text(2), text(5)))),
            [*sorted((text(2), text(5))), None],
        ),
        (planned("doctor", epsilon_nano=CERTAIN), []),
        (planned("origin", epsilon_nano=CERTAIN), [*sorted((text(1), text(2))), None]),
        (planned("origin", epsilon_nano=CERTAIN, table=PERSONS), [*sorted((text(1), text(2))), None]),
    ]
    try:
        for one, labels in asked:
            filled = partition_selection.name_values(one, engine.scores, engine.texts)
            assert filled.keys[0].every_label() == labels
            found = engine.cells(filled)
            expected = [
                sum(e.code(one.keys[0].column.name) == code for e in events)
                for code in sorted((c for c in range(1, 500) if text(c) in labels), key=text)
            ]
            assert found[0].tolist()[: len(expected)] == expected
    finally:
        engine.close()


def test_more_texts_than_one_look_up_takes(tmp_path: Path) -> None:
    """Texts are looked up in pieces; a store that cannot be read says no more than that."""
    events = [event(person, doctor=1 + person) for person in range(2_345)]
    path = hospital_store(tmp_path, events)
    engine = Store(path, memory_limit="200MB", threads=2, query_seconds=60)
    one = planned("doctor")
    try:
        codes = [code for (code,) in rows(path, "SELECT DISTINCT doctor FROM stays")]
        found = engine.texts(one.table, one.keys[0].column, codes)
        assert sorted(found) == sorted(codes)
        assert set(found.values()) == {text(1 + person) for person in range(2_345)}
        assert engine.texts(one.table, one.keys[0].column, []) == {}
        with pytest.raises(EngineFailed):
            engine.texts(one.table, one.table.columns["ward"], [1])
    finally:
        engine.close()


def test_an_import_of_too_many_texts_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of texts is bounded where only the custodian sees it."""
    events = [event(person, doctor=1 + person) for person in range(20)]
    monkeypatch.setattr(staging, "TEXTS_MAX", 20)
    hospital_store(tmp_path, events)
    monkeypatch.setattr(staging, "TEXTS_MAX", 19)
    with pytest.raises(ImportFailed, match=r"stays\.doctor holds 20 different texts"):
        hospital_store(tmp_path, events)
