"""How much of an answer a page shows, and how many pages with answers are made at once.

An answer may have a hundred thousand numbers. To make a page of them takes memory and holds Python, of which only one
thread runs at a time, so it is admitted as other work is (`server/admission/gate.py`). The CSV has every row.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import session

from server.web import admitting, auth

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.views.table import Row, Table

ROWS_MAX = 1000
CELLS_MAX = 20_000  # a question may have 5,000 columns of numbers


def rows_shown(table: Table) -> Sequence[Row]:
    """Return the rows that a page shows: the first ones."""
    return table.rows[: min(ROWS_MAX, max(1, CELLS_MAX // max(1, len(table.columns))))]


@contextmanager
def in_turn() -> Iterator[None]:
    """Hold a place for the page of an answer. Raises TooManyRequests, Busy, Abandoned."""
    gate = auth.services().gates.rendering
    with gate.entered(("user", session["name"])) as entry, entry.place(admitting.has_left()):
        yield
