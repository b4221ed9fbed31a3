"""The engines that answer queries about editions, as the settings say: DuckDB on this machine, or Spark."""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from queries import processors
from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine
from queries.execution.spark import copies
from queries.execution.spark.copies import Located
from queries.execution.spark.engine import SparkEngine
from queries.execution.spark.session import Cluster, Session, SparkRefused
from queries.execution.spark.tasks import Limits
from queries.store import ingest
from queries.store.cluster import driver
from queries.store.cluster.spark import SparkCluster
from server.errors import SettingsError, StoreUnavailable
from server.runtime.scans import rates
from server.runtime.settings import SPARK

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark import SparkContext

    from queries.catalog.manifest import Manifest
    from queries.catalog.parts import Part, Parts
    from queries.catalog.schema import Dataset
    from queries.execution.engine import Engine
    from queries.execution.scan_time import Rates
    from queries.store.ingest import Progress
    from queries.store.reports import ImportReport
    from server.runtime.settings import Settings

# What DuckDB needs for one open part, however little is in it: 16MB were too little for some queries, and 32MB enough.
PART_BYTES = 64_000_000
_UNITS = {"B": 0, "K": 3, "M": 6, "G": 9, "T": 12}  # rounded down, because KiB is more than KB
_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?) *([A-Za-z]+)")
START_SECONDS = 180.0  # for the first executors to start, and for their Python to load and compile the kernel
SETTLING_SECONDS = 2.0  # without a new executor: all that will come at once are there
JOBS = 3  # without work, to learn how long Spark takes for a job by itself; the fastest counts


