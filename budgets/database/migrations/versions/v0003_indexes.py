"""Indexes for long ledgers: a study's last charge, and a page of its releases."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both."""
    op.create_index("ix_charges_last", "charges", ["study", "kind", "at"])
    op.create_index("ix_releases_page", "releases", ["study", "released_at", "id"])
