"""A page of the audit log, by study, actor, action and time: found quickly in a log of ten million entries.

Each filter has an index that contains the positions too, so that a page is read in order. If there are several filters,
the rarest one is used to find entries, because half of the log may have one action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.audit import log
from budgets.database.tables import audit_entries, identities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from budgets.audit.log import Entry

REACHED_ROWS = 1_000  # how many rows of each filter are compared at first

C = audit_entries.c


def entries(
    transaction: sa.Connection,
    *,
    first: int | None = None,
    limit: int = 100,
    newest_first: bool = False,
    study: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> list[Entry]:
    """Return entries from position `first` on, oldest first; with `newest_first`, backwards from there.

    `actor` is a name. `since` is inclusive, `until` exclusive. Raises Unavailable if the log is damaged.
    """
    # Time never runs backwards in the log, so a span of time is a span of positions, found by two look-ups.
    within = []
    if since is not None:
        within.append(C.position >= log.first_at(transaction, since))
    if until is not None:
        within.append(C.position < log.first_at(transaction, until))
    if first is not None:
        within.append(C.position <= first if newest_first else C.position >= first)
    if actor is None:
        return _page(transaction, {C.study: study, C.action: action}, within, limit, newest_first=newest_first)
    # A person has a dozen commitments in a year. A page of each is read in order; one query for all would sort.
    of_name = sa.select(identities.c.commitment).where(identities.c.name == actor)
    found: list[Entry] = []
    for one in transaction.execute(of_name).scalars().all() or [actor]:
        filters = {C.study: study, C.actor: one, C.action: action}
        found += _page(transaction, filters, within, limit, newest_first=newest_first)
    return sorted(found, key=lambda entry: entry.position, reverse=newest_first)[:limit]


def _page(
    transaction: sa.Connection,
    filters: Mapping[sa.Column[Any], str | None],
    within: Sequence[sa.ColumnElement[bool]],
    limit: int,
    *,
    newest_first: bool,
) -> list[Entry]:
    """Return the first entries that pass all filters.

    That reads at most a small multiple of the rows of the rarest filter, or of the rows that the page needs.
    """
    asked = {column: value for column, value in filters.items() if value is not None}
    order = C.position.desc() if newest_first else C.position.asc()
    if len(asked) < 2:
        return _found(transaction, asked, next(iter(asked), None), within, order, limit)
    reach = REACHED_ROWS
    while True:
        ends: dict[sa.Column[Any], int] = {}
        for column, value in asked.items():
            end = _reached(transaction, column == value, within, order, reach)
            if end is None:
                return _found(transaction, asked, column, within, order, limit)
            ends[column] = end
        # All are common. Search the rarest one as far as it reaches in this many rows; that may fill the page.
        rarest = min(ends, key=ends.__getitem__) if newest_first else max(ends, key=ends.__getitem__)
        end = ends[rarest]
        reached = C.position >= end if newest_first else C.position <= end
        found = _found(transaction, asked, rarest, [*within, reached], order, limit)
        if len(found) == limit:
            return found
        reach *= 8


def _found(
    transaction: sa.Connection,
    asked: Mapping[sa.Column[Any], str],
    by: sa.Column[Any] | None,
    within: Sequence[sa.ColumnElement[bool]],
    order: sa.UnaryExpression[Any],
    limit: int,
) -> list[Entry]:
    """Return the first entries that pass all filters, read by the index of one column."""
    wanted = log.select_entries().where(*within)
    for column, value in asked.items():
        # An expression has no index, so the database cannot choose another one than the right one.
        wanted = wanted.where((column if column is by else column.concat("")) == value)
    return [log.entry(row) for row in transaction.execute(wanted.order_by(order).limit(limit))]


def _reached(
    transaction: sa.Connection,
    condition: sa.ColumnElement[bool],
    within: Sequence[sa.ColumnElement[bool]],
    order: sa.UnaryExpression[Any],
    rows: int,
) -> int | None:
    """Return the position of the entry number `rows` that passes, or None if there are fewer. Reads only the index."""
    wanted = sa.select(C.position).where(condition, *within).order_by(order).offset(rows - 1).limit(1)
    found: int | None = transaction.execute(wanted).scalar()
    return found
