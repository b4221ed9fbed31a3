"""Sums and means of a column."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.language import nodes
from queries.language.sql import calls, written
from queries.statistics.parts import drafts, members, noisy, words, yardsticks
from queries.statistics.parts.exactness import FixedMargin, GroupMargin
from queries.statistics.parts.intervals import GaussianMeanNoise, MeanNoise
from queries.statistics.statistic import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.statistic import Result, Vectors


class Sum(FixedMargin[nodes.Sum]):
    """The sum of a column's values."""

    node = nodes.Sum
    counts = False
    listed = None
    size_members = ()
    members = (members.column("sum"), members.BOUNDS)
    sql_names = ("SUM",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is SUM."""
        return isinstance(body, exp.Sum)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Sum, str]:
        """Read SUM(column)."""
        column, bounds = calls.one_column(body)
        return nodes.Sum(column, bounds), f"sum_{column}"

    def write_sql(self, node: nodes.Sum) -> exp.Expr:
        """Write the same."""
        return exp.Sum(this=written.clamped(node.column, node.bounds))

    def bind(self, name: str, node: nodes.Sum, scope: Scope) -> BoundStatistic:
        """Return the column and its clamping bounds."""
        return BoundStatistic(name, node, (self.operand(name, node.column, node.bounds, scope),))

    def parameters(self, node: nodes.Sum) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Sum, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the sum."""
        (x,) = bound.operands
        return (drafts.products(events, (drafts.plain(x),), (x.column,)),)

    def influences(self, node: nodes.Sum, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / (n * m * a typical value)."""
        (x,) = measured[0].factors
        return [yardsticks.of_events(events) / yardsticks.typical(x) ** 2]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> Sequence[Result]:
        """Return the noisy sums."""
        return noisy.numbers(output.measures[0], vectors[0], confidence)

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:
        """Return 0 on the side on which the column has no values, and the column's step."""
        low, high, step = noisy.clamped_to(output.measures[0])
        return (0 if low >= 0 else None), (0 if high <= 0 else None), step

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: it adds up values."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of a sum of typical values."""
        (x,) = output.measures[0].factors
        typical = float(yardsticks.typical(x) * Fraction(x.column.step))
        return (
            f"A group needs {words.at_least(group.events)} events of {typical:,g} each "
            "for a margin under 10% of its sum."
        )

    def about_range(self, output: Output) -> str:
        """Return the most that one event can add."""
        (x,) = output.measures[0].factors
        most = x.column.value(max(abs(x.low), abs(x.high)))
        return f"hides that one event can add up to {most:,}; bounds half as wide would halve it."


class Mean(GroupMargin[nodes.Mean]):
    """The mean of a column's values: a noisy sum, centred on the middle of the bounds, over a noisy count."""

    node = nodes.Mean
    listed = None
    size_members = ("count",)
    members = (members.column("mean"), members.BOUNDS)
    sql_names = ("AVG",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is AVG."""
        return isinstance(body, exp.Avg)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Mean, str]:
        """Read AVG(column)."""
        column, bounds = calls.one_column(body)
        return nodes.Mean(column, bounds), f"mean_{column}"

    def write_sql(self, node: nodes.Mean) -> exp.Expr:
        """Write the same."""
        return exp.Avg(this=written.clamped(node.column, node.bounds))

    def bind(self, name: str, node: nodes.Mean, scope: Scope) -> BoundStatistic:
        """Return the column and its clamping bounds."""
        return BoundStatistic(name, node, (self.operand(name, node.column, node.bounds, scope),))

    def parameters(self, node: nodes.Mean) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Mean, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the centred sum and the count."""
        (x,) = bound.operands
        present = (x.column,)
        return drafts.products(events, (drafts.centred(x),), present), drafts.events(events, present=present)

    def influences(self, node: nodes.Mean, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / (n * m * h) for the sum, and for the count half of it: the mean is halfway to a bound."""
        h = yardsticks.half_range(measured[0], 0)
        return [yardsticks.of_events(events) / h**2, yardsticks.of_events(events) / 4]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return the noisy centred sums over the noisy counts."""
        (x,) = output.measures[0].factors
        sums, counts = noisy.floats(vectors)
        intervals = _noise(output).intervals(sums, counts, x.low - x.centre, x.high - x.centre, confidence)
        step = float(x.column.step)
        shifted = [((units + x.centre) * step).tolist() for units in intervals]
        return [
            {"value": mean, "low": low, "high": high, "raw": {"centred_sum": total, "count": count}}
            for mean, low, high, total, count in zip(
                *shifted, x.column.numbers(vectors[0].tolist()), vectors[1].tolist(), strict=True
            )
        ]

    def noise(self, output: Output) -> Result:
        """Return the noise of the centred sum and the count, and the middle of the bounds."""
        (x,) = output.measures[0].factors
        total, count = (measure.mechanism.scale for measure in output.measures)
        step = float(x.column.step)
        return {
            "scales": {"centred_sum": total * step, "count": count},
            "unit": step,
            "middle": x.centre * step,
            "limits": [x.low * step, x.high * step],
        }

    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return about half the width of the interval over `count` events, for a mean halfway to a bound."""
        (x,) = output.measures[0].factors
        halfway = np.array([(x.high - x.centre) / 2])
        return float(_noise(output).quantile(halfway, confidence)[0]) / count * noisy.unit(output.measures[0])

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:
        """Return the clamping bounds."""
        return (*noisy.clamped_to(output.measures[0])[:2], None)

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: events without a value do not count."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of half the range."""
        return f"A group needs {words.at_least(group.events)} events for a margin under a tenth of half the range."

    def about_range(self, output: Output) -> str:
        """Return that the noise grows with the range."""
        return noisy.grows_with_range(output.measures[0])


def _noise(output: Output) -> MeanNoise:
    total, count = output.measures
    kind = GaussianMeanNoise if total.mechanism.gaussian else MeanNoise
    return kind(total.mechanism.scale, count.mechanism.scale)
