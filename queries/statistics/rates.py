"""Incidence rates: how many persons have an event for each person-year that they are at risk of it.

Persons are followed from their first event to the event asked for, to the last day of the data or their own, and for at
most `days` days: an event after them does not count, and neither do the days. The rate is the number of persons who had
the event over the sum of their days at risk, as in statsmodels or lifelines on the same times, for a year of 365.25
days.

Each person has one row, and adds at most 1 to the events and at most `days` to the days at risk. `days` is declared in
the query and not learnt from the data: it bounds the denominator. The interval is Fieller's, as that of a mean: for the
true rate r, E - r * T is noise alone, with E the noisy events and T the noisy days.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic, Operand
from queries.catalog.schema import Column, Kind
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.sql import calls
from queries.language.sql.syntax import column_name, refusal, scalar
from queries.statistics import survival
from queries.statistics.parts import drafts, members, noisy, words, yardsticks
from queries.statistics.parts.exactness import GroupMargin
from queries.statistics.parts.intervals import GaussianMeanNoise, MeanNoise
from queries.statistics.parts.members import Member, Shape
from queries.statistics.statistic import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.parts.intervals import Floats
    from queries.statistics.statistic import Result, Vectors

YEAR = 365.25
HIGHEST = 1.0  # events in a person-day: more than one on each day at risk is no rate
GRID = 1024


class Rate(GroupMargin[nodes.Rate]):
    """Events for each person-year at risk."""

    node = nodes.Rate
    listed = None
    members = (
        members.column("rate"),
        Member("days", Shape.WHOLE, "days"),
        Member("ends", Shape.DATE, "ends"),
        members.CENSORED,
    )
    sql_names = ("RATE",)
    size_members = ("events",)

    def of_persons(self, node: nodes.Rate) -> bool:  # noqa: ARG002
        """Return True: it is of a table of persons."""
        return True

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is RATE."""
        return calls.is_named(body, *self.sql_names)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Rate, str]:
        """Read RATE(wait, 3650, DATE '2023-12-31'), or with a column of last days after it."""
        arguments = calls.arguments(body)
        days = scalar(arguments[1]) if len(arguments) in (3, 4) else None
        ends, censored = calls.follow_up(arguments[2:])
        if isinstance(days, bool) or not isinstance(days, int) or days < 1 or ends is None:
            raise refusal(
                body,
                "write RATE(wait, 3650, DATE '2023-12-31'): at most so many days of a person, and the last day of the "
                "data, perhaps with a column with each person's own after it",
            )
        column = column_name(arguments[0])
        return nodes.Rate(column, days, ends, censored), f"rate_{column}"

    def write_sql(self, node: nodes.Rate) -> exp.Expr:
        """Write the same."""
        last = calls.last_days(node.ends, node.censored)
        return calls.named("RATE", exp.column(node.column), exp.convert(node.days), *last)

    def bind(self, name: str, node: nodes.Rate, scope: Scope) -> BoundStatistic:
        """Return the days at risk and the event of each person: values of the per-person table beside the query's."""
        pointer = f"/query/select/{name}"
        if scope.built is None:
            raise InvalidQuery(self.place(name), "a rate is of a per-person table with a value built with days_to")
        if node.days > survival.DAYS_MAX:
            raise InvalidQuery(f"{pointer}/days", f"must be at most {survival.DAYS_MAX}")
        followed = survival.followed(node, scope.built, scope.tables, pointer)
        called, within = survival.column_name(name), (0, node.days)
        time = Column(called, Kind.INTEGER, nullable=True, low=0, high=node.days)
        event = Column(f"{called} happened", Kind.INTEGER, nullable=True, low=1, high=1)
        outcomes = (
            replace(followed, word="at_risk", column=time, edges=within),
            replace(followed, word="happened", column=event, edges=within),
        )
        return BoundStatistic(name, node, (Operand(time, 0, node.days),), outcomes=outcomes)

    def parameters(self, node: nodes.Rate) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: the per-person table has the days and the last day."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Rate, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return how many persons had the event, and the sum of their days at risk."""
        (time,), (_, event) = bound.operands, bound.outcomes
        return (
            drafts.events(events, present=(event.column,)),
            drafts.products(events, (drafts.plain(time),), (time.column,)),
        )

    def influences(self, node: nodes.Rate, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 2 / n for the events, of whom half the persons have one, and 2 / (n * days) for the days."""
        (time,) = measured[1].factors
        return [4 * yardsticks.of_events(events), Fraction(4, time.high**2) * yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return the noisy events over the noisy days at risk."""
        events, days = noisy.floats(vectors)
        found = _intervals(output, events, days, confidence)
        return [
            {"value": rate, "low": low, "high": high, "raw": {"events": count, "person_days": total}}
            for rate, low, high, count, total in zip(
                *((part * YEAR).tolist() for part in found), *(vector.tolist() for vector in vectors), strict=True
            )
        ]

    def noise(self, output: Output) -> Result:
        """Return the noise of events and days. At most one event falls on a day."""
        events, days = (measure.mechanism.scale for measure in output.measures)
        return {"scales": {"events": events, "person_days": days}, "unit": 1, "middle": 0, "limits": [0, HIGHEST]}

    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return half the width of the interval if half of `count` persons have the event, after half of the days."""
        (time,) = output.measures[1].factors
        days = np.array([count * time.high / 2])
        _, low, high = _intervals(output, np.array([count / 2]), days, confidence)
        return float((high - low)[0]) / 2 * YEAR

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return 0 and an event on each day."""
        return 0, HIGHEST * YEAR, None

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: who had no event is in the days alone."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of the rate."""
        needed = words.at_least(group.persons)
        return f"A group needs {needed} persons, half of them with the event, for a margin under 10% of its rate."

    def about_range(self, output: Output) -> str:
        """Return the most days that one person can add."""
        (time,) = output.measures[1].factors
        return f"hides that one person can add up to {time.high:,} days at risk; half as many would halve it."


def _intervals(output: Output, events: Floats, days: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return each cell's rate in events a day, and the two ends of its interval."""
    of_events, of_days = (measure.mechanism for measure in output.measures)
    kind = GaussianMeanNoise if of_events.gaussian else MeanNoise
    noise = kind(of_events.scale, of_days.scale)
    # Rates are small numbers: steps that grow, from where the noise of the days does not matter.
    least = min(1e-3 * of_events.scale / of_days.scale, HIGHEST / 2)
    grid = np.concatenate([[0.0], np.geomspace(least, HIGHEST, GRID)])
    return noise.intervals(events, days, 0.0, HIGHEST, confidence, grid)
