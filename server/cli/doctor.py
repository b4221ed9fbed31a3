"""`rowless doctor`: check a home."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from server.cli.commands import Command
from server.cli.common import progress, with_json
from server.cli.home import settings
from server.cli.speaking import phrases
from server.runtime import health


@click.command(cls=Command)
@click.option("--quick", is_flag=True, help="Do not read the stores to compare their hashes.")
@with_json
def doctor(quick: bool) -> Any:
    """Check the home: its schema, key, stores, sums and the chain of the audit log.

    It reads all of every store, which takes a second or more for each gigabyte; --quick leaves that out.
    """
    if quick:
        checks = health.examine(settings())
    else:
        with progress() as shown:
            checks = health.examine(settings(), shown)
    said = {"healthy": all(check.ok for check in checks), "checks": [dataclasses.asdict(check) for check in checks]}
    words = "\n".join(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.finding}" for check in checks)
    if not said["healthy"]:
        raise health.Unhealthy(words)
    return said, phrases(words)
