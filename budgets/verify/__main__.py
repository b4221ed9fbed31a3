"""`python -m budgets.verify EXPORT --key VKEY`, or `python -m verify` where this folder was copied alone."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import export, files


def main() -> int:
    """Check what the command line names, print the report and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m budgets.verify", description="Check an exported audit log, or a release certificate."
    )
    parser.add_argument("export", type=Path, help="the export, or the certificate")
    parser.add_argument("--key", required=True, help="the verifier key that you kept: NAME+HASH+KEY")
    parser.add_argument("--checkpoint", type=Path, help="the checkpoint of the export [EXPORT.checkpoint]")
    parser.add_argument("--since", type=Path, action="append", default=[], help="a checkpoint that you kept")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--log", type=Path, help="beside a certificate: an export in which it has to be")
    given = parser.parse_args()
    given_files: dict[str, Any] = {"key": given.key, "covering": given.checkpoint, "older": given.since}
    if given.log is not None and not files.is_certificate(given.export):
        parser.error("--log is for a certificate, and this is none")
    try:
        if files.is_certificate(given.export):
            found, report = files.verify_certificate(given.export, given.log, **given_files)
            verdict, said = found.verdict, files.words_of_both(found, report)
            document = {**found.to_json(), "log": None if report is None else report.to_json()}
        else:
            report = files.verify_files(given.export, **given_files)
            verdict, said, document = report.verdict, export.words(report), report.to_json()
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    sys.stdout.write(f"{json.dumps(document) if given.json else said}\n")
    return int(verdict != "ok")


if __name__ == "__main__":
    sys.exit(main())
