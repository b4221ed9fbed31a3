"""`rowless serve`: serve the API; `rowless recover`: what it does at its start, alone."""

from __future__ import annotations

from typing import Any

import click

from server import serving
from server.cli.common import REFUSALS, refuse, with_json
from server.cli.home import services, settings
from server.runtime.settings import SETTINGS

_SETTINGS_HELP = "\b\nSettings, from the environment:\n" + "\n".join(
    f"  {setting.name:<22} {setting.help} [{setting.default}]" for setting in SETTINGS.values()
)


@click.command(epilog=_SETTINGS_HELP)
def serve() -> None:
    """Serve the API until stopped.

    Charges that a crash left open are closed as spent first.
    """
    try:
        serving.serve(settings())
    except REFUSALS as error:
        refuse(error)


@click.command()
@with_json
def recover() -> Any:
    """Close the charges that a crash left open, as spent.

    `serve` does it at its start.
    """
    with services() as opened:
        closed = serving.recover(opened.database)
    return {"closed": closed}, f"{closed} open charges were closed as spent"
