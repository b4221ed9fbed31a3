"""Two releases side by side: the same number in both, and whether their ranges overlap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from flask import flash, request

from server.pages.frame import calling
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import ROLES, page, show, to
from server.pages.researcher import drawing
from server.views.table import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.views.table import Cell, Label, Table


@dataclass(frozen=True)
class Pair:
    """A number of two releases: the group and column that it is of, and both cells."""

    labels: tuple[Label, ...]
    name: str
    first: Cell
    second: Cell

    @property
    def overlaps(self) -> bool | None:
        """Return whether the two ranges overlap, or None where one is not known."""
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
    with drawing.in_turn():
        tables = [flatten(one) for one in both]
        same = tables[0].keys == tables[1].keys
        pairs = list(islice(_pairs(*tables), drawing.ROWS_MAX + 1)) if same else []
        return show(
            "researcher/compare.html",
            study=study,
            both=both,
            tables=tables,
            pairs=pairs[: drawing.ROWS_MAX],
            has_more=len(pairs) > drawing.ROWS_MAX,
        )


def _pairs(first: Table, second: Table) -> Iterator[Pair]:
    """Yield the numbers that both have: of the same group, statistic and part."""
    theirs = {
        (row.labels, column.statistic, column.part): cell
        for row in second.rows
        for column, cell in zip(second.columns, row.cells, strict=True)
    }
    for row in first.rows:
        for column, cell in zip(first.columns, row.cells, strict=True):
            other = theirs.get((row.labels, column.statistic, column.part))
            if other is not None:
                part = "" if column.part is None else f" {column.part}"
                yield Pair(row.labels, f"{column.statistic}{part}", cell, other)
