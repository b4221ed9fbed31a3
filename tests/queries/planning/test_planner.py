from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from queries import plan
from queries.catalog.schema import PERSONS, Column, Dataset, Kind, Table, frozen
from queries.errors import InvalidQuery
from queries.execution import kernel
from queries.language import nodes
from queries.plan import Counted
from queries.planning import fingerprint, planner
from tests.queries.clinic import CLINIC, NANO, TABLE, URGENT, plan_of, planned

COUNT = (("n", nodes.Count("events")),)
PRIVACY = nodes.Privacy(NANO)


# Bounds and sensitivities


def test_a_person_falls_into_one_cell_of_their_own_attributes() -> None:
    """Keys that are attributes of the person need no bound on cells, however many cells there are."""
    one = planned(nodes.ByValue("sex"), nodes.ByValue("birth_year"), cells=50, n=nodes.Count("persons"))
    assert one.cells == 22
    assert one.cells_per_person == 1
    assert one.measures[0].mechanism.sensitivity_l1 == 1


def test_a_query_without_keys_has_one_cell() -> None:
    """The whole table is one cell, and a person is in it once."""
    one = planned(cells=50, n=nodes.Count("persons"))
    assert (one.cells, one.cells_per_person, one.events_per_cell) == (1, 1, 1)


def test_cells_per_person_is_never_more_than_a_person_can_reach() -> None:
    """Only keys of the event spread a person over cells: 2 sexes by 4 regions are 4 cells within reach."""
    one = planned(nodes.ByValue("sex"), nodes.ByValue("region"), cells=50, events=3, n=nodes.Count("events"))
    assert (one.cells, one.cells_per_person) == (8, 4)
    assert one.measures[0].mechanism.sensitivity_l1 == 12


def test_the_table_of_persons_needs_no_bounds() -> None:
    """One row per person: one cell and one event, whatever was asked, and nothing to note."""
    one = planned(nodes.ByValue("birth_year"), table=PERSONS, cells=9, events=9, n=nodes.Count("events"))
    assert (one.cells_per_person, one.events_per_cell, one.notes) == (1, 1, ())
    assert one.measures[0].mechanism.sensitivity_l1 == 1


