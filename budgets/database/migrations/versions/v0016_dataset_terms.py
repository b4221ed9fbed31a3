"""Datasets wait for an approver. Those that are there count as approved, with the profiles they have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("datasets", sa.Column("approved_at", sa.String(length=32), nullable=True))
    op.add_column("datasets", sa.Column("approved_by", sa.String(length=64), nullable=True))
    op.add_column("datasets", sa.Column("profile_nano", sa.BigInteger(), server_default="0", nullable=False))
    for name in ("wanted_epsilon_nano", "wanted_delta_atto", "wanted_profile_nano"):
        op.add_column("datasets", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("datasets", sa.Column("hands", sa.Text(), nullable=True))
    op.execute(
        "UPDATE datasets SET approved_at = created_at, profile_nano = coalesce((SELECT sum(CASE kind WHEN 'reserve' "
        "THEN epsilon_nano WHEN 'void' THEN -epsilon_nano ELSE 0 END) FROM profile_charges "
        "WHERE profile_charges.dataset = datasets.name), 0)"
    )
