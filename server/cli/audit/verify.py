"""`rowless audit verify`: check an export of the log, or a certificate. It needs no home."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from budgets.verify import export, files
from server.cli.commands import Command
from server.cli.common import with_json
from server.cli.speaking import phrases, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=Command)
@click.argument("file", type=READABLE, metavar="EXPORT|CERTIFICATE")
@click.option("--key", "text", required=True, metavar="VKEY", help="The verifier key that you kept: NAME+HASH+KEY.")
@click.option("--checkpoint", "covering", type=READABLE, help="The checkpoint of the export [EXPORT.checkpoint].")
@click.option("--since", "older", type=READABLE, multiple=True, help="A checkpoint that you kept; may be repeated.")
@click.option("--log", "beside", type=READABLE, help="Beside a certificate: an export in which it has to be.")
@with_json
def verify(file: Path, text: str, covering: Path | None, older: tuple[Path, ...], beside: Path | None) -> Any:
    """Check an export of the log, or a release's certificate, without trusting the server.

    In an export it checks every hash, the signed root, that the log only grew, and every budget. In a certificate it
    checks the numbers, the loss, the place in the log and every signature. It needs no home. The exit code is 1 when
    anything is wrong.
    """
    if not files.is_certificate(file):
        if beside is not None:
            raise click.UsageError(say("--log is for a certificate, and this is none"))
        with _progress(file.stat().st_size) as progress:
            report = files.verify_files(file, key=text, covering=covering, older=older, progress=progress)
        return report.to_json(), phrases(export.words(report)), report.verdict != "ok"
    if beside is None and (covering or older):
        raise click.UsageError(say("--checkpoint and --since are about an export: give it as --log EXPORT"))
    with _progress(beside.stat().st_size if beside else 0) as progress:
        found, of_log = files.verify_certificate(
            file, beside, key=text, covering=covering, older=older, progress=progress
        )
    said = {**found.to_json(), "log": of_log.to_json() if of_log else None}
    return said, phrases(files.words_of_both(found, of_log)), found.verdict != "ok"


@contextmanager
def _progress(size: int) -> Iterator[Callable[[int], None]]:
    """Show how much of a file was read, on a terminal."""
    if not sys.stderr.isatty() or not size:  # the size of what comes through a pipe is unknown
        yield lambda _bytes: None
        return
    with click.progressbar(length=size, label=say("verifying"), file=sys.stderr, show_pos=False) as bar:
        waiting = 0

        def show(count: int) -> None:
            nonlocal waiting
            waiting += count
            if waiting > size // 500:
                bar.update(waiting)
                waiting = 0

        yield show
        bar.update(waiting)
