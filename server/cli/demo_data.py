"""`rowless demo-data`: write made-up data of any size."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from server.cli.commands import Command
from server.cli.common import progress, with_json
from server.cli.speaking import say, whole
from server.demo.observatory import Shape, write_observatory


@click.command("demo-data", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--persons", type=click.IntRange(1), required=True, help="How many persons.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same data.")
@with_json
def demo_data(folder: Path, persons: int, seed: int) -> Any:
    """Write a made-up observatory of general practice into FOLDER.

    It has persons, consultations, prescriptions and the manifest that declares them.
    """
    with progress() as shown:
        written = write_observatory(folder, Shape(persons, seed), lambda done: shown("writing", done / persons))
    said = {**dataclasses.asdict(written), "manifest": str(written.manifest)}
    words = say(
        "%(persons)s persons, %(consultations)s consultations, %(prescriptions)s prescriptions",
        persons=whole(written.persons),
        consultations=whole(written.consultations),
        prescriptions=whole(written.prescriptions),
    )
    how = say("Import them with: %(command)s", command=f"rowless import {written.manifest}")
    return said, f"{words}\n{how}"
