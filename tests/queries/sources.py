"""Stores for tests, built as the server builds them: from a manifest and sources in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from queries.catalog import manifest, parts
from queries.catalog.schema import Kind
from queries.store import ingest
from tests.queries.clinic import CLINIC, TABLE, Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from queries.catalog.manifest import Manifest
    from queries.catalog.schema import Column, Dataset
    from queries.store.reports import ImportReport

HEAD = """
[dataset]
name = "clinic"
epsilon = 10.0
persons_max = 100000
[person]
id = "patient"
"""


@dataclass(frozen=True)
class Built:
    """A store with what was declared and what was reported of it."""

    path: Path
    declared: Manifest
    report: ImportReport

    @property
    def dataset(self) -> Dataset:
        """Return what was declared without its sources."""
        return self.declared.dataset


def silent(_what: str, _done: float) -> None:
    """Take progress and show none."""


def write(path: Path, content: pa.Table | str | bytes) -> None:
    """Write a source by its suffix, into a folder of its own if it names one; a DuckDB file gets the table `t`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(content, path)
    else:
        with duckdb.connect(str(path)) as connection:
            connection.register("content", content)
            connection.execute("CREATE TABLE t AS SELECT * FROM content")


def build(
    folder: Path, text: str, sources: Mapping[str, pa.Table | str | bytes], *, threads: int = 2, head: str = HEAD
) -> Built:
    """Write the sources, read the manifest and import it into a new folder beside them."""
    for name, content in sources.items():
        write(folder / name, content)
    declared = manifest.parse(head + text, folder)
    made = folder / f"edition-{sum(1 for _ in folder.glob('edition-*'))}"
    made.mkdir()
    report = ingest.build(declared, made, memory_limit="500MB", threads=threads, progress=silent)
    return Built(made / parts.WHOLE, declared, report)


def rows(built: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds in a store, on a connection of the test's own."""
    with duckdb.connect(str(built), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def values(column: Column, codes: Sequence[int]) -> pa.Array:
    """Return codes as a source would hold them."""
    match column.kind:
        case Kind.CATEGORY:
            texts = [None if c == 0 else column.label(c) if column.declared else f"text {c}" for c in codes]
            return pa.array(texts, pa.string())
        case Kind.INTEGER:
            return pa.array([None if c == 0 else c - 1 + column.low for c in codes], pa.int64())
        case Kind.NUMBER:
            return pa.array([None if c == 0 else float(column.label(c)) for c in codes], pa.float64())
        case Kind.DATE:
            days = [None if c == 0 else c - 1 + column.low for c in codes]
            return pa.array(days, pa.int32()).cast(pa.date32())
        case Kind.BOOLEAN:
            return pa.array([None if c == 0 else c == 2 for c in codes], pa.bool_())


def clinic_source(events: Sequence[Event]) -> pa.Table:
    """Return the clinic's events as a custodian would hold them, the person's attributes on each."""
    columns = {"patient": pa.array([f"patient-{event.person}" for event in events], pa.string())}
    for place, (name, column) in enumerate(TABLE.columns.items()):
        columns[name] = values(column, [event.codes[place] for event in events])
    return pa.table(columns)


def clinic_manifest() -> str:
    """Return the clinic's catalog as a manifest."""
    lines = []
    for name, column in TABLE.columns.items():
        lines.append(f"[{'person' if column.of_person else 'tables.visits'}.columns.{name}]")
        lines.append(f'type = "{column.kind.value}"')
        lines.append(f"nullable = {str(column.nullable).lower()}")
        if column.values is not None:
            lines.append(f"values = {list(column.values)}")
        if column.kind in (Kind.INTEGER, Kind.NUMBER):
            lines.append(f"bounds = [{column.low * column.step}, {column.high * column.step}]")
        if column.kind is Kind.NUMBER:
            lines.append(f"step = {column.step}")
        if column.kind is Kind.DATE:
            lines.append(f"bounds = [{column.label(1)}, {column.label(column.size)}]")
    return "\n".join(['[tables.visits]\nsource = "visits.parquet"', *lines])


def clinic_store(folder: Path, events: Sequence[Event]) -> Path:
    """Import events of the clinic; the store's catalog is the clinic's own."""
    built = build(folder, clinic_manifest(), {"visits.parquet": clinic_source(events)})
    assert built.dataset.tables["visits"].columns == CLINIC.tables["visits"].columns
    return built.path
