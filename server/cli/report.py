"""`rowless report`: what was released of a study or a dataset and what it could reveal, for DPOs and approvers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.api import replies
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.languages.language import ENGLISH, LANGUAGES
from server.reporting import page
from server.reporting.report import DATASET, READERS, STUDY, assemble
from server.reporting.text import text

if TYPE_CHECKING:
    from server.cli.remote import Remote


@click.group()
def report() -> None:
    """Report what was released and what it could reveal."""


def _command(kind: str) -> None:
    """Make the command of one kind of report."""

    @report.command(kind, help=f"Report on a {kind}: in words, as JSON, or as a page to print.")
    @click.argument("subject", metavar=kind.upper())
    @click.option(
        "--html", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to this file."
    )
    @click.option(
        "--language",
        "code",
        type=click.Choice(list(LANGUAGES)),
        default=ENGLISH,
        help="The language of the words and of the page; JSON is in English.",
    )
    @as_option
    @with_json
    def run(subject: str, file: Path | None, code: str, name: str | None) -> Any:
        if (server := remote(name)) is not None:
            return _over_http(server, kind, subject, file, code)
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name, also=READERS)
            document = assemble(opened, by, kind, subject, "json" if file is None else "html")
        if file is not None:
            file.write_text(page.html(document, code), encoding="utf-8")
            return {"file": str(file)}, f"The report was written to {file}"
        return replies.Report().dump(document), text(document, code)


def _over_http(server: Remote, kind: str, subject: str, file: Path | None, code: str) -> tuple[dict[str, Any], str]:
    address = f"/{'studies' if kind == STUDY else 'datasets'}/{segment(subject)}/report"
    if file is None:
        found = server.json("GET", address)
        return found, text(found, code)
    file.write_text(server.call("GET", address, accept="text/html", language=code), encoding="utf-8")
    return {"file": str(file)}, f"The report was written to {file}"


for _kind in (STUDY, DATASET):
    _command(_kind)
