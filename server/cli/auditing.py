"""audit export, checkpoint, verify, key, rotate-key: what proves the log, and the key that does."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from budgets import audit as log
from budgets import checkpoint as checkpoints
from budgets import custody, verify
from server.cli.common import acting, as_option, house, with_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITABLE = click.Path(dir_okay=False, path_type=Path)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def audit() -> None:
    """Read the audit log, and check it."""


@audit.command()
@click.argument("file", type=WRITABLE)
@as_option
@with_json
def export(file: Path, name: str | None) -> Any:
    """Write the log to FILE as JSON lines, and to FILE.checkpoint the signed checkpoint that covers them.

    Each line is an entry's body, byte for byte as it was hashed.
    """
    covering = file.with_name(f"{file.name}.checkpoint")
    with house() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
            log.append(transaction, by, "audit.export", "audit", "the audit log was exported")
        note = custody.sign(opened.database, opened.settings.key_path)
        count = 0
        with opened.database.read() as transaction, file.open("w", encoding="utf-8", newline="\n") as lines:
            for body in log.every_body(transaction, checkpoints.read(note).size):
                lines.write(f"{body}\n")
                count += 1
        covering.write_text(note, encoding="utf-8", newline="\n")
    said = {"file": str(file), "checkpoint": str(covering), "entries": count}
    return said, f"{count} entries were written to {file}, and the checkpoint that covers them to {covering}"


@audit.command()
@click.argument("file", type=WRITABLE, required=False)
@with_json
def checkpoint(file: Path | None) -> Any:
    """Print a signed checkpoint of the log as it is now, or write it to FILE. Keep it: no later log can deny it."""
    with house() as opened:
        note = custody.sign(opened.database, opened.settings.key_path)
    said = checkpoints.read(note)
    if file is None:
        words = note.removesuffix("\n")
    else:
        file.write_text(note, encoding="utf-8", newline="\n")
        words = f"a checkpoint of {said.size} entries was written to {file}"
    return {"origin": said.origin, "size": said.size, "root": said.root.hex(), "note": note}, words


@audit.command()
@with_json
def key() -> Any:
    """Print the verifier key of the checkpoints: the DPO keeps it."""
    with house() as opened:
        found = custody.key_in_force(opened.database, opened.settings.key_path)
    return {"audit_key": found}, found


@audit.command("rotate-key")
@as_option
@with_json
def rotate_key(name: str | None) -> Any:
    """Replace the signing key. The log names the new one, signed for by the old one, and the old one is deleted."""
    with house() as opened:
        with opened.database.read() as transaction:
            by = acting(transaction, "admin", name)
        made = custody.rotate(opened.database, opened.settings.key_path, by)
    return {"audit_key": made}, f"checkpoints are signed by a new key from here on; its verifier key:\n{made}"


@audit.command("verify")
@click.argument("export", type=READABLE)
@click.option("--key", "text", required=True, metavar="VKEY", help="The verifier key that you kept: NAME+HASH+KEY.")
@click.option("--checkpoint", "covering", type=READABLE, help="The checkpoint of the export [EXPORT.checkpoint].")
@click.option("--since", "older", type=READABLE, multiple=True, help="A checkpoint that you kept; may be repeated.")
@with_json
def verify_(export: Path, text: str, covering: Path | None, older: tuple[Path, ...]) -> Any:
    """Check an exported log without trusting the server: every hash, the signed root, that it only grew, every budget.

    It needs no home. Exit code 1 when anything is wrong.
    """
    with _progress(export.stat().st_size) as progress:
        report = verify.verify_files(export, key=text, covering=covering, older=older, progress=progress)
    return report.to_json(), verify.words(report), report.verdict != "ok"


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a file was read, on a terminal."""
    if not sys.stderr.isatty() or not size:  # of what comes through a pipe nobody knows the size
        yield lambda _bytes: None
        return
    with click.progressbar(length=size, label="verifying", file=sys.stderr, show_pos=False) as bar:
        waiting = 0

        def show(count: int) -> None:
            nonlocal waiting
            waiting += count
            if waiting > size // 500:
                bar.update(waiting)
                waiting = 0

        yield show
        bar.update(waiting)
