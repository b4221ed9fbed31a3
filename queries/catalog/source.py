"""Where the rows of a table come from, as the manifest declares it: files, folders, patterns, a table of a database.

Nothing is opened here: `queries/store/files.py` finds the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from queries.catalog.formats import ENCODINGS, LOSS_MAX
from queries.catalog.schema import PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from queries.catalog.formats import Reading
    from queries.catalog.sections import Section

COMPRESSED = (".gz", ".zst")
MARKS = "*?["  # of a pattern: `visits-*.csv`


class Files(StrEnum):
    """What a file is, by the end of its name."""

    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    DUCKDB = "duckdb"

    @property
    def has_lines(self) -> bool:
        """Return True for text files, in which a row is found by its line."""
        return self in (Files.CSV, Files.TSV)

    @property
    def delimiter(self) -> str:
        """Return what separates fields unless the manifest says otherwise."""
        return "\t" if self is Files.TSV else ","


_ENDINGS = {
    ".csv": Files.CSV,
    ".tsv": Files.TSV,
    ".parquet": Files.PARQUET,
    ".duckdb": Files.DUCKDB,
    ".db": Files.DUCKDB,
}
ENDINGS = ".csv, .tsv (also with .gz or .zst) or .parquet"


def kind_of(path: Path) -> Files | None:
    """Return what a file is, by its name; None if it can be no source."""
    suffix, inner = path.suffix.lower(), Path(path.stem).suffix.lower()
    if suffix in COMPRESSED:
        found = _ENDINGS.get(inner)
        return found if found is not None and found.has_lines else None
    return _ENDINGS.get(suffix)


@dataclass(frozen=True)
class Source:
    """Where rows come from: files, folders, patterns of names, or a table or view of one DuckDB file.

    `columns` maps each public column to its source column; `person` names the id's columns. Without a `schema` the
    table is in the database's main one.
    """

    place: str
    paths: tuple[Path, ...]
    person: tuple[str, ...]
    columns: Mapping[str, str]
    table: str | None = None
    schema: str | None = None
    delimiter: str | None = None
    encoding: str = "utf-8"
    readings: Mapping[str, Reading] = field(default_factory=dict)  # of each public column
    loss_max: Decimal = LOSS_MAX  # of its lines

    @property
    def person_place(self) -> str:
        """Return where the manifest names the id's columns."""
        return "person.id" if self.place == PERSON else f"{self.place}.person"

    @property
    def called(self) -> str:
        """Return the source's name for an admin."""
        first = self.paths[0].name
        if self.table is not None:
            return f"{self.table} of {first}"
        return first if len(self.paths) == 1 else f"{first} and {len(self.paths) - 1} more"


@dataclass(frozen=True)
class Origin:
    """The keys of a section that say where its rows are, and how its lines are written."""

    paths: tuple[Path, ...]
    table: str | None
    schema: str | None
    delimiter: str | None
    encoding: str


def origin(section: Section, folder: Path) -> Origin:
    """Return where a section's rows are; its paths are relative to `folder`. What is wrong is collected."""
    said = section.names("source")
    paths = tuple(folder / one for one in said)
    delimiter = section.text("delimiter", "") or None
    if delimiter is not None and len(delimiter) != 1:
        section.wrong("delimiter", "must be one character")
    table, schema = (section.text(key, "") or None for key in ("table", "schema"))
    encoding = section.choice("encoding", ENCODINGS, "utf-8")
    kinds = [kind_of(path) for path in paths]
    for one, path, kind in zip(said, paths, kinds, strict=True):
        if kind is None and path.suffix and not one.endswith("/") and not set(MARKS) & set(one):
            section.wrong("source", f"must be {ENDINGS}, a .duckdb or .db file, or a folder (ending with /)")
    if Files.DUCKDB in kinds:
        if len(paths) > 1:
            section.wrong("source", "a DuckDB source is one file")
        if table is None:
            section.wrong("table", "a DuckDB source needs the name of its table")
    for key, given in (("table", table), ("schema", schema)):
        if given is not None and Files.DUCKDB not in kinds:
            section.wrong(key, "only a DuckDB source has tables")
    if "encoding" in section and {Files.DUCKDB, Files.PARQUET} & set(kinds):
        section.wrong("encoding", "only a CSV source has one")
    return Origin(paths, table, schema, delimiter, encoding)
