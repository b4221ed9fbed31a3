"""Quantiles: values of a column by their rank. `quantiles.py` has the search and the argument for the intervals."""

from __future__ import annotations

from abc import abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.language import nodes
from queries.language.sql import calls, written
from queries.language.sql.syntax import only, refusal, scalar
from queries.language.sql.values import clamped, items
from queries.statistics import quantiles
from queries.statistics.parts import drafts, lists, members, noisy, words, yardsticks
from queries.statistics.parts.exactness import RankMargin
from queries.statistics.parts.members import Member, Shape
from queries.statistics.statistic import TENTH, Group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from queries.binding.scope import Scope
    from queries.plan import Draft, Measure, Output, Search
    from queries.statistics.statistic import Result, Vectors

    Integers = NDArray[np.int64]


R = TypeVar("R", bound=nodes.Quantile | nodes.Iqr)


class Ranked(RankMargin[R]):
    """What is read from one search for some shares of a column's values."""

    size_members = ()

    @abstractmethod
    def shares(self, node: R) -> tuple[float, ...]:
        """Return the shares that are searched."""

    @abstractmethod
    def confidence_of_each(self, node: R, confidence: float) -> float:
        """Return the confidence of the interval of each share, for one of the result as it is asked for."""

    def bind(self, name: str, node: R, scope: Scope) -> BoundStatistic:
        """Return the column, its clamping bounds and the leaves of the search."""
        x = self.operand(name, node.column, node.bounds, scope)
        scope.require_room(min(quantiles.BINS, x.high - x.low + 1), self.place(name))
        return BoundStatistic(name, node, (x,), within=quantiles.leaves(x.column, x.low, x.high, scope.room))

    def drafts(self, bound: BoundStatistic, node: R, events: int) -> tuple[Draft, ...]:
        """Return the leaves, to be searched."""
        (x,) = bound.operands
        assert bound.within is not None
        return (drafts.search(events, x, bound.within, self.shares(node)),)

    def rank_margin(self, output: Output, confidence: float) -> float:
        """Return by how many events the least exact of the shares may be off."""
        node, measure = self.asked(output), output.measures[0]
        each = self.confidence_of_each(node, confidence)
        bins = _search(measure).bins
        worst = (quantiles.rank_noise(bins, share, measure.mechanism, each).max() for share in self.shares(node))
        return float(max(worst))

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: its numbers are values."""
        return False

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size of which the events that it may be off by are under 5%."""
        needed = words.at_least(2 * TENTH * self.rank_margin(output, confidence))
        return f"A group needs {needed} events for that to be under 5% of them."

    def about_range(self, output: Output) -> str | None:  # noqa: ARG002
        """Return None: the range makes finer or coarser leaves, not more noise."""
        return None


class Quantile(Ranked[nodes.Quantile]):
    """The values below which some shares of a column's values lie."""

    node = nodes.Quantile
    listed = lists.QUANTILES
    named = "a quantile"
    members = (members.column("quantile"), Member("at", Shape.SHARES, "at"), members.BOUNDS)
    sql_names = ("MEDIAN", "QUANTILE_CONT")

    def make(self, given: Mapping[str, Any]) -> nodes.Quantile:
        """Return the node. Whether `at` is a list decides whether the answer has one."""
        at = given["at"]
        listed = isinstance(at, tuple)
        return nodes.Quantile(given["quantile"], at if listed else (at,), given.get("bounds"), listed)

    def given(self, node: nodes.Quantile) -> dict[str, object]:
        """Return the members: a list of shares, or one."""
        return {**super().given(node), "at": node.at if node.listed else node.at[0]}

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is MEDIAN or QUANTILE_CONT."""
        return isinstance(body, exp.Median | exp.PercentileCont)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Quantile, str]:
        """Read MEDIAN(column), QUANTILE_CONT(column, 0.5) or QUANTILE_CONT(column, [0.25, 0.75])."""
        if isinstance(body, exp.Median):
            column, bounds = calls.one_column(body)
            return nodes.Quantile(column, (0.5,), bounds), f"median_{column}"
        only(body, "this", "expression")
        column, bounds = clamped(body.this)
        at = body.expression
        if at is None:
            raise refusal(body, "write QUANTILE_CONT(column, 0.5)")
        listed = isinstance(at, exp.Array)
        shares = tuple(map(_share, items(at) if listed else [at]))
        return nodes.Quantile(column, shares, bounds, listed), f"quantile_{column}"

    def write_sql(self, node: nodes.Quantile) -> exp.Expr:
        """Write QUANTILE_CONT."""
        at = calls.array(node.at) if node.listed else exp.convert(node.at[0])
        return exp.PercentileCont(this=written.clamped(node.column, node.bounds), expression=at)

    def shares(self, node: nodes.Quantile) -> tuple[float, ...]:
        """Return the shares that are asked for."""
        return node.at

    def confidence_of_each(self, node: nodes.Quantile, confidence: float) -> float:  # noqa: ARG002
        """Return the confidence itself: each quantile has an interval of its own."""
        return confidence

    def parameters(self, node: nodes.Quantile) -> dict[str, object]:
        """Return the shares, and whether the answer has a list."""
        return {"at": node.at, "listed": node.listed}

    def influences(self, node: nodes.Quantile, measured: Sequence[Draft], events: int) -> list[Fraction]:
        """Return what moves the share that is the least exact."""
        return [max(influence(q, measured[0]) for q in node.at) * yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return each cell's quantiles."""
        node, measure = self.asked(output), output.measures[0]
        column = measure.factors[0].column
        found = []
        for share in node.at:
            ends = (column.numbers(units.tolist()) for units in in_units(measure, vectors[0], share, confidence))
            found.append([{"value": value, "low": low, "high": high} for value, low, high in zip(*ends, strict=True)])
        if not node.listed:
            return list(found[0])
        return [
            {"quantiles": [{"at": share, **result} for share, result in zip(node.at, cell, strict=True)]}
            for cell in zip(*found, strict=True)
        ]

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:
        """Return the clamping bounds and the column's step."""
        return noisy.clamped_to(output.measures[0])


def influence(share: float, draft: Draft) -> Fraction:
    """Return what moves a quantile, for one event of each person.

    The balance of an edge is made of all bins of a round, weighted by the share on one side or the other.
    """
    exact = Fraction(str(share))
    return _search(draft).bins * (exact * (1 - exact)) * 4


def in_units(
    measure: Measure, vector: Integers, share: float, confidence: float
) -> tuple[Integers, Integers, Integers]:
    """Return each cell's quantile and the ends of its interval, whole steps of the column that somebody could have."""
    (values,) = measure.factors
    starts = np.array(quantiles.starts(noisy.bins_of(measure), values.low, values.high))
    place, first, last = quantiles.read(vector, _search(measure), share, measure.mechanism, confidence)
    low, high = starts[first], starts[last + 1] - 1
    leaf = np.minimum(place.astype(np.int64), measure.width - 1)
    inside = ((place - leaf) * (starts[leaf + 1] - starts[leaf])).astype(np.int64)
    return np.clip(starts[leaf] + inside, low, high), low, high


def _search(draft: Draft) -> Search:
    assert draft.search is not None
    return draft.search


def _share(part: exp.Expr) -> float:
    share = scalar(part)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise refusal(part, "a quantile is at a share above 0 and below 1, as 0.5")
    return float(share)
