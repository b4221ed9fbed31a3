"""Acts that wait for a second person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "proposals",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("act", sa.String(length=8), nullable=False),
        sa.Column("user", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(length=64), nullable=False),
        sa.Column("proposed_at", sa.String(length=32), nullable=False),
        sa.Column("first_part", sa.String(length=64), nullable=True),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=63), nullable=True),
        sa.Column("reads_only", sa.Integer(), nullable=False),
        sa.CheckConstraint("act IN ('add', 'remove', 'token')", name=op.f("ck_proposals_act")),
        sa.CheckConstraint("role IN ('dpo', 'approver')", name=op.f("ck_proposals_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("act", "user", name=op.f("uq_proposals_act")),
    )
