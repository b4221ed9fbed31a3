"""`rowless init`: make a home, with its first admin, DPO and approver."""

from __future__ import annotations

import sys
from typing import Any

import click

from budgets.governance.roles.founding import ADMIN, ROLES, Founders
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import settings
from server.cli.speaking import phrase, say, word
from server.runtime.services import create_home, is_founded


@click.command(cls=Command)
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
        dpo = dpo or _asked(say("Name of the first data protection officer, who advises and checks"))
        approver = approver or _asked(say("Name of the first approver, who decides for the controller"))
    founders = Founders(dpo, approver, admin)
    made = create_home(present, founders)
    said = {
        "home": str(present.home),
        "audit_key": made.audit_key,
        **{f"{role}_token": made.tokens.get(role) for role in ROLES},
        "missing": made.missing,
    }
    lines = [
        say("The home is %(home)s", home=present.home),
        say("Verifier key of the audit log (for the DPO): %(key)s", key=made.audit_key),
    ]
    for role, token in made.tokens.items():
        who = {"role": word(role), "name": founders.named[role]}
        lines.append(say("Token of the %(role)s %(name)s, shown only now: %(token)s", **who, token=token))
    if made.missing:
        lines.append(say("Note: %(note)s", note=phrase(made.missing)))
    return said, "\n".join(lines)


def _asked(question: str) -> str:
    return str(click.prompt(question, prompt_suffix=say(": "), err=True))
