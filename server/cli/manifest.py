"""`rowless manifest`: draft a manifest from files, and check one against its sources. Neither reads a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from queries.catalog.manifest import read_sound_parts
from queries.catalog.schema import PERSONS
from queries.errors import ManifestError
from queries.store.drafts import checking, drafting, omop
from server.cli import formalities
from server.cli.commands import Group
from server.cli.common import with_json
from server.cli.speaking import count, phrase, say


@click.group("manifest", cls=Group)
def manifest() -> None:
    """Draft and check manifests. No row is read, and no home is needed."""


@manifest.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--omop", "version", type=click.Choice(omop.VERSIONS), help="The files are an OMOP CDM of this version.")
@click.option(
    "--vocabulary", help="The release of the OMOP vocabularies, if concept is a whole one: as in v5.0 27-AUG-25."
)
@with_json
def draft(files: tuple[Path, ...], version: str | None, vocabulary: str | None) -> Any:
    """Write a manifest for FILES on standard output, from their names and types alone.

    What has to be declared and must not be learnt from the data is a TODO, which no import accepts. With --omop, FILES
    are a DuckDB file, a folder or files of a Common Data Model.
    """
    if version is None:
        if vocabulary is not None:
            raise click.UsageError(say("--vocabulary needs --omop"))
        text = drafting.draft(files)
    else:
        text = omop.draft(files, vocabulary)
    return {"manifest": text}, text.rstrip("\n")


@manifest.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@with_json
def check(file: Path) -> Any:
    """Check a manifest: report all that is wrong with it at once, also with the names of its sources' columns.

    Exit code 1 means that an import would refuse it. What the values are, `rowless import --check` finds out.
    """
    errors: list[ManifestError] = []
    try:
        declared, wrong = read_sound_parts(file)
    except ManifestError as error:
        errors += error.each
    else:
        errors += [*wrong, *checking.faults(declared, wrong)]
    errors += formalities.faults(file)
    said = {"manifest": str(file), "errors": [{"place": one.place, "message": one.message} for one in errors]}
    if not errors:
        tables = declared.dataset.tables.values()
        columns = sum(not one.of_person for table in tables for one in table.columns.values())
        columns += len(declared.dataset.tables[PERSONS].columns)  # of which each table has them
        words = say(
            "%(file)s is sound: %(tables)s with %(columns)s",
            file=file,
            tables=count("%(num)s table", "%(num)s tables", len(declared.events)),
            columns=count("%(num)s column", "%(num)s columns", columns),
        )
        if formalities.is_in(file):
            return said, words
        without = say(
            "It has no [dataset.formalities]. It can be imported, but nothing of the dataset can be approved until an "
            "admin has proposed them."
        )
        return said, f"{words}\n{without}"
    head = count("%(num)s error in %(file)s:", "%(num)s errors in %(file)s:", len(errors), file=file)
    return said, "\n".join([head, *(f"  {phrase(str(one))}" for one in errors)]), True
