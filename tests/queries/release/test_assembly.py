"""The rows of an answer, and what its margins promise."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries.catalog.schema import Column, Dataset, Kind, Table, frozen
from queries.language import nodes
from queries.mechanisms import DiscreteLaplace
from queries.plan import Output, Plan
from queries.release import assembly
from tests.laws import tries
from tests.privacy.noise import fewest, most
from tests.queries.clinic import NANO, plan_of, planned

if TYPE_CHECKING:
    from collections.abc import Sequence

RELEASES = tries(3_000, audited=10_000)
# One column whose values are cells of their own: so many cells are as many releases at once.
MANY = Dataset(
    "many",
    "many",
    Decimal(1),
    Decimal(0),
    10_000,
    frozen(
        {
            "t": Table(
                "t",
                frozen(
                    {
                        "place": Column("place", Kind.INTEGER, low=1, high=RELEASES),
                        "cost": Column("cost", Kind.NUMBER, low=0, high=20_000, step=Decimal("0.1")),
                    }
                ),
            )
        }
    ),
)


def many(statistic: nodes.Statistic, epsilon_nano: int, events: int = 1) -> Plan:
    """Return a plan of one statistic over as many cells."""
    query = nodes.Query("t", (("s", statistic),), None, (nodes.ByValue("place"),), nodes.Bounds(1, events))
    return plan_of(query, epsilon_nano, MANY)


def scaled(plan: Plan, *scales: float) -> Plan:
    """Return a plan with the noise scales of its measures replaced, to test margins at any scale."""
    (output,) = plan.outputs
    measures = tuple(
        replace(measure, mechanism=DiscreteLaplace(1, scale, NANO))
        for measure, scale in zip(output.measures, scales, strict=True)
    )
    return replace(plan, outputs=(Output(output.name, output.statistic, measures),))


def cells(plan: Plan, *exact: int) -> list[Any]:
    """Return the same exact number in every cell, for each measure."""
    return [np.full(plan.cells, number, dtype=np.int64) for number in exact]


def coverage(plan: Plan, exact: Sequence[Any], truth: float) -> float:
    """Return the share of cells whose interval holds the truth."""
    rows = assembly.rows(plan, assembly.add_noise(plan, exact))
    assert len(rows) == RELEASES
    slack = 1e-9 * max(1.0, abs(truth))
    return sum(row["s"]["low"] - slack <= truth <= row["s"]["high"] + slack for row in rows) / RELEASES


@pytest.mark.parametrize(
    ("statistic", "epsilon_nano", "exact", "truth"),
    [
        (nodes.Count("persons"), NANO // 50, 1234, 1234),
        (nodes.Count("events"), NANO // 30, 0, 0),
        (nodes.Sum("cost", (0, 10)), NANO, 77_777, 7777.7),
        (nodes.Sum("cost"), NANO // 10, 0, 0),
    ],
)
def test_margins_of_counts_and_sums_cover(
    statistic: nodes.Statistic, epsilon_nano: int, exact: int, truth: float
) -> None:
    """Over thousands of releases the truth lies within the margin in 95%, but for chance."""
    plan = many(statistic, epsilon_nano)
    assert plan.measures[0].mechanism.scale >= 20
    assert fewest(RELEASES) <= coverage(plan, cells(plan, exact), truth) <= most(RELEASES)


@pytest.mark.slow
@pytest.mark.parametrize("events", [5, 50, 5000])
@pytest.mark.parametrize("mean_units", [9_000, 10_000, 11_500])
def test_margins_of_means_cover_groups_of_any_size(events: int, mean_units: int) -> None:
    """Over thousands of releases of a mean over 5, 50 and 5,000 events the truth lies within the margin in 95%, but for chance.

    The noise is small beside the group, so that the interval is hardly ever cut off by the range of the values.
    """
    plan = scaled(many(nodes.Mean("cost"), NANO), 400.0 * events, max(events / 20, 0.8))
    centre = plan.measures[0].factors[0].centre
    exact = cells(plan, events * (mean_units - centre), events)
    assert fewest(RELEASES) <= coverage(plan, exact, mean_units / 10) <= most(RELEASES)


@pytest.mark.slow
@pytest.mark.parametrize("events", [0, 1, 5, 50, 5000])
@pytest.mark.parametrize("mean_units", [0, 10_000, 20_000])
@pytest.mark.parametrize("epsilon_nano", [NANO // 10, 4 * NANO])
def test_margins_of_means_never_cover_too_little(events: int, mean_units: int, epsilon_nano: int) -> None:
    """At the charges people use, a mean's interval covers at least 95%, but for chance, at both ends of the range too."""
    plan = many(nodes.Mean("cost"), epsilon_nano, events=3)
    centre = plan.measures[0].factors[0].centre
    assert coverage(plan, cells(plan, events * (mean_units - centre), events), mean_units / 10) >= fewest(RELEASES)


