"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, each after those that it refers to."""
    _accounts_and_log()
    _people_and_datasets()
    _studies()
    _charges()
    _members_and_releases()


def _accounts_and_log() -> None:
    """Make the tables of accounts and of the audit log."""
    op.create_table(
        "accounts",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        sa.Column("epsilon_limit_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_limit_atto", sa.BigInteger(), nullable=False),
        sa.Column("epsilon_reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("epsilon_spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("rho_reserved_nano", sa.BigInteger(), nullable=False),
        sa.Column("rho_spent_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_reserved_atto", sa.BigInteger(), nullable=False),
        sa.Column("delta_spent_atto", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('study', 'dataset')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint(
            "delta_reserved_atto + delta_spent_atto <= delta_limit_atto", name=op.f("ck_accounts_delta")
        ),
        sa.CheckConstraint(
            "epsilon_reserved_nano + epsilon_spent_nano <= epsilon_limit_nano", name=op.f("ck_accounts_epsilon")
        ),
        sa.CheckConstraint(
            "epsilon_reserved_nano >= 0 AND epsilon_spent_nano >= 0 AND rho_reserved_nano >= 0 AND rho_spent_nano >= 0 "
            "AND delta_reserved_atto >= 0 AND delta_spent_atto >= 0",
            name=op.f("ck_accounts_sums"),
        ),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_accounts")),
    )
    op.create_table(
        "audit_entries",
        sa.Column(
            "position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("leaf_hash", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=63), nullable=False),
        sa.Column("study", sa.String(length=63), nullable=True),
        sa.PrimaryKeyConstraint("position", name=op.f("pk_audit_entries")),
    )
    op.create_index(op.f("ix_audit_entries_action"), "audit_entries", ["action"], unique=False)
    op.create_index(op.f("ix_audit_entries_actor"), "audit_entries", ["actor"], unique=False)
    op.create_index(op.f("ix_audit_entries_at"), "audit_entries", ["at"], unique=False)
    op.create_index(op.f("ix_audit_entries_study"), "audit_entries", ["study"], unique=False)


def _people_and_datasets() -> None:
    """Make the tables of users and datasets."""
    op.create_table(
        "datasets",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("overcommit", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_datasets")),
    )
    op.create_table(
        "identities",
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("commitment", name=op.f("pk_identities")),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("role IN ('researcher', 'admin', 'dpo')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "editions",
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("folder", sa.String(length=64), nullable=False),
        sa.Column("imported_at", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.name"], name=op.f("fk_editions_dataset")),
        sa.PrimaryKeyConstraint("dataset", "number", name=op.f("pk_editions")),
    )


def _studies() -> None:
    """Make the tables of studies and tokens."""
    op.create_table(
        "studies",
        sa.Column("id", sa.String(length=63), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("legal_basis", sa.Text(), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("starts", sa.String(length=10), nullable=True),
        sa.Column("ends", sa.String(length=10), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("raise_epsilon_nano", sa.BigInteger(), nullable=True),
        sa.Column("raise_delta_atto", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('draft', 'approved', 'suspended', 'closed')", name=op.f("ck_studies_state")),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.name"], name=op.f("fk_studies_dataset")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("user", sa.String(length=63), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.String(length=32), nullable=False),
        sa.Column("revoked_at", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_tokens_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
    )


def _charges() -> None:
    """Make the tables of charges."""
    op.create_table(
        "charges",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("reserve_id", sa.String(length=32), nullable=True),
        sa.Column("study", sa.String(length=63), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("epsilon_nano", sa.BigInteger(), nullable=True),
        sa.Column("rho_nano", sa.BigInteger(), nullable=False),
        sa.Column("delta_atto", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.String(length=32), nullable=False),
        sa.CheckConstraint("(kind = 'reserve') = (reserve_id IS NULL)", name=op.f("ck_charges_resolves")),
        sa.CheckConstraint("kind IN ('reserve', 'settle', 'void')", name=op.f("ck_charges_kind")),
        sa.CheckConstraint("epsilon_nano > 0 AND rho_nano >= 0 AND delta_atto >= 0", name=op.f("ck_charges_loss")),
        sa.ForeignKeyConstraint(
            ["dataset", "edition"], ["editions.dataset", "editions.number"], name=op.f("fk_charges_dataset")
        ),
        sa.ForeignKeyConstraint(["reserve_id"], ["charges.id"], name=op.f("fk_charges_reserve_id")),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_charges_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charges")),
        sa.UniqueConstraint("reserve_id", name=op.f("uq_charges_reserve_id")),
    )
    op.create_index(op.f("ix_charges_study"), "charges", ["study", "dataset", "edition", "fingerprint"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("study", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_idempotency_keys_study")),
        sa.PrimaryKeyConstraint("study", "key", name=op.f("pk_idempotency_keys")),
    )


def _members_and_releases() -> None:
    """Make the tables of members and releases."""
    op.create_table(
        "members",
        sa.Column("study", sa.String(length=63), nullable=False),
        sa.Column("user", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_members_study")),
        sa.ForeignKeyConstraint(["user"], ["users.name"], name=op.f("fk_members_user")),
        sa.PrimaryKeyConstraint("study", "user", name=op.f("pk_members")),
    )
    op.create_table(
        "releases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("charge", sa.String(length=32), nullable=False),
        sa.Column("study", sa.String(length=63), nullable=False),
        sa.Column("dataset", sa.String(length=63), nullable=False),
        sa.Column("edition", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("released_at", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["charge"], ["charges.id"], name=op.f("fk_releases_charge")),
        sa.ForeignKeyConstraint(["study"], ["studies.id"], name=op.f("fk_releases_study")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_releases")),
        sa.UniqueConstraint("charge", name=op.f("uq_releases_charge")),
        sa.UniqueConstraint("study", "dataset", "edition", "fingerprint", name=op.f("uq_releases_study")),
    )
