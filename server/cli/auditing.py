"""audit export: the log as it was hashed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from budgets import audit as log
from server.cli.common import acting, as_option, house, with_json


@click.group()
def audit() -> None:
    """Read the audit log."""


@audit.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_option
@with_json
def export(file: Path, name: str | None) -> Any:
    """Write the whole log to FILE as JSON lines: each line is an entry's body, byte for byte as it was hashed."""
    with house() as opened, file.open("w", encoding="utf-8") as lines:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
            log.append(transaction, by, "audit.export", "audit", "the audit log was exported")
        count = 0
        with opened.database.read() as transaction:
            for entry in log.every_entry(transaction):
                lines.write(f"{entry.body}\n")
                count += 1
    return {"file": str(file), "entries": count}, f"{count} entries were written to {file}"
