"""`rowless report`: what was released of a study or a dataset and what it could reveal, for the DPO."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.api import replies
from server.cli.common import with_json
from server.cli.home import acting, as_option, services
from server.cli.remote import remote, segment
from server.cli.study_words import conclusion_lines
from server.reporting import page, regulator
from server.reporting.report import DATASET, READERS, STUDY, assemble

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    @as_option
    @with_json
    def run(subject: str, file: Path | None, name: str | None) -> Any:
        if (server := remote(name)) is not None:
            return _over_http(server, kind, subject, file)
        with services() as opened:
            with opened.database.write() as transaction:
                by = acting(transaction, "dpo", name, also=READERS)
            document = assemble(opened, by, kind, subject, "json" if file is None else "html")
        if file is not None:
            file.write_text(page.html(document), encoding="utf-8")
            return {"file": str(file)}, f"The report was written to {file}"
        return replies.Report().dump(document), _words(document)


def _over_http(server: Remote, kind: str, subject: str, file: Path | None) -> tuple[dict[str, Any], str]:
    address = f"/{'studies' if kind == STUDY else 'datasets'}/{segment(subject)}/report"
    if file is None:
        found = server.json("GET", address)
        return found, _words(found)
    file.write_text(server.call("GET", address, accept="text/html"), encoding="utf-8")
    return {"file": str(file)}, f"The report was written to {file}"


for _kind in (STUDY, DATASET):
    _command(_kind)


def _recipients(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [one for study in document["studies"] for one in study["recipients"]]


def _conclusion(given: Mapping[str, Any] | None) -> list[str]:
    return [one.strip() for one in conclusion_lines(given)] or ["Conclusion: empty until an approver signs one"]


def _words(document: dict[str, Any]) -> str:
    own, releases, log = document["accounts"][0], document["releases"], document["log"]
    lines = [
        f"{document['kind'].capitalize()} {document['name']}: {document['title']}",
        f"{releases['count']} {'release' if releases['count'] == 1 else 'releases'} of statistics with noise",
        f"Approved: {'; '.join(regulator.approvals(document)) or 'nothing yet'}",
        f"Members: {'; '.join(map(regulator.recipient, _recipients(document))) or 'none so far'}",
    ]
    for title, meant in (("So far", own["at_spend"]), ("At the limit", own["at_limit"])):
        lines += ["", f"{title}: {meant['words']}"]
        lines += [f"  {one['criterion']}: {one['answer']}" for one in meant["criteria"]]
        lines.append(f"  {meant['condition']}")
    if document["kind"] == STUDY:
        lines += [
            "",
            *_conclusion(document["study"]["conclusion"]),
            f"To conclude on exactly this: --seen {document['digest']}",
        ]
    return "\n".join([*lines, "", f"The audit log has {log['entries']} entries; last hash {log['last_leaf_hash']}"])
