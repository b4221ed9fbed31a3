"""An import by Spark beside one on one machine, of the same files: `python -m benchmarks.spark_import`.

It makes an observatory (1,000,000 persons, about 10 million consultations), writes each of its tables as 8 Parquet
files, and imports it twice: in this machine's DuckDB, and on a `local-cluster` of two executors. Both use all cores, so
the ratio is what Spark's work costs: on several machines it is divided by their number. Memory is the most that the
import's own processes hold at one time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import most_held
from benchmarks.queries import into_files
from queries.catalog.manifest import read_manifest
from queries.execution.spark.session import Cluster, Session
from queries.store import ingest, reports
from queries.store.cluster import driver
from queries.store.cluster.spark import SparkCluster
from server.demo.observatory import Shape, write_observatory

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Make the data once, import it both ways, and print seconds, memory and whether the reports are equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rowless-spark-bench"))
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--master", default="local-cluster[2,1,2500]")
    parser.add_argument("--only", choices=("one", "spark"))
    asked = parser.parse_args()
    manifest = read_manifest(_data(asked.folder / f"data-{asked.persons}-{asked.files}", asked.persons, asked.files))
    found: dict[str, Any] = {}
    if asked.only != "spark":
        made = _empty(asked.folder / "one")
        with _measured(found, "one machine"):
            one = ingest.build(manifest, made, memory_limit="4GB", threads=2, progress=_silent)
        found["one machine"]["bytes"] = _size(made)
    if asked.only != "one":
        with _context(asked.master) as context:
            context.parallelize(range(2), 2).map(_loaded).collect()  # the session is warm when an import begins
            made = _empty(asked.folder / "many")
            with _measured(found, "spark"):
                many = driver.build(
                    manifest,
                    made,
                    cluster=SparkCluster(context),
                    number_of_parts=asked.parts,
                    memory_limit="1GB",
                    threads=1,
                    progress=_silent,
                )
            found["spark"]["bytes"] = _size(made)
    if asked.only is None:
        found["ratio"] = round(found["spark"]["seconds"] / found["one machine"]["seconds"], 2)
        found["reports are equal"] = reports.to_json(one) == reports.to_json(many)
    print(json.dumps(found, indent=1))


def _data(folder: Path, persons: int, files: int) -> Path:
    """Write the observatory once, each table as a folder of files. Return its manifest."""
    manifest = folder / "observatory.toml"
    if not manifest.exists():
        into_files(write_observatory(_empty(folder), Shape(persons)).manifest, files)
    return manifest


@contextmanager
def _measured(found: dict[str, Any], what: str) -> Iterator[None]:
    """Measure seconds, and the most memory that this process and its children held together."""
    began = time.perf_counter()
    with most_held() as most:
        yield
    found[what] = {"seconds": round(time.perf_counter() - began, 1), "megabytes": most.megabytes}


def _loaded(number: int) -> int:
    from queries.store.cluster import tasks

    return number if tasks else 0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _silent(_what: str, _done: float) -> None:
    pass


@contextmanager
def _context(master: str) -> Iterator[Any]:
    """Run a session as the server does: authenticated, and encrypted on its connections and disks."""
    session = Session(Cluster(master, executor_memory="1g"))
    try:
        yield session.context()
    finally:
        session.stop()


if __name__ == "__main__":
    main()
