"""The check of files: an export with its checkpoints, or a certificate, with or without an export."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from . import certificate, export

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LINE_BYTES_MAX = 64 * 2**20  # far more than an entry may have, so that any file fits into memory


def verify_files(
    file: Path,
    *,
    key: str,
    covering: Path | None = None,
    older: Sequence[Path] = (),
    kept: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _bytes: None,
) -> export.Report:
    """Check an exported log in a file. Its checkpoint is FILE.checkpoint unless another file is given.

    Older checkpoints are given as files (`older`) or as texts (`kept`). Raises OSError if a file cannot be read.
    """
    beside = covering or file.with_name(f"{file.name}.checkpoint")
    if covering is None and not beside.exists():
        lacks = "there is no such file; name the checkpoint that came with the export (--checkpoint)"
        raise FileNotFoundError(errno.ENOENT, lacks, str(beside))
    with file.open("rb") as opened:
        lines = iter(lambda: opened.readline(LINE_BYTES_MAX), b"")
        # A file that is not UTF-8 is not a note either, and is reported as such.
        notes = [one.read_bytes().decode(errors="replace") for one in (beside, *older)]
        return export.verify(lines, key=key, covering=notes[0], older=[*notes[1:], *kept], progress=progress)


def is_certificate(file: Path) -> bool:
    """Return whether a file is a release certificate. What a pipe delivers can be read only once, so it is none."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(certificate.HEAD)) == certificate.HEAD


def verify_certificate(
    file: Path,
    log: Path | None = None,
    *,
    key: str,
    covering: Path | None = None,
    older: Sequence[Path] = (),
    progress: Callable[[int], None] = lambda _bytes: None,
) -> tuple[certificate.Report, export.Report | None]:
    """Check a certificate and, if given, an export of the log, which has to continue the certificate's checkpoint."""
    document = file.read_bytes()
    found = certificate.verify(document, key=key)
    if log is None:
        return found, None
    # The proof shows that the entry is under this checkpoint, so it is in an export that continues it.
    kept = certificate.checkpoint_of(document)
    report = verify_files(log, key=key, covering=covering, older=older, kept=kept, progress=progress)
    if report.verdict != "ok":
        found.problems.append(f"the log in {log.name}: it has problems, or is not the log of this certificate")
    elif not kept:
        found.problems.append(f"the log in {log.name}: the certificate has no checkpoint to compare it with")
    else:
        found.checked.append(f"the log in {log.name}: its {report.entries} entries go on from that checkpoint")
    return found, report


def words_of_both(found: certificate.Report, report: export.Report | None) -> str:
    """Return what was found about a certificate and, before it, about its log, for people."""
    of_log = "" if report is None else f"The log\n{export.words(report)}\n\nThe certificate\n"
    return of_log + certificate.words(found)
