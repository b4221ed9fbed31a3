"""Names can be erased: identities have the time since when they are in use, and the log names tokens by a mark."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IDENTITIES = sa.table("identities", *map(sa.column, ("commitment", "name", "made_at", "named_at")))
USERS = sa.table("users", *map(sa.column, ("commitment", "created_at")))
ENTRIES = sa.table("audit_entries", *map(sa.column, ("position", "at", "action", "body")))
NAMING = ("user.add", "token.new", "study.member.add", "study.member.remove")  # the actions that name a person


def upgrade() -> None:
    """Add the columns and fill them from the time when users were added and from later entries about them."""
    op.add_column("identities", sa.Column("made_at", sa.String(length=32), server_default="0", nullable=False))
    op.add_column("identities", sa.Column("named_at", sa.String(length=32), server_default="0", nullable=False))
    op.create_index(op.f("ix_identities_name"), "identities", ["name"])
    op.create_index(op.f("ix_users_commitment"), "users", ["commitment"])
    op.add_column("tokens", sa.Column("mark", sa.String(length=32), nullable=True))
    connection = op.get_bind()
    for user in connection.execute(sa.select(USERS)).all():
        connection.execute(
            sa.update(IDENTITIES)
            .where(IDENTITIES.c.commitment == user.commitment)
            .values(made_at=user.created_at, named_at=user.created_at)
        )
    named: dict[str, str] = {}
    for entry in connection.execute(
        sa.select(ENTRIES.c.at, ENTRIES.c.body).where(ENTRIES.c.action.in_(NAMING)).order_by(ENTRIES.c.position)
    ):
        body = json.loads(entry.body)
        for told in (body["subject"].removeprefix("user:"), body["facts"].get("user")):
            if told is not None:
                named[told] = entry.at
    for commitment, at in named.items():
        connection.execute(sa.update(IDENTITIES).where(IDENTITIES.c.commitment == commitment).values(named_at=at))
