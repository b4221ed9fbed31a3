"""Import on a cluster, the tasks: a file's rows are split by person, and a part is made of its rows.

The first kind of task stages one file of a source, as an import on one machine does, and computes each row's canonical
id. A keyed hash of the id decides the part. The key is drawn for one import, held in memory and thrown away, so that
afterwards nobody can tell from an id in which part its person is. The hash is of the id in lower case, because ids that
differ in case only are counted, and are then in one part. A row without an id goes to a part by the number of its file.

The second kind of task gets all rows of a part and runs the import (`ingest.py`) on them. It computes the hash of each
person again: a person who came to a wrong part could be in two parts, and would count twice. Such an import fails.

A task that fails for what it read returns the failure as a value. Spark would run it again otherwise, in vain.

Rows travel as blocks of Arrow with DuckDB's own types. Every task works in a folder of its own within the edition's,
and deletes it. A task that runs twice leaves two files of its part; the driver takes one.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from queries.catalog import parts, vocabularies
from queries.catalog.manifest import parse
from queries.errors import ImportFailed, ManifestError
from queries.store import persons
from queries.store.encoding import name
from queries.store.ingest import Given, Import
from queries.store.persons import OddIds, Oddity
from queries.store.sources import Staged, run, stage
from queries.store.staging import opened, read, sources_of, undeclared
from queries.store.text.delimited import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb

    from queries.catalog.manifest import Manifest
    from queries.catalog.parts import Part
    from queries.store.files import File
    from queries.store.persons import Run
    from queries.store.reports import ImportReport
    from queries.store.staging import Wanted

PIECE_ROWS = 200_000  # rows of a part that travel at once
_TO = '"#to"'  # a name of our own: the part of a row


@dataclass(frozen=True)
class Job:
    """What every task of an import knows. `text` is the manifest, `folder` where its sources are.

    `staging` is a folder that all tasks and the driver reach; `files` are those of each table's source.
    """

    text: str
    folder: Path
    staging: Path
    files: Mapping[str, Sequence[File]]
    listed: str
    parts: int
    memory_limit: str
    threads: int
    key: bytes = field(repr=False)

    def part_of(self, lowered: str) -> int:
        """Return the part of a person, from their canonical id in lower case."""
        drawn = hashlib.blake2b(lowered.encode("utf-8"), key=self.key, digest_size=8).digest()
        return int.from_bytes(drawn, "big") % self.parts


@dataclass(frozen=True)
class FileTask:
    """One file of a table's source: its number among them."""

    table: str
    number: int


@dataclass(frozen=True)
class Failure:
    """An error as a value, to be raised by the driver with the same words. `place` is that of a manifest's error."""

    words: str
    place: str | None = None
    odd: Oddity | None = None

    @classmethod
    def of(cls, error: ManifestError | ImportFailed) -> Failure:
        """Return the value of an error."""
        if isinstance(error, ManifestError):
            return cls(str(error).removeprefix(f"{error.place}: "), error.place)
        return cls(str(error), None, error.found if isinstance(error, OddIds) else None)

    def error(self) -> ManifestError | ImportFailed:
        """Return the error."""
        return ImportFailed(self.words) if self.place is None else ManifestError(self.place, self.words)


@dataclass(frozen=True)
class Facts:
    """What the staging of a file found besides its rows: for the driver. `texts` are those of undeclared categories."""

    task: FileTask
    rows: int = 0
    types: Mapping[str, str] = field(default_factory=dict)
    found: Found = field(default_factory=Found)
    texts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    failure: Failure | None = None


@dataclass(frozen=True)
class Piece:
    """Rows of a table's source that belong to one part."""

    table: str
    rows: bytes = field(repr=False)


@dataclass(frozen=True)
class Made:
    """A part that was made, or why not. `part` names a file of the staging folder."""

    number: int
    part: Part | None = None
    report: ImportReport | None = None
    failure: Failure | None = None


# From files to rows of parts


