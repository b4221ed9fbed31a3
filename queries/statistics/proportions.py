"""The share of what fulfils a condition."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.language import nodes
from queries.language.sql import written
from queries.language.sql.conditions import predicate
from queries.language.sql.syntax import only, refusal
from queries.language.sql.values import filtered
from queries.statistics import counts
from queries.statistics.parts import drafts, words, yardsticks
from queries.statistics.parts.exactness import GroupMargin
from queries.statistics.parts.intervals import proportion
from queries.statistics.parts.members import Member, Shape
from queries.statistics.statistic import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.statistic import Result, Vectors


class Proportion(GroupMargin[nodes.Proportion]):
    """A share of two noisy counts: of those that fulfil the condition, and of the others."""

    node = nodes.Proportion
    listed = None
    size_members = ("holding", "others")
    members = (Member("proportion", Shape.CONDITION, "holds"), Member("of", Shape.COUNTED, "of", required=False))
    sql_names = ()

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is a quotient."""
        return isinstance(body, exp.Div)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Proportion, str]:
        """Read COUNT(x) FILTER (WHERE ...) / COUNT(x)."""
        wanted = (
            "a proportion is written: COUNT(*) FILTER (WHERE a > 0) / COUNT(*), or with COUNT(DISTINCT person), "
            "without a factor; a mean is AVG(a); other quotients are computed from the numbers of the answer"
        )
        only(body, "this", "expression", "typed", "safe")
        part, whole = body.this, body.expression
        if not (isinstance(part, exp.Filter) and isinstance(part.this, exp.Count) and isinstance(whole, exp.Count)):
            raise refusal(body, wanted)
        function, condition = filtered(part)
        of = counts.counted(function)
        holds = predicate(condition)
        if counts.counted(whole) != of:
            raise refusal(body, wanted)
        return nodes.Proportion(holds, of), "proportion"

    def write_sql(self, node: nodes.Proportion) -> exp.Expr:
        """Write the same."""
        some, all_of = (counts.count_of(node.of) for _ in range(2))
        return exp.Div(this=written.filtered(some, node.holds), expression=all_of)

    def bind(self, name: str, node: nodes.Proportion, scope: Scope) -> BoundStatistic:
        """Return the condition that splits what counts."""
        place = self.place(name)
        scope.require_room(2, place)
        return BoundStatistic(name, node, split=scope.filter(node.holds, place))

    def parameters(self, node: nodes.Proportion) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Proportion, events: int) -> tuple[Draft, ...]:
        """Return the numbers on both sides of the condition."""
        return (drafts.persons(bound.split) if self.of_persons(node) else drafts.events(events, split=bound.split),)

    def of_persons(self, node: nodes.Proportion) -> bool:
        """Return whether it is a share of persons."""
        return node.of == "persons"

    def influences(self, node: nodes.Proportion, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return what moves a share of a half: half the difference of two noises, over the yardstick of a half."""
        return [Fraction(2) * (1 if self.of_persons(node) else yardsticks.of_events(events))]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return the share, with how many fulfil the condition and how many do not."""
        mechanism = output.measures[0].mechanism
        holding, others = vectors[0][::2], vectors[0][1::2]
        found = proportion(
            holding.astype(np.float64),
            others.astype(np.float64),
            mechanism.scale,
            confidence,
            gaussian=mechanism.gaussian,
        )
        shown = [part.tolist() for part in (*found, holding, others)]
        return [
            {"value": share, "low": low, "high": high, "raw": {"holding": yes, "others": no}}
            for share, low, high, yes, no in zip(*shown, strict=True)
        ]

    def noise(self, output: Output) -> Result:
        """Return the noise of both sides."""
        scale = output.measures[0].mechanism.scale
        return {"scales": {"holding": scale, "others": scale}, "unit": 1, "middle": 0, "limits": [0, 1]}

    def margin_at(self, output: Output, count: int, confidence: float) -> float:
        """Return half the width of the interval for a half of `count`."""
        mechanism, half = output.measures[0].mechanism, np.array([count / 2])
        _, low, high = proportion(half, half, mechanism.scale, confidence, gaussian=mechanism.gaussian)
        return float((high - low)[0]) / 2

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return 0 and 1."""
        return 0, 1, None

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return True: its two sides are all that count."""
        return True

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under 5 percentage points."""
        of_persons = self.of_persons(self.asked(output))
        size = f"{words.at_least(group.persons)} persons" if of_persons else f"{words.at_least(group.events)} events"
        return f"A group needs {size} for a margin under 5 percentage points."

    def about_range(self, output: Output) -> str | None:  # noqa: ARG002
        """Return None: values do not enter a share."""
        return None
