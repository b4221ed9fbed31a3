"""The audit log's tree: the hashes of its complete subtrees, and indexes that return a page of entries in order."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BATCH_ROWS = 10_000
FOUND_BY = ("at", "actor", "action", "study")


def upgrade() -> None:
    """Make the table, fill it for the present entries, and replace the indexes."""
    op.create_table(
        "audit_nodes",
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("index", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("level > 0", name=op.f("ck_audit_nodes_level")),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_audit_nodes")),
    )
    _fill(op.get_bind())
    for name in FOUND_BY:
        op.drop_index(op.f(f"ix_audit_entries_{name}"), table_name="audit_entries")
        op.create_index(op.f(f"ix_audit_entries_{name}"), "audit_entries", [name, "position"], unique=False)


def _fill(connection: sa.Connection) -> None:
    """Write the hash of each complete subtree, as RFC 6962 section 2.1 defines it, in pages of entries."""
    entries = sa.table("audit_entries", sa.column("position"), sa.column("leaf_hash"))
    nodes = sa.table("audit_nodes", sa.column("level"), sa.column("index"), sa.column("hash"))
    peaks: list[bytes] = []
    position = 0
    while True:
        leaves = connection.execute(
            sa.select(entries.c.leaf_hash)
            .where(entries.c.position >= position)
            .order_by(entries.c.position)
            .limit(BATCH_ROWS)
        ).scalars()
        made = []
        before = position
        for leaf in leaves:
            found, level, index = bytes.fromhex(leaf), 0, position
            while index & 1:
                found, level, index = hashlib.sha256(b"\x01" + peaks.pop() + found).digest(), level + 1, index >> 1
                made.append({"level": level, "index": index, "hash": found.hex()})
            peaks.append(found)
            position += 1
        if made:
            connection.execute(sa.insert(nodes), made)
        if position - before < BATCH_ROWS:
            return
