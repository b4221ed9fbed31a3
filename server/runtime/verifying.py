"""The independent check of the log as it is now, run beside the server: `budgets/verify` in a process of its own.

A process, because it adds up every entry in Python, a minute for a million, in which the threads of this process would
wait for it; and because its memory is given back. It gets what a DPO would carry to another machine, the lines of the
log and checkpoints, and nothing of the server's code. But it has to trust the machine that it runs on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import budgets.verify
from budgets.audit import log, search, signing
from budgets.verify import checkpoint
from budgets.verify.keys import NAMES_KEY
from server.errors import Abandoned, VerifierFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from budgets.actors import Actor
    from budgets.database.connection import Database

BATCH = 1_000  # entries between two looks whether the client is still there


def verify(
    database: Database,
    key_path: Path,
    by: Actor,
    *,
    key: str | None,
    older: Sequence[str],
    has_left: Callable[[], bool],
) -> dict[str, Any]:
    """Check the log, and return the report as JSON values. Without a key it takes the log's own first one.

    `older` are checkpoints that the DPO kept. The entry of this act is in the log that is checked. Raises Abandoned,
    VerifierFailed.
    """
    with database.write() as transaction:
        log.append(transaction, by, "audit.verify", "audit", "the audit log was verified by the server")
    note = signing.sign(database, key_path)
    trusted = key or _first_key(database, key_path)
    with tempfile.TemporaryDirectory(prefix="rowless-verify-") as folder:
        notes = [Path(folder) / f"{number}.checkpoint" for number in range(1 + len(older))]
        for file, text in zip(notes, (note, *older), strict=True):
            file.write_text(text, encoding="utf-8", newline="\n")
        options = [f"--key={trusted}", f"--checkpoint={notes[0]}", *(f"--since={file}" for file in notes[1:])]
        report = _run(database, checkpoint.read(note).size, options, Path(folder), has_left)
    return {**report, "checkpoint": note, "own_key": key is None}


def _first_key(database: Database, key_path: Path) -> str:
    """Return the key that signed first, as the log itself says: the check follows the log from there."""
    with database.read() as transaction:
        named = search.entries(transaction, action=NAMES_KEY, limit=1)
    return str(named[0].to_json()["facts"]["before"]) if named else signing.key_in_force(database, key_path)


def _run(
    database: Database, size: int, options: Sequence[str], folder: Path, has_left: Callable[[], bool]
) -> dict[str, Any]:
    # The folder of the check alone, as `python -m verify`, which is how a DPO can copy it.
    alone = Path(budgets.verify.__file__).parents[1]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    process = subprocess.Popen(  # noqa: S603  # this interpreter, with options of the form --name=value
        [sys.executable, "-m", "verify", "/dev/stdin", "--json", *options],
        env={**kept, "PYTHONPATH": str(alone)},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with suppress(BrokenPipeError), process.stdin as lines, database.read() as transaction:
                lines.writelines(_bodies(transaction, size, has_left))
            said = process.stdout.read()
        except BaseException:
            process.kill()
            raise
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        raise VerifierFailed(f"the check of the log ended with exit code {process.returncode}") from None
    return found


def _bodies(transaction: sa.Connection, size: int, has_left: Callable[[], bool]) -> Iterator[bytes]:
    for number, body in enumerate(log.every_body(transaction, size)):
        if number % BATCH == 0 and has_left():
            raise Abandoned("the client closed its connection")
        yield f"{body}\n".encode()
