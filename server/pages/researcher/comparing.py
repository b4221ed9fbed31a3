"""Two releases side by side: the same number in both, and whether their ranges overlap.

A name says nothing of what is counted, so two numbers are a pair only where both questions define them, and the groups,
in the same words. The rest of the questions may differ (their filters, their table): that may be what is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from flask import flash, request

from server.admission.gates import Work
from server.pages.frame import calling
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import ROLES, page, show, to
from server.pages.frame.turns import in_turn
from server.pages.researcher import drawing
from server.views.table import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from server.views.table import Cell, Label, Table


@dataclass(frozen=True)
class Pair:
    """A number of two releases: the group and column that it is of, and both cells."""

    labels: tuple[Label, ...]
    name: str
    first: Cell
    second: Cell
    is_distorted: bool  # bounds may have cut off some of one of them, and no margin says how much

    @property
    def overlaps(self) -> bool | None:
        """Return whether the two ranges overlap, or None where one is not known or says too little."""
        if self.is_distorted:
            return None
        ends = (self.first.low, self.first.high, self.second.low, self.second.high)
        if any(end is None for end in ends):
            return None
        low, high, other_low, other_high = ends
        return bool(low <= other_high and other_low <= high)  # type: ignore[operator]


@page("/studies/<study>/compare", *ROLES)
def compare(study: str) -> Any:
    """Show two releases side by side."""
    chosen = request.args.getlist("release")
    if len(chosen) != 2:
        flash(_("Choose two questions to compare."), "warning")
        return to("releases", study=study)
    both = [calling.get("studies", study, "releases", release) for release in chosen]
    with in_turn(Work.RENDERING):
        tables = [flatten(one) for one in both]
        queries = [one["query"] for one in both]
        pairs = list(islice(_pairs(queries, tables), drawing.ROWS_MAX + 1))
        return show(
            "researcher/compare.html",
            study=study,
            both=both,
            tables=tables,
            pairs=pairs[: drawing.ROWS_MAX],
            rest_differs=_rest(queries[0]) != _rest(queries[1]),
            has_more=len(pairs) > drawing.ROWS_MAX,
        )


def _rest(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a question has beside its numbers and groups."""
    return {name: value for name, value in query.items() if name not in ("select", "group_by")}


def _pairs(queries: Sequence[Mapping[str, Any]], tables: Sequence[Table]) -> Iterator[Pair]:
    """Yield the numbers that both have: of one group, and of one part of a statistic that both define alike."""
    if queries[0].get("group_by") != queries[1].get("group_by"):
        return
    first, second = tables
    alike = {
        name for name, one in queries[0].get("select", {}).items() if queries[1].get("select", {}).get(name) == one
    }
    distorted = {name for table in tables for name in table.caveats.keys() - table.untouched}
    theirs = {
        (row.labels, column.statistic, column.part): cell
        for row in second.rows
        for column, cell in zip(second.columns, row.cells, strict=True)
    }
    for row in first.rows:
        for column, cell in zip(first.columns, row.cells, strict=True):
            other = theirs.get((row.labels, column.statistic, column.part))
            if other is not None and column.statistic in alike:
                part = "" if column.part is None else f" {column.part}"
                yield Pair(row.labels, f"{column.statistic}{part}", cell, other, column.statistic in distorted)
