"""Users may sign in by an issuer: the digest of their subject there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("users", sa.Column("subject", sa.String(length=64), nullable=True))
    op.create_index(op.f("ix_users_subject"), "users", ["subject"], unique=True)
