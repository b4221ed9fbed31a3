"""`rowless serve`: serve the API; `rowless recover`: what it does at its start, alone."""

from __future__ import annotations

from typing import Any

import click

from server import serving
from server.cli.commands import Command
from server.cli.common import REFUSALS, refuse, with_json
from server.cli.home import services, settings
from server.cli.speaking import count, say
from server.runtime.settings import SETTINGS


class Serve(Command):
    """The command with the settings at the end of its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's
        """Write the settings, each on a line of its own."""
        width = max(map(len, SETTINGS))
        lines = (f"  {one.name:<{width}} {say(one.help)} [{one.default}]" for one in SETTINGS.values())
        formatter.write_paragraph()
        formatter.write_text("\n".join(["\b", say("Settings, from the environment:"), *lines]))


@click.command(cls=Serve)
def serve() -> None:
    """Serve the API until stopped.

    Charges that a crash left open are closed as spent first.
    """
    try:
        serving.serve(settings())
    except REFUSALS as error:
        refuse(error)


@click.command(cls=Command)
@with_json
def recover() -> Any:
    """Close the charges that a crash left open, as spent.

    `serve` does it at its start.
    """
    with services() as opened:
        closed = serving.recover(opened.database)
    words = count("%(num)s open charge was closed as spent", "%(num)s open charges were closed as spent", closed)
    return {"closed": closed}, words
