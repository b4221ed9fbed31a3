"""`rowless demo`: the demonstration."""

from __future__ import annotations

from pathlib import Path

import click

from server.cli.commands import Command
from server.cli.common import REFUSALS, refuse
from server.cli.home import settings
from server.cli.speaking import for_tables, phrases
from server.demo import demonstration
from server.demo.setup import MANIFEST


@click.command(cls=Command)
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    default=MANIFEST,
    help="Another copy of the data.",
)
def demo(manifest: Path) -> None:
    """Set up a home with demonstration data, serve it, ask one query and show the answer."""
    try:
        demonstration.run(settings(), manifest, lambda text: click.echo(phrases(text)), for_tables())
    except REFUSALS as error:
        refuse(error)
