"""The linear trend of one column over another: the slope of the line of least squares.

It is made of noisy sums of products, of sums and of a count, as a correlation is; `moments.slope` has the formula and
the argument for the interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from queries.binding.bound import BoundStatistic, Operand
from queries.catalog.schema import Kind
from queries.language import nodes
from queries.language.sql import calls
from queries.statistics.parts import moments, noisy, words, yardsticks
from queries.statistics.parts.members import Member, Shape
from queries.statistics.parts.yardsticks import HALF
from queries.statistics.spreads import TWO_BOUNDS, OfPair, largest, noise_of
from queries.statistics.statistic import Group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from queries.binding.scope import Scope
    from queries.plan import Draft, Factor, Measure, Output
    from queries.statistics.parts.intervals import Floats
    from queries.statistics.parts.moments import Interval


class Slope(OfPair[nodes.Slope]):
    """By how much the first column is larger where the second is larger by one; of a date, by one day."""

    node = nodes.Slope
    members = (Member("slope", Shape.TWO_COLUMNS, "columns"), TWO_BOUNDS)
    sql_names = ("REGR_SLOPE",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is REGR_SLOPE."""
        return isinstance(body, exp.RegrSlope)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Slope, str]:
        """Read REGR_SLOPE(y, x)."""
        (y, x), bounds = calls.two_columns(body)
        return nodes.Slope((y, x), bounds), f"slope_{y}_{x}"

    def write_sql(self, node: nodes.Slope) -> exp.Expr:
        """Write the same."""
        return calls.of_two(exp.RegrSlope, node.columns, node.bounds)

    def bind(self, name: str, node: nodes.Slope, scope: Scope) -> BoundStatistic:
        """Return both columns with their clamping bounds. The second may be a date, whose bounds are its column's."""
        x = scope.column(node.columns[1], f"{self.place(name)}/1")
        if x.kind is not Kind.DATE or node.bounds is not None:
            return super().bind(name, node, scope)
        y = scope.clamped(node.columns[0], None, self.word, f"{self.place(name)}/0", f"/query/select/{name}/bounds/0")
        return BoundStatistic(name, node, (y, Operand(x, x.low, x.high)))

    def pairs(self, x: Factor, y: Factor) -> tuple[tuple[Factor, Factor], ...]:
        """Return the two columns, and the second with itself."""
        return (x, y), (y, y)

    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""
        xy, xx, y, x, n = sums
        noise = noise_of(measures, ("xy", "xx", "y", "x", "n"), confidence)
        of_y, of_x = largest(measures)
        step = noisy.unit(measures[0]) / noisy.unit(measures[1])
        found = moments.slope((xy, xx), (x, y), n, noise, (of_x, of_y), measures[1].middle)
        value, low, high = (part * step for part in found)
        return value, low, high

    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return the squares for the sums of xy, xx, y, x and the count, put together as in `moments.py`."""
        hy, hx = (yardsticks.half_range(measured[0], place) for place in (0, 1))
        slope, middle = HALF * hy / hx, measured[1].middle
        means = yardsticks.two_means(hx, hy)
        moved = (
            [HALF / HALF],
            [slope],
            [a for a, _ in means],
            [2 * a * slope - b for a, b in means],
            [a * b - slope * (a * a + middle) for a, b in means],
        )
        # The slope is over the spread of x, h_x^2 / 3, and compared with h_y / h_x.
        return [yardsticks.mean_square(numbers) * (3 / (hx * hy)) ** 2 for numbers in moved]

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return no limits: a slope can be any number."""
        return None, None, None

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of the slope from one corner of the ranges to the other."""
        needed = words.at_least(group.events)
        return f"A group needs {needed} events for a margin under 10% of the slope that goes through both ranges."
