"""How much of an answer a page shows. The CSV has every row.

An answer may have a hundred thousand numbers. To make a page of them takes memory and holds Python, of which only one
thread runs at a time. Therefore it is admitted, too (`server/pages/frame/turns.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.views.table import Row, Table

ROWS_MAX = 1000
CELLS_MAX = 20_000  # a question may have 5,000 columns of numbers


def rows_shown(table: Table) -> Sequence[Row]:
    """Return the rows that a page shows: the first ones."""
    return table.rows[: min(ROWS_MAX, max(1, CELLS_MAX // max(1, len(table.columns))))]
