"""Whether a study may ask a query. A protocol is an allow-list: what it does not name is refused.

The decision depends on the query and the protocol alone, so a refusal reveals nothing and costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from queries.errors import OutsideProtocol
from queries.language import nodes, references, templates
from queries.mechanisms import NANO
from queries.spelling import json_writing
from queries.statistics import registry
from queries.statistics.parts.exactness import FixedMargin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from queries.catalog.schema import Table
    from queries.language.templates import Template
    from queries.plan import Cost, Output


@dataclass(frozen=True)
class Protocol:
    """What a study may ask. None allows everything in the catalog. `epsilon_nano_max` bounds one query.

    `templates` are the only queries that may be asked (strict mode). `margin_min` is the least margin at 95% that a
    count may have in an answer. Numbers of cells below `hide_below` are hidden (`queries/release/hiding.py`).
    `professionals` are the columns about professionals that may be used; all others are refused wherever a query names
    them: practices and physicians are data subjects too.
    """

    tables: frozenset[str] | None = None
    columns: frozenset[str] | None = None
    statistics: frozenset[str] | None = None
    epsilon_nano_max: int | None = None
    margin_min: float | None = None
    templates: tuple[Template, ...] | None = None
    hide_below: int | None = None
    professionals: frozenset[str] = frozenset()


def check(query: nodes.Query, privacy: nodes.Privacy, protocol: Protocol, *others: nodes.Query) -> Protocol:
    """Raise OutsideProtocol with the place of the first thing that the protocol does not include.

    Returns the protocol as it applies to this query, because a template may allow less than the protocol. `others` are
    other spellings of the query; a template may match any of them.
    """
    if protocol.templates is not None:
        forms = tuple(map(json_writing.to_json, dict.fromkeys((*others, query))))
        most = templates.match(forms, protocol.templates).epsilon_nano_max
        limits = [limit for limit in (most, protocol.epsilon_nano_max) if limit is not None]
        protocol = replace(protocol, epsilon_nano_max=min(limits, default=None))
    for pointer, table in references.tables(query):
        if protocol.tables is not None and table not in protocol.tables:
            raise OutsideProtocol(pointer, f"the study's protocol does not include table {table}")
    for name, statistic in query.select:
        word = nodes.word_of(statistic)
        if protocol.statistics is not None and word not in protocol.statistics:
            raise OutsideProtocol(f"/query/select/{name}", f"the study's protocol does not include the {word}")
    for pointer, column in references.columns(query):
        if protocol.columns is not None and column not in protocol.columns:
            raise OutsideProtocol(pointer, f"the study's protocol does not include column {column}")
    _check_sized(query, protocol)
    if protocol.epsilon_nano_max is None:
        return protocol
    if privacy.epsilon_nano is not None and privacy.epsilon_nano > protocol.epsilon_nano_max:
        raise OutsideProtocol("/privacy/epsilon", "is more than the study's protocol allows for one query")
    # The most rho is what pure DP of the largest epsilon costs: epsilon^2 / 2.
    if privacy.rho_nano is not None and 2 * privacy.rho_nano * NANO > protocol.epsilon_nano_max**2:
        raise OutsideProtocol("/privacy/rho", "is more than the study's protocol allows for one query")
    return protocol


def check_professionals(query: nodes.Query, tables: Mapping[str, Table], protocol: Protocol) -> None:
    """Raise OutsideProtocol with the place of the first column about professionals that the protocol does not allow.

    A column of this name in any table counts: a query cannot choose the one that is not marked.
    """
    marked = professional_columns(tables)
    for pointer, column in references.columns(query):
        if column in marked and column not in protocol.professionals:
            raise OutsideProtocol(
                pointer, f"column {column} is about professionals, and the study's protocol gives no reason to use it"
            )


def professional_columns(tables: Mapping[str, Table]) -> frozenset[str]:
    """Return the names of the columns that are about professionals."""
    return frozenset(name for table in tables.values() for name, column in table.columns.items() if column.professional)


def _check_sized(query: nodes.Query, protocol: Protocol) -> None:
    """Raise OutsideProtocol if small cells are hidden and nothing in an answer would tell how many a number is of."""
    if protocol.hide_below is None:
        return
    counted = [statistic.where for _, statistic in query.select if isinstance(statistic, nodes.Count)]
    for name, statistic in query.select:
        if isinstance(statistic, nodes.Proportion) or registry.of(statistic).size_members:
            continue
        if statistic.where not in counted:
            raise OutsideProtocol(
                f"/query/select/{name}",
                f"shows no count, and the study's protocol hides cells below {protocol.hide_below}: ask for a count "
                "with the same filter beside it",
            )


def check_cost(cost: Cost, privacy: nodes.Privacy, protocol: Protocol) -> None:
    """Raise OutsideProtocol if the margins asked for cost more than one query may. Their cost is known from a plan."""
    if privacy.margins is None or protocol.epsilon_nano_max is None:
        return
    most = Fraction(protocol.epsilon_nano_max, NANO)
    if cost.epsilon is not None:
        allowed, text = cost.epsilon <= most, f"epsilon {float(cost.epsilon):g}"
    else:
        allowed, text = 2 * cost.rho <= most**2, f"rho {float(cost.rho):g}"
    if not allowed:
        raise OutsideProtocol(
            "/privacy/margin", f"would cost {text}, more than the study's protocol allows for one query"
        )


def check_margins(outputs: Iterable[Output], protocol: Protocol) -> None:
    """Raise OutsideProtocol if a count would be more exact than the protocol allows, as known from a plan."""
    if protocol.margin_min is None:
        return
    for output in outputs:
        statistic = registry.of(output.statistic)
        if not isinstance(statistic, FixedMargin) or not statistic.counts:
            continue
        margin = statistic.fixed_margin(output, nodes.CONFIDENCE)
        if margin < Fraction(protocol.margin_min):
            raise OutsideProtocol(
                f"/query/select/{output.name}",
                f"would have a margin of {float(margin):g}, and the study's protocol wants {protocol.margin_min:g} at "
                "least: spend less on it",
            )
