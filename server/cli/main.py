"""The command line: `rowless`. Every command reports what it did in words, or with --json as one object.

This is the list of its commands. Each is imported when it is called.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from server.cli import speaking
from server.cli.lazy import Lazy, LazyGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    # The home
    "init": Lazy(
        "server.cli.init:init", "Make a home: its folder, ledger, signing key, and the first admin, DPO and approver."
    ),
    "import": Lazy("server.cli.import_:import_", "Import a dataset's sources as its next edition."),
    "manifest": Lazy("server.cli.manifest:manifest", "Draft and check manifests."),
    "serve": Lazy("server.cli.serve:serve", "Serve the API until stopped."),
    "recover": Lazy("server.cli.serve:recover", "Close the charges that a crash left open, as spent."),
    "ledger": Lazy("server.cli.ledger:ledger", "Mend a ledger that was restored from a backup."),
    "doctor": Lazy(
        "server.cli.doctor:doctor", "Check the home: its schema, key, stores, sums and the chain of the audit log."
    ),
    "demo": Lazy(
        "server.cli.demo:demo", "Set up a home with demonstration data, serve it, ask one query and show the answer."
    ),
    "demo-data": Lazy("server.cli.demo_data:demo_data", "Write a made-up observatory of general practice into FOLDER."),
    "login": Lazy(
        "server.cli.login:login", "Sign in with your own account, at the issuer of the server that ROWLESS_URL names."
    ),
    # People, datasets and studies
    "user": Lazy("server.cli.user:user", "Add, list and remove users, each with a role."),
    "token": Lazy("server.cli.user:token", "Make, list and revoke access tokens."),
    "dataset": Lazy("server.cli.dataset:dataset", "Show datasets, and decide on their caps and profiles."),
    "profile": Lazy("server.cli.profile:profile", "Buy a dataset's contribution profile, once it is approved."),
    "study": Lazy("server.cli.study:study", "Open studies, and decide on them."),
    # Queries and what they released
    "rehearsal-data": Lazy(
        "server.cli.rehearsal_data:rehearsal_data",
        "Write made-up data in the shape of DATASET into FOLDER, as Parquet.",
    ),
    "query": Lazy("server.cli.query:query", "Ask a query, in SQL or as FILE."),
    "release": Lazy("server.cli.release:release", "Read what was released."),
    "certificate": Lazy("server.cli.certificate:certificate", "Write the certificate of a study's release to FILE."),
    # What the data protection officer reads
    "audit": Lazy("server.cli.audit.group:audit", "Read the audit log, and check it."),
    "report": Lazy("server.cli.report:report", "Report what was released and what it could reveal."),
}


class Main(LazyGroup):
    """The command `rowless`, which speaks one language from its arguments to its last error."""

    def main(self, args: Sequence[str] | None = None, *further: Any, **named: Any) -> Any:
        """Run the command that the arguments name, by default those of the process."""
        given = sys.argv[1:] if args is None else list(args)
        with speaking.speaking(given):
            return super().main(given, *further, **named)


@click.group(
    cls=Main,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="rowless", prog_name="rowless")
@click.option(
    speaking.ASKED,
    "_lang",
    type=click.Choice(speaking.CODES),
    help="The language of what is printed; by default that of LC_ALL, LC_MESSAGES or LANG.",
)
def main(_lang: str | None) -> None:  # `speaking.py` reads it before click does
    """Answer statistics queries about data that must not be seen."""
    os.umask(0o077)  # whatever a command writes is its user's own
