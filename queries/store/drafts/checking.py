"""Whether the sources have what a manifest names, found from names and types alone: no row is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from queries.errors import ImportFailed, ManifestError
from queries.store import identity
from queries.store.files import files_of
from queries.store.sources import fields_in, resolve
from queries.store.staging import sources_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from queries.catalog.manifest import Manifest
    from queries.store.staging import Wanted


def faults(manifest: Manifest) -> list[ManifestError]:
    """Return all that is wrong with a manifest's sources: files that are missing, columns that are, or that clash."""
    found: list[ManifestError] = []
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for wanted in sources_of(manifest).values():
            try:
                found += _of_source(connection, wanted)
            except ManifestError as error:
                found += error.each
            except (ImportFailed, duckdb.Error) as error:
                found.append(ManifestError(f"{wanted.source.place}.source", str(error)))
    return list({str(error): error for error in found}.values())


def _of_source(connection: duckdb.DuckDBPyConnection, wanted: Wanted) -> Iterator[ManifestError]:
    columns = wanted.columns()
    for number, file in enumerate(files_of(wanted.source)):
        fields = fields_in(connection, f"{wanted.relation}_{number}", wanted.source, file)
        try:
            places = resolve([one.path for one in fields], columns, file.called)
        except ManifestError as error:
            yield from error.each
            continue
        for column in wanted.source.person:
            kind = fields[places[column]].type
            if not identity.can_be_id(kind):
                place = wanted.source.person_place
                yield ManifestError(place, f"{column} is a {kind}, which is no id of a person")
