"""`rowless init`: make a home."""

from __future__ import annotations

from typing import Any

import click

from server.cli.common import with_json
from server.cli.home import settings
from server.runtime.services import create_home


@click.command()
@with_json
def init() -> Any:
    """Make a home: its folder, ledger, signing key and first admin.

    Run it again after an upgrade of Rowless: it brings the ledger's schema up to date and leaves the rest as it is.
    """
    present = settings()
    made = create_home(present)
    said = {"home": str(present.home), "admin_token": made.admin_token, "audit_key": made.audit_key}
    lines = [f"The home is {present.home}", f"Verifier key of the audit log (for the DPO): {made.audit_key}"]
    if made.admin_token:
        lines.append(f"Token of the user admin, shown only now: {made.admin_token}")
    return said, "\n".join(lines)
