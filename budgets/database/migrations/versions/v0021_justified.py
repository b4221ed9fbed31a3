"""New rules: a budget that excludes little by itself needs a justification to be approved."""

from __future__ import annotations

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change no table. The migration lets a server find out that `rowless init` has to write that the rules begin."""
