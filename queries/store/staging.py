"""The sources of a manifest in the staging database: which columns are read, and how their values are.

Both ways to import use it. On one machine each source is staged whole. On a cluster (`queries/store/cluster/tasks.py`)
each file is staged by itself, and each part then finds its rows in tables of the same names.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import duckdb

from queries.catalog.codes import SPARE_CODES, TEXTS_MAX
from queries.catalog.formats import UTC
from queries.catalog.schema import PERSON, PERSONS
from queries.errors import ImportFailed, ManifestError
from queries.execution.duckdb import dictionary
from queries.store.encoding import coding, name, reading_of, text
from queries.store.persons import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from queries.catalog.formats import Reading
    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Column
    from queries.catalog.source import Source
    from queries.store.encoding import Coding
    from queries.store.persons import Run
    from queries.store.sources import Staged


@contextmanager
def opened(folder: Path, *, memory_limit: str, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a staging database in a folder, which the caller deletes. Raises ImportFailed for all that DuckDB raises."""
    settings: dict[str, Any] = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": str(folder),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
    }
    try:
        with duckdb.connect(str(folder / "staging.duckdb"), config=settings) as connection:
            # A timestamp's day must not depend on the importing machine's time zone.
            connection.execute(f"SET TimeZone = '{UTC}'")
            # Progress is kept for query_progress(), and not printed over ours.
            connection.execute("SET enable_progress_bar = true")
            connection.execute("SET enable_progress_bar_print = false")
            yield connection
    except duckdb.Error as error:
        raise ImportFailed(str(error)) from error


@dataclass(frozen=True)
class Wanted:
    """A source to be staged as `relation`, for a table. `also` are columns of persons that it describes besides."""

    table: str
    relation: str
    source: Source
    also: Mapping[str, str] = field(default_factory=dict)

    def columns(self) -> dict[str, str]:
        """Return each column of the source that is read, with its place in the manifest."""
        source = self.source
        wanted = dict.fromkeys(source.person, source.person_place)
        for place, columns in ((source.place, source.columns), (PERSON, self.also)):
            for public, column in columns.items():
                wanted.setdefault(column, f"{place}.columns.{public}")
        return wanted

    def rows(self, staged: Staged) -> Rows:
        """Return the staged source as rows of persons."""
        source = self.source
        return Rows(staged.relation, staged.types, source.person, source.person_place, source.called, staged.files)


def sources_of(manifest: Manifest) -> dict[str, Wanted]:
    """Return the sources of a manifest by their tables: those of events, then that of persons."""
    found = {}
    for i, (table, source) in enumerate(manifest.events.items()):
        # Without a source of their own, persons' attributes come from the first table.
        also = manifest.person_columns if i == 0 and not manifest.persons else {}
        found[table] = Wanted(table, f"source_{i}", source, also)
    if manifest.persons:
        found[PERSONS] = Wanted(PERSONS, "source_persons", manifest.persons)
    return found


def described_by(manifest: Manifest) -> str:
    """Return the table whose source has the persons' attributes."""
    return PERSONS if manifest.persons else next(iter(manifest.events))


def read(run: Run, manifest: Manifest, wanted: Wanted, staged: Staged) -> Staged:
    """Make a view of a staged source in which its values are read. Raises ManifestError (no such time zone)."""
    codings = [one for _, one in _codings(run, manifest, wanted, staged)]
    run(f"CREATE VIEW {wanted.relation}_read AS {reading_of(wanted.relation, codings)}")
    return replace(staged, relation=f"{wanted.relation}_read")


def _codings(run: Run, manifest: Manifest, wanted: Wanted, staged: Staged) -> Iterator[tuple[Column, Coding]]:
    tables, source = manifest.dataset.tables, wanted.source
    for place, columns, sources, readings in (
        (source.place, tables[wanted.table].columns, source.columns, source.readings),
        (PERSON, tables[PERSONS].columns, wanted.also, manifest.person_readings),
    ):
        for public, column in sources.items():
            reading = readings[public]
            _require_zone(run, reading, f"{place}.columns.{public}")
            yield columns[public], coding(columns[public], name(column), staged.types[column], reading)


def _require_zone(run: Run, reading: Reading, place: str) -> None:
    if reading.timezone != UTC:
        ((known,),) = run(f"SELECT count(*) FROM pg_timezone_names() WHERE name = {text(reading.timezone)}")
        if not known:
            raise ManifestError(f"{place}.timezone", f"there is no time zone {reading.timezone}")


# The texts of undeclared categories


@dataclass(frozen=True)
class Undeclared:
    """An undeclared category: where its texts and codes are kept, and SELECT of its texts."""

    kept: str
    texts: str


def undeclared(run: Run, manifest: Manifest, wanted: Wanted, staged: Staged) -> list[Undeclared]:
    """Return the undeclared categories that a source has. `staged` is as `read` returns it."""
    return [
        Undeclared(
            dictionary(wanted.table, column),
            distinct(staged.relation, one.value_name),
        )
        for column, one in _codings(run, manifest, wanted, staged)
        if not column.declared
    ]


def names_of_undeclared(manifest: Manifest) -> dict[str, str]:
    """Return the names for an admin of all undeclared categories, by where they are kept."""
    return {
        dictionary(table.name, column): f"{PERSONS if column.of_person else table.name}.{column.name}"
        for table in manifest.dataset.tables.values()
        for column in table.columns.values()
        if not column.declared
    }


def distinct(relation: str, value: str) -> str:
    """Return SELECT of the different texts of a relation, as `value`."""
    return f"SELECT DISTINCT {value} AS value FROM {relation} WHERE {value} IS NOT NULL"


def number_texts(run: Run, kept: str, texts: str, called: str) -> None:
    """Make the table `kept`: different texts, each with its number in a random order. Raises ImportFailed.

    The same order includes codes without a text, which nobody has.
    """
    run(
        f"CREATE TABLE {kept} AS SELECT (row_number() OVER ())::UINTEGER AS code, value FROM ("
        f"{texts} UNION ALL SELECT NULL FROM range({SPARE_CODES}) ORDER BY random())"
    )
    ((found,),) = run(f"SELECT count(value) FROM {kept}")
    if found > TEXTS_MAX:
        raise ImportFailed(
            f"{called} holds {found} different texts, more than the {TEXTS_MAX} of a category; "
            "leave the column out, or code it more coarsely"
        )
