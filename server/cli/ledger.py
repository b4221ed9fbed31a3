"""`rowless ledger`: what a ledger needs that was restored from a backup."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from budgets.audit import signing
from budgets.errors import Invalid
from budgets.governance import respending
from budgets.verify import export, files
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.speaking import count, phrase, say, whole

if TYPE_CHECKING:
    from budgets.governance.respending import Forgotten, Respent

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=Group)
def ledger() -> None:
    """Mend a ledger that was restored from a backup."""


@ledger.command()
@click.argument("file", type=READABLE, metavar="EXPORT")
@click.option("--checkpoint", "covering", type=READABLE, help="The checkpoint of the export [EXPORT.checkpoint].")
@click.option("--key", metavar="VKEY", help="The verifier key that the export is checked with [the one in force].")
@as_option
@with_json
def respend(file: Path, covering: Path | None, key: str | None, name: str | None) -> Any:
    """Charge a restored ledger again with what a later export of its log shows.

    The export is verified first. Run it before you serve from a restored ledger. It may be repeated, with the same
    export or a later one: nothing is charged twice. Exit code 1 means that something is left to do by hand.
    """
    with services() as opened:
        known = key or signing.key_in_force(opened.database, opened.settings.key_path)
        report = files.verify_files(file, key=known, covering=covering)
        if report.verdict != "ok":
            raise Invalid("export", f"it cannot be relied on, so nothing was charged. {export.words(report)}")
        with opened.database.write() as transaction, file.open("rb") as lines:
            found = respending.respend(transaction, lines, acting(transaction, "admin", name))
    return found.to_json(), _words(found), bool(found.problems)


def _words(found: Respent) -> str:
    lines = [
        say(
            "The export has %(entries)s entries; the first %(common)s are those of this ledger.",
            entries=whole(found.entries),
            common=whole(found.common),
        ),
        count(
            "%(num)s charge was charged again; %(known)s had been charged before.",
            "%(num)s charges were charged again; %(known)s had been charged before.",
            len(found.charged),
            known=whole(found.known),
        ),
        *map(_charged, found.charged),
    ]
    if found.problems:
        lines += [say("To do:"), *(f"  {phrase(problem)}" for problem in found.problems)]
    return "\n".join(lines)


def _charged(one: Forgotten) -> str:
    whose = one.dataset
    if one.study:
        whose = say("%(dataset)s, study %(study)s", dataset=one.dataset, study=one.study)
    return say("  %(whose)s: %(loss)s (entry %(entry)s)", whose=whose, loss=phrase(one.loss.text), entry=one.entry)
