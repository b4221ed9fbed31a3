"""The time kept with a release or a profile is that of its charge: it is called so now."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rename the columns; the index follows."""
    op.alter_column("releases", "released_at", new_column_name="charged_at")
    op.alter_column("profiles", "released_at", new_column_name="charged_at")
