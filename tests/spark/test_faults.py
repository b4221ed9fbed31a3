"""A person counts once or the query fails with its constant text, whatever is lost, doubled, mixed up or killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries.catalog import parts
from queries.errors import EngineFailed
from queries.execution import engine
from queries.execution.engine import CellsOf
from queries.execution.spark import copies, tasks
from queries.execution.spark.engine import Job
from queries.execution.spark.tasks import Partial
from queries.execution.stopping import Stop
from queries.language import nodes
from tests.privacy.checks import random_events
from tests.queries.clinic import planned
from tests.queries.parted import divide, opened
from tests.queries.sources import clinic_store
from tests.spark.editions import LIMITS, located, on_spark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyspark import SparkContext

    from queries.execution.spark.session import Session
    from queries.execution.spark.tasks import Limits

PLAN = planned(nodes.ByValue("unit"), cells=2, events=2, people=nodes.Count("persons"), total=nodes.Sum("visits"))


def edition(folder: Path, seed: int) -> Path:
    """Make an edition of the clinic in four parts."""
    folder.mkdir(exist_ok=True)
    events = random_events(np.random.default_rng(seed), persons=60, most_events=9)
    store = clinic_store(folder, events)
    divide(store.parent, 4)
    return store.parent


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one edition for all tests that only read."""
    return edition(tmp_path_factory.mktemp("clinic"), 1)


@pytest.fixture(scope="module")
def truth(clinic: Path) -> list[list[int]]:
    """Return the cells that one machine finds."""
    local = opened(clinic)
    try:
        return [vector.tolist() for vector in local.cells(PLAN)]
    finally:
        local.close()


def found(one: Any, stop: Stop | None = None) -> list[list[int]]:
    """Return the cells that a cluster finds."""
    return [vector.tolist() for vector in one.cells(PLAN, stop)]


def test_a_part_twice_is_refused(session: Session, clinic: Path) -> None:
    """In the list it is refused at once; `tests/queries/execution/test_parted.py` has it twice in partial answers."""
    some = located(clinic)
    with pytest.raises(parts.BadParts, match="each once"):
        on_spark(session, clinic, [*some, some[0]])


