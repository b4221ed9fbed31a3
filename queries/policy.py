"""May this study ask this? A protocol is an allow-list: what it does not name is refused.

It depends on the query and the protocol alone, so a refusal reveals nothing and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from queries import nodes
from queries.errors import OutsideProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator

NANO = 10**9
STATISTICS = (
    "count",
    "sum",
    "mean",
    "proportion",
    "variance",
    "stddev",
    "quantile",
    "histogram",
    "top",
    "covariance",
    "correlation",
)


@dataclass(frozen=True)
class Protocol:
    """What a study may ask; None allows everything the catalog has. `epsilon_nano_max` bounds one query."""

    tables: frozenset[str] | None = None
    columns: frozenset[str] | None = None
    statistics: frozenset[str] | None = None
    epsilon_nano_max: int | None = None


def check(query: nodes.Query, privacy: nodes.Privacy, protocol: Protocol) -> None:
    """Raise OutsideProtocol with the place of the first thing that the protocol does not include."""
    if protocol.tables is not None and query.table not in protocol.tables:
        raise OutsideProtocol("/query/from", f"the study's protocol does not include table {query.table}")
    for name, statistic in query.select:
        word = nodes.word_of(statistic)
        if protocol.statistics is not None and word not in protocol.statistics:
            raise OutsideProtocol(f"/query/select/{name}", f"the study's protocol does not include the {word}")
    for pointer, column in columns(query):
        if protocol.columns is not None and column not in protocol.columns:
            raise OutsideProtocol(pointer, f"the study's protocol does not include column {column}")
    if protocol.epsilon_nano_max is None:
        return
    if privacy.epsilon_nano is not None and privacy.epsilon_nano > protocol.epsilon_nano_max:
        raise OutsideProtocol("/privacy/epsilon", "is more than the study's protocol allows for one query")
    # Of rho as much as pure DP of the largest epsilon costs: epsilon^2 / 2.
    if privacy.rho_nano is not None and 2 * privacy.rho_nano * NANO > protocol.epsilon_nano_max**2:
        raise OutsideProtocol("/privacy/rho", "is more than the study's protocol allows for one query")


def columns(query: nodes.Query) -> Iterator[tuple[str, str]]:
    """Yield every column a query names, with the JSON pointer to where it does."""
    if query.where is not None:
        yield from _predicate_columns(query.where, "/query/where")
    for place, key in enumerate(query.group_by):
        pointer = f"/query/group_by/{place}"
        yield (pointer if isinstance(key, nodes.ByValue) else f"{pointer}/column"), key.column
    for name, statistic in query.select:
        pointer = f"/query/select/{name}/{nodes.word_of(statistic)}"
        named = nodes.columns_of(statistic)
        for place, column in enumerate(named):
            yield (f"{pointer}/{place}" if len(named) > 1 else pointer), column
        if isinstance(statistic, nodes.Proportion):
            yield from _predicate_columns(statistic.holds, pointer)
        elif statistic.where is not None:
            yield from _predicate_columns(statistic.where, f"/query/select/{name}/where")


def _predicate_columns(predicate: nodes.Predicate, pointer: str) -> Iterator[tuple[str, str]]:
    match predicate:
        case nodes.Comparison(column):
            yield f"{pointer}/column", column
        case nodes.Not(part):
            yield from _predicate_columns(part, f"{pointer}/not")
        case nodes.All(parts) | nodes.Any(parts):
            word = "all" if isinstance(predicate, nodes.All) else "any"
            for place, part in enumerate(parts):
                yield from _predicate_columns(part, f"{pointer}/{word}/{place}")
