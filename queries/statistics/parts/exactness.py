"""The three kinds of margin, each with what may be asked of it.

- `FixedMargin`: the margin is the same whatever is released (a count).
- `GroupMargin`: it depends on how many events, or persons, a value is over (a mean).
- `RankMargin`: the result is exact up to so many events further up or down, whose values nobody knows beforehand
  (a quantile).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.catalog import codes
from queries.errors import InvalidQuery
from queries.statistics.parts import words
from queries.statistics.statistic import N, Statistic

if TYPE_CHECKING:
    from queries.language import nodes
    from queries.plan import Output
    from queries.statistics.statistic import Result

GROUPS = (100, 1_000, 10_000, 100_000)  # numbers of events for which a margin is foretold


def _exact(target: nodes.Target) -> Fraction:
    return codes.exact(target.margin, "/privacy/margin")


class FixedMargin(Statistic[N]):
    """A statistic whose margin is the same whatever is released."""

    @property
    @abstractmethod
    def counts(self) -> bool:
        """Return whether its numbers are counts. A protocol may ask that no count be too exact."""

    def fixed_margin(self, output: Output, confidence: float) -> Fraction:
        """Return the margin, exactly."""
        first = output.measures[0]
        steps = (Fraction(factor.column.step) for factor in first.factors)
        return math.prod(steps, start=Fraction(first.mechanism.margin(confidence)))

    def foretold(self, output: Output, confidence: float) -> Result:
        """Return the margin."""
        return {"margin": float(self.fixed_margin(output, confidence))}

    def require_fitting(self, node: N, target: nodes.Target, pointer: str) -> None:  # noqa: ARG002
        """Raise InvalidQuery unless a plain margin is asked for."""
        if target.at is not None or target.of_rank:
            raise InvalidQuery(
                pointer, f"the margin of a {self.word} is the same for groups of any size; give a number"
            )

    def meets(self, output: Output, target: nodes.Target, confidence: float) -> bool:
        """Return whether the margin is no wider than what was asked for."""
        return self.fixed_margin(output, confidence) <= _exact(target)

    def margin_in_words(self, output: Output, confidence: float, group: int) -> str:  # noqa: ARG002
        """Return the margin, which is the same for all groups."""
        return f"±{float(self.fixed_margin(output, confidence)):,g}"


class GroupMargin(Statistic[N]):
    """A statistic whose margin depends on how many events (or persons, if it is of those) a value is over."""

    @abstractmethod
    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return half the width of the interval over a group of so many."""

    def foretold(self, output: Output, confidence: float) -> Result:
        """Return the margin for some sizes of groups."""
        sizes = sorted({*GROUPS, *([] if output.at is None else [output.at])})
        return {"margin": None, "margins_at": {str(n): self.margin_at(output, n, confidence) for n in sizes}}

    def require_fitting(self, node: N, target: nodes.Target, pointer: str) -> None:
        """Raise InvalidQuery unless the size of a group is named."""
        if target.at is None:
            raise InvalidQuery(
                pointer,
                f"the margin of a {self.word} depends on how many {self._members(node)} it is over; "
                f'say for how many, as in {{"margin": {target.margin:g}, "at": 1000}}',
            )

    def meets(self, output: Output, target: nodes.Target, confidence: float) -> bool:
        """Return whether the margin over the group that was named is no wider than what was asked for."""
        assert target.at is not None
        return Fraction(self.margin_at(output, target.at, confidence)) <= _exact(target)

    def margin_in_words(self, output: Output, confidence: float, group: int) -> str:
        """Return the margin over a group."""
        margin = words.number(self.margin_at(output, group, confidence))
        return f"±{margin} over {group:,} {self._members(self.asked(output))}"

    def _members(self, node: N) -> str:
        return "persons" if self.of_persons(node) else "events"


class RankMargin(Statistic[N]):
    """A statistic that is exact up to a number of events further up or down."""

    @property
    @abstractmethod
    def named(self) -> str:
        """Return what a sentence calls it, with its article."""

    @abstractmethod
    def rank_margin(self, output: Output, confidence: float) -> float:
        """Return by how many events it may be off."""

    def foretold(self, output: Output, confidence: float) -> Result:
        """Return the number of events."""
        return {"margin": None, "margin_events": self.rank_margin(output, confidence)}

    def require_fitting(self, node: N, target: nodes.Target, pointer: str) -> None:  # noqa: ARG002
        """Raise InvalidQuery unless a number of events is asked for."""
        if not target.of_rank:
            raise InvalidQuery(
                pointer,
                f"{self.named} is exact up to a number of events, whose values nobody knows beforehand; "
                'say how many, as in {"events": 50}',
            )

    def meets(self, output: Output, target: nodes.Target, confidence: float) -> bool:
        """Return whether it is off by no more events than what was asked for."""
        return Fraction(self.rank_margin(output, confidence)) <= _exact(target)

    def margin_in_words(self, output: Output, confidence: float, group: int) -> str:  # noqa: ARG002
        """Return the number of events."""
        return f"±{words.number(self.rank_margin(output, confidence))} events up or down"
