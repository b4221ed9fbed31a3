"""`rowless doctor`: check a home."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from server.cli.common import with_json
from server.cli.home import settings
from server.runtime import health


@click.command()
@with_json
def doctor() -> Any:
    """Check the home: its schema, key, stores, sums and the chain of the audit log."""
    checks = health.examine(settings())
    said = {"healthy": all(check.ok for check in checks), "checks": [dataclasses.asdict(check) for check in checks]}
    words = "\n".join(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.finding}" for check in checks)
    if not said["healthy"]:
        raise health.Unhealthy(words)
    return said, words