def test_the_margin_of_a_mean_in_the_columns_is_that_of_its_rows() -> None:
    """`margins_at` foretells the half width of the interval for a mean halfway to a bound."""
    plan = many(nodes.Mean("cost"), 4 * NANO)
    (column,) = [shown for shown in assembly.columns(plan) if shown["name"] == "s"]
    (cost,) = plan.measures[0].factors
    halfway = (cost.high - cost.centre) // 2
    for count, margin in column["margins_at"].items():  # type: ignore[attr-defined]
        if int(count) < 10_000:
            continue  # for few events the interval is not symmetric
        row = assembly.rows(plan, cells(plan, int(count) * halfway, int(count)))[0]
        shown: Any = row["s"]
        assert (shown["high"] - shown["low"]) / 2 == pytest.approx(margin, rel=0.05)


# The shape of an answer


SELECT = {
    "people": nodes.Count("persons"),
    "total": nodes.Sum("balance"),
    "average": nodes.Mean("balance", (-10, 20)),
    "whole": nodes.Mean("visits"),
}


def everything() -> Plan:
    """Return a plan with keys of every sort and every statistic."""
    query = nodes.Query(
        "visits",
        tuple(SELECT.items()),
        None,
        (nodes.ByValue("region"), nodes.ByBins("visits", (0, 5, 9), "v"), nodes.ByPeriod("day", "year", "in")),
        nodes.Bounds(2, 2),
    )
    return plan_of(query)


def test_every_cell_has_a_row_in_the_order_of_the_keys() -> None:
    """Declared keys are all listed, empty ones and null's too, the last key fastest."""
    plan = everything()
    rows = assembly.rows(plan, [np.zeros(plan.cells, dtype=np.int64) for _ in plan.measures])
    assert [(row["region"], row["v"], row["in"]) for row in rows] == [
        (region, visits, year)
        for region in ("north", "east", "south", None)
        for visits in ("[0, 5)", "[5, 9)")
        for year in ("2020", "2021")
    ]
    assert all(list(row) == ["region", "v", "in", *SELECT] for row in rows)


@pytest.mark.parametrize("noisy", [0, -1, 1, -(10**6), 10**6, 2**61, -(2**61)])
def test_rows_are_well_typed_whatever_the_noise_made_of_them(noisy: int) -> None:
    """Empty groups, negative counts and extreme sums give finite numbers that are JSON, low <= value <= high."""
    plan = everything()
    rows = assembly.rows(plan, [np.full(plan.cells, noisy, dtype=np.int64) for _ in plan.measures])
    json.dumps(list(rows), allow_nan=False)
    for row in rows:
        for name in SELECT:
            cell: Any = row[name]
            assert cell["low"] <= cell["value"] <= cell["high"]
            assert all(
                type(cell[part]) in (int, float) and math.isfinite(cell[part]) for part in ("low", "high", "value")
            )
        average: Any = row["average"]
        assert -10 <= average["low"] <= average["high"] <= 20
        assert type(row["people"]["value"]) is int


def test_counts_are_shown_as_released() -> None:
    """No rounding and no clamping at zero: the raw noisy number stays, so that answers stay unbiased."""
    plan = planned(nodes.ByValue("sex"), n=nodes.Count("events"))
    margin = plan.measures[0].mechanism.margin(0.95)
    rows = assembly.rows(plan, [np.array([-3, 7], dtype=np.int64)])
    assert [row["n"] for row in rows] == [
        {"value": value, "low": value - margin, "high": value + margin} for value in (-3, 7)
    ]


def test_sums_are_shown_in_the_columns_units() -> None:
    """Units of a quarter become quarters, exactly."""
    plan = planned(nodes.ByValue("sex"), s=nodes.Sum("balance"))
    rows: Any = assembly.rows(plan, [np.array([401, -8], dtype=np.int64)])
    assert [row["s"]["value"] for row in rows] == [100.25, -2]


def test_mean_shows_its_noisy_sum_and_count() -> None:
    """The noisy centred sum and the noisy count stand beside a mean, and give it."""
    plan = planned(m=nodes.Mean("balance", (0, 100)))
    (row,) = assembly.rows(plan, [np.array([400 * 10], dtype=np.int64), np.array([400], dtype=np.int64)])
    mean: Any = row["m"]
    assert mean["raw"] == {"centred_sum": 1000, "count": 400}
    assert mean["value"] == pytest.approx(50 + 1000 / 400)


def test_columns_are_described_before_any_data() -> None:
    """Keys, then statistics in their order, with mechanism, scale and margin in the column's units."""
    plan = everything()
    shown = assembly.columns(plan)
    assert [column["name"] for column in shown] == ["region", "v", "in", *SELECT]
    assert [column["kind"] for column in shown] == ["key"] * 3 + ["statistic"] * 4
    people, total = plan.measures[0].mechanism, plan.measures[1].mechanism
    assert shown[3]["scale"] == people.scale
    assert shown[3]["margin"] == people.margin(0.95)
    assert shown[4]["scale"] == total.scale * 0.25
    assert shown[4]["margin"] == total.margin(0.95) * 0.25
    json.dumps(shown, allow_nan=False)


def test_noise_is_added_to_every_measure() -> None:
    """No cell of any measure goes out as it came in: over wide noise, hardly any is unchanged."""
    plan = many(nodes.Mean("cost"), NANO // 1000)
    exact = cells(plan, 0, 0)
    noisy = assembly.add_noise(plan, exact)
    assert len(noisy) == 2
    for vector, before in zip(noisy, exact, strict=True):
        assert (vector != before).mean() > 0.99
        assert vector.dtype == np.int64
