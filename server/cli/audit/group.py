"""`rowless audit`: the list of its commands."""

from __future__ import annotations

import click

from server.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    # The log
    "entries": Lazy("server.cli.audit.log:entries", "Show entries of the log, the newest first."),
    "export": Lazy(
        "server.cli.audit.log:export",
        "Write the log to FILE as JSON lines, and its signed checkpoint to FILE.checkpoint.",
    ),
    "verify": Lazy(
        "server.cli.audit.verify:verify",
        "Check an export of the log, or a release's certificate, without trusting the server.",
    ),
    # Its signatures
    "checkpoint": Lazy(
        "server.cli.audit.signing:checkpoint", "Print a signed checkpoint of the log as it is now, or write it to FILE."
    ),
    "key": Lazy("server.cli.audit.signing:key", "Print the verifier key of the checkpoints: the DPO keeps it."),
    "rotate-key": Lazy("server.cli.audit.signing:rotate_key", "Replace the signing key."),
    # Its alerts and names
    "alerts": Lazy(
        "server.cli.audit.alerts:alerts",
        "List alerts, oldest first: budgets used up, bursts of refusals, failed sign-ins, what ends soon.",
    ),
    "identities": Lazy(
        "server.cli.audit.identities:identities",
        "List the names that are kept, oldest first, and since when each is out of use.",
    ),
    "erase": Lazy(
        "server.cli.audit.identities:erase", "Erase the names that are due, or those of the given commitments."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def audit() -> None:
    """Read the audit log, and check it."""
