"""The interquartile range: how far the quartiles of a column lie apart.

Both quartiles come from one search, as two quantiles do, so that one person moves its noisy numbers by as much as those
of one quantile.

The interval. For a confidence c each quartile has an interval of its own with the confidence 1 - (1 - c) / 2. Therefore
both hold at once with at least c (Bonferroni), whatever the noise of one has to do with that of the other, and then the
distance lies between that of the inner ends (at least 0) and that of the outer ends.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.language import nodes
from queries.language.sql import calls, written
from queries.language.sql.syntax import refusal
from queries.language.sql.values import clamped
from queries.statistics.parts import members, noisy, yardsticks
from queries.statistics.ranks import Ranked, in_units, influence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.plan import Draft, Output
    from queries.statistics.statistic import Result, Vectors

QUARTILES = (0.25, 0.75)
# An interval at 97.5% is about so much wider than one at 95%, for noise that is nearly normal: 2.24 / 1.96.
WIDER = Fraction(8, 7)


class Iqr(Ranked[nodes.Iqr]):
    """How far the quartiles lie apart."""

    node = nodes.Iqr
    listed = None
    named = "an iqr"
    members = (members.column("iqr"), members.BOUNDS)
    sql_names = ("IQR",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is IQR."""
        return calls.is_named(body, *self.sql_names)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Iqr, str]:
        """Read IQR(column)."""
        arguments = calls.arguments(body)
        if len(arguments) != 1:
            raise refusal(body, "write IQR(column)")
        column, bounds = clamped(arguments[0])
        return nodes.Iqr(column, bounds), f"iqr_{column}"

    def write_sql(self, node: nodes.Iqr) -> exp.Expr:
        """Write the same."""
        return calls.named("IQR", written.clamped(node.column, node.bounds))

    def parameters(self, node: nodes.Iqr) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its word already fixes which shares are searched."""
        return {}

    def shares(self, node: nodes.Iqr) -> tuple[float, ...]:  # noqa: ARG002
        """Return a quarter and three quarters."""
        return QUARTILES

    def confidence_of_each(self, node: nodes.Iqr, confidence: float) -> float:  # noqa: ARG002
        """Return the confidence with which both quartiles lie in their intervals at once."""
        return noisy.together(confidence, len(QUARTILES))

    def influences(self, node: nodes.Iqr, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return what moves both quartiles, one up and one down: twice as much as one of them, and wider."""
        return [(2 * WIDER) ** 2 * influence(QUARTILES[0], measured[0]) * yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return each cell's distance between the quartiles, a multiple of the column's step."""
        measure = output.measures[0]
        each = self.confidence_of_each(self.asked(output), confidence)
        (lower, lower_low, lower_high), (upper, upper_low, upper_high) = (
            in_units(measure, vectors[0], share, each) for share in QUARTILES
        )
        # Where the noise leaves next to nothing of a group, the quartiles may come out in the wrong order.
        value = np.maximum(upper - lower, 0)
        low, high = np.maximum(upper_low - lower_high, 0), np.maximum(upper_high - lower_low, value)
        column = measure.factors[0].column
        ends = (column.numbers(units.tolist()) for units in (value, low, high))
        return [{"value": number, "low": least, "high": most} for number, least, most in zip(*ends, strict=True)]

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:
        """Return 0, the width of the clamping bounds, and the column's step."""
        (x,) = output.measures[0].factors
        return 0, x.column.value(x.high - x.low), str(x.column.step)
