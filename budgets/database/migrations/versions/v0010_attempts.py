"""Attempts on a charge after the first, and counts of scans that ended after their first slot."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables. Charges from before may still be attempted twice more."""
    op.create_table(
        "resumes",
        sa.Column("charge", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("attempt IN (2, 3)", name=op.f("ck_resumes_attempt")),
        sa.ForeignKeyConstraint(["charge"], ["charges.id"], name=op.f("fk_resumes_charge")),
        sa.PrimaryKeyConstraint("charge", "attempt", name=op.f("pk_resumes")),
    )
    op.create_table(
        "profile_resumes",
        sa.Column("charge", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("attempt IN (2, 3)", name=op.f("ck_profile_resumes_attempt")),
        sa.ForeignKeyConstraint(["charge"], ["profile_charges.id"], name=op.f("fk_profile_resumes_charge")),
        sa.PrimaryKeyConstraint("charge", "attempt", name=op.f("pk_profile_resumes")),
    )
    op.create_table(
        "failures",
        sa.Column("charge", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["charge"], ["charges.id"], name=op.f("fk_failures_charge")),
        sa.PrimaryKeyConstraint("charge", "attempt", name=op.f("pk_failures")),
    )
    op.create_table(
        "overruns",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("scans", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.name"], name=op.f("fk_overruns_dataset")),
        sa.PrimaryKeyConstraint("day", "dataset", name=op.f("pk_overruns")),
    )
