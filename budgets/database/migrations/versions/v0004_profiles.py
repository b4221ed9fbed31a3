"""Contribution profiles: charges on a dataset's account alone, and the releases that they paid for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "profile_charges",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("reserve_id", sa.String(length=32), nullable=True),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("epsilon_nano", sa.BigInteger(), nullable=False),
        sa.Column("rho_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_atto", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("kind IN ('reserve', 'settle', 'void')", name=op.f("ck_profile_charges_kind")),
        sa.CheckConstraint("(kind = 'reserve') = (reserve_id IS NULL)", name=op.f("ck_profile_charges_resolves")),
        sa.CheckConstraint(
            "epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0", name=op.f("ck_profile_charges_loss")
        ),
        sa.ForeignKeyConstraint(["reserve_id"], ["profile_charges.id"], name=op.f("fk_profile_charges_reserve_id")),
        sa.ForeignKeyConstraint(
            ["dataset", "edition"], ["editions.dataset", "editions.number"], name=op.f("fk_profile_charges_dataset")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile_charges")),
        sa.UniqueConstraint("reserve_id", name=op.f("uq_profile_charges_reserve_id")),
    )
    op.create_index(
        op.f("ix_profile_charges_dataset"), "profile_charges", ["dataset", "edition", "fingerprint"], unique=False
    )
    op.create_table(
        "profiles",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("charge", sa.String(length=32), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("released_at", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["charge"], ["profile_charges.id"], name=op.f("fk_profiles_charge")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profiles")),
        sa.UniqueConstraint("charge", name=op.f("uq_profiles_charge")),
        sa.UniqueConstraint("dataset", "edition", "fingerprint", name=op.f("uq_profiles_dataset")),
    )