def test_a_task_that_returns_its_part_twice_fails_the_query(
    session: Session, clinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: each result arrives twice. Without the check the cells would be twice as large."""
    one = on_spark(session, clinic)
    numbers = one._numbers()
    monkeypatch.setattr(one, "_numbers", lambda: numbers.union(numbers))
    with pytest.raises(EngineFailed, match="^the engine failed$") as failed:
        one.cells(PLAN)
    assert "came twice" in str(failed.value.__cause__)


def test_a_missing_result_fails_the_query(session: Session, clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: one part is never asked."""
    one = on_spark(session, clinic)
    numbers = one._numbers()
    monkeypatch.setattr(one, "_numbers", lambda: numbers.filter(lambda number: number != 2))
    with pytest.raises(EngineFailed) as failed:
        one.cells(PLAN)
    assert isinstance(failed.value.__cause__, parts.BadParts)


def test_a_missing_file_fails_the_query(session: Session, tmp_path: Path) -> None:
    """A part that cannot be read is no part without persons."""
    folder = edition(tmp_path, 2)
    some = located(folder)
    (folder / parts.kept(folder).parts[3].file).unlink()
    with pytest.raises(EngineFailed) as failed:
        on_spark(session, folder, some).cells(PLAN)
    assert "part 3" in str(failed.value.__cause__)


def test_a_changed_part_is_refused(session: Session, tmp_path: Path) -> None:
    """A file that is not what the list says is not even opened, and leaves no copy."""
    folder = edition(tmp_path, 3)
    some = located(folder)
    changed = folder / parts.kept(folder).parts[1].file
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    with pytest.raises(EngineFailed) as failed:
        on_spark(session, folder, some).cells(PLAN)
    assert "not what the list" in str(failed.value.__cause__)


def test_a_part_of_another_edition_is_refused(session: Session, tmp_path: Path, clinic: Path) -> None:
    """Its hash is right, because the list was changed with it; the mark inside the file is not."""
    other = located(edition(tmp_path, 4))
    some = located(clinic)
    mixed = [*some[:3], replace(some[3], where=other[3].where, sha256=other[3].sha256)]
    with pytest.raises(EngineFailed) as failed:
        on_spark(session, clinic, mixed).cells(PLAN)
    assert "another edition" in str(failed.value.__cause__)


def test_a_failure_is_not_tried_again(clinic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that fails for a reason of its own returns, and Spark, which would repeat it, does not see an error."""

    def failing(*_: Any) -> Any:
        raise EngineFailed("the engine failed") from MemoryError("too large")

    monkeypatch.setattr(engine, "of_part", failing)
    part = located(clinic)[0]
    told = tasks.answered(CellsOf(PLAN), part, LIMITS)
    assert told.vectors is None
    assert "MemoryError" in told.failure
    whole = Partial(frozenset({1}), [np.ones(1, dtype=np.int64)])
    assert tasks.merged(whole, told).vectors is None


def test_copies_are_erased_with_their_edition(session: Session, cluster: SparkContext, tmp_path: Path) -> None:
    """When an engine is closed, and when another list of the dataset is fetched, old copies go."""
    first, second = edition(tmp_path / "1", 5), edition(tmp_path / "2", 6)
    one, two = on_spark(session, first), on_spark(session, second)
    found(one)
    assert copies_on(cluster) >= {parts.kept(first).name}
    found(two)
    assert parts.kept(second).name in copies_on(cluster)
    two.close()
    assert parts.kept(second).name not in copies_on(cluster)


def copies_on(cluster: SparkContext) -> set[str]:
    """Return the names of the lists of which executors have copies."""

    def names(_: int) -> list[str]:
        folder = copies.folder_of("d", "x").parent
        return [one.name for one in folder.iterdir()] if folder.is_dir() else []

    return set(cluster.parallelize(range(8), 8).flatMap(names).collect())


# Killed, stopped


class Slow(Job):
    """A job whose tasks tell where they run, and wait a while."""

    def __call__(self, numbers: Iterable[int]) -> Iterator[Partial]:
        """Wait before answering."""
        time.sleep(3)
        yield from super().__call__(numbers)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every task take a while."""
    monkeypatch.setattr("queries.execution.spark.engine.Job", Slow)


def executors(cluster: SparkContext) -> list[int]:
    """Return the process ids of the executors: the parents of the daemons."""

    def parent(_: int) -> int:
        daemon = os.getppid()
        status = Path("/proc", str(daemon), "status").read_text()
        return int(status.split("PPid:")[1].split()[0])

    return sorted(set(cluster.parallelize(range(8), 8).map(parent).collect()))


def test_a_killed_executor_leaves_the_answer_right(
    session: Session, cluster: SparkContext, clinic: Path, truth: list[list[int]], slowly: None
) -> None:
    """Spark starts another one and runs its tasks again; nobody counts twice."""
    one = on_spark(session, clinic)
    victim = executors(cluster)[0]
    killer = threading.Timer(2.0, os.kill, (victim, signal.SIGKILL))
    killer.start()
    try:
        assert found(one) == truth
    finally:
        killer.join()
    assert not Path("/proc", str(victim)).exists()
    assert found(one) == truth


def test_a_cancelled_query_stops(session: Session, clinic: Path, slowly: None) -> None:
    """Its asker's word reaches Spark: the tasks end, and the next query has the cluster."""
    one = on_spark(session, clinic)
    stop = Stop()
    threading.Timer(1.0, stop.tell).start()
    with pytest.raises(EngineFailed, match="^the engine failed$") as failed:
        one.cells(PLAN, stop)
    assert "cancelled" in str(failed.value.__cause__).lower()
    with pytest.raises(EngineFailed):
        one.cells(PLAN, stop)  # told before it began


def test_a_query_whose_time_is_over_stops(
    session: Session, clinic: Path, slowly: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever hangs in a task, the server gets its thread back."""
    monkeypatch.setattr("queries.execution.spark.engine.JOIN_SECONDS", 0.5)
    hasty: Limits = replace(LIMITS, query_seconds=0.5)
    one = on_spark(session, clinic)
    monkeypatch.setattr(one, "_limits", hasty)
    with pytest.raises(EngineFailed):
        one.cells(PLAN)


def test_the_answer_is_right_after_all_this(session: Session, clinic: Path, truth: list[list[int]]) -> None:
    """Cancelled and failed queries leave nothing behind that counts."""
    assert found(on_spark(session, clinic)) == truth