@dataclass(frozen=True)
class Split:
    """The first kind of task: yields the pieces of a file with their parts, and its facts with the number of parts."""

    job: Job

    def __call__(self, task: FileTask) -> Iterator[tuple[int, Piece | Facts]]:
        """Stage a file and split its rows."""
        job = self.job
        manifest = parse(job.text, job.folder)
        wanted = sources_of(manifest)[task.table]
        file = job.files[task.table][task.number]
        try:
            with _working(job, "file") as (_, connection):
                staged = stage(
                    connection, wanted.relation, wanted.source, [file], wanted.columns(), _silent_step, task.number
                )
                persons.require_ids(wanted.rows(staged))
                for part, rows in self._split(connection, manifest, wanted, staged, task.number % job.parts):
                    yield part, Piece(task.table, rows)
                yield job.parts, _facts(connection, manifest, wanted, staged, task)
        except (ManifestError, ImportFailed) as error:
            yield job.parts, Facts(task, failure=Failure.of(error))

    def _split(
        self, connection: duckdb.DuckDBPyConnection, manifest: Manifest, wanted: Wanted, staged: Staged, without: int
    ) -> Iterator[tuple[int, bytes]]:
        """Yield blocks of rows with their parts. Rows without an id go to the part `without`."""
        ask = partial(run, connection)
        nothing = persons.words_for_nothing(ask, manifest.identity)
        link = persons.identified(ask, manifest.identity, "ids", wanted.rows(staged), nothing)
        self._draw(connection)
        columns = ", ".join(f"s.{name(column)}" for column in staged.types)
        keys = ", ".join(f"i.{part.key}" for part in link.parts)
        sql = (
            f"SELECT coalesce(l.drawn, {without})::INTEGER AS {_TO}, {columns} "
            f"FROM (SELECT *, {link.keys} FROM {staged.relation}) s LEFT JOIN "
            f"(SELECT {keys}, d.drawn FROM ids i JOIN drawn d ON d.id = i.rowid) l ON {link.on('s', 'l')} ORDER BY 1"
        )
        return _by_part(connection.sql(sql).to_arrow_reader(PIECE_ROWS))

    def _draw(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table `drawn`: the part of each id that is one."""
        run(connection, "CREATE TABLE drawn (id BIGINT, drawn INTEGER)")
        with connection.cursor() as reading:
            ids = reading.sql('SELECT rowid, lower("#id"::VARCHAR) AS id FROM ids WHERE "#id" IS NOT NULL')
            for batch in ids.to_arrow_reader(PIECE_ROWS):
                numbers = [self.job.part_of(one) for one in batch.column(1).to_pylist()]
                drawn = pa.table({"id": batch.column(0), "drawn": pa.array(numbers, pa.int32())})
                connection.register("numbers", drawn)
                run(connection, "INSERT INTO drawn SELECT * FROM numbers")
                connection.unregister("numbers")


def _facts(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, wanted: Wanted, staged: Staged, task: FileTask
) -> Facts:
    ask = partial(run, connection)
    listed = undeclared(ask, manifest, wanted, read(ask, manifest, wanted, staged))
    ((rows,),) = ask(f"SELECT count(*) FROM {wanted.relation}")
    texts = {one.kept: written(connection.sql(one.texts).to_arrow_table()) for one in listed}
    return Facts(task, int(rows), dict(staged.types), staged.found, texts)


@dataclass(frozen=True)
class Merge:
    """The task between: all facts, with the texts of each undeclared category once."""

    job: Job

    def __call__(self, _number: int, records: Iterable[Any]) -> list[Facts]:
        """Return the facts of all files, in any order; the first of them has all texts."""
        with _working(self.job, "facts") as (_, connection):
            facts: list[Facts] = []
            tables: dict[str, str] = {}
            for one in records:
                for kept, texts in one.texts.items():
                    table = tables.setdefault(kept, f"texts_{len(tables)}")
                    run(connection, f"CREATE TABLE IF NOT EXISTS {table} (value VARCHAR)")
                    insert(connection, table, texts, "value::VARCHAR")
                facts.append(replace(one, texts={}))
            merged = {
                kept: written(connection.sql(f"SELECT DISTINCT value FROM {table}").to_arrow_table())
                for kept, table in tables.items()
            }
        return [replace(one, texts={} if at else merged) for at, one in enumerate(facts)]


# From rows to a part


@dataclass(frozen=True)
class Make:
    """The second kind of task. `types` are those of each table's source, `dictionaries` texts with their codes."""

    job: Job
    types: Mapping[str, Mapping[str, str]]
    dictionaries: Mapping[str, bytes] = field(repr=False)

    def __call__(self, number: int, records: Iterable[Any]) -> Made:
        """Import the rows of a part."""
        job = self.job
        try:
            with _working(job, "part") as (folder, connection):
                report = self._imported(connection, number, records, folder / parts.WHOLE)
                # The name is the folder's, which no other task has.
                file = job.staging / f"{folder.name}.duckdb"
                (folder / parts.WHOLE).rename(file)
        except (ManifestError, ImportFailed) as error:
            return Made(number, failure=Failure.of(error))
        return Made(number, parts.described(number, file), report)

    def _imported(
        self, connection: duckdb.DuckDBPyConnection, number: int, records: Iterable[Any], store: Path
    ) -> ImportReport:
        job = self.job
        manifest = parse(job.text, job.folder)
        # The driver kept the vocabularies in the folder of the edition.
        manifest = replace(manifest, dataset=manifest.described(vocabularies.kept(job.staging.parent)))
        wanted = sources_of(manifest)
        for table, one in wanted.items():
            columns = ", ".join(f"{name(column)} {kind}" for column, kind in self.types[table].items())
            run(connection, f"CREATE TABLE {one.relation} ({columns})")
        for piece in records:
            cast = ", ".join(f"{name(column)}::{kind}" for column, kind in self.types[piece.table].items())
            insert(connection, wanted[piece.table].relation, piece.rows, cast)
        given = {}
        for at, (kept, texts) in enumerate(self.dictionaries.items()):
            given[kept] = f"given_{at}"
            run(connection, f"CREATE TABLE given_{at} (code UINTEGER, value VARCHAR)")
            insert(connection, f"given_{at}", texts, "code::UINTEGER, value::VARCHAR")
        staged = {
            table: Staged(one.relation, self.types[table], Found(), job.files[table]) for table, one in wanted.items()
        }

        def check(_: Run) -> None:
            self._require_own(connection, number)

        return Import(connection, manifest, _silent, Given(given, check)).run(store, (job.listed, number), staged)

    def _require_own(self, connection: duckdb.DuckDBPyConnection, number: int) -> None:
        """Raise ImportFailed unless all persons belong to this part: one in two parts would count twice."""
        for batch in connection.sql('SELECT lower("#id"::VARCHAR) FROM numbers').to_arrow_reader(PIECE_ROWS):
            if any(self.job.part_of(one) != number for one in batch.column(0).to_pylist()):
                raise ImportFailed("a person's rows came to the wrong part; nothing was changed")


# Blocks of Arrow


def written(table: pa.Table) -> bytes:
    """Return a table as a block."""
    return _block(table.schema, table.to_batches())


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: bytes, selected: str) -> None:
    """Insert the rows of a block into a table."""
    connection.register("block", pa.ipc.open_stream(rows).read_all())
    run(connection, f"INSERT INTO {table} SELECT {selected} FROM block")
    connection.unregister("block")


