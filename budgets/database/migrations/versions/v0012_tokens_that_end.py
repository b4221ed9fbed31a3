"""Tokens end, know the day of their last use and may be limited; names are unique without regard to case."""

from __future__ import annotations

import datetime as dt
import unicodedata

import sqlalchemy as sa
from alembic import op

from budgets.database import clock

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

DAYS = 90  # the default life of a token when this was written: tokens from before have it from now on
USERS = sa.table("users", *map(sa.column, ("name", "created_at", "folded")))
TOKENS = sa.table("tokens", sa.column("expires_at"))


def upgrade() -> None:
    """Add the columns. Of users whose names differ only in case all stay; no other can be added beside them."""
    op.add_column("tokens", sa.Column("expires_at", sa.String(length=32), server_default="0", nullable=False))
    op.add_column("tokens", sa.Column("used_on", sa.String(length=10), nullable=True))
    op.add_column("tokens", sa.Column("study", sa.String(length=63), nullable=True))
    op.add_column("tokens", sa.Column("reads_only", sa.Integer(), server_default="0", nullable=False))
    op.add_column("users", sa.Column("folded", sa.String(length=127), server_default="-", nullable=False))
    connection = op.get_bind()
    ends = clock.text(clock.moment() + dt.timedelta(days=DAYS))
    connection.execute(sa.update(TOKENS).values(expires_at=ends))
    taken: set[str] = set()
    for name in connection.execute(sa.select(USERS.c.name).order_by(USERS.c.created_at, USERS.c.name)).scalars().all():
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
        # A name has no slash, so this stands in nobody's way.
        unique = f"{folded}/{name}" if folded in taken else folded
        taken.add(folded)
        connection.execute(sa.update(USERS).where(USERS.c.name == name).values(folded=unique))
    op.create_index(op.f("ix_users_folded"), "users", ["folded"], unique=True)
