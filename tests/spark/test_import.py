"""An import on two real executors gives the edition and the report of one machine, whatever becomes of an executor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from queries.catalog import parts
from queries.store import ingest
from queries.store.cluster.spark import SparkCluster
from tests.queries.sources import HEAD
from tests.queries.store.imports import (
    CASES,
    PARTS,
    REFUSED,
    Case,
    dictionaries,
    on_cluster,
    on_one_machine,
    persons,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark import SparkContext

LARGE = Case(
    HEAD + '[tables.t]\nsource = "t/"\n[tables.t.columns.site]\ntype = "category"',
    {
        f"t/{file}.parquet": pa.table(
            {
                "patient": [(7919 * row + file) % 30_011 for row in range(60_000)],
                "site": [f"site {row % 97}" for row in range(60_000)],
            }
        )
        for file in range(6)
    },
)


@pytest.mark.parametrize("case", CASES)
def test_spark_import_equals_the_one_of_one_machine(tmp_path: Path, cluster: SparkContext, case: str) -> None:
    """The report to the last count and place, each person with all their rows, and one code for a text in all parts."""
    one = on_one_machine(CASES[case], tmp_path)
    many = on_cluster(CASES[case], tmp_path, SparkCluster(cluster))
    assert many.report == one.report
    assert persons(many) == persons(one)
    found = dictionaries(many)
    assert len(found) == PARTS
    assert all(part == found[0] for part in found)


@pytest.mark.parametrize("case", ["two spellings", "an open quote, in the second of two bad files", "too many persons"])
def test_spark_import_is_refused_in_the_same_words(tmp_path: Path, cluster: SparkContext, case: str) -> None:
    """The admin reads nothing of Spark."""
    expected = refusal(lambda: on_one_machine(REFUSED[case], tmp_path))
    assert refusal(lambda: on_cluster(REFUSED[case], tmp_path, SparkCluster(cluster))) == expected


def test_killed_executor_leads_to_the_same_edition(tmp_path: Path, cluster: SparkContext) -> None:
    """Its tasks run again on another one, also those whose rows were lost with it."""
    one = on_one_machine(LARGE, tmp_path)
    killed: list[int] = []
    done = threading.Event()

    def kill() -> None:
        """Kill an executor as soon as a part is being made: the rows that it split are then lost too."""
        while not done.wait(0.02):
            if list(tmp_path.glob("edition-1/staging/part-*")):
                pid = next(_executors())
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        many = on_cluster(LARGE, tmp_path, SparkCluster(cluster), 8)
    finally:
        done.set()
        killer.join()
    assert killed
    assert many.report == one.report
    assert persons(many) == persons(one)
    listed = {part.file for part in parts.kept(many.folder).parts}
    assert {file.name for file in many.folder.iterdir()} == {*listed, parts.FILE, ingest.MANIFEST}


def test_nothing_of_the_rows_is_readable_in_what_spark_keeps(tmp_path: Path, cluster: SparkContext) -> None:
    """The shuffle's files are encrypted."""
    secret = "Wilhelmine-4711"
    case = Case(
        HEAD + '[tables.t]\nsource = "t.csv"', {"t.csv": "patient\n" + "".join(f"{secret}-{n}\n" for n in range(5))}
    )
    seen: list[bytes] = []

    class Looking(SparkCluster):
        def shuffled(self, *given: Any) -> Any:
            shuffled = super().shuffled(*given)
            collect = shuffled.collect

            def looked(*given: Any) -> Any:
                found = collect(*given)
                seen.extend(file.read_bytes() for file in _shuffled_files(cluster))
                return found

            shuffled.collect = looked
            return shuffled

    on_cluster(case, tmp_path, Looking(cluster))
    assert any(seen)
    assert not any(b"patient" in content or secret.encode() in content for content in seen)


def _shuffled_files(cluster: SparkContext) -> Iterator[Path]:
    folder = Path(cluster.getConf().get("spark.local.dir", ""))
    return (file for file in folder.rglob("shuffle_*.data") if file.is_file())


def _executors() -> Iterator[int]:
    """Yield the executor processes of this process's cluster."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = stat.read_text().split(" (", 1)
            parents[int(number)] = int(rest.rsplit(") ", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
    for pid in sorted(parents):
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        try:
            if above == os.getpid() and b"ExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes():
                yield pid
        except OSError:
            continue


KILLED = """
    import sys
    from pathlib import Path
    from pyspark import SparkContext
    from queries.store.cluster.spark import SparkCluster
    from tests.queries.store.imports import on_cluster
    from tests.spark.test_import import LARGE
    context = SparkContext("local[2]", "killed")
    on_cluster(LARGE, Path(sys.argv[1]), SparkCluster(context), 8)
"""


def test_killed_server_leaves_no_edition(tmp_path: Path) -> None:
    """Without its list of parts a folder is none: what is left lies in the staging folder, or is no part of a list."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)],
        start_new_session=True,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("edition-0/staging/part-*")):
        assert program.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    program.kill()
    program.wait()
    time.sleep(3)  # a task that was left over may run on for a moment
    assert not (tmp_path / "edition-0" / parts.FILE).exists()
    assert not (tmp_path / "edition-0" / ingest.MANIFEST).exists()
