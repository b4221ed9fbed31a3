"""Formalities of datasets and studies, and what was told of their ends. What is there has none on record, and stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.add_column("datasets", sa.Column("formalities", sa.Text(), nullable=True))
    op.add_column("datasets", sa.Column("wanted_formalities", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("formalities", sa.Text(), nullable=True))
    op.create_table(
        "deadline_alerts",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("stage", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "what", "day", "stage", name=op.f("pk_deadline_alerts")),
    )
