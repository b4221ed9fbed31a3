"""query + catalog -> BoundQuery: each name and each literal is resolved here, once.

The order follows the query: where the rows come from, which of them, the cells, then the statistics. What a statistic
names is bound by the statistic itself (`bind_statistic`), through a `Scope`: this room knows none of them by name.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from queries.binding import filters, keys, names, per_person
from queries.binding.bound import BoundQuery
from queries.binding.scope import Scope
from queries.errors import InvalidQuery
from queries.language import nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.binding.bound import BoundStatistic
    from queries.binding.keys import CellKey
    from queries.binding.per_person import Built
    from queries.catalog.schema import Dataset, Table

    # (name in the answer, statistic, scope) -> the statistic bound, but for its `where`
    BindStatistic = Callable[[str, nodes.Statistic, Scope], BoundStatistic]

VALUES_ROOM = 100  # an answer has room for at least so many values of an undeclared key


def bind(query: nodes.Query, dataset: Dataset, cells_max: int, bind_statistic: BindStatistic) -> BoundQuery:
    """Return the query bound to a dataset's catalog, for an answer of at most so many cells.

    Raises InvalidQuery with the place.
    """
    table, built = _source(query.source, dataset)
    where = filters.bind(query.where, table, "/query/where", dataset.tables)
    bound_keys = keys.bind_all(query, table)
    scope = Scope(table, dataset.tables, built, _room(bound_keys, cells_max))
    select = tuple(_statistic(name, statistic, scope, bind_statistic) for name, statistic in query.select)
    if built is not None:
        built = _with_outcomes(built, select)
        table = built.table
    return BoundQuery(query, dataset, table, built, where, bound_keys, select, query.bounds, cells_max)


def _source(source: str | nodes.PerPerson, dataset: Dataset) -> tuple[Table, Built | None]:
    """Return the table that a query is about, and how it is made if the query builds it."""
    if isinstance(source, str):
        return names.table_of(dataset.tables, source, "/query/from"), None
    built = per_person.bind(source, dataset.tables)
    return built.table, built


def _room(bound_keys: Sequence[CellKey], cells_max: int) -> int:
    """Return how many numbers each cell may have. Raises InvalidQuery if there are too many cells for one each."""
    cells = math.prod(key.size for key in bound_keys if key.named is None)
    if cells > cells_max:
        raise InvalidQuery("/query/group_by", f"makes {cells} cells; at most {cells_max} are allowed")
    room = cells_max // cells
    undeclared = next((key for key in bound_keys if key.named is not None), None)
    if undeclared is None:
        return room
    if room < VALUES_ROOM:
        name, fit = undeclared.column.name, cells_max // VALUES_ROOM
        raise InvalidQuery("/query/group_by", f"makes {cells} cells of each value of {name}; at most {fit} fit")
    return room // VALUES_ROOM


def _statistic(name: str, statistic: nodes.Statistic, scope: Scope, bind_statistic: BindStatistic) -> BoundStatistic:
    """Return a statistic bound, with the filter that it may have whatever it is."""
    bound = bind_statistic(name, statistic, scope)
    if isinstance(statistic, nodes.Proportion) or statistic.where is None:
        return bound
    return replace(bound, where=scope.filter(statistic.where, f"/query/select/{name}/where"))


def _with_outcomes(built: Built, select: Sequence[BoundStatistic]) -> Built:
    """Return a per-person table with the values that statistics need beside those the query builds."""
    more = [outcome for one in select for outcome in one.outcomes]
    notes = tuple(note for one in select for note in one.notes)
    return per_person.extend(built, more, notes)
