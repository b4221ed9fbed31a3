"""What was charged to a dataset, one loss after the other: how its account came to its sums."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from budgets.database.tables import charges, profile_charges
from budgets.errors import Invalid
from budgets.ledger.charges import RESERVE, VOID
from budgets.loss import Loss

if TYPE_CHECKING:
    from sqlalchemy import Connection

CURSOR = re.compile(r"[0-9TZ:.-]{1,32}/[0-9a-f]{1,32}", re.ASCII)


@dataclass(frozen=True)
class Spent:
    """A charge that was not given back, also one whose query is under way. `study` is None for a profile."""

    id: str
    at: str
    study: str | None
    loss: Loss

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"at": self.at, "study": self.study, **self.loss.to_json()}

    @property
    def cursor(self) -> str:
        """Return where a list continues after this charge."""
        return f"{self.at}/{self.id}"


def of_dataset(
    transaction: Connection, dataset: str, *, after: str | None, limit: int, newest_first: bool = False
) -> list[Spent]:
    """Return the charges of a dataset, oldest or newest first, after the `cursor` of one. Raises Invalid."""
    both = sa.union_all(
        _kept(charges, charges.c.study, dataset), _kept(profile_charges, sa.literal(None, sa.String()), dataset)
    ).subquery()
    order = [column.desc() if newest_first else column for column in (both.c.at, both.c.id)]
    wanted = sa.select(both).order_by(*order).limit(limit)
    if after is not None:
        if not CURSOR.fullmatch(after):
            raise Invalid("cursor", "is not one of this list")
        at, _, identifier = after.partition("/")
        here = sa.tuple_(both.c.at, both.c.id)
        wanted = wanted.where(here < (at, identifier) if newest_first else here > (at, identifier))
    return [
        Spent(row.id, row.at, row.study, Loss(row.epsilon_nano, row.rho_nano, row.delta_atto))
        for row in transaction.execute(wanted)
    ]


def _kept(table: sa.Table, study: sa.ColumnElement[Any], dataset: str) -> sa.Select[Any]:
    c, back = table.c, table.alias()
    given_back = sa.exists().where(back.c.reserve_id == c.id, back.c.kind == VOID)
    wanted = sa.select(c.id, c.at, study.label("study"), c.epsilon_nano, c.rho_nano, c.delta_atto)
    return wanted.where(c.dataset == dataset, c.kind == RESERVE, ~given_back)
