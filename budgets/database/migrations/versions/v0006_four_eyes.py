"""Studies store who wrote them, so that nobody approves what they proposed."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STUDIES = sa.table(
    "studies", *map(sa.column, ("id", "state", "raise_epsilon_nano", "edited_by", "approved_by", "raise_by"))
)
ENTRIES = sa.table("audit_entries", *map(sa.column, ("position", "actor", "action", "study")))


def upgrade() -> None:
    """Add the columns, and fill them from the entries of the audit log about each study."""
    op.add_column("studies", sa.Column("edited_by", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("approved_by", sa.String(length=64), nullable=True))
    op.add_column("studies", sa.Column("raise_by", sa.String(length=64), nullable=True))
    connection = op.get_bind()
    for study in connection.execute(sa.select(STUDIES.c.id, STUDIES.c.state, STUDIES.c.raise_epsilon_nano)).all():
        told = sa.select(ENTRIES.c.actor, ENTRIES.c.action).where(
            ENTRIES.c.study == study.id, ENTRIES.c.action.like("study.%")
        )
        edited_by: set[str] = set()
        last: dict[str, str] = {}
        for entry in connection.execute(told.order_by(ENTRIES.c.position)):
            last[entry.action] = entry.actor
            # A budget that was set before the approval was part of what was approved.
            if entry.action == "study.edit" or (entry.action == "study.budget.set" and "study.approve" not in last):
                edited_by.add(entry.actor)
        connection.execute(
            sa.update(STUDIES)
            .where(STUDIES.c.id == study.id)
            .values(
                edited_by=json.dumps(sorted(edited_by), separators=(",", ":")) if edited_by else None,
                approved_by=last.get("study.approve"),
                raise_by=None if study.raise_epsilon_nano is None else last.get("study.budget.ask"),
            )
        )
