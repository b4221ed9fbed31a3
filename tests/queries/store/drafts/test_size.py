"""What an import needs is told before it begins: about the right rows, and never less disk than it takes."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from queries.catalog import manifest
from queries.store import ingest
from queries.store.drafts.size import size
from tests.queries.sources import HEAD, silent, write

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 200_000
TEXT = """
[tables.t]
source = {source}
[tables.t.columns.cost]
type = "integer"
bounds = [0, 1000000]
[tables.t.columns.code]
type = "category"
"""
TABLE = pa.table(
    {
        "patient": range(ROWS),
        "cost": [7 * place % 1_000_000 for place in range(ROWS)],
        "code": [f"C{place % 99}" for place in range(ROWS)],
    }
)


def csv() -> bytes:
    """Return the table as text."""
    columns = [column.to_pylist() for column in TABLE.columns]
    return ("patient,cost,code\n" + "".join(f"{a},{b},{c}\n" for a, b, c in zip(*columns, strict=True))).encode()


def needed(folder: Path, source: str, files: dict[str, Any]) -> tuple[Any, Any]:
    """Return what an import needs, and its manifest."""
    for file, content in files.items():
        write(folder / file, content)
    declared = manifest.parse(HEAD.replace("100000", "1000000") + TEXT.format(source=source), folder)
    return size(declared), declared


@pytest.mark.parametrize(
    ("source", "exact"),
    [('"t.parquet"', True), ('"t.csv"', False), ('"t.csv.gz"', False), ('["a/1.csv", "a/2.csv.gz"]', False), ('"t.duckdb"\ntable = "t"', True)],
)  # fmt: skip
def test_rows_are_about_right_and_disk_is_enough(tmp_path: Path, source: str, exact: bool) -> None:
    """Whatever the kind of the source; files say exactly, or their first lines about."""
    text = csv()
    files = {"t.parquet": TABLE, "t.csv": text, "t.csv.gz": gzip.compress(text), "t.duckdb": TABLE}
    files |= {"a/1.csv": text, "a/2.csv.gz": gzip.compress(text)}
    found, declared = needed(tmp_path, source, files)
    rows = ROWS * (2 if "[" in source else 1)
    assert found.rows == rows if exact else 0.7 * rows < found.rows < 1.4 * rows
    (made := tmp_path / "edition").mkdir()
    ingest.build(declared, made, memory_limit="500MB", threads=1, progress=silent)
    store = sum(file.stat().st_size for file in made.iterdir())
    assert store < found.disk_bytes
    assert (found.is_known, found.is_large) == (True, False)


def test_rows_of_a_view_are_not_known(tmp_path: Path) -> None:
    """It is said, and not guessed."""
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("CREATE VIEW v AS SELECT range AS patient, 1 AS cost, 'a' AS code FROM range(9)")
    found, _ = needed(tmp_path, '"s.duckdb"\ntable = "v"', {})
    assert (found.rows, found.is_known) == (0, False)


def test_an_empty_file_needs_nothing(tmp_path: Path) -> None:
    """A header alone is no row."""
    found, _ = needed(tmp_path, '"t.csv"', {"t.csv": "patient,cost,code\n"})
    assert found.rows == 0
