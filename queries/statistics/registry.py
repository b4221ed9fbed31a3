"""All statistics, each registered once.

Loading this module makes each object, which fails for a class that lacks a method of `Statistic`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from queries.statistics.counts import Count, Histogram, Top
from queries.statistics.curves import Survival
from queries.statistics.iqr import Iqr
from queries.statistics.proportions import Proportion
from queries.statistics.ranks import Quantile
from queries.statistics.rates import Rate
from queries.statistics.slopes import Slope
from queries.statistics.spreads import Correlation, Covariance, Stddev, Variance
from queries.statistics.sums import Mean, Sum

if TYPE_CHECKING:
    from queries.binding.bound import BoundStatistic
    from queries.binding.scope import Scope
    from queries.language import nodes
    from queries.plan import Draft
    from queries.statistics.statistic import Statistic

# In the order in which protocols and documents list them.
STATISTICS: tuple[Statistic[Any], ...] = (
    Count(),
    Sum(),
    Mean(),
    Proportion(),
    Variance(),
    Stddev(),
    Quantile(),
    Iqr(),
    Histogram(),
    Top(),
    Covariance(),
    Correlation(),
    Slope(),
    Survival(),
    Rate(),
)
WORDS = tuple(statistic.word for statistic in STATISTICS)

_BY_NODE: dict[type[nodes.Statistic], Statistic[Any]] = {statistic.node: statistic for statistic in STATISTICS}
_BY_WORD = {statistic.word: statistic for statistic in STATISTICS}


def of(node: nodes.Statistic) -> Statistic[Any]:
    """Return the statistic that a node asks for."""
    return _BY_NODE[type(node)]


def called(word: str) -> Statistic[Any]:
    """Return the statistic with this name."""
    return _BY_WORD[word]


def bind(name: str, node: nodes.Statistic, scope: Scope) -> BoundStatistic:
    """Return a statistic bound to the catalog, but for its filter. Raises InvalidQuery with the place."""
    return of(node).bind(name, node, scope)


def drafts(bound: BoundStatistic, events: int) -> tuple[Draft, ...]:
    """Return the measures of a statistic, where so many events of a person count in a cell at most."""
    found = of(bound.node).drafts(bound, bound.node, events)
    return found if bound.where is None else tuple(replace(draft, where=bound.where) for draft in found)
