"""Import on a cluster, the driver: an edition of many parts, with the report that one machine would give.

The number of parts follows from `persons_max`, never from data. The tasks (`tasks.py`) run on a `Cluster`, which
needs no more than Spark's shuffle. First all files are split, and one task brings together what was found in them. Then
one task makes each part. The driver adds up the reports, moves the parts into the edition's folder, and writes the list
of parts last. What is in two files of a source, or in two sources, is decided here: types, codes of undeclared
categories, the number of persons, and which of several refusals is reported.

Until the list is written there is no edition. An interrupted import leaves a folder that the next one deletes.
"""

from __future__ import annotations

import secrets
import shutil
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from queries.catalog import parts
from queries.catalog.manifest import parse
from queries.catalog.parts import PARTS_MAX, Parts
from queries.catalog.schema import PERSONS
from queries.errors import ImportFailed
from queries.store import vocabularies
from queries.store.cluster.tasks import Facts, FileTask, Job, Make, Merge, Split, insert, written
from queries.store.files import files_of
from queries.store.ingest import MANIFEST, STAGING, require_few_persons
from queries.store.reports import added, with_files, with_lines
from queries.store.sources import merged_lines, require_same_types, run
from queries.store.staging import described_by, names_of_undeclared, number_texts, sources_of
from queries.store.text.delimited import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from queries.catalog.manifest import Manifest
    from queries.store.cluster.tasks import Made
    from queries.store.files import File
    from queries.store.ingest import Progress
    from queries.store.persons import Oddity
    from queries.store.reports import ImportReport

PERSONS_A_PART = 500_000
KEY_BYTES = 32


class Shuffled(Protocol):
    """Records by their numbers, somewhere on a cluster."""

    def collect(
        self, reduce: Callable[[int, Iterable[Any]], Any], numbers: Sequence[int], progress: Callable[[float], None]
    ) -> list[Any]:
        """Return what a function makes of the records of each of these numbers. Raises ImportFailed."""

    def forget(self) -> None:
        """Delete the records."""


class Cluster(Protocol):
    """Where the tasks of an import run."""

    def shuffled(
        self, split: Callable[[FileTask], Iterable[tuple[int, Any]]], tasks: Sequence[FileTask], numbers: int
    ) -> Shuffled:
        """Return the records that a function yields for tasks, to be brought together by their numbers."""


