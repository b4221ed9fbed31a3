"""Variance, standard deviation, covariance and correlation: how columns spread, alone and together.

Each is made of noisy sums of products, of sums and of a count, in the order of its measures; `moments.py` has the
formulas and the argument for the intervals.
"""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.sql import calls, written
from queries.statistics.parts import drafts, members, moments, noisy, words, yardsticks
from queries.statistics.parts.exactness import GroupMargin
from queries.statistics.parts.members import Member, Shape
from queries.statistics.parts.yardsticks import HALF
from queries.statistics.statistic import Group, N

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.scope import Scope
    from queries.plan import Draft, Factor, Measure, Output
    from queries.statistics.parts.intervals import Floats
    from queries.statistics.parts.moments import Interval
    from queries.statistics.statistic import Result, Vectors

TWO_BOUNDS = Member("bounds", Shape.TWO_BOUNDS, "bounds", required=False)

C = TypeVar("C", bound=nodes.Variance | nodes.Stddev)
P = TypeVar("P", bound=nodes.Covariance | nodes.Correlation | nodes.Slope)


class _Moments(GroupMargin[N]):
    """What is computed from sums of products."""

    listed = None
    size_members = ("count",)

    def parameters(self, node: N) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    @abstractmethod
    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""

    @abstractmethod
    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return `influences` for one event of each person."""

    def influences(self, node: N, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return what the noise on each of the sums moves."""
        return [square * yardsticks.of_events(events) for square in self.squares(measured)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return the values, with the noisy sums that they were made of."""
        raw = [
            (np.array(vector) * noisy.unit(measure)).tolist() if measure.factors else vector.tolist()
            for vector, measure in zip(vectors, output.measures, strict=True)
        ]
        names = [_raw_name(measure) for measure in output.measures]
        found = self.intervals(output.measures, noisy.floats(vectors), confidence)
        return [
            {"value": value, "low": low, "high": high, "raw": dict(zip(names, numbers, strict=True))}
            for value, low, high, numbers in zip(
                *(part.tolist() for part in found), zip(*raw, strict=True), strict=True
            )
        ]

    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return half the width of the interval over `count` events spread evenly between the bounds, independently."""
        sums = []
        for measure in output.measures:
            same = len(measure.factors) == 2 and measure.factors[0] == measure.factors[1]
            even = measure.factors[0].largest ** 2 / 3 - measure.middle if same else 0
            sums.append(np.array([count * even if measure.factors else count], dtype=np.float64))
        _, low, high = self.intervals(output.measures, sums, confidence)
        return float((high - low)[0]) / 2

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: events without a value do not count."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of what an even spread would give."""
        return (
            f"A group needs {words.at_least(group.events)} events for a margin under 10% "
            "of what values spread evenly over the range would have."
        )

    def about_range(self, output: Output) -> str | None:
        """Return that the noise grows with the range."""
        return noisy.grows_with_range(output.measures[0])


class _OfColumn(_Moments[C]):
    """What is computed from the squares of one column."""

    def bind(self, name: str, node: C, scope: Scope) -> BoundStatistic:
        """Return the column and its clamping bounds."""
        return BoundStatistic(name, node, (self.operand(name, node.column, node.bounds, scope),))

    def drafts(self, bound: BoundStatistic, node: C, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the sum of squares, the sum and the count."""
        (x,) = map(drafts.centred, bound.operands)
        present = (x.column,)
        sums = (drafts.products(events, factors, present) for factors in ((x, x), (x,)))
        return (*sums, drafts.events(events, present=present))

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return 0 and no greatest."""
        return 0, None, None


class OfPair(_Moments[P]):
    """What is computed from the products of two columns."""

    def bind(self, name: str, node: P, scope: Scope) -> BoundStatistic:
        """Return both columns with their clamping bounds."""
        place, pair = self.place(name), node.bounds or (None, None)
        x, y = (
            scope.clamped(column, bounds, self.word, f"{place}/{which}", f"/query/select/{name}/bounds/{which}")
            for which, (column, bounds) in enumerate(zip(node.columns, pair, strict=True))
        )
        if x.column == y.column:
            raise InvalidQuery(f"{place}/1", f"a {self.word} is of two columns")
        return BoundStatistic(name, node, (x, y))

    @abstractmethod
    def pairs(self, x: Factor, y: Factor) -> tuple[tuple[Factor, Factor], ...]:
        """Return whose products are added up."""

    def drafts(self, bound: BoundStatistic, node: P, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the sums of products, the sums and the count of the events where neither value is null."""
        x, y = map(drafts.centred, bound.operands)
        present = (x.column, y.column)
        sums = (drafts.products(events, factors, present) for factors in (*self.pairs(x, y), (x,), (y,)))
        return (*sums, drafts.events(events, present=present))


class Variance(_OfColumn[nodes.Variance]):
    """The sample variance of a column."""

    node = nodes.Variance
    members = (members.column("variance"), members.BOUNDS)
    sql_names = ("VARIANCE",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is VARIANCE."""
        return isinstance(body, exp.Variance)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Variance, str]:
        """Read VARIANCE(column)."""
        column, bounds = calls.one_column(body)
        return nodes.Variance(column, bounds), f"variance_{column}"

    def write_sql(self, node: nodes.Variance) -> exp.Expr:
        """Write the same."""
        return exp.Variance(this=written.clamped(node.column, node.bounds))

    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""
        step = noisy.unit(measures[0])
        value, low, high = (part * step for part in _variance(measures, sums, confidence))
        return value, low, high

    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return what moves a variance."""
        return _of_variance(measured)


class Stddev(_OfColumn[nodes.Stddev]):
    """The square root of the variance."""

    node = nodes.Stddev
    members = (members.column("stddev"), members.BOUNDS)
    sql_names = ("STDDEV",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is STDDEV."""
        return isinstance(body, exp.Stddev | exp.StddevSamp)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Stddev, str]:
        """Read STDDEV(column)."""
        column, bounds = calls.one_column(body)
        return nodes.Stddev(column, bounds), f"stddev_{column}"

    def write_sql(self, node: nodes.Stddev) -> exp.Expr:
        """Write the same."""
        return exp.Stddev(this=written.clamped(node.column, node.bounds))

    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""
        step = noisy.unit(measures[0])
        value, low, high = (np.sqrt(part * step) for part in _variance(measures, sums, confidence))
        return value, low, high

    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return what moves a variance, halved: relative to itself a root moves by half as much."""
        return [square / 4 for square in _of_variance(measured)]


class Covariance(OfPair[nodes.Covariance]):
    """The sample covariance of two columns."""

    node = nodes.Covariance
    members = (Member("covariance", Shape.TWO_COLUMNS, "columns"), TWO_BOUNDS)
    sql_names = ("COVAR_SAMP",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is COVAR_SAMP."""
        return isinstance(body, exp.CovarSamp)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Covariance, str]:
        """Read COVAR_SAMP(x, y)."""
        (x, y), bounds = calls.two_columns(body)
        return nodes.Covariance((x, y), bounds), f"covariance_{x}_{y}"

    def write_sql(self, node: nodes.Covariance) -> exp.Expr:
        """Write the same."""
        return calls.of_two(exp.CovarSamp, node.columns, node.bounds)

    def pairs(self, x: Factor, y: Factor) -> tuple[tuple[Factor, Factor], ...]:
        """Return the two columns."""
        return ((x, y),)

    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""
        xy, x, y, n = sums
        noise = noise_of(measures, ("xy", "x", "y", "n"), confidence)
        step = noisy.unit(measures[0])
        value, low, high = (part * step for part in moments.covariance(xy, x, y, n, noise, largest(measures)))
        return value, low, high

    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return the squares for XY - a Y - b X + (a b - K) N, the sums in the order of the drafts: xy, x, y, count.

        The means a and b may be on the same side of their middles or not: the squares are the mean of both cases.
        """
        hx, hy = (yardsticks.half_range(measured[0], place) for place in (0, 1))
        yardstick = hx * hy / 3
        covariance = HALF * yardstick
        of_count = yardsticks.mean_square([a * b - covariance for a, b in yardsticks.two_means(hx, hy)])
        return [square / yardstick**2 for square in (Fraction(1), (hy / 2) ** 2, (hx / 2) ** 2, of_count)]

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return no limits: a covariance can be any number."""
        return None, None, None


