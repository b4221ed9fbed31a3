"""Whether the sources have what a manifest names, found from names and types alone: no row is read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import duckdb

from queries.errors import ImportFailed, ManifestError
from queries.store import identity, vocabularies
from queries.store.files import files_of
from queries.store.sources import fields_in, resolve
from queries.store.staging import sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from queries.catalog.manifest import Manifest
    from queries.catalog.source import Source
    from queries.store.sources import Field
    from queries.store.staging import Wanted


def faults(manifest: Manifest, known: Sequence[ManifestError] = ()) -> list[ManifestError]:
    """Return all that is wrong with a manifest's sources: files that are missing, columns that are, or that clash.

    `known` is what is wrong with the manifest itself: what only follows from it is left out.
    """
    found: list[ManifestError] = []
    listings = [one for declared in manifest.vocabularies.values() for one in vocabularies.listings(declared)]
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for wanted in sources_of(manifest).values():
            found += _collected(wanted.source, partial(_of_source, connection, wanted))
        for number, one in enumerate(listings):
            source, columns = vocabularies.source_of(one), vocabularies.wanted_of(one)
            found += _collected(source, partial(_of_files, connection, f"listing_{number}", source, columns))
    wrong = {error.place for error in known}
    has_id = "person.id" not in wrong  # a table without a person of its own has that
    kept = (one for one in found if one.place not in wrong and (has_id or not one.place.endswith(".person")))
    return list({str(error): error for error in kept}.values())


def _collected(source: Source, check: Callable[[], Iterable[object]]) -> list[ManifestError]:
    """Return the errors of a check, whether it yields them or fails."""
    found: list[ManifestError] = []
    try:
        found += [one for one in check() if isinstance(one, ManifestError)]
    except ManifestError as error:
        found += error.each
    except (ImportFailed, duckdb.Error) as error:
        found.append(ManifestError(f"{source.place}.source", str(error)))
    return found


def _of_source(connection: duckdb.DuckDBPyConnection, wanted: Wanted) -> Iterator[ManifestError]:
    for found in _of_files(connection, wanted.relation, wanted.source, wanted.columns()):
        if isinstance(found, ManifestError):
            yield found
            continue
        for column in wanted.source.person:
            if not identity.can_be_id(found[column].type):
                said = f"{column} is a {found[column].type}, which is no id of a person"
                yield ManifestError(wanted.source.person_place, said)


def _of_files(
    connection: duckdb.DuckDBPyConnection, relation: str, source: Source, wanted: Mapping[str, str]
) -> Iterator[Mapping[str, Field] | ManifestError]:
    """Yield for each file of a source the fields of the wanted columns, or what is wrong with them.

    A place that is wrong in several files is told of the first.
    """
    told: set[str] = set()
    for number, file in enumerate(files_of(source)):
        fields = fields_in(connection, f"{relation}_{number}", source, file)
        try:
            places = resolve([one.path for one in fields], wanted, file.called)
        except ManifestError as error:
            yield from (one for one in error.each if one.place not in told)
            told |= {one.place for one in error.each}
        else:
            yield {column: fields[at] for column, at in places.items()}
