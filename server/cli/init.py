"""`rowless init`: make a home, with its first admin, DPO and approver."""

from __future__ import annotations

import sys
from typing import Any

import click

from budgets.governance.roles.founding import ADMIN, ROLES, Founders
from server.cli.common import with_json
from server.cli.home import settings
from server.runtime.services import create_home, is_founded


@click.command()
@click.option("--admin", default=ADMIN, show_default=True, help="The first admin's name.")
@click.option("--dpo", help="The first data protection officer's name; a new home needs it.")
@click.option("--approver", help="The first approver's name; a new home needs it.")
@with_json
def init(admin: str, dpo: str | None, approver: str | None) -> Any:
    """Make a home: its folder, ledger, signing key, and the first admin, DPO and approver.

    It asks for the names that a new home needs and that are not given. It prints a token for each of the three, once.
    Run it again after an upgrade of Rowless: it brings the ledger's schema up to date and leaves the rest as it is.
    """
    present = settings()
    if not is_founded(present) and sys.stdin.isatty():
        dpo = dpo or click.prompt("Name of the first data protection officer, who advises and checks", err=True)
        approver = approver or click.prompt("Name of the first approver, who decides for the controller", err=True)
    founders = Founders(dpo, approver, admin)
    made = create_home(present, founders)
    said = {
        "home": str(present.home),
        "audit_key": made.audit_key,
        **{f"{role}_token": made.tokens.get(role) for role in ROLES},
        "missing": made.missing,
    }
    lines = [f"The home is {present.home}", f"Verifier key of the audit log (for the DPO): {made.audit_key}"]
    for role, token in made.tokens.items():
        lines.append(f"Token of the {role} {founders.named[role]}, shown only now: {token}")
    if made.missing:
        lines.append(f"Note: {made.missing}")
    return said, "\n".join(lines)