class Correlation(OfPair[nodes.Correlation]):
    """Pearson's correlation of two columns."""

    node = nodes.Correlation
    members = (Member("correlation", Shape.TWO_COLUMNS, "columns"), TWO_BOUNDS)
    sql_names = ("CORR",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is CORR."""
        return isinstance(body, exp.Corr)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Correlation, str]:
        """Read CORR(x, y)."""
        (x, y), bounds = calls.two_columns(body)
        return nodes.Correlation((x, y), bounds), f"correlation_{x}_{y}"

    def write_sql(self, node: nodes.Correlation) -> exp.Expr:
        """Write the same."""
        return calls.of_two(exp.Corr, node.columns, node.bounds)

    def pairs(self, x: Factor, y: Factor) -> tuple[tuple[Factor, Factor], ...]:
        """Return the two columns, and each with itself."""
        return (x, y), (x, x), (y, y)

    def intervals(self, measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
        """Return each cell's value, low and high."""
        xy, xx, yy, x, y, n = sums
        noise = noise_of(measures, ("xy", "xx", "yy", "x", "y", "n"), confidence)
        middles = (measures[1].middle, measures[2].middle)
        return moments.correlation((xy, xx, yy), (x, y), n, noise, largest(measures), middles)

    def squares(self, measured: Sequence[Draft]) -> list[Fraction]:
        """Return the squares for the sums of xy, xx, yy, x, y and the count, put together as in `moments.py`."""
        hx, hy = (yardsticks.half_range(measured[0], place) for place in (0, 1))
        r, t = HALF, hy / hx
        means = yardsticks.two_means(hx, hy)
        of_squares = t * (hx**2 / 4 + measured[1].middle) + (hy**2 / 4 + measured[2].middle) / t
        squared = (
            Fraction(1),
            (r * t / 2) ** 2,
            (r / t / 2) ** 2,
            yardsticks.mean_square([r * t * a - b for a, b in means]),
            yardsticks.mean_square([r / t * b - a for a, b in means]),
            yardsticks.mean_square([a * b - r / 2 * of_squares for a, b in means]),
        )
        # All of it is divided by the product of the deviations.
        return [square / (hx * hy / 3) ** 2 for square in squared]

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return -1 and 1."""
        return -1, 1, None

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under 0.1."""
        return f"A group needs {words.at_least(group.events)} events for a margin under 0.1."

    def about_range(self, output: Output) -> str | None:  # noqa: ARG002
        """Return None: the range of the values is in both parts of the quotient."""
        return None


def _raw_name(measure: Measure) -> str:
    """Return what a released number is: `count`, or the sum of a product of values less their centres."""
    if not measure.factors:
        return "count"
    return "centred_sum_" + "_".join(factor.column.name for factor in measure.factors)


def noise_of(measures: Sequence[Measure], names: Sequence[str], confidence: float) -> moments.Noise:
    """Return the scales of the noise on the sums, which have these names in `moments.py`."""
    scales = {name: measure.mechanism.scale for name, measure in zip(names, measures, strict=True)}
    return moments.Noise(**scales, gaussian=measures[0].mechanism.gaussian, confidence=confidence)


def largest(measures: Sequence[Measure]) -> tuple[float, float]:
    """Return how far the values of both factors can be from their centres."""
    x, y = measures[0].factors
    return x.largest, y.largest


def _variance(measures: Sequence[Measure], sums: list[Floats], confidence: float) -> Interval:
    """Return each cell's variance in the column's units."""
    xx, x, n = sums
    noise = noise_of(measures, ("xx", "x", "n"), confidence)
    return moments.variance(xx, x, n, noise, measures[0].factors[0].largest, measures[0].middle)


def _of_variance(measured: Sequence[Draft]) -> list[Fraction]:
    """Return the squares for XX - 2 a X + (a^2 + middle - K) N, with the mean a = h / 2 and the variance K."""
    h = yardsticks.half_range(measured[0], 0)
    variance = h**2 / 3
    of_count = h**2 / 4 + measured[0].middle - variance
    return [(moved / variance) ** 2 for moved in (Fraction(1), h, of_count)]
