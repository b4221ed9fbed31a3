"""A catalog for tests of the planner: statistics of every kind over it, and their plans. No data."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from queries.catalog.schema import PERSONS, Column, Dataset, Kind, Table, frozen
from queries.language import nodes
from queries.planning import planner

if TYPE_CHECKING:
    from queries.plan import Plan

NANO = 10**9

_OF_PERSON = {"sex": Column("sex", Kind.CATEGORY, of_person=True, values=("female", "male"), high=1)}
_OF_EVENT = {
    "unit": Column("unit", Kind.CATEGORY, values=tuple("ABCDEFGHIJKLMNOP"), high=1),
    "visits": Column("visits", Kind.INTEGER, low=0, high=30),
    "age": Column("age", Kind.INTEGER, low=0, high=120),
    "cost": Column("cost", Kind.NUMBER, low=0, high=80_000, step=Decimal("0.25")),
    "tenths": Column("tenths", Kind.NUMBER, low=-5, high=30, step=Decimal("0.1")),
}
WARD = Dataset(
    "ward",
    "A ward",
    Decimal(10),
    Decimal(0),
    persons_max=100_000,
    epsilon_min=Decimal("1e-9"),
    tables=frozen(
        {
            PERSONS: Table(PERSONS, frozen(_OF_PERSON)),
            "stays": Table("stays", frozen({**_OF_PERSON, **_OF_EVENT})),
        }
    ),
)
LONG = nodes.Comparison("visits", ">", 3)
# One of each kind, by the word for it.
EVERY: dict[str, nodes.Statistic] = {
    "people": nodes.Count("persons"),
    "rows": nodes.Count("events"),
    "total": nodes.Sum("visits"),
    "mean": nodes.Mean("cost", (0, 2000)),
    "proportion": nodes.Proportion(LONG),
    "proportion_of_persons": nodes.Proportion(LONG, "persons"),
    "variance": nodes.Variance("age"),
    "stddev": nodes.Stddev("age"),
    "median": nodes.Quantile("cost", (0.5,)),
    "deciles": nodes.Quantile("age", (0.1, 0.9), listed=True),
    "iqr": nodes.Iqr("cost"),
    "histogram": nodes.Histogram("unit"),
    "top": nodes.Top("unit", 3),
    "covariance": nodes.Covariance(("age", "visits")),
    "correlation": nodes.Correlation(("age", "visits")),
    "slope": nodes.Slope(("visits", "age")),
}


def planned(
    privacy: nodes.Privacy,
    *group_by: nodes.Key,
    cells: int | None = 1,
    events: int | None = 1,
    **select: nodes.Statistic,
) -> Plan:
    """Return the plan of a query of the ward."""
    query = nodes.Query("stays", tuple(select.items()), None, group_by, nodes.Bounds(cells, events))
    return planner.plan(query, WARD, privacy, 1_000_000)
