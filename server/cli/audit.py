"""audit export, checkpoint, verify, key, rotate-key: what proves the log, and the key that does. And certificates."""

from __future__ import annotations

import hashlib
import itertools
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from marshmallow import ValidationError

from budgets.audit import certificates, custody, log
from budgets.verify import checkpoint as checkpoints
from budgets.verify import log as verify
from server.api.requests.schemas import Moment
from server.cli.common import acting, as_option, services, with_json
from server.journey import rereading
from server.views import csv, entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

WRITABLE = click.Path(dir_okay=False, path_type=Path)
READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


def moment(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    """Return a time as the log has times."""
    try:
        return None if given is None else str(Moment().deserialize(given))
    except ValidationError as error:
        raise click.BadParameter(str(error.messages[0])) from None


@click.group()
def audit() -> None:
    """Read the audit log, and check it."""


@audit.command("entries")
@click.option("--study", metavar="STUDY", help="Of one study.")
@click.option("--actor", metavar="USER", help="Of what one user did.")
@click.option("--action", metavar="ACTION", help="Of one action, as in query.release.")
@click.option("--from", "since", metavar="TIME", callback=moment, help="From a day or a time in UTC on.")
@click.option("--to", "until", metavar="TIME", callback=moment, help="Before a day or a time in UTC.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@click.option("--cursor", type=click.IntRange(0), help="From this index on, backwards.")
@click.option("--oldest-first", is_flag=True, help="Forwards instead, from the start or the cursor.")
@as_option
@with_json
def entries_(name: str | None, cursor: int | None, limit: int, oldest_first: bool, **filters: str | None) -> Any:
    """Show entries of the log, the newest first."""
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
        shown, following = entries.page(
            opened.database, by, filters, cursor=cursor, limit=limit, newest_first=not oldest_first
        )
    items = [entry.to_json() for entry in shown]
    return {"items": items, "next": following}, _table(items, following)


def _table(items: Sequence[Mapping[str, Any]], following: int | None) -> str:
    if not items:
        return "no entry fits"
    lines = [f"{'index':>8}  {'time (UTC)':<19}  {'who':<12} {'action':<22} what"]
    for item in items:
        who = item["actor_name"] or f"erased {item['actor'][:8]}"
        lines.append(f"{item['index']:>8}  {item['time'][:19]}  {who:<12} {item['action']:<22} {item['summary']}")
    return "\n".join([*lines, *([] if following is None else [f"more with --cursor {following}"])])


@audit.command()
@click.argument("file", type=WRITABLE)
@click.option("--csv", "as_csv", is_flag=True, help="A table for people instead.")
@as_option
@with_json
def export(file: Path, name: str | None, *, as_csv: bool) -> Any:
    """Write the log to FILE as JSON lines, and to FILE.checkpoint the signed checkpoint that covers them.

    Each line is an entry's body, byte for byte as it was hashed: that is what `verify` checks. With --csv it is a table
    to read instead, with the names that are known and each entry's hash, and without the facts.
    """
    covering = file.with_name(f"{file.name}.checkpoint")
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "dpo", name)
            log.append(transaction, by, "audit.export", "audit", "the audit log was exported")
        note = custody.sign(opened.database, opened.settings.key_path)
        size = checkpoints.read(note).size
        with opened.database.read() as transaction, file.open("w", encoding="utf-8", newline="\n") as lines:
            if as_csv:
                csv.write_entries_csv(lines, itertools.islice(log.every_entry(transaction), size))
            else:
                lines.writelines(f"{body}\n" for body in log.every_body(transaction, size))
        covering.write_text(note, encoding="utf-8", newline="\n")
    said = {"file": str(file), "checkpoint": str(covering), "entries": size}
    return said, f"{size} entries were written to {file}, and the checkpoint that covers them to {covering}"


@audit.command()
@click.argument("file", type=WRITABLE, required=False)
@with_json
def checkpoint(file: Path | None) -> Any:
    """Print a signed checkpoint of the log as it is now, or write it to FILE. Keep it: no later log can deny it."""
    with services() as opened:
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
    with services() as opened:
        found = custody.key_in_force(opened.database, opened.settings.key_path)
    return {"audit_key": found}, found


@audit.command("rotate-key")
@as_option
@with_json
def rotate_key(name: str | None) -> Any:
    """Replace the signing key. The log names the new one, signed for by the old one, and the old one is deleted."""
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        made = custody.rotate(opened.database, opened.settings.key_path, by)
    return {"audit_key": made}, f"checkpoints are signed by a new key from here on; its verifier key:\n{made}"


@audit.command("verify")
@click.argument("export", type=READABLE, metavar="EXPORT|CERTIFICATE")
@click.option("--key", "text", required=True, metavar="VKEY", help="The verifier key that you kept: NAME+HASH+KEY.")
@click.option("--checkpoint", "covering", type=READABLE, help="The checkpoint of the export [EXPORT.checkpoint].")
@click.option("--since", "older", type=READABLE, multiple=True, help="A checkpoint that you kept; may be repeated.")
@click.option("--log", "beside", type=READABLE, help="Beside a certificate: an export in which it has to be.")
@with_json
def verify_(export: Path, text: str, covering: Path | None, older: tuple[Path, ...], beside: Path | None) -> Any:
    """Check an exported log without trusting the server: every hash, the signed root, that it only grew, every budget.

    Or check the certificate of a release: its numbers, its loss, its place in the log, every signature. It needs no
    home. Exit code 1 when anything is wrong.
    """
    if not verify.is_certificate(export):
        if beside is not None:
            raise click.UsageError("--log is for a certificate, and this is none")
        with _progress(export.stat().st_size) as progress:
            report = verify.verify_files(export, key=text, covering=covering, older=older, progress=progress)
        return report.to_json(), verify.words(report), report.verdict != "ok"
    if beside is None and (covering or older):
        raise click.UsageError("--checkpoint and --since are about an export: give it as --log EXPORT")
    with _progress(beside.stat().st_size if beside else 0) as progress:
        found, of_log = verify.verify_certificate(
            export, beside, key=text, covering=covering, older=older, progress=progress
        )
    said = {**found.to_json(), "log": of_log.to_json() if of_log else None}
    return said, verify.words_of_both(found, of_log), found.verdict != "ok"


@click.command()
@click.argument("study")
@click.argument("release")
@click.argument("file", type=WRITABLE)
@as_option
@with_json
def certificate(study: str, release: str, file: Path, name: str | None) -> Any:
    """Write the certificate of a study's release to FILE: a signed document to cite, which anyone can verify."""
    with services() as opened:
        with opened.database.write() as transaction:
            by = acting(transaction, "admin", name)
        stored = rereading.read(opened, by, study, release, rereading.CERTIFICATE)
        text = certificates.certificate(opened.database, opened.settings.key_path, stored)
    file.write_text(text, encoding="utf-8", newline="\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    said = {"file": str(file), "release": release, "sha256": digest}
    return said, f"the certificate of release {release} was written to {file}; its SHA-256 is\n{digest}"


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
