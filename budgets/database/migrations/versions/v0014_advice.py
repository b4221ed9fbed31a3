"""The DPO's advice on what waits for an approval."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. What was approved before had no advice, and needs none."""
    op.create_table(
        "advice",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("opinion", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("given_by", sa.String(length=64), nullable=False),
        sa.Column("given_at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("kind IN ('study', 'raise', 'dataset', 'profile')", name=op.f("ck_advice_kind")),
        sa.CheckConstraint("opinion IN ('favourable', 'conditional', 'unfavourable')", name=op.f("ck_advice_opinion")),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_advice")),
    )
