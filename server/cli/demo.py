"""`rowless demo`: the demonstration."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli.commands import Command
from server.cli.common import REFUSALS, refuse
from server.cli.home import settings
from server.cli.speaking import for_tables, phrases
from server.demo import demonstration, omop
from server.demo.setup import MANIFEST

OURS = "-"  # what --omop without a file stands for


@click.command(cls=Command)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    default=MANIFEST,
    help="Another copy of the data.",
)
@click.option(
    "--omop",
    "cdm",
    is_flag=False,
    flag_value=OURS,
    metavar="[FILE|eunomia]",
    help="Show an OMOP Common Data Model instead: one of made-up persons, Eunomia's GiBleed (with the extra "
    "rowless[eunomia]), or a DuckDB file or folder that you have. Only for made-up or public data: all approvals are "
    "made up.",
)
def demo(manifest: Path, cdm: str | None) -> None:
    """Set up a home with demonstration data, serve it, ask one query and show the answer."""
    try:
        if cdm is None:
            shown = demonstration.usual_demonstration(manifest)
        else:
            shown = omop.demonstration(None if cdm == OURS else omop.chosen(cdm))
        demonstration.run(settings(), shown, lambda text: click.echo(phrases(text)), for_tables())
    except REFUSALS as error:
        refuse(error)
