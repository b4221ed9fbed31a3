"""`rowless audit checkpoint`, `audit key` and `audit rotate-key`: the signed checkpoints and their key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from budgets.audit import signing
from budgets.verify.checkpoint import read
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote
from server.cli.speaking import say, whole


@click.command(cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@with_json
def checkpoint(file: Path | None) -> Any:
    """Print a signed checkpoint of the log as it is now, or write it to FILE.

    Keep it: a later log that does not continue this one fails the check against it.
    """
    if (server := remote()) is not None:
        note = server.call("GET", "/audit/checkpoint", accept="text/plain")
    else:
        with services() as opened:
            note = signing.sign(opened.database, opened.settings.key_path)
    said = read(note)
    if file is None:
        words = note.removesuffix("\n")
    else:
        file.write_text(note, encoding="utf-8", newline="\n")
        words = say("a checkpoint of %(entries)s entries was written to %(file)s", entries=whole(said.size), file=file)
    return {"origin": said.origin, "size": said.size, "root": said.root.hex(), "note": note}, words


@click.command(cls=Command)
@with_json
def key() -> Any:
    """Print the verifier key of the checkpoints: the DPO keeps it."""
    if (server := remote()) is not None:
        found = server.json("GET", "/audit/checkpoint")["key"]
        return {"audit_key": found}, found
    with services() as opened:
        found = signing.key_in_force(opened.database, opened.settings.key_path)
    return {"audit_key": found}, found


@click.command("rotate-key", cls=Command)
@as_option
@with_json
def rotate_key(name: str | None) -> Any:
    """Replace the signing key.

    The log names the new key in an entry that the old key signs. Then the old key is deleted.
    """
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        made = signing.rotate(opened.database, opened.settings.key_path, by)
    words = say("checkpoints are signed by a new key from here on; its verifier key:")
    return {"audit_key": made}, f"{words}\n{made}"