class Engines:
    """Makes the engines of editions. With Spark they share one session, which ends with this object."""

    def __init__(self, settings: Settings) -> None:
        """Raise SettingsError if the settings of Spark are refused. Nothing is started."""
        self._settings = settings
        self.session: Session | None = None
        if settings.engine == SPARK:
            try:
                self.session = Session(_cluster(settings))
            except SparkRefused as error:
                raise SettingsError(str(error)) from error

    def start(self) -> None:
        """Start Spark's session and its workers, so that no query waits for them. Raises SettingsError."""
        if self.session is None:
            return
        started = threading.Timer(START_SECONDS, self.session.stop)
        started.daemon = True
        try:
            context = self.session.context()
            started.start()  # Spark itself waits for executors for ever
            _warm(context)
        except SparkRefused as error:
            raise SettingsError(str(error)) from error
        except Exception as error:  # whatever Spark raises: Java's errors come as several classes
            self.session.stop()
            raise SettingsError(
                f"the Spark cluster at {self._settings.spark_master} did no work: it cannot be reached, it has another "
                "secret or cipher (docs/spark.md), its executors do not find Python with this Rowless, or it had no "
                f"executor for ROWLESS_SPARK_EXECUTOR_MEMORY within {START_SECONDS:.0f} s. Spark's own words are above"
            ) from error
        finally:
            started.cancel()

    def close(self) -> None:
        """End the session, if there is one."""
        if self.session is not None:
            self.session.stop()

    def of(self, folder: Path, parts: Parts, dataset: Dataset) -> Engine:
        """Return the engine of an edition whose parts lie in a folder. Nothing is opened yet.

        Raises StoreUnavailable if its parts have no hash, which Spark needs: it knows its copies by it.
        """
        if self.session is None:
            memory = divided(self._settings.memory_limit, len(parts))
            return LocalEngine([self._store(folder, part, parts, dataset, memory) for part in parts.parts])
        located = [self._located(folder, part, parts, dataset) for part in parts.parts]
        limits = Limits(
            memory_limit=self._settings.spark_task_memory,
            threads=1,  # Spark runs as many tasks at once as there are cores
            query_seconds=self._settings.query_seconds,
            persons_max=-(-dataset.persons_max // len(parts)),
        )
        texts = partial(self._store, folder, parts.parts[0], parts, dataset, self._settings.memory_limit)
        return SparkEngine(self.session, located, limits, texts)

    def build(self, manifest: Manifest, folder: Path, progress: Progress) -> ImportReport:
        """Make the parts of a manifest's sources in an empty folder; on a cluster, as many as `persons_max` asks for.

        Raises ManifestError, ImportFailed, and SettingsError if Spark's session does not start.
        """
        if self.session is None:
            memory, threads = self._settings.memory_limit, processors.usable()
            return ingest.build(manifest, folder, memory_limit=memory, threads=threads, progress=progress)
        try:
            context = self.session.context()
        except SparkRefused as error:
            raise SettingsError(str(error)) from error
        return driver.build(
            manifest,
            folder,
            cluster=SparkCluster(context),
            number_of_parts=driver.parts_for(manifest.dataset.persons_max, self._settings.spark_persons_per_part),
            memory_limit=self._settings.spark_task_memory,
            threads=1,  # Spark runs as many tasks at once as there are cores
            progress=progress,
        )

    def threads(self) -> int:
        """Return how many parts, or ranges of persons of one part, are scanned at once."""
        return processors.usable() if self.session is None else int(self.session.context().defaultParallelism)

    def rates(self) -> Rates:
        """Return how fast this machine is, or a machine of the cluster, measured on made-up data or kept in the home.

        An executor measures itself. A scan on a cluster also takes the time of a job that does nothing.
        """
        memory, home = self._settings.memory_limit, self._settings.home
        if self.session is None:
            return rates.of_home(home, partial(rates.measure, memory))
        return rates.of_home(home, self._measured, self._settings.spark_master)

    def _measured(self) -> Rates:
        assert self.session is not None
        context, memory = self.session.context(), self._settings.spark_task_memory
        (found,) = context.parallelize([memory], 1).map(rates.measure).collect()
        slots = context.parallelize(range(context.defaultParallelism), context.defaultParallelism)

        def job() -> float:
            began = time.perf_counter()
            slots.foreach(_nothing)
            return time.perf_counter() - began

        measured: Rates = found
        fixed = measured.fixed + min(job() for _ in range(JOBS))
        return dataclasses.replace(measured, fixed=fixed, part=measured.part / context.defaultParallelism)

    def _store(self, folder: Path, part: Part, parts: Parts, dataset: Dataset, memory_limit: str) -> Store:
        return Store(
            folder / part.file,
            memory_limit=memory_limit,
            threads=processors.usable(),
            query_seconds=self._settings.query_seconds,
            persons_max=-(-dataset.persons_max // len(parts)),
            mark=(parts.name, part.number) if parts.is_marked else None,
        )

    def _located(self, folder: Path, part: Part, parts: Parts, dataset: Dataset) -> Located:
        if part.sha256 is None:
            raise StoreUnavailable(
                f"edition {folder.name} of {dataset.name} has no list of its parts, which Spark needs; "
                f"`rowless dataset parts {dataset.name} --into 1` makes one"
            )
        where = str(folder / part.file)
        if self._settings.spark_parts is not None:
            where = copies.under(self._settings.spark_parts, f"{dataset.name}/{folder.name}/{part.file}")
        return Located(dataset.name, parts.name, part.number, where, part.sha256)


def _warm(context: SparkContext) -> None:
    """Start the workers of all executors. These come one after another, so go on until no more have come."""
    slots = 0
    while slots != context.defaultParallelism:
        slots = context.defaultParallelism
        context.parallelize(range(slots), slots).foreach(_nothing)
        time.sleep(SETTLING_SECONDS)


def _nothing(_: int) -> None:
    """Do nothing, in an executor."""


def _cluster(settings: Settings) -> Cluster:
    return Cluster(
        settings.spark_master,
        settings.spark_secret,
        settings.spark_driver_memory,
        settings.spark_executor_memory,
        settings.spark_executor_cores,
        settings.spark_python,
        settings.spark_archives,
        settings.spark_py_files,
        settings.spark_settings,
    )


def divided(size: str, by: int) -> str:
    """Return a part of a size such as 4GB. Open parts share the engine's memory."""
    found = _SIZE.fullmatch(size)
    assert found is not None, "the settings allow only sizes"
    return size if by == 1 else f"{float(found[1]) / by:.6f}{found[2]}"


def parts_most(size: str) -> int:
    """Return how many parts can be open within a memory limit, so that no query fails for want of memory."""
    found = _SIZE.fullmatch(size)
    assert found is not None, "the settings allow only sizes"
    return max(1, int(float(found[1]) * 10 ** _UNITS[found[2][0].upper()]) // PART_BYTES)
