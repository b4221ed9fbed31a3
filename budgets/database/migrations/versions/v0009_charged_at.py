"""The time of a release or profile is that of its charge, and the column is named so."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the columns. The index changes with them."""
    op.alter_column("releases", "released_at", new_column_name="charged_at")
    op.alter_column("profiles", "released_at", new_column_name="charged_at")
