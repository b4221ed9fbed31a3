"""`rowless report`: what was released of a study or a dataset and what it could reveal, for DPOs and approvers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.api import replies
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.cli.speaking import code as spoken_code
from server.cli.speaking import say
from server.languages.language import LANGUAGES
from server.reporting import methods, notice, page, publishing
from server.reporting.report import DATASET, READERS, STUDY, assemble
from server.reporting.text import text

if TYPE_CHECKING:
    from server.cli.remote import Remote


@click.group(cls=Group)
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
        default=spoken_code,
        help="The language of the words and of the page, by default that of the command line; JSON is in English.",
    )
    @click.option("--publish", is_flag=True, help="The version to publish: without names, hosting and log.")
    @click.option(
        "--methods",
        "methods_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write what was done to the data to this file instead: method, parameters and quality, as JSON.",
    )
    @as_option
    @with_json
    def run(
        subject: str, file: Path | None, code: str, publish: bool, methods_file: Path | None, name: str | None
    ) -> Any:
        version = publishing.PUBLIC if publish else publishing.FULL
        if methods_file is not None:
            return _methods(kind, subject, methods_file, name)
        if (server := remote(name)) is not None:
            return _over_http(server, kind, subject, file, code, version)
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name, also=READERS)
            form = "json" if file is None else "html"
            document = assemble(opened, by, kind, subject, form, version=version)
        if file is not None:
            file.write_text(page.html(document, code), encoding="utf-8")
            return {"file": str(file)}, say("The report was written to %(file)s", file=file)
        return replies.Report().dump(document), text(document, code)


@report.command()
@click.argument("dataset", metavar="DATASET")
@click.option("--html", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the page to this file.")
@click.option(
    "--language",
    "code",
    type=click.Choice(list(LANGUAGES)),
    default=spoken_code,
    help="The language of the page, by default that of the command line.",
)
@as_option
@with_json
def persons(dataset: str, file: Path | None, code: str, name: str | None) -> Any:
    """Write the page for the persons in a dataset: what is done with their data, and how they object."""
    if (server := remote(name)) is not None:
        address = f"/datasets/{segment(dataset)}/notice"
        if file is not None:
            file.write_text(server.call("GET", address, accept="text/html", language=code), encoding="utf-8")
        document = {} if file is not None else server.json("GET", address)
    else:
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name, also=READERS)
            document = notice.assemble(opened, by, dataset)
        if file is not None:
            file.write_text(page.notice(document, code), encoding="utf-8")
    if file is not None:
        return {"file": str(file)}, say("The page was written to %(file)s", file=file)
    return document, notice.text(document, code)


def _methods(kind: str, subject: str, file: Path, name: str | None) -> tuple[dict[str, Any], str]:
    """Write the methods of a study or a dataset to a file."""
    if (server := remote(name)) is not None:
        found = server.json("GET", f"{_address(kind, subject)}/methods")
    else:
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name, also=READERS)
            found = replies.Methods().dump(methods.assemble(opened, by, kind, subject))
    file.write_text(f"{json.dumps(found, ensure_ascii=False, indent=1)}\n", encoding="utf-8")
    return {"file": str(file)}, say("What was done to the data was written to %(file)s", file=file)


def _address(kind: str, subject: str) -> str:
    return f"/{'studies' if kind == STUDY else 'datasets'}/{segment(subject)}/report"


def _over_http(
    server: Remote, kind: str, subject: str, file: Path | None, code: str, version: str
) -> tuple[dict[str, Any], str]:
    address = _address(kind, subject)
    if file is None:
        found = server.json("GET", f"{address}?version={version}")
        return found, text(found, code)
    page_ = server.call("GET", address, accept="text/html", language=code, version=version)
    file.write_text(page_, encoding="utf-8")
    return {"file": str(file)}, say("The report was written to %(file)s", file=file)


for _kind in (STUDY, DATASET):
    _command(_kind)
