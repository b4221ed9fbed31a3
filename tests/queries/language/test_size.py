"""How large a query may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from queries.errors import InvalidQuery
from queries.language import nodes, size

SMALL = nodes.Query("visits", (("n", nodes.Count("persons")),))


def named(count: int) -> tuple[tuple[str, nodes.Statistic], ...]:
    """Return so many statistics."""
    return tuple((f"s{number}", nodes.Count("events")) for number in range(count))


def test_size_counts_statistics_nodes_and_values() -> None:
    """Each node counts once, wherever it is, and so does each name, literal and edge."""
    condition = nodes.All((nodes.Comparison("code", "in", ("A", "B", "C")), nodes.Not(nodes.Comparison("age", "=", 1))))
    asked = replace(SMALL, where=condition)
    found, before = size.of(asked), size.of(SMALL)
    assert found.statistics == 1
    assert found.nodes - before.nodes == 4
    assert found.values - before.values == 8  # two columns, two operators, four values


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        (replace(SMALL, select=named(size.STATISTICS_MAX + 1)), "/query/select"),
        (
            replace(SMALL, where=nodes.Any(tuple(nodes.Comparison("a", "is_null") for _ in range(size.NODES_MAX)))),
            "/query",
        ),
        (replace(SMALL, where=nodes.Comparison("a", "in", tuple(range(size.VALUES_MAX)))), "/query"),
        (replace(SMALL, group_by=(nodes.ByBins("a", tuple(range(size.VALUES_MAX))),)), "/query"),
    ],
    ids=["statistics", "parts", "values", "edges"],
)
def test_query_that_is_too_large_is_refused(query: nodes.Query, pointer: str) -> None:
    """A query beyond a limit is refused with the place, and one at the limit is not."""
    with pytest.raises(InvalidQuery) as refusal:
        size.require(query)
    assert refusal.value.pointer == pointer


def test_query_at_the_limits_is_accepted_and_large() -> None:
    """64 statistics and 5,000 values are allowed, and planned in the place of large queries."""
    for query in (
        replace(SMALL, select=named(size.STATISTICS_MAX)),
        replace(SMALL, where=nodes.Comparison("a", "in", tuple(range(5_000)))),
    ):
        size.require(query)
        assert size.of(query).large
    assert not size.of(SMALL).large