@pytest.mark.parametrize(
    ("asked", "declared", "expected"),
    [
        ((None, None), (None, None), (4, 10)),
        ((None, None), (2, 5), (2, 5)),
        ((3, 7), (2, 5), (3, 7)),
        ((None, 7), (2, None), (2, 7)),
        ((99, 1000), (None, None), (4, 1000)),
    ],
)
def test_bounds_are_the_querys_then_the_tables_then_the_default(
    asked: tuple[int | None, int | None], declared: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    """What the researcher says comes first, what the custodian declared second."""
    table = Table("visits", TABLE.columns, "", *declared)
    dataset = replace(CLINIC, tables=frozen({"visits": table}))
    query = nodes.Query("visits", COUNT, None, (nodes.ByValue("region"),), nodes.Bounds(*asked))
    one = plan_of(query, dataset=dataset)
    assert (one.cells_per_person, one.events_per_cell) == expected


def test_bounds_that_nobody_gave_are_noted() -> None:
    """The answer says where defaults cut contributions off, and says nothing where they cannot."""
    many = planned(nodes.ByValue("region"), nodes.ByValue("unit"), n=nodes.Count("events"))
    assert [note.partition(" ")[0] for note in many.notes] == ["cells_per_person", "events_per_cell"]
    few = planned(nodes.ByValue("region"), n=nodes.Count("events"))
    assert [note.partition(" ")[0] for note in few.notes] == ["events_per_cell"]
    assert planned(nodes.ByValue("region"), n=nodes.Count("persons")).notes == ()
    assert (
        planned(nodes.ByValue("region"), nodes.ByValue("unit"), cells=1, events=1, n=nodes.Count("events")).notes == ()
    )


@pytest.mark.parametrize(
    ("statistic", "largest"),
    [
        (nodes.Count("persons"), [1]),
        (nodes.Count("events"), [7]),
        (nodes.Sum("visits"), [7 * 9]),
        (nodes.Sum("visits", (2, 5)), [7 * 5]),
        (nodes.Sum("balance"), [7 * 1000]),
        (nodes.Sum("balance", (-100, 3)), [7 * 400]),
        (nodes.Mean("visits"), [7 * 5, 7]),  # around 4: from -4 to 5
        (nodes.Mean("visits", (0, 2)), [7 * 1, 7]),
        (nodes.Mean("balance"), [7 * 700, 7]),
        (nodes.Count("persons", where=URGENT), [1]),
        (nodes.Count("events", where=URGENT), [7]),
        (nodes.Proportion(URGENT), [7]),
        (nodes.Proportion(URGENT, "persons"), [1]),
        (nodes.Variance("visits"), [7 * 13, 7 * 5, 7]),  # squares from 0 to 25, less 12
        (nodes.Stddev("visits", (0, 2)), [7 * 1, 7 * 1, 7]),
        (nodes.Covariance(("visits", "balance")), [7 * 5 * 700, 7 * 5, 7 * 700, 7]),
        (nodes.Correlation(("visits", "balance")), [7 * 5 * 700, 7 * 13, 7 * 245_000, 7 * 5, 7 * 700, 7]),
        (nodes.Histogram("visits"), [7]),
        (nodes.Histogram("wide", (0, 1, 2)), [7]),
        (nodes.Top("unit", 2), [7]),
        (nodes.Quantile("visits", (0.5,)), [7]),
        (nodes.Quantile("balance", (0.1, 0.9)), [7]),
        (nodes.Iqr("balance"), [7]),
    ],
)
def test_how_much_a_person_moves_a_cell_follows_from_the_bounds(statistic: nodes.Statistic, largest: list[int]) -> None:
    """A sum moves by the greatest magnitude, a mean's sum by half the range, each as often as events count."""
    one = planned(nodes.ByValue("region"), cells=3, events=7, s=statistic)
    assert [measure.largest for measure in one.measures] == largest
    assert [measure.mechanism.sensitivity_l1 for measure in one.measures] == [3 * most for most in largest]


@given(st.integers(-(2**40), 2**40), st.integers(1, 2**41), st.integers(1, 100), st.integers(1, 5))
def test_no_value_is_further_from_the_centre_than_the_sensitivity_says(
    low: int, width: int, events: int, cells: int
) -> None:
    """For any bounds the clamped value of an event moves a measure by at most its share of `largest`."""
    column = Column("v", Kind.INTEGER, low=low, high=low + width)
    region = TABLE.columns["region"]
    dataset = replace(CLINIC, persons_max=1, tables=frozen({"t": Table("t", frozen({"v": column, "region": region}))}))
    select = (("s", nodes.Sum("v")), ("m", nodes.Mean("v")))
    one = plan_of(
        nodes.Query("t", select, None, (nodes.ByValue("region"),), nodes.Bounds(cells, events)), NANO, dataset
    )
    for measure in one.measures:
        assert measure.mechanism.sensitivity_l1 == one.cells_per_person * measure.largest
        if measure.counted is Counted.VALUES:
            (value,) = measure.factors
            ends = [abs(end - value.centre) for end in (value.low, value.high)]
            assert measure.largest == events * max(ends)
        else:
            assert measure.largest == events


# Cost


@given(st.integers(10_000, 20 * NANO), st.integers(1, 5))
def test_epsilon_is_never_exceeded_and_nearly_all_is_spent(epsilon_nano: int, statistics: int) -> None:
    """Whatever the statistics, the sum of what they are charged is within what was asked, and next to nothing less."""
    choice: list[nodes.Statistic] = [nodes.Count("persons"), nodes.Mean("visits")]
    select = tuple((f"s{place}", choice[place % 2]) for place in range(statistics))
    one = plan_of(nodes.Query("visits", select), epsilon_nano)
    paid = [[measure.mechanism.epsilon_nano or 0 for measure in output.measures] for output in one.outputs]
    shares = [sum(parts) for parts in paid]
    assert one.cost.epsilon == Fraction(sum(shares), NANO) <= Fraction(epsilon_nano, NANO)
    assert one.cost.epsilon >= Fraction(epsilon_nano, NANO) * Fraction(999_999, 10**6) - Fraction(10, NANO)
    assert one.cost.rho == sum((Fraction(part, NANO) ** 2 / 2 for parts in paid for part in parts), Fraction(0))
    assert one.cost.delta == 0


def test_the_cost_depends_on_the_request_alone() -> None:
    """Twice the same question costs the same, to the billionth."""
    asked = {"n": nodes.Count("persons"), "m": nodes.Mean("balance")}
    costs = {planned(nodes.ByValue("region"), epsilon_nano=333_333_333, **asked).cost for _ in range(5)}
    assert len(costs) == 1


# Overflow


def wide(persons_max: int, high: int, low: int = 0) -> Dataset:
    """Return a dataset with one column of whole numbers up to `high`."""
    column = Column("v", Kind.INTEGER, low=low, high=high)
    tables = frozen({"t": Table("t", frozen({"v": column}))})
    return Dataset("d", "d", Decimal(1), Decimal(0), persons_max, tables, epsilon_min=Decimal("1e-9"))


def ask(dataset: Dataset, statistic: nodes.Statistic, events: int, epsilon_nano: int = 10**6 * NANO) -> plan.Plan:
    """Plan one statistic over the wide dataset."""
    return plan_of(nodes.Query("t", (("s", statistic),), bounds=nodes.Bounds(1, events)), epsilon_nano, dataset)


@pytest.mark.parametrize(
    ("dataset", "statistic", "events", "planned"),
    [
        (wide(2**21, 2**40 - 1), nodes.Sum("v"), 1, True),
        (wide(2**21, 2**40), nodes.Sum("v"), 2, False),
        (wide(2**22, 2**40), nodes.Sum("v"), 1, False),
        (wide(2**22 - 1, 2**40), nodes.Sum("v"), 1, True),
        (wide(2**22, 2**40), nodes.Mean("v"), 1, True),  # centred: half as much
        (wide(2**22, 2**40), nodes.Mean("v"), 2, False),
        (wide(2**22, 0, -(2**40)), nodes.Sum("v"), 1, False),
        (wide(2**31 - 1, 10), nodes.Count("events"), 2**30, True),
        (wide(2**31 - 1, 10), nodes.Count("events"), 2**31 + 2, False),
    ],
)
def test_a_sum_that_could_overflow_is_refused_before_any_charge(
    dataset: Dataset, statistic: nodes.Statistic, events: int, planned: bool
) -> None:
    """persons_max times what a person can move a cell stays below 2^62, or the plan is refused at its bounds."""
    if planned:
        (measure, *_) = ask(dataset, statistic, events).measures
        assert dataset.persons_max * measure.largest < 2**62
    else:
        with pytest.raises(InvalidQuery, match="could overflow 64 bits") as refused:
            ask(dataset, statistic, events)
        assert refused.value.pointer == "/query/bounds"


@pytest.mark.parametrize(
    "statistic", [nodes.Variance("wide"), nodes.Covariance(("wide", "balance")), nodes.Correlation(("visits", "wide"))]
)
def test_products_that_could_overflow_are_refused_before_any_charge(statistic: nodes.Statistic) -> None:
    """Products of wide values pass 2^62 where their sums do not."""
    with pytest.raises(InvalidQuery, match="could overflow 64 bits") as refused:
        planned(events=30_000, s=statistic)
    assert refused.value.pointer == "/query/bounds"


def test_the_widest_products_that_are_planned_are_exact() -> None:
    """A square may be twice as large as what it adds to a sum: the kernel's 64 bits hold it at the very limit."""
    reach = 2**31 - 2
    column = Column("v", Kind.INTEGER, low=-reach, high=reach)
    dataset = replace(CLINIC, persons_max=1, tables=frozen({"t": Table("t", frozen({"v": column}))}))
    query = nodes.Query("t", (("s", nodes.Variance("v")),), None, (), nodes.Bounds(1, 1))
    one = plan_of(query, 10**6 * NANO, dataset)
    codes = {"v": np.array([column.size], dtype=np.uint32)}
    squares, sums, count = kernel.bound(one, [(np.array([0], dtype=np.int32), codes)])
    assert (squares.tolist(), sums.tolist(), count.tolist()) == ([reach**2 - reach**2 // 2], [reach], [1])


def test_a_statistic_has_no_more_numbers_than_an_answer_may_have() -> None:
    """Cells times bins keep within the limit: leaves get coarser, and what cannot is refused with its place."""
    keys = (nodes.ByValue("visits"), nodes.ByValue("region"))
    fine, coarse = (
        planner.plan(
            nodes.Query("visits", (("q", nodes.Quantile("balance", (0.5,))),), None, keys), CLINIC, PRIVACY, cells
        )
        for cells in (100_000, 4_000)
    )
    assert [measure.width for measure in fine.measures] == [1401]
    assert 90 <= coarse.measures[0].width <= 100
    for statistic, place in (
        (nodes.Quantile("balance", (0.5,)), "quantile"),
        (nodes.Histogram("visits"), "histogram"),
        (nodes.Histogram("visits", (0, 1, 2)), "bins"),
        (nodes.Top("unit", 1), "top"),
        (nodes.Proportion(URGENT), "proportion"),
    ):
        with pytest.raises(InvalidQuery, match="numbers in each cell") as refused:
            planner.plan(nodes.Query("visits", (("s", statistic),), None, keys), CLINIC, PRIVACY, 40)
        assert refused.value.pointer == f"/query/select/s/{place}"


def test_noise_that_could_overflow_is_refused_before_any_charge() -> None:
    """So small an epsilon that 64 scales of noise pass 2^62 is refused, and the next larger power is not."""
    dataset = wide(100, 2**40)
    with pytest.raises(InvalidQuery, match="noise could overflow 64 bits") as refused:
        ask(dataset, nodes.Sum("v"), 1, epsilon_nano=10_000)
    assert refused.value.pointer == "/privacy/epsilon"
    scale = ask(dataset, nodes.Sum("v"), 1, epsilon_nano=100_000).measures[0].mechanism.scale
    assert 64 * scale + 100 * 2**40 < 2**62


def test_noise_and_a_sum_that_could_overflow_together_are_refused_before_any_charge() -> None:
    """A sum that may be half of 2^62, with 64 scales of noise that are more than the other half."""
    dataset, epsilon_nano = wide(2**21, 2**40), 20_000
    assert dataset.persons_max * 2**40 == 2**61 < 64 * 2**40 * NANO / epsilon_nano < 2**62
    with pytest.raises(InvalidQuery, match="noise could overflow 64 bits"):
        ask(dataset, nodes.Sum("v"), 1, epsilon_nano=epsilon_nano)
    assert ask(wide(2**20, 2**40), nodes.Sum("v"), 1, epsilon_nano=2 * epsilon_nano).measures


# One question, one form


SPELLINGS: list[list[nodes.Query]] = [
    [
        nodes.Query("visits", COUNT, where)
        for where in (
            nodes.Comparison("visits", ">", 1),
            nodes.Comparison("visits", ">=", 2.0),
            nodes.Comparison("visits", "between", (2, 9)),
            nodes.Not(nodes.Comparison("visits", "<", 2)),
            nodes.All((nodes.Comparison("visits", ">=", 2), nodes.Comparison("visits", ">", 1.5))),
            nodes.Comparison("visits", "in", (9, 8, 7, 6, 5, 4, 3, 2, 2)),
        )
    ],
    [
        nodes.Query("visits", (("a", nodes.Sum("visits", bounds)), ("b", nodes.Count("persons"))), None, (), given)
        for bounds, given in (
            ((0, 9), nodes.Bounds(1, 10)),
            ((0.0, 9.0), nodes.Bounds(None, None)),
            (None, nodes.Bounds(7, 10)),
        )
    ],
    [
        nodes.Query("visits", COUNT, None, (nodes.ByBins("visits", edges),))
        for edges in ((0, 5, 9), (0.0, 5.0, 9.0), (0, 5.0, 9))
    ],
    [nodes.Query("visits", COUNT, None, (nodes.ByValue("sex"),), nodes.Bounds(cells, 3)) for cells in (None, 1, 5)],
    [
        nodes.Query("visits", select)
        for select in (
            (("a", nodes.Count("events")), ("b", nodes.Count("persons"))),
            (("b", nodes.Count("persons")), ("a", nodes.Count("events"))),
        )
    ],
    [nodes.Query("visits", COUNT, None, (key,)) for key in (nodes.ByValue("sex"), nodes.ByValue("sex", "sex"))],
]


@pytest.mark.parametrize("spellings", SPELLINGS)
def test_spellings_of_one_question_share_their_canonical_form(spellings: list[nodes.Query]) -> None:
    """However it is written, the same question at the same price is a replay."""
    assert len({fingerprint.of(plan_of(query)) for query in spellings}) == 1


BASE = nodes.Query(
    "visits",
    (("n", nodes.Sum("visits", (0, 5))),),
    nodes.Comparison("visits", ">", 1),
    (nodes.ByBins("balance", (0, 10, 20)),),
    nodes.Bounds(2, 3),
)
DIFFERENT: list[nodes.Query] = [
    *(
        replace(BASE, select=(("n", statistic),))
        for statistic in (
            nodes.Sum("visits", (0, 5), where=URGENT),
            nodes.Sum("visits", (0, 5), where=nodes.Not(URGENT)),
            nodes.Count("persons", where=URGENT),
            nodes.Proportion(URGENT),
            nodes.Proportion(URGENT, "persons"),
            nodes.Proportion(nodes.Not(URGENT)),
            nodes.Variance("visits", (0, 5)),
            nodes.Variance("visits", (0, 6)),
            nodes.Stddev("visits", (0, 5)),
            nodes.Quantile("visits", (0.5,), (0, 5)),
            nodes.Quantile("visits", (0.5,), (0, 5), listed=True),
            nodes.Quantile("visits", (0.6,), (0, 5)),
            nodes.Quantile("visits", (0.5, 0.6), (0, 5), listed=True),
            nodes.Quantile("visits", (0.6, 0.5), (0, 5), listed=True),
            nodes.Quantile("visits", (0.5,), (0, 6)),
            nodes.Quantile("visits", (0.25, 0.75), (0, 5), listed=True),
            nodes.Iqr("visits", (0, 5)),
            nodes.Iqr("visits", (0, 6)),
            nodes.Histogram("visits"),
            nodes.Histogram("visits", (0, 5)),
            nodes.Histogram("visits", (0, 5, 6)),
            nodes.Top("visits", 1),
            nodes.Top("visits", 2),
            nodes.Covariance(("visits", "balance")),
            nodes.Covariance(("balance", "visits")),
            nodes.Covariance(("visits", "balance"), ((0, 5), (0, 10))),
            nodes.Correlation(("visits", "balance")),
        )
    ),
    replace(BASE, select=(("m", nodes.Sum("visits", (0, 5))),)),
    replace(BASE, select=(("n", nodes.Sum("visits", (0, 6))),)),
    replace(BASE, select=(("n", nodes.Sum("visits", (1, 5))),)),
    replace(BASE, select=(("n", nodes.Sum("balance", (0, 5))),)),
    replace(BASE, select=(("n", nodes.Mean("visits", (0, 5))),)),
    replace(BASE, select=(("n", nodes.Count("events")),)),
    replace(BASE, select=(("n", nodes.Count("persons")),)),
    replace(BASE, select=(*BASE.select, ("m", nodes.Count("persons")))),
    replace(BASE, where=None),
    replace(BASE, where=nodes.Comparison("visits", ">", 2)),
    replace(BASE, where=nodes.Comparison("visits", "<=", 1)),
    replace(BASE, where=nodes.Comparison("visits", "is_null")),
    replace(BASE, where=nodes.Comparison("diagnosis", "=", "a")),
    replace(BASE, where=nodes.Comparison("diagnosis", "!=", "a")),
    replace(BASE, where=nodes.Comparison("diagnosis", "=", "b")),
    replace(BASE, group_by=()),
    replace(BASE, group_by=(nodes.ByBins("balance", (0, 10)),)),
    replace(BASE, group_by=(nodes.ByBins("balance", (0, 10, 20.25)),)),
    replace(BASE, group_by=(nodes.ByBins("balance", (0, 10, 20), "other"),)),
    replace(BASE, group_by=(nodes.ByBins("wide", (0, 10, 20)),)),
    replace(BASE, group_by=(nodes.ByValue("visits"),)),
    replace(BASE, group_by=(nodes.ByPeriod("day", "year"),)),
    replace(BASE, group_by=(nodes.ByPeriod("day", "month"),)),
    replace(BASE, group_by=(nodes.ByPart("day", "month"),)),
    replace(BASE, group_by=(nodes.ByPart("day", "week"),)),
    replace(BASE, group_by=(nodes.ByWidth("balance", 10),)),
    replace(BASE, group_by=(nodes.ByValue("sex"), nodes.ByValue("region"))),
    replace(BASE, group_by=(nodes.ByValue("region"), nodes.ByValue("sex"))),
    replace(BASE, bounds=nodes.Bounds(1, 3)),
    replace(BASE, bounds=nodes.Bounds(2, 4)),
]


def test_different_questions_differ_in_their_canonical_form() -> None:
    """Whatever changes what is released or how it is noised makes another question: it is never a replay."""
    forms = [fingerprint.of(plan_of(query)) for query in (BASE, *DIFFERENT)]
    forms += [fingerprint.of(plan_of(BASE, epsilon)) for epsilon in (NANO - 1, NANO + 1, 2 * NANO)]
    persons = nodes.Query(PERSONS, (("n", nodes.Count("persons")),))
    forms += [fingerprint.of(plan_of(persons)), fingerprint.of(plan_of(replace(persons, source="visits")))]
    forms += [fingerprint.of(plan_of(persons, dataset=replace(CLINIC, name="another")))]
    assert len(set(forms)) == len(forms)


def test_the_canonical_form_is_a_document() -> None:
    """It can be read again, and holds no float: a float has more than one spelling."""

    def no_float(text: str) -> Any:
        raise AssertionError(text)

    assert json.loads(fingerprint.of(plan_of(BASE)), parse_float=no_float)["from"] == "visits"


# What is refused


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        (nodes.Query("nothing", COUNT), "/query/from"),
        (replace(BASE, where=nodes.Comparison("nothing", "=", 1)), "/query/where/column"),
        (replace(BASE, group_by=(nodes.ByValue("sex"), nodes.ByValue("nothing"))), "/query/group_by/1"),
        (replace(BASE, group_by=(nodes.ByValue("sex"), nodes.ByValue("diagnosis"))), "/privacy/delta"),
        (replace(BASE, group_by=(nodes.ByBins("visits", (0, 2, 1)),)), "/query/group_by/0/bins/2"),
        (replace(BASE, group_by=(nodes.ByValue("sex"), nodes.ByValue("region", "sex"))), "/query/group_by/1"),
        (replace(BASE, group_by=(nodes.ByValue("sex", "n"),)), "/query/group_by/0"),
        (
            replace(BASE, group_by=(nodes.ByValue("visits"), nodes.ByValue("balance"), nodes.ByValue("day"))),
            "/query/group_by",
        ),
        (replace(BASE, group_by=(nodes.ByValue("wide"),)), "/query/group_by"),
        (replace(BASE, select=(("a", nodes.Sum("nothing")),)), "/query/select/a/sum"),
        (replace(BASE, select=(("a", nodes.Mean("nothing")),)), "/query/select/a/mean"),
        *(
            (replace(BASE, select=(("a", statistic),)), f"/query/select/a/{place}")
            for statistic, place in (
                (nodes.Mean("visits", where=nodes.Comparison("nothing", "=", 1)), "where/column"),
                (nodes.Proportion(nodes.Not(nodes.Comparison("nothing", "=", 1))), "proportion/not/column"),
                (nodes.Variance("day"), "variance"),
                (nodes.Stddev("visits", (0, 2.5)), "bounds/1"),
                (nodes.Quantile("day", (0.5,)), "quantile"),
                (nodes.Iqr("day"), "iqr"),
                (nodes.Iqr("visits", (0, 2.5)), "bounds/1"),
                (nodes.Histogram("diagnosis"), "histogram"),
                (nodes.Histogram("nothing", (0, 1)), "histogram"),
                (nodes.Histogram("sex", (0, 1)), "bins"),
                (nodes.Histogram("wide"), "histogram"),
                (nodes.Histogram("visits", (0, 1, 1)), "bins/2"),
                (nodes.Top("diagnosis", 1), "top"),
                (nodes.Top("wide", 1), "top"),
                (nodes.Top("sex", 3), "k"),
                (nodes.Covariance(("visits", "visits")), "covariance/1"),
                (nodes.Covariance(("visits", "sex")), "covariance/1"),
                (nodes.Correlation(("day", "visits")), "correlation/0"),
                (nodes.Correlation(("visits", "balance"), ((0, 5), (0, 0.1))), "bounds/1/1"),
            )
        ),
        (replace(BASE, select=(("a", nodes.Sum("sex")),)), "/query/select/a/sum"),
        (replace(BASE, select=(("a", nodes.Mean("day")),)), "/query/select/a/mean"),
        (replace(BASE, select=(("a", nodes.Mean("urgent")),)), "/query/select/a/mean"),
        (replace(BASE, select=(("a", nodes.Sum("diagnosis")),)), "/query/select/a/sum"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (-1, 5))),)), "/query/select/a/bounds/0"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (0, 10))),)), "/query/select/a/bounds/1"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (0, 2.5))),)), "/query/select/a/bounds/1"),
        (replace(BASE, select=(("a", nodes.Sum("balance", (0.1, 5))),)), "/query/select/a/bounds/0"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (5, 5))),)), "/query/select/a/bounds"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (5, 2))),)), "/query/select/a/bounds"),
        (replace(BASE, select=(("a", nodes.Sum("visits", (0, float("inf")))),)), "/query/select/a/bounds/1"),
    ],
)
def test_a_query_that_cannot_be_planned_is_refused_with_its_place(query: nodes.Query, pointer: str) -> None:
    """Each kind of mistake names the place in the request where it stands."""
    with pytest.raises(InvalidQuery) as refused:
        plan_of(query)
    assert refused.value.pointer == pointer


def test_an_epsilon_too_small_to_split_is_refused() -> None:
    """Two billionths cannot be shared by a mean and a count; three measures take three."""
    select = (("m", nodes.Mean("visits")), ("n", nodes.Count("persons")))
    with pytest.raises(InvalidQuery) as refused:
        plan_of(nodes.Query("visits", select, bounds=nodes.Bounds(1, 1)), 2)
    assert refused.value.pointer == "/privacy/epsilon"
    shares = [
        m.mechanism.epsilon_nano for m in plan_of(nodes.Query("visits", select, bounds=nodes.Bounds(1, 1)), 3).measures
    ]
    assert shares == [1, 1, 1]


def test_the_number_of_cells_is_limited_by_the_request_alone() -> None:
    """The limit holds for the listed cells, at exactly the limit and one below."""
    query = nodes.Query("visits", COUNT, None, (nodes.ByValue("visits"), nodes.ByValue("region")))
    assert planner.plan(query, CLINIC, nodes.Privacy(NANO), 40).cells == 40
    with pytest.raises(InvalidQuery, match="makes 40 cells; at most 39") as refused:
        planner.plan(query, CLINIC, nodes.Privacy(NANO), 39)
    assert refused.value.pointer == "/query/group_by"