def _block(schema: pa.Schema, batches: Sequence[pa.RecordBatch]) -> bytes:
    written = pa.BufferOutputStream()
    with pa.ipc.new_stream(written, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as file:
        for batch in batches:
            file.write_batch(batch)
    return bytes(written.getvalue())


def _by_part(batches: pa.RecordBatchReader) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of rows of one part each, from rows in the order of parts, whose first column is the part."""
    held: list[pa.RecordBatch] = []
    now, rows = -1, 0
    for batch in batches:
        to = batch.column(0).to_numpy()
        edges = [0, *(np.flatnonzero(np.diff(to)) + 1).tolist(), len(to)]
        for start, stop in itertools.pairwise(edges):
            if start == stop:
                continue
            if held and (to[start] != now or rows >= PIECE_ROWS):
                yield now, _block(held[0].schema, held)
                held, rows = [], 0
            now = int(to[start])
            held.append(
                pa.RecordBatch.from_arrays(
                    [column.slice(start, stop - start) for column in batch.columns[1:]],
                    schema=_without_first(batch.schema),
                )
            )
            rows += stop - start
    if held:
        yield now, _block(held[0].schema, held)


def _without_first(schema: pa.Schema) -> pa.Schema:
    return schema.remove(0)


# Where tasks work


@contextmanager
def _working(job: Job, what: str) -> Iterator[tuple[Path, duckdb.DuckDBPyConnection]]:
    """Give a task a folder and a staging database of its own, and delete both.

    If the folder of the import is gone, the import has ended, and a task that was left over ends too.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{what}-", dir=job.staging))
    except FileNotFoundError:
        raise ImportFailed("the import has ended") from None
    try:
        with opened(folder, memory_limit=job.memory_limit, threads=job.threads) as connection:
            connection.execute("SET arrow_lossless_conversion = true")
            yield folder, connection
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _silent_step(_what: str) -> Iterator[Any]:
    yield lambda _done: None


def _silent(_what: str, _done: float) -> None:
    pass
