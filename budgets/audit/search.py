"""A page of the audit log, by study, actor, action and time: found in moments in a log of ten million entries.

Each of the filters has an index that holds the positions too, so that a page is read in its order. Of several filters
the sparsest leads: half the log may be of one action, and then it is no way to find entries by.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.audit import log
from budgets.database.tables import audit_entries, identities

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from budgets.audit.log import Entry

REACHED_ROWS = 1_000  # how far the filters are compared at first

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
    """Return entries from position `first` on, oldest first; or backwards from there, `newest_first`.

    `actor` is a name; times are inclusive at `since`, exclusive at `until`. Raises Unavailable when the log is damaged.
    """
    # Time never runs backwards in the log: a span of it is a span of positions, found by two look-ups.
    within = []
    if since is not None:
        within.append(C.position >= log.first_at(transaction, since))
    if until is not None:
        within.append(C.position < log.first_at(transaction, until))
    if first is not None:
        within.append(C.position <= first if newest_first else C.position >= first)
    if actor is None:
        return _page(transaction, {C.study: study, C.action: action}, within, limit, newest_first=newest_first)
    # A person goes by a dozen commitments in a year: each has a page in order, where all together would be sorted.
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
    """Return the first entries of which all is true.

    That takes no more rows than a small multiple of what the rarest filter has, or of what the page needs.
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
        # All are common. Where the sparsest of them gets to in so many rows, there may be enough that fulfil all.
        sparsest = min(ends, key=ends.__getitem__) if newest_first else max(ends, key=ends.__getitem__)
        end = ends[sparsest]
        reached = C.position >= end if newest_first else C.position <= end
        found = _found(transaction, asked, sparsest, [*within, reached], order, limit)
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
    """Return the first entries of which all is true, read by the index of one column."""
    wanted = log.select_entries().where(*within)
    for column, value in asked.items():
        # An expression has no index, so that the database cannot take another one: which is right, was looked up.
        wanted = wanted.where((column if column is by else column.concat("")) == value)
    return [log.entry(row) for row in transaction.execute(wanted.order_by(order).limit(limit))]


def _reached(
    transaction: sa.Connection,
    condition: sa.ColumnElement[bool],
    within: Sequence[sa.ColumnElement[bool]],
    order: sa.UnaryExpression[Any],
    rows: int,
) -> int | None:
    """Return the position of the last of so many entries, or None if fewer are so. It reads the index alone."""
    wanted = sa.select(C.position).where(condition, *within).order_by(order).offset(rows - 1).limit(1)
    found: int | None = transaction.execute(wanted).scalar()
    return found
