"""The approver's conclusions of the reports of studies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. No report has a conclusion until an approver writes one."""
    op.create_table(
        "conclusions",
        sa.Column("study", sa.String(length=63), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("given_by", sa.String(length=64), nullable=False),
        sa.Column("given_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_conclusions_study")),
        sa.PrimaryKeyConstraint("study", name=op.f("pk_conclusions")),
    )
