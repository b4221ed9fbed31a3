"""Import of vocabularies: files of codes -> what a column's values stand for (`queries/catalog/vocabularies.py`)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from queries.catalog import derived, vocabularies
from queries.catalog.sections import TEXTS_MAX
from queries.catalog.source import Source
from queries.catalog.vocabularies import Vocabulary
from queries.errors import ImportFailed
from queries.store.encoding import name, text, trimmed
from queries.store.files import files_of
from queries.store.sources import ROW, run, stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Dataset
    from queries.catalog.vocabularies import Declared, DeclaredLevel, Listing

PARENTS_MAX = 4 * TEXTS_MAX


def keep(manifest: Manifest, folder: Path) -> None:
    """Read the vocabularies of a manifest, and keep them with the edition.

    Raises ManifestError (also if a level has two groups for one code), ImportFailed.
    """
    if not manifest.vocabularies:
        return
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        found = {
            called: _read(connection, f"vocabulary_{place}", one)
            for place, (called, one) in enumerate(manifest.vocabularies.items())
        }
    require_levels(manifest, manifest.described(found))
    vocabularies.keep(folder, found)


def require_levels(manifest: Manifest, described: Dataset) -> None:
    """Raise ManifestError if a level has two groups for one code. Columns of a manifest's own hierarchies were read."""
    for table, computed in manifest.derived.items():
        columns = described.tables[table].columns
        for public, one in computed.items():
            if one.level is not None:
                derived.numbers(one, columns[public], columns[one.of[0]])


def _read(connection: duckdb.DuckDBPyConnection, relation: str, one: Declared) -> Vocabulary:
    try:
        rows = _rows(connection, relation, one.codes, one.below, TEXTS_MAX)
        labels = {code: label or "" for code, label in rows}
        parents: dict[str, tuple[str, ...]] = {}
        if one.parents is not None:
            for code, parent in _rows(connection, f"{relation}_parents", one.parents, one.below, PARENTS_MAX):
                if parent and parent != code and code in labels:
                    parents[code] = (*parents.get(code, ()), parent)
        levels = {
            name: _level(connection, f"{relation}_level_{place}", level, one.below, labels, parents)
            for place, (name, level) in enumerate(one.levels.items())
        }
    except duckdb.Error as error:
        raise ImportFailed(str(error)) from error
    if not labels:
        raise ImportFailed(f"{one.codes.place}: no code of {one.codes.origin.paths[0].name} is of this vocabulary")
    for level_name, of_level in levels.items():
        if not of_level:
            raise ImportFailed(f"{one.codes.place}.levels.{level_name}: no code of the vocabulary is of this level")
    return Vocabulary(one.title, labels, parents, levels)


def _level(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    one: DeclaredLevel,
    below: int | None,
    labels: Mapping[str, str],
    parents: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """Return the codes of a level, those of the vocabulary alone."""
    codes: Iterable[str] = one.codes
    if one.rows is not None:
        # The last row first, as `_rows` has them.
        codes = [code for code, _ in reversed(_rows(connection, relation, one.rows, below, TEXTS_MAX))]
    elif one.under is not None:
        codes = [code for code, above in reversed(list(parents.items())) if one.under in above]
    return tuple(code for code in dict.fromkeys(codes) if code in labels)


def _rows(
    connection: duckdb.DuckDBPyConnection, relation: str, one: Listing, below: int | None, most: int
) -> list[tuple[str, str | None]]:
    """Return the different codes with what stands beside them, in the order of the file."""
    source = source_of(one)
    staged = stage(connection, relation, source, files_of(source), wanted_of(one), _silent)
    conditions = [f"{trimmed(name(column))} IN ({', '.join(map(text, words))})" for column, words in one.where.items()]
    code, other = trimmed(name(one.code)), "NULL" if one.other is None else trimmed(name(one.other))
    if below is not None:
        local = f"coalesce(TRY_CAST({{}} AS HUGEINT) >= {below}, false)"
        conditions += [f"NOT {local.format(code)}", *([] if one.other is None else [f"NOT {local.format(other)}"])]
    kept = " AND ".join([f"{code} <> ''", *conditions])
    found = run(
        connection,
        f"SELECT code, other FROM (SELECT {code} AS code, {other} AS other, min({ROW}) AS first FROM "
        f"{staged.relation} WHERE {kept} GROUP BY ALL) ORDER BY first LIMIT {most + 1}",
    )
    if len(found) > most:
        raise ImportFailed(f"{one.place}: {source.paths[0].name} has more than {most} rows of this vocabulary")
    return [(str(code), other) for code, other in reversed(found)]  # of a code that is listed twice, the first counts


def listings(one: Declared) -> list[Listing]:
    """Return the files of a vocabulary."""
    levels = [level.rows for level in one.levels.values() if level.rows is not None]
    return [one.codes, *([] if one.parents is None else [one.parents]), *levels]


def source_of(one: Listing) -> Source:
    """Return where the rows of a vocabulary's file are."""
    where = one.origin
    return Source(one.place, where.paths, (), {}, where.table, where.schema, where.delimiter, where.encoding)


def wanted_of(one: Listing) -> dict[str, str]:
    """Return each column that is read of a vocabulary's file, with its place in the manifest."""
    wanted = {one.code: f"{one.place}.code"}
    if one.other is not None:
        wanted.setdefault(one.other, f"{one.place}.{'parent' if one.place.endswith('.parents') else 'label'}")
    return {column: f"{one.place}.where.{column}" for column in one.where} | wanted


@contextmanager
def _silent(_what: str) -> Iterator[Callable[[float], None]]:
    yield lambda _done: None
