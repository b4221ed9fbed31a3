"""The survival curve. `survival.py` has the estimate and its band."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.binding.keys import CellKey
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.sql import calls
from queries.language.sql.syntax import column_name, refusal
from queries.statistics import survival
from queries.statistics.parts import drafts, lists, members, words, yardsticks
from queries.statistics.parts.exactness import GroupMargin
from queries.statistics.parts.members import Member, Shape
from queries.statistics.statistic import Group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.statistic import Result, Vectors


class Survival(GroupMargin[nodes.Survival]):
    """The share of persons to whom an event has not happened yet, over time."""

    node = nodes.Survival
    listed = lists.SURVIVAL
    size_members = ("events",)
    members = (
        members.column("survival"),
        Member("bins", Shape.SCALARS, "edges"),
        Member("ends", Shape.DATE, "ends", required=False),
        members.CENSORED,
    )
    sql_names = ("SURVIVAL",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is SURVIVAL."""
        return calls.is_named(body, *self.sql_names)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Survival, str]:
        """Read SURVIVAL(days, [edges]), perhaps with DATE '2023-12-31' and a column of last days after them."""
        arguments = calls.arguments(body)
        if not 2 <= len(arguments) <= 4 or not isinstance(arguments[1], exp.Array):
            raise refusal(
                body,
                "write SURVIVAL(days, [0, 30, 60, 90]), perhaps with the last day DATE '2023-12-31' and a column with "
                "each person's own after it",
            )
        column = column_name(arguments[0])
        ends, censored = calls.follow_up(arguments[2:])
        return nodes.Survival(column, calls.scalars(arguments[1]), ends, censored), f"survival_{column}"

    def write_sql(self, node: nodes.Survival) -> exp.Expr:
        """Write the same."""
        last = calls.last_days(node.ends, node.censored)
        return calls.named("SURVIVAL", exp.column(node.column), calls.array(node.edges), *last)

    def bind(self, name: str, node: nodes.Survival, scope: Scope) -> BoundStatistic:
        """Return what became of each person as bins: a value of the per-person table beside those of the query."""
        pointer = f"/query/select/{name}"
        if scope.built is None:
            raise InvalidQuery(self.place(name), "a curve is of a per-person table with a value built with days_to")
        outcome, notes = survival.outcome(name, node, scope.built, scope.tables, pointer)
        scope.require_room(outcome.column.size, f"{pointer}/bins")
        within = CellKey(outcome.column.name, outcome.column, null=False)
        return BoundStatistic(name, node, within=within, outcomes=(outcome,), notes=notes)

    def parameters(self, node: nodes.Survival) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: the per-person table has the intervals and the last day."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Survival, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return how many persons had each outcome."""
        return (drafts.events(events, within=bound.within),)

    def influences(self, node: nodes.Survival, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / (n * m)."""
        return [yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return for each cell the curve at the end of each interval, and the noisy numbers it was computed from."""
        (measure,), edges = output.measures, _days(self.asked(output))
        counts, mechanism = vectors[0].reshape(-1, measure.width), measure.mechanism
        scale, gaussian = mechanism.scale, mechanism.gaussian
        found = survival.curve(counts.astype(np.float64), edges, scale, confidence, gaussian=gaussian)
        parts = (part.tolist() for part in (found.value, found.low, found.high, counts))
        return [
            {
                "survival": [
                    {
                        "until": until,
                        "value": value,
                        "low": low,
                        "high": high,
                        "raw": {"events": numbers[2 * place], "followed": numbers[2 * place + 1]},
                    }
                    for place, (until, value, low, high) in enumerate(zip(edges[1:], values, lows, highs, strict=True))
                ],
                "raw": {"beyond": numbers[-1]},
            }
            for values, lows, highs, numbers in zip(*parts, strict=True)
        ]

    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return half the width of the band at the end, if half of `count` persons had the event, evenly over time."""
        (measure,) = output.measures
        intervals = measure.width // 2
        even = np.zeros((1, measure.width))
        even[0, :-1:2], even[0, -1] = count / 2 / intervals, count / 2
        days = _days(self.asked(output))
        found = survival.curve(even, days, measure.mechanism.scale, confidence, gaussian=measure.mechanism.gaussian)
        return float((found.high - found.low)[0, -1]) / 2

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return 0 and 1."""
        return 0, 1, None

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: its numbers are shares."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size that each of its numbers needs."""
        needed = words.at_least(group.persons)
        return f"A group needs {needed} persons for each of its numbers to be exact to 10% of them."

    def about_range(self, output: Output) -> str | None:  # noqa: ARG002
        """Return None: what is counted is persons."""
        return None


def _days(node: nodes.Survival) -> list[int]:
    """Return the edges, which are whole days once a curve is bound."""
    return [int(edge) for edge in node.edges]
