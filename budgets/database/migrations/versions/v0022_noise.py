"""The noise of a dataset becomes one of its terms, and new rules begin. What is there keeps what its manifest says."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. By the new version a server finds out that `rowless init` has to begin the rules."""
    op.add_column("datasets", sa.Column("noise", sa.String(length=8), nullable=True))
    op.add_column("datasets", sa.Column("wanted_noise", sa.String(length=8), nullable=True))