def parts_for(persons_max: int, persons_a_part: int = PERSONS_A_PART) -> int:
    """Return how many parts an edition has: it follows from public numbers alone."""
    return min(PARTS_MAX, -(-persons_max // persons_a_part))


def build(
    manifest: Manifest,
    folder: Path,
    *,
    cluster: Cluster,
    number_of_parts: int,
    memory_limit: str,
    threads: int,
    progress: Progress,
) -> ImportReport:
    """Make the parts of a manifest's sources in `folder`, which must be empty, and which all executors must reach.

    `memory_limit` and `threads` are those of one task. Raises ManifestError, ImportFailed as `ingest.build` does. The
    folder is then of no use.
    """
    # Executors have another working folder.
    manifest, folder = parse(manifest.text, manifest.folder.absolute()), folder.absolute()
    staging = folder / STAGING
    staging.mkdir()
    try:
        vocabularies.keep(manifest, folder)
        wanted = sources_of(manifest)
        files = {table: files_of(one.source) for table, one in wanted.items()}
        job = Job(
            manifest.text,
            manifest.folder,
            staging,
            files,
            parts.new_name(),
            number_of_parts,
            memory_limit,
            threads,
            secrets.token_bytes(KEY_BYTES),
        )
        report = _run(manifest, folder, job, cluster, progress)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    (folder / MANIFEST).write_text(manifest.text, encoding="utf-8")
    return with_files(report, {PERSONS: files[described_by(manifest)], **files})


def _run(manifest: Manifest, folder: Path, job: Job, cluster: Cluster, progress: Progress) -> ImportReport:
    tasks = [FileTask(table, number) for table, files in job.files.items() for number in range(len(files))]
    shuffled = cluster.shuffled(Split(job), tasks, job.parts + 1)
    try:
        ((*facts,),) = shuffled.collect(Merge(job), [job.parts], partial(progress, f"reading {len(tasks)} files"))
        by_table = _checked(manifest, job, facts, tasks)
        types = {table: of_files[0].types for table, of_files in by_table.items()}
        make = Make(job, types, _numbered(manifest, facts))
        made: list[Made] = shuffled.collect(make, range(job.parts), partial(progress, f"making {job.parts} parts"))
    finally:
        shuffled.forget()
    _require_made(manifest, job.files, made)
    report = added([one.report for one in made if one.report is not None])
    require_few_persons(manifest, report.persons)
    _require_all_rows(by_table, report)
    found = {table: _lines(of_files) for table, of_files in by_table.items()}
    _keep(folder, job, made)
    return with_lines(report, {PERSONS: found[described_by(manifest)], **found})


def _checked(manifest: Manifest, job: Job, facts: Sequence[Facts], tasks: Sequence[FileTask]) -> dict[str, list[Facts]]:
    """Return the facts of each table's files in their order. Raises the failure that one machine would meet first."""
    by_task = {one.task: one for one in facts}
    if len(facts) != len(tasks) or set(by_task) != set(tasks):
        raise ImportFailed("the cluster did not return every file once; nothing was changed")
    found = {}
    for table, listed in groupby(tasks, lambda one: one.table):
        of_files = [by_task[task] for task in listed]
        for one in of_files:
            if one.failure:
                raise one.failure.error()
        columns, files = sources_of(manifest)[table].columns(), job.files[table]
        for file, one in zip(files, of_files, strict=True):
            require_same_types((files[0], of_files[0].types), (file, one.types), columns)
        found[table] = of_files
    return found


def _numbered(manifest: Manifest, facts: Sequence[Facts]) -> dict[str, bytes]:
    """Return the texts of each undeclared category with their codes, which mean the same in all parts."""
    called = names_of_undeclared(manifest)
    found = {}
    with duckdb.connect() as connection:
        ask = partial(run, connection)
        for at, (kept, texts) in enumerate(facts[0].texts.items()):
            ask(f"CREATE TABLE texts_{at} (value VARCHAR)")
            insert(connection, f"texts_{at}", texts, "value::VARCHAR")
            number_texts(ask, f"numbered_{at}", f"SELECT value FROM texts_{at}", called[kept])
            found[kept] = written(connection.sql(f"SELECT code, value FROM numbered_{at}").to_arrow_table())
    return found


def _require_made(manifest: Manifest, files: Mapping[str, Sequence[File]], made: Sequence[Made]) -> None:
    """Raise the failure that an import on one machine would raise: odd ids are counted over all parts."""
    failures = [one.failure for one in made if one.failure]
    if not failures:
        return
    odd = [one.odd for one in failures if one.odd]
    if not odd:
        raise failures[0].error()
    first = min((one.source, one.check) for one in odd)
    alike = [one for one in odd if (one.source, one.check) == first]
    table, wanted = list(sources_of(manifest).items())[first[0]]
    raise ImportFailed(_together(alike).said(wanted.source.called, files[table]))


def _together(alike: Sequence[Oddity]) -> Oddity:
    """Return what parts found as one finding. Two spellings are shown of the id that one machine would show."""
    shown = min(alike, key=lambda one: (one.example, one.places))
    return replace(shown, ids=sum(one.ids for one in alike))


def _require_all_rows(by_table: Mapping[str, Sequence[Facts]], report: ImportReport) -> None:
    for table, of_files in by_table.items():
        read, there = sum(one.rows for one in of_files), report.tables[table]
        if table != PERSONS and there.rows != read:
            raise ImportFailed(f"of {read} rows of {table} {there.rows} came to the parts; nothing was changed")


def _lines(of_files: Sequence[Facts]) -> Found:
    """Return what lines of the files held; the places of each file have its number already."""
    found = Found()
    for one in of_files:
        found = merged_lines(found, one.found)
    return found


def _keep(folder: Path, job: Job, made: Sequence[Made]) -> None:
    """Move the parts into the edition's folder, and write the list. Raises BadParts unless each part is there once."""
    numbers = Counter(one.number for one in made)
    parts.require_all(list(numbers.elements()), job.parts)
    listed = []
    for one in sorted(made, key=lambda one: one.number):
        assert one.part is not None, "a part that failed is refused before"
        file = parts.file_of(job.listed, one.number)
        (job.staging / one.part.file).rename(folder / file)
        listed.append(replace(one.part, file=file))
    parts.keep(folder, Parts(job.listed, tuple(listed)))
