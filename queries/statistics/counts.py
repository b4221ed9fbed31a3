"""Counts: of persons or events, of the bins of a histogram, of the most frequent values."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from sqlglot import exp

from queries.binding.bound import BoundStatistic
from queries.errors import InvalidQuery
from queries.language import nodes
from queries.language.sql import calls
from queries.language.sql.syntax import column_name, only, refusal, scalar
from queries.statistics.parts import drafts, lists, members, noisy, words, yardsticks
from queries.statistics.parts.exactness import FixedMargin
from queries.statistics.parts.members import Member, Shape
from queries.statistics.statistic import TENTH, Group, N

if TYPE_CHECKING:
    from collections.abc import Sequence

    from queries.binding.scope import Scope
    from queries.plan import Draft, Output
    from queries.statistics.statistic import Result, Vectors


class _Counting(FixedMargin[N]):
    """What all counts have in common."""

    counts = True
    size_members = ("value",)

    def limits(self, output: Output) -> tuple[float | None, float | None, str | None]:  # noqa: ARG002
        """Return 0 and no greatest; counts are whole."""
        return 0, None, "1"

    def about_range(self, output: Output) -> str | None:  # noqa: ARG002
        """Return None: values do not enter a count."""
        return None


class Count(_Counting[nodes.Count]):
    """How many persons, or how many events."""

    node = nodes.Count
    listed = None
    members = (Member("count", Shape.COUNTED, "of"),)
    sql_names = ("COUNT",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is COUNT."""
        return isinstance(body, exp.Count)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Count, str]:
        """Read COUNT(*), or COUNT(DISTINCT person)."""
        of = counted(body)
        return nodes.Count(of), "count" if of == "events" else of

    def write_sql(self, node: nodes.Count) -> exp.Expr:
        """Write the same."""
        return count_of(node.of)

    def bind(self, name: str, node: nodes.Count, scope: Scope) -> BoundStatistic:  # noqa: ARG002
        """Return the node: it names nothing."""
        return BoundStatistic(name, node)

    def parameters(self, node: nodes.Count) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Count, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the number of persons, or of events."""
        return (drafts.persons() if self.of_persons(node) else drafts.events(events),)

    def of_persons(self, node: nodes.Count) -> bool:
        """Return whether persons are counted."""
        return node.of == "persons"

    def influences(self, node: nodes.Count, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / n for persons, and 1 / (n * m) for events."""
        return [Fraction(1) if self.of_persons(node) else yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> Sequence[Result]:
        """Return the noisy counts."""
        return noisy.numbers(output.measures[0], vectors[0], confidence)

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return True: it is the total itself."""
        return True

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size for a margin under a tenth of the count."""
        of_persons = self.of_persons(self.asked(output))
        size = f"{words.at_least(group.persons)} persons" if of_persons else f"{words.at_least(group.events)} events"
        return f"A group needs {size} for a margin under 10% of its count."


class _OfBins(_Counting[N]):
    """A count for each bin of a cell."""

    def group_needed(self, output: Output, group: Group, confidence: float) -> str:  # noqa: ARG002
        """Return the size that a bin needs by itself."""
        needed = words.at_least(float(TENTH * self.fixed_margin(output, confidence)))
        return f"A bin needs {needed} events for a margin under 10% of its count."


class Histogram(_OfBins[nodes.Histogram]):
    """How many events fall into each bin."""

    node = nodes.Histogram
    listed = lists.BINS
    members = (members.column("histogram"), Member("bins", Shape.SCALARS, "edges", required=False))
    sql_names = ("HISTOGRAM",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is HISTOGRAM."""
        return calls.is_named(body, *self.sql_names)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Histogram, str]:
        """Read HISTOGRAM(column), or HISTOGRAM(column, [edges])."""
        arguments = calls.arguments(body)
        if len(arguments) not in (1, 2) or (len(arguments) == 2 and not isinstance(arguments[1], exp.Array)):
            raise refusal(body, "write HISTOGRAM(column), or with the edges of its bins HISTOGRAM(column, [0, 18, 65])")
        column = column_name(arguments[0])
        edges = calls.scalars(arguments[1]) if len(arguments) == 2 else None
        return nodes.Histogram(column, edges), f"histogram_{column}"

    def write_sql(self, node: nodes.Histogram) -> exp.Expr:
        """Write the same."""
        bins = [] if node.edges is None else [calls.array(node.edges)]
        return calls.named("HISTOGRAM", exp.column(node.column), *bins)

    def bind(self, name: str, node: nodes.Histogram, scope: Scope) -> BoundStatistic:
        """Return the bins: those between the edges, or the column's declared values."""
        place = self.place(name)
        pointer = place.removesuffix(f"/{self.word}")
        if node.edges is None:
            within = scope.key(nodes.ByValue(node.column), place, place)
            scope.require_room(within.size, place)
        else:
            within = scope.key(nodes.ByBins(node.column, node.edges), pointer, place)
            scope.require_room(within.size, f"{pointer}/bins")
        return BoundStatistic(name, node, within=within)

    def parameters(self, node: nodes.Histogram) -> dict[str, object]:  # noqa: ARG002
        """Return nothing: its measures show all of it."""
        return {}

    def drafts(self, bound: BoundStatistic, node: nodes.Histogram, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the number of events in each bin."""
        return (drafts.events(events, within=bound.within),)

    def influences(self, node: nodes.Histogram, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / (n * m)."""
        return [yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return for each cell its bins, each with its label."""
        measure = output.measures[0]
        labels = noisy.bins_of(measure).every_label()
        counts = noisy.numbers(measure, vectors[0], confidence)
        bins: list[Result] = [
            {"bin": label, **count} for label, count in zip(itertools.cycle(labels), counts, strict=False)
        ]
        return [{"bins": list(part)} for part in noisy.chunks(bins, len(labels))]

    def is_view_of_total(self, output: Output) -> bool:
        """Return whether the bins cover every value.

        That a column which is not declared as nullable has no nulls is the custodian's word: do not rely on it.
        """
        within = noisy.bins_of(output.measures[0])
        return within.edges is None or (within.edges[0] <= 1 and within.edges[-1] > within.column.size)


class Top(_OfBins[nodes.Top]):
    """The most frequent declared values, with their counts.

    The largest of many noisy counts are more likely too large. Therefore the margins hold for all counts of a cell at
    once: each alone holds with the confidence that leaves them together the one that is stated.
    """

    node = nodes.Top
    listed = lists.TOP
    members = (members.column("top"), Member("k", Shape.WHOLE, "k"))
    sql_names = ("APPROX_TOP_K",)

    def is_written(self, body: exp.Expr) -> bool:
        """Return whether it is APPROX_TOP_K."""
        return isinstance(body, exp.ApproxTopK) or calls.is_named(body, *self.sql_names)

    def read_sql(self, body: exp.Expr) -> tuple[nodes.Top, str]:
        """Read APPROX_TOP_K(column, 3)."""
        arguments = calls.arguments(body)
        k = scalar(arguments[1]) if len(arguments) == 2 and arguments[1] is not None else None
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise refusal(body, "write APPROX_TOP_K(column, 5): the five most frequent values")
        column = column_name(arguments[0])
        return nodes.Top(column, k), f"top_{column}"

    def write_sql(self, node: nodes.Top) -> exp.Expr:
        """Write the same."""
        return calls.named("APPROX_TOP_K", exp.column(node.column), exp.convert(node.k))

    def bind(self, name: str, node: nodes.Top, scope: Scope) -> BoundStatistic:
        """Return the column's declared values as bins."""
        place = self.place(name)
        within = scope.key(nodes.ByValue(node.column), place)
        if node.k > within.size:
            raise InvalidQuery(f"/query/select/{name}/k", f"{node.column} has only {within.size} values")
        scope.require_room(within.size, place)
        return BoundStatistic(name, node, within=within)

    def parameters(self, node: nodes.Top) -> dict[str, object]:
        """Return how many values are shown."""
        return {"k": node.k}

    def drafts(self, bound: BoundStatistic, node: nodes.Top, events: int) -> tuple[Draft, ...]:  # noqa: ARG002
        """Return the number of events of each value."""
        return (drafts.events(events, within=bound.within),)

    def influences(self, node: nodes.Top, measured: Sequence[Draft], events: int) -> list[Fraction]:  # noqa: ARG002
        """Return 1 / (n * m), the more the wider the margins are that hold for all values at once."""
        wider = 1 + Fraction(round(16 * math.log(measured[0].width, 20)), 16)
        return [wider**2 * yardsticks.of_events(events)]

    def values(self, output: Output, vectors: Vectors, confidence: float) -> list[Result]:
        """Return for each cell the values with the largest noisy counts."""
        measure, k = output.measures[0], self.asked(output).k
        labels = noisy.bins_of(measure).every_label()
        counts = noisy.numbers(measure, vectors[0], noisy.together(confidence, len(labels)))
        order = np.argsort(-vectors[0].reshape(-1, len(labels)), axis=1, kind="stable")[:, :k].tolist()
        cells = noisy.chunks(counts, len(labels))
        return [
            {"top": [{"key": labels[place], **cell[place]} for place in places]}
            for places, cell in zip(order, cells, strict=True)
        ]

    def fixed_margin(self, output: Output, confidence: float) -> Fraction:
        """Return the margin that holds for all counts of a cell at once."""
        first = output.measures[0]
        return Fraction(first.mechanism.margin(noisy.together(confidence, first.width)))

    def is_view_of_total(self, output: Output) -> bool:  # noqa: ARG002
        """Return False: the rarer values are not shown."""
        return False


def counted(body: exp.Expr) -> str:
    """Return what COUNT counts: persons or events."""
    only(body, "this", "big_int")
    of = body.this
    if isinstance(of, exp.Star):
        only(of)
        return "events"
    if isinstance(of, exp.Literal):  # COUNT(1) is COUNT(*)
        return "events"
    if isinstance(of, exp.Distinct):
        only(of, "expressions")
        inner = [one.unnest() for one in of.expressions]  # DISTINCT(person) is DISTINCT person
        if [column_name(one).lower() for one in inner] == [nodes.PERSON]:
            return "persons"
    raise refusal(
        body,
        "count events with COUNT(*) or persons with COUNT(DISTINCT person), and of them those that fulfil a condition "
        "with FILTER (WHERE column IS NOT NULL)",
    )


def count_of(of: str) -> exp.Count:
    """Return COUNT of persons or events."""
    if of == "persons":
        return exp.Count(this=exp.Distinct(expressions=[exp.column(nodes.PERSON)]))
    return exp.Count(this=exp.Star())
