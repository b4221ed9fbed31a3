"""Alerts: thresholds of budgets, bursts of refusals and failed sign-ins, and deliveries to the webhook."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. Thresholds that were reached before raise their alert with the next charge."""
    op.create_table(
        "budget_alerts",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("percent", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "percent", name=op.f("pk_budget_alerts")),
    )
    op.create_table(
        "bursts",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("last_at", sa.String(length=32), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "actor", name=op.f("pk_bursts")),
    )
    op.create_table(
        "deliveries",
        sa.Column(
            "position",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("raised_at", sa.String(length=32), nullable=False),
        sa.Column("next_at", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_deliveries")),
    )
