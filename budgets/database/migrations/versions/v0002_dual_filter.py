"""Accounts get the second filter: a limit of rho, delta set aside for thresholds, and charges without an epsilon."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from budgets.conversion import rho_nano_max

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEPT = (
    "kind",
    "owner",
    "epsilon_limit_nano",
    "delta_limit_atto",
    "epsilon_reserved_nano",
    "epsilon_spent_nano",
    "rho_reserved_nano",
    "rho_spent_nano",
    "delta_reserved_atto",
    "delta_spent_atto",
)


def upgrade() -> None:
    """Make a new table, because SQLite cannot change a CHECK constraint. There are few accounts."""
    connection = op.get_bind()
    old = sa.table("accounts", *map(sa.column, KEPT))
    rows = [dict(row) for row in connection.execute(sa.select(old)).mappings()]
    op.drop_table("accounts")
    new = op.create_table(
        "accounts",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("epsilon_limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_limit_atto", sa.BigInteger(), nullable=False),
        sa.Column("rho_limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_keys_limit_atto", sa.BigInteger(), nullable=False),
        sa.Column("unbounded_reserved", sa.Integer(), nullable=False),
        sa.Column("unbounded_spent", sa.Integer(), nullable=False),
        sa.Column("epsilon_reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("epsilon_spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("rho_reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("rho_spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_reserved_atto", sa.BigInteger(), nullable=False),
        sa.Column("delta_spent_atto", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('study', 'dataset')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint(
            "epsilon_reserved_nano >= 0 AND epsilon_spent_nano >= 0 AND rho_reserved_nano >= 0 AND rho_spent_nano >= 0 "
            "AND delta_reserved_atto >= 0 AND delta_spent_atto >= 0 AND unbounded_reserved >= 0 "
            "AND unbounded_spent >= 0",
            name=op.f("ck_accounts_sums"),
        ),
        sa.CheckConstraint(
            "(unbounded_reserved + unbounded_spent = 0 AND epsilon_reserved_nano + epsilon_spent_nano <= "
            "epsilon_limit_nano) OR rho_reserved_nano + rho_spent_nano <= rho_limit_nano",
            name=op.f("ck_accounts_filter"),
        ),
        sa.CheckConstraint(
            "delta_reserved_atto + delta_spent_atto <= delta_keys_limit_atto", name=op.f("ck_accounts_delta")
        ),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_accounts")),
    )
    assert new is not None
    for row in rows:
        delta = row["delta_limit_atto"]
        connection.execute(
            sa.insert(new).values(
                **row,
                rho_limit_nano=rho_nano_max(row["epsilon_limit_nano"], delta - delta // 2),
                delta_keys_limit_atto=delta // 2,
                unbounded_reserved=0,
                unbounded_spent=0,
            )
        )
