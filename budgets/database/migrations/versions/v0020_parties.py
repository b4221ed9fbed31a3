"""What an approver concludes for each relevant party. Conclusions that are there have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("conclusions", sa.Column("parties", sa.Text(), nullable=True))
