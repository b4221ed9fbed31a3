"""`python -m budgets.verify EXPORT --key VKEY`, or `python -m verify` where this folder was copied alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import export, files
from .french import french

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Say = Callable[[str], str]

VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order in which the C library looks at them
LANGUAGES = ("en", "fr")
TOLD = {
    "description": "Check an exported audit log, or a release certificate.",
    "export": "the export, or the certificate",
    "--key": "the verifier key that you kept: NAME+HASH+KEY",
    "--checkpoint": "the checkpoint of the export [EXPORT.checkpoint]",
    "--since": "a checkpoint that you kept; may be repeated",
    "--json": "print the report as JSON, which is in English",
    "--log": "beside a certificate: an export in which it has to be",
    "--lang": "the language of what is printed; by default that of LC_ALL, LC_MESSAGES or LANG",
    "--help": "show this message and exit",
}


class Formatter(argparse.HelpFormatter):
    """The form of the help. Its first word is argparse's own, which has no French."""

    def __init__(self, prog: str, say: Say = str) -> None:
        super().__init__(prog)
        self._say = say

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        """Add the usage, after a word of one's own unless another is given."""
        super().add_usage(usage, actions, groups, prefix or f"{self._say('usage:')} ")


class Parser(argparse.ArgumentParser):
    """The parser of the command line."""

    def __init__(self, say: Say) -> None:
        super().__init__(
            prog="python -m budgets.verify",
            description=say(TOLD["description"]),
            formatter_class=partial(Formatter, say=say),
            add_help=False,
        )
        self._say = say

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the command line, and exit with 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {self._say('error:')} {self._say(message)}\n")


def main() -> int:
    """Check what the command line names, print the report and return the exit code."""
    language = _language(sys.argv[1:])
    say: Say = french().lines if language == "fr" else str
    parser = _parser(say)
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
    sys.stdout.write(f"{json.dumps(document) if given.json else say(said)}\n")
    return int(verdict != "ok")


def _parser(say: Say) -> Parser:
    parser = Parser(say)
    named, options = parser.add_argument_group(say("arguments")), parser.add_argument_group(say("options"))
    told = {name: say(text) for name, text in TOLD.items()}
    file, key = say("FILE"), say("VKEY")
    named.add_argument("export", type=Path, metavar="EXPORT", help=told["export"])
    options.add_argument("--key", required=True, metavar=key, help=told["--key"])
    for name in ("--checkpoint", "--log"):
        options.add_argument(name, type=Path, metavar=file, help=told[name])
    options.add_argument("--since", type=Path, action="append", default=[], metavar=file, help=told["--since"])
    options.add_argument("--json", action="store_true", help=told["--json"])
    options.add_argument("--lang", choices=LANGUAGES, help=told["--lang"])
    options.add_argument("-h", "--help", action="help", help=told["--help"])
    return parser


def _language(arguments: Sequence[str]) -> str:
    """Return the language that the arguments or the environment name. The help needs it before they are parsed."""
    reader = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    reader.add_argument("--lang")
    try:
        named = reader.parse_known_args(arguments)[0].lang
    except argparse.ArgumentError:
        named = None
    set_to = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    wanted = named or set_to[:2]
    return wanted if wanted in LANGUAGES else LANGUAGES[0]


if __name__ == "__main__":
    sys.exit(main())
