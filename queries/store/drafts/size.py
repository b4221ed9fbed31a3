"""How much disk and time an import is going to need, before it begins: for the admin alone.

Rows are counted from what the files say of themselves (Parquet, DuckDB), or from the lengths of the first lines (text).
Disk is about what is needed at most: the store, its sort and staged texts without any compression. Time is that of two
undisturbed cores, as it was measured (docs/benchmarks.md): another machine takes another time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from queries.catalog.codes import code_type
from queries.catalog.source import Files
from queries.errors import ImportFailed
from queries.store.encoding import text
from queries.store.files import files_of
from queries.store.sources import run
from queries.store.staging import sources_of
from queries.store.text.compression import opened

if TYPE_CHECKING:
    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Table
    from queries.catalog.source import Source
    from queries.store.files import File

SAMPLE = 2**22  # bytes of a text file that are read to tell the length of its lines
_WIDTHS = {"UTINYINT": 1, "USMALLINT": 2, "UINTEGER": 4, "BIGINT": 8}
_PERSON, _DRAWN = 4, 16  # bytes of a person's number, and of the two random numbers by which rows are sorted
_OF_ROW, _OF_TEXT = 0.6e-6, 0.06e-6  # seconds for a row, and for a byte of text
LARGE_BYTES, LARGE_SECONDS = 10**9, 60.0  # from here on, an import says beforehand what it needs


@dataclass(frozen=True)
class Size:
    """What an import needs. `rows` of views are not known, and are then missing in the sums: `is_known` is False."""

    rows: int
    disk_bytes: int
    seconds: float
    is_known: bool

    @property
    def is_large(self) -> bool:
        """Return True if somebody should know it before it begins."""
        return self.disk_bytes >= LARGE_BYTES or self.seconds >= LARGE_SECONDS


def size(manifest: Manifest) -> Size:
    """Return what an import of a manifest's sources needs. Raises ManifestError, ImportFailed."""
    total = Size(0, 0, 0.0, is_known=True)
    try:
        with duckdb.connect(":memory:", config={"threads": 1}) as connection:
            for wanted in sources_of(manifest).values():
                table = manifest.dataset.tables[wanted.table]
                for file in files_of(wanted.source):
                    rows, plain = _rows(connection, wanted.source, file, wanted.relation)
                    total = _added(total, table, rows, plain)
    except duckdb.Error as error:
        raise ImportFailed(str(error)) from error
    return total


def _added(total: Size, table: Table, rows: int | None, plain: int) -> Size:
    width = _PERSON + sum(_WIDTHS[code_type(column)] for column in table.columns.values())
    count = rows or 0
    return Size(
        total.rows + count,
        total.disk_bytes + count * (2 * width + _DRAWN) + plain,
        total.seconds + count * _OF_ROW + plain * _OF_TEXT,
        total.is_known and rows is not None,
    )


def _rows(connection: duckdb.DuckDBPyConnection, source: Source, file: File, relation: str) -> tuple[int | None, int]:
    """Return about how many rows a file has (None: not known), and its bytes of text."""
    match file.kind:
        case Files.PARQUET:
            ((rows,),) = run(
                connection,
                f"SELECT coalesce(sum(num_rows), 0)::BIGINT FROM parquet_file_metadata({text(str(file.path))})",
            )
            return int(rows), 0
        case Files.CSV | Files.TSV:
            return _lines(file)
        case Files.DUCKDB:
            run(connection, f"ATTACH {text(str(file.path))} AS {relation} (READ_ONLY)")
            named = f"lower(table_name) = lower({text(source.table or '')})"
            found = run(
                connection,
                f"SELECT estimated_size FROM duckdb_tables() WHERE database_name = {text(relation)} AND {named} "
                f"AND lower(schema_name) = lower({text(source.schema or 'main')})",
            )
            return (int(found[0][0]) if found else None), 0


def _lines(file: File) -> tuple[int, int]:
    """Return about how many lines a text file has, and its bytes without compression, from its beginning."""
    with opened(file.path, file.called) as read:
        sample = b""
        while len(sample) < SAMPLE and (block := read.read(SAMPLE)):
            sample += block
        share = read.share
    if not sample:
        return 0, 0
    plain = int(len(sample) / share) if share else len(sample)
    lines = sample.count(b"\n") or sample.count(b"\r") or 1
    return max(0, int(plain * lines / len(sample)) - 1), plain
