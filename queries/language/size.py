"""How large a query is, and how large it may be: planning takes time, and estimates and rehearsals are free.

A query is one tree of nodes. Names of columns and tables, literals and edges of bins are counted together. The limits
are the same whether a query is asked, rehearsed or estimated, so that what an estimate describes can be asked.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING

from queries.errors import InvalidQuery

if TYPE_CHECKING:
    from queries.language import nodes

STATISTICS_MAX = 64
NODES_MAX = 5_000
VALUES_MAX = 20_000
LARGE = 8  # a query of more statistics takes noticeable time to plan, and so does
LARGE_NODES = 100  # one of more nodes, or
LARGE_VALUES = 200  # of more values


@dataclass(frozen=True)
class Size:
    """How many statistics, nodes, and names and values a query has."""

    statistics: int
    nodes: int
    values: int

    @property
    def large(self) -> bool:
        """Return whether planning the query takes noticeable time."""
        return self.statistics > LARGE or self.nodes > LARGE_NODES or self.values > LARGE_VALUES


def of(query: nodes.Query) -> Size:
    """Return the size of a query."""
    found_nodes = found_values = 0
    left: list[object] = [query]
    while left:
        part = left.pop()
        if is_dataclass(part):
            found_nodes += 1
            left += [getattr(part, field.name) for field in fields(part)]
        elif isinstance(part, tuple):
            left += part
        elif part is not None:
            found_values += 1
    return Size(len(query.select), found_nodes, found_values)


def require(query: nodes.Query) -> None:
    """Raise InvalidQuery if a query is larger than it may be."""
    size = of(query)
    if size.statistics > STATISTICS_MAX:
        raise InvalidQuery(
            "/query/select", f"asks for {size.statistics} statistics; at most {STATISTICS_MAX} are allowed in one query"
        )
    for what, found, most in (("parts", size.nodes, NODES_MAX), ("names and values", size.values, VALUES_MAX)):
        if found > most:
            raise InvalidQuery("/query", f"has {found:,} {what}; at most {most:,} are allowed in one query")
