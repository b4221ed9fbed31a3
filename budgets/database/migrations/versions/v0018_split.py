"""Accounts get the third filter, and budgets a justification.

Accounts that are there keep the two filters that they have: all of their epsilon is for Laplace noise. A ledger that
was restored may charge a dataset for Gaussian noise, so such a charge of its own needs no epsilon.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

UNSPLIT = 100


def upgrade() -> None:
    """Make the table of accounts anew, because SQLite cannot change a CHECK constraint. There are few accounts."""
    connection = op.get_bind()
    rows = _rows(connection, "accounts")
    op.drop_table("accounts")
    new = _make_accounts()
    for row in rows:
        reserved, spent = _gaussian(connection, row["kind"], row["owner"])
        connection.execute(
            sa.insert(new).values(
                **row,
                laplace_percent=UNSPLIT,
                laplace_limit_nano=row["epsilon_limit_nano"],
                gaussian_limit_nano=0,
                gaussian_reserved_nano=reserved,
                gaussian_spent_nano=spent,
            )
        )
    op.add_column("studies", sa.Column("raise_laplace_percent", sa.Integer(), nullable=True))
    op.add_column("studies", sa.Column("raise_justification", sa.Text(), nullable=True))
    op.add_column("datasets", sa.Column("wanted_laplace_percent", sa.Integer(), nullable=True))
    op.add_column("datasets", sa.Column("wanted_justification", sa.Text(), nullable=True))
    op.execute(
        f"UPDATE studies SET raise_laplace_percent = {UNSPLIT} WHERE raise_epsilon_nano IS NOT NULL"  # noqa: S608
    )
    op.execute(
        f"UPDATE datasets SET wanted_laplace_percent = {UNSPLIT} WHERE wanted_epsilon_nano IS NOT NULL"  # noqa: S608
    )
    _let_epsilon_be_missing(connection)


def _make_accounts() -> sa.Table:
    numbers = (
        *("epsilon_limit_nano", "delta_limit_atto", "rho_limit_nano", "delta_keys_limit_atto", "laplace_percent"),
        *("laplace_limit_nano", "gaussian_limit_nano", "unbounded_reserved", "unbounded_spent"),
        *("epsilon_reserved_nano", "epsilon_spent_nano", "rho_reserved_nano", "rho_spent_nano"),
        *("delta_reserved_atto", "delta_spent_atto", "gaussian_reserved_nano", "gaussian_spent_nano"),
    )
    small = ("laplace_percent", "unbounded_reserved", "unbounded_spent")
    new = op.create_table(
        "accounts",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("owner", sa.String(length=63), nullable=False),
        *(sa.Column(name, sa.Integer() if name in small else sa.BigInteger(), nullable=False) for name in numbers),
        sa.Column("justification", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('study', 'dataset')", name=op.f("ck_accounts_kind")),
        sa.CheckConstraint(
            "epsilon_reserved_nano >= 0 AND epsilon_spent_nano >= 0 AND rho_reserved_nano >= 0 AND rho_spent_nano >= 0 "
            "AND delta_reserved_atto >= 0 AND delta_spent_atto >= 0 AND unbounded_reserved >= 0 "
            "AND unbounded_spent >= 0 AND gaussian_reserved_nano >= 0 AND gaussian_spent_nano >= 0",
            name=op.f("ck_accounts_sums"),
        ),
        sa.CheckConstraint(
            "laplace_percent BETWEEN 0 AND 100 AND laplace_limit_nano <= epsilon_limit_nano "
            "AND gaussian_reserved_nano >= unbounded_reserved AND gaussian_spent_nano >= unbounded_spent",
            name=op.f("ck_accounts_split"),
        ),
        sa.CheckConstraint(
            "(unbounded_reserved + unbounded_spent = 0 AND epsilon_reserved_nano + epsilon_spent_nano <= "
            "epsilon_limit_nano) OR rho_reserved_nano + rho_spent_nano <= rho_limit_nano "
            "OR (epsilon_reserved_nano + epsilon_spent_nano <= laplace_limit_nano "
            "AND gaussian_reserved_nano + gaussian_spent_nano <= gaussian_limit_nano)",
            name=op.f("ck_accounts_filter"),
        ),
        sa.CheckConstraint(
            "delta_reserved_atto + delta_spent_atto <= delta_keys_limit_atto", name=op.f("ck_accounts_delta")
        ),
        sa.PrimaryKeyConstraint("kind", "owner", name=op.f("pk_accounts")),
    )
    assert new is not None
    return new


def _gaussian(connection: sa.Connection, kind: str, owner: str) -> tuple[int, int]:
    """Return the rho of an account's charges without an epsilon: of those that are reserved, and of the spent ones."""
    column = "study" if kind == "study" else "dataset"
    found = connection.execute(
        sa.text(
            f"SELECT kind, sum(rho_nano) FROM charges WHERE {column} = :owner "  # noqa: S608
            "AND epsilon_nano IS NULL GROUP BY kind"
        ),
        {"owner": owner},
    )
    sums = {row[0]: int(row[1]) for row in found}
    spent = sums.get("settle", 0)
    return sums.get("reserve", 0) - spent - sums.get("void", 0), spent


def _let_epsilon_be_missing(connection: sa.Connection) -> None:
    if connection.dialect.name != "sqlite":
        op.alter_column("profile_charges", "epsilon_nano", nullable=True)
        return
    tables = ("profile_charges", "profile_resumes", "profiles")
    rows = {name: _rows(connection, name) for name in tables}
    made = {name: connection.execute(sa.text(MADE), {"name": name}).scalars().all() for name in tables}
    for name in reversed(tables):
        op.drop_table(name)
    for name in tables:
        for statement in made[name]:
            connection.exec_driver_sql(statement.replace("epsilon_nano BIGINT NOT NULL", "epsilon_nano BIGINT"))
        # A charge comes before the row that resolves it.
        ordered = sorted(rows[name], key=lambda row: str(row.get("kind")))
        if ordered:
            connection.execute(sa.insert(sa.table(name, *map(sa.column, ordered[0]))), ordered)


# The statements that made a table and its indexes, the table first.
MADE = "SELECT sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type = 'index'"


def _rows(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(table))).mappings()]
