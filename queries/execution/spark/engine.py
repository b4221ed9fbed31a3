"""The engine of a cluster: the question goes out once, integers come back and are added.

A job has as many tasks as the cluster runs at once, and each has its share of the parts. Spark sends the question with
the code of the job, broadcast if it is large; it holds a plan and no data. Each task returns its parts' numbers with
their cells. Partial answers are merged only if they share no part,
and the answer counts only if every part is in it once. A lost executor's tasks run again elsewhere: their results never
arrived, so nothing counts twice. Large tables of cells are merged on the executors in a tree, and not on the server.

Parts stay where they were: an RDD of part numbers is cached on the executors that first got them, and Spark prefers to
run later tasks there, where the copies are (`copies.py`).
"""

from __future__ import annotations

import functools
import logging
import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queries.catalog.codes import TEXTS_MAX
from queries.catalog.parts import BadParts, require_all
from queries.errors import EngineFailed
from queries.execution.engine import CellsOf, Engine, HistogramsOf, ScoresOf
from queries.execution.spark import copies, tasks
from queries.execution.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pyspark import RDD, SparkContext

    from queries.catalog.schema import Column, Table
    from queries.execution.duckdb import Store
    from queries.execution.engine import Question, Vectors
    from queries.execution.spark.copies import Located
    from queries.execution.spark.session import Session
    from queries.execution.spark.tasks import Limits, Partial

logger = logging.getLogger("rowless")

AT_THE_SERVER = 2**25  # bytes of cells, over all parts, that the server adds up itself
JOIN_SECONDS = 10.0  # beyond the time of a query, for Spark's own work


@dataclass(frozen=True)
class Job:
    """What a task does with its parts, one after the other. Pickled to the executors."""

    question: Question
    limits: Limits
    parts: Mapping[int, Located]

    def __call__(self, numbers: Iterable[int]) -> Iterator[Partial]:
        """Yield what the parts add to the answer, or nothing if there are none."""
        found = [tasks.answered(self.question, self.parts[number], self.limits) for number in numbers]
        if found:
            yield functools.reduce(tasks.merged, found)


class SparkEngine(Engine):
    """An edition's parts on a cluster. Any number of threads may call it."""

    def __init__(self, session: Session, parts: Sequence[Located], limits: Limits, texts: Callable[[], Store]) -> None:
        """`texts` opens a part on this machine, for the texts behind codes: each part has all of them."""
        require_all([part.number for part in parts], len(parts))
        self._session = session
        self._parts = {part.number: part for part in parts}
        self._limits = limits
        self._texts = texts
        self._lock = threading.Lock()
        self._placed: tuple[SparkContext, RDD[int]] | None = None

    def open(self) -> None:
        """Start the session unless it runs, and see that the parts are there. No event is read. Raises EngineFailed."""
        missing = [
            part.where for part in self._parts.values() if "://" not in part.where and not Path(part.where).is_file()
        ]
        if missing:
            raise EngineFailed("the engine failed") from BadParts(f"there is no {missing[0]}")
        self._numbers()

    def close(self) -> None:
        """Let the executors forget the parts, and delete their copies as far as they can be reached."""
        with self._lock:
            placed, self._placed = self._placed, None
        if placed is None:
            return
        context, numbers = placed
        dataset = self._parts[0].dataset
        listed = sorted({part.listed for part in self._parts.values()})
        with suppress(Exception):  # the session may have ended, and then Spark deletes the copies itself
            numbers.foreach(lambda _: copies.erase(dataset, listed))
            numbers.unpersist()
            logger.debug("the copies of %s were deleted in session %s", dataset, context.applicationId)

    @property
    def parts(self) -> int:
        """Return the number of parts."""
        return len(self._parts)

    def texts(self, table: Table, column: Column, codes: Sequence[int]) -> Mapping[int, str]:
        """Return the texts of an undeclared category behind some codes. Raises EngineFailed."""
        store = self._texts()
        try:
            return store.texts(table, column, codes)
        finally:
            store.close()

    def _numbers(self) -> RDD[int]:
        """Return the RDD of part numbers of the session that runs now."""
        context = self._session.context()
        with self._lock:
            if self._placed is None or self._placed[0] is not context:
                # Cached behind a map, because only what executors computed has a place.
                # As many tasks as run at once: starting a task takes about as long as a small part.
                slots = min(len(self._parts), context.defaultParallelism)
                numbers = context.parallelize(sorted(self._parts), slots).map(int)
                self._placed = context, numbers.persist()
            return self._placed[1]

    def sums(self, question: Question, stop: Stop | None = None) -> Vectors:
        """Return the sums over all parts. Raises EngineFailed: a task or Spark failed, told to stop, out of time."""
        numbers = self._numbers()
        job = numbers.mapPartitions(Job(question, self._limits, self._parts))
        try:
            with _Group(numbers.context, stop, self._limits.query_seconds + JOIN_SECONDS):
                found: Partial = (
                    job.treeReduce(tasks.merged)
                    if _bytes_of(question) * len(self._parts) > AT_THE_SERVER
                    else functools.reduce(tasks.merged, job.collect())
                )
            require_all(sorted(found.numbers), len(self._parts))
        except Exception as error:  # whatever Spark raises: Java's errors come as several classes
            raise EngineFailed("the engine failed") from error
        if found.vectors is None:
            raise EngineFailed("the engine failed") from RuntimeError(found.failure)
        return found.vectors


def _bytes_of(question: Question) -> int:
    """Return about how many bytes of integers a part returns. Codes may be as many as the import allows."""
    match question:
        case CellsOf(plan):
            return 8 * plan.cells * sum(measure.width for measure in plan.measures)
        case ScoresOf():
            return 8 * TEXTS_MAX
        case HistogramsOf(planned):
            return 8 * sum(len(draft.starts) for draft in planned.drafts)


class _Group:
    """A job that can be stopped: when its asker says so, and when its time is over."""

    def __init__(self, context: SparkContext, stop: Stop | None, seconds: float) -> None:
        self._context = context
        self._name = f"rowless-{uuid.uuid4()}"
        self._stop = stop or Stop()
        self._timer = threading.Timer(seconds, self._cancel)
        self._timer.daemon = True
        self._interrupting = self._stop.interrupting(self._cancel)

    def __enter__(self) -> None:
        if self._stop.is_told():
            raise EngineFailed("the engine failed")
        self._context.setJobGroup(self._name, "a query", interruptOnCancel=True)
        self._timer.start()
        self._interrupting.__enter__()

    def __exit__(self, *raised: Any) -> None:
        self._interrupting.__exit__(*raised)
        self._timer.cancel()

    def _cancel(self) -> None:
        with suppress(Exception):  # the session may have ended
            self._context.cancelJobGroup(self._name)
