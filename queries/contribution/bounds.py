"""How much of one person counts: the contribution bounds of a query, and notes on how they were chosen.

They depend on the request and public metadata only. The kernel enforces them (`kernel.py`), and the planner derives
the sensitivities from them (`planner.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from queries.contribution.proposal import counts_persons

if TYPE_CHECKING:
    from queries.binding.bound import BoundQuery
    from queries.contribution.proposal import Proposal

# For a query and a table that name no contribution bounds. Shown in every answer.
DEFAULT_CELLS_PER_PERSON = 10
DEFAULT_EVENTS_PER_CELL = 10

BOUNDLESS = 2**31 - 1  # the number of cells that a person may touch if the catalog does not limit them


def bounds(query: BoundQuery, proposal: Proposal) -> tuple[int, int, tuple[str, ...]]:
    """Return cells per person, events per cell, and notes on how they were chosen.

    The query's own bounds come first, then the profile's proposal, the custodian's declaration, and the defaults.
    """
    table = query.table
    if table.one_row_per_person:
        return 1, 1, ()
    notes = list(proposal.notes)
    # A person's attributes do not vary. Only the other keys can spread a person over several cells.
    own = [key for key in query.keys if not key.column.of_person]
    boundless = any(key.named is not None for key in own)
    reachable = BOUNDLESS if boundless else math.prod(key.size for key in own)
    chosen = query.bounds.cells_per_person or proposal.cells_per_person or table.cells_per_person
    if chosen is None and reachable > DEFAULT_CELLS_PER_PERSON:
        notes.append(
            f"cells_per_person was not given: {DEFAULT_CELLS_PER_PERSON} of the {'' if boundless else f'{reachable} '}"
            "cells that a person could touch count; say more to lose fewer, or less for less noise"
        )
    cells_per_person = min(reachable, chosen or DEFAULT_CELLS_PER_PERSON)
    if counts_persons(query):
        return cells_per_person, 1, tuple(notes)
    events = query.bounds.events_per_cell or proposal.events_per_cell or table.events_per_cell
    if events is None:
        notes.append(
            f"events_per_cell was not given: {DEFAULT_EVENTS_PER_CELL} events of a person count in each cell; "
            "say more to lose fewer, or less for less noise"
        )
    return cells_per_person, events or DEFAULT_EVENTS_PER_CELL, tuple(notes)
