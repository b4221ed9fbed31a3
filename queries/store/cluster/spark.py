"""Import on a cluster: the tasks run by Spark.

Everything that travels goes through Spark's own shuffle, results and code, so that its encryption of connections and of
what it keeps on disk holds for them (the session requires both). The splitting of the files is
one stage, which Spark runs once; both collections read what it left.
"""

from __future__ import annotations

import gc
import logging
import threading
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from queries.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyspark import RDD, SparkContext

    from queries.store.cluster.tasks import FileTask

logger = logging.getLogger("rowless")

_WATCHED = 0.5  # seconds between two looks at the progress


class SparkCluster:
    """A Spark session (a SparkContext) as an import uses it."""

    def __init__(self, context: SparkContext) -> None:
        self._context = context

    def shuffled(
        self, split: Callable[[FileTask], Iterable[tuple[int, Any]]], tasks: Sequence[FileTask], numbers: int
    ) -> SparkShuffled:
        """Return the records that a function yields for tasks, one task each, to be brought together by number."""
        records = self._context.parallelize(tasks, len(tasks)).flatMap(split)
        return SparkShuffled(self._context, records.partitionBy(numbers, int))


@dataclass(frozen=True)
class _Reduced:
    """What is done with the records of one number. Pickled to the executors."""

    reduce: Callable[[int, Iterable[Any]], Any]

    def __call__(self, number: int, records: Iterable[tuple[int, Any]]) -> Iterator[Any]:
        """Yield one result."""
        yield self.reduce(number, (value for _, value in records))


class SparkShuffled:
    """Records by number. Spark keeps them on the executors' disks, encrypted, until they are forgotten."""

    def __init__(self, context: SparkContext, records: RDD[tuple[int, Any]]) -> None:
        self._context = context
        self._records: RDD[tuple[int, Any]] | None = records

    def collect(
        self, reduce: Callable[[int, Iterable[Any]], Any], numbers: Sequence[int], progress: Callable[[float], None]
    ) -> list[Any]:
        """Return what a function makes of the records of each number. Raises ImportFailed without Spark's words."""
        assert self._records is not None, "forgotten"
        made = self._records.mapPartitionsWithIndex(_Reduced(reduce))
        with _group(self._context, progress):
            try:
                return list(self._context.runJob(made, list, list(numbers)))
            except Exception as error:
                # Spark's words have the trace of a task in them, and that may quote a row.
                logger.exception("a task of an import failed")
                raise ImportFailed(
                    "a task failed on the cluster, every time that Spark tried it; the server's log has the cause, and "
                    "nothing was changed"
                ) from error

    def forget(self) -> None:
        """Let Spark delete the records. It does so once nothing in Python or Java knows them any more."""
        self._records = None
        gc.collect()
        with suppress(Exception):  # the session may have ended, and its files with it
            java: Any = self._context._jvm
            java.System.gc()


@contextmanager
def _group(context: SparkContext, progress: Callable[[float], None]) -> Iterator[None]:
    """Run Spark's jobs in a group: watch its progress, and cancel what still runs when it is left."""
    name, done = f"rowless-import-{uuid.uuid4()}", threading.Event()
    context.setJobGroup(name, "an import", interruptOnCancel=True)

    def watch() -> None:
        while not done.wait(_WATCHED):
            with suppress(Exception):  # the session may have ended
                progress(_share_done(context, name))

    progress(0.0)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    except BaseException:
        with suppress(Exception):
            context.cancelJobGroup(name)
        raise
    finally:
        done.set()
        watcher.join()
    progress(1.0)


def _share_done(context: SparkContext, group: str) -> float:
    """Return the share of the tasks of the stages that run now which are done."""
    tracker = context.statusTracker()
    stages = [
        stage
        for job in tracker.getJobIdsForGroup(group)
        if (info := tracker.getJobInfo(job)) is not None
        for number in info.stageIds
        if (stage := tracker.getStageInfo(number)) is not None and stage.numTasks
    ]
    tasks = sum(stage.numTasks for stage in stages)
    return sum(stage.numCompletedTasks for stage in stages) / tasks if tasks else 0.0
