"""Users may have the role approver."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("users", "tokens", "members")


def upgrade() -> None:
    """Widen the CHECK constraint of roles. On SQLite the table and those that refer to it are made anew."""
    connection = op.get_bind()
    roles = "role IN ('researcher', 'admin', 'dpo', 'approver')"
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_users_role"), "users", type_="check")
        op.create_check_constraint(op.f("ck_users_role"), "users", roles)
        return
    rows = {name: _rows(connection, name) for name in TABLES}
    made = {name: connection.execute(sa.text(MADE), {"name": name}).scalars().all() for name in TABLES}
    for name in reversed(TABLES):
        op.drop_table(name)
    old = "role IN ('researcher', 'admin', 'dpo')"
    for name in TABLES:
        for statement in made[name]:
            connection.exec_driver_sql(statement.replace(old, roles))
        if rows[name]:
            connection.execute(sa.insert(sa.table(name, *map(sa.column, rows[name][0]))), rows[name])


# The statements that made a table and its indexes, the table first.
MADE = "SELECT sql FROM sqlite_master WHERE tbl_name = :name AND sql IS NOT NULL ORDER BY type = 'index'"


def _rows(connection: sa.Connection, table: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(sa.select(sa.text("*")).select_from(sa.table(table))).mappings()]
