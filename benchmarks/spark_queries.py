"""Queries on a Spark cluster beside one machine, over HTTP, in one run: `python -m benchmarks.spark_queries`.

For each number of persons it makes an observatory of its own (10 million consultations for each million persons),
imports it by Spark, and asks two servers in turns, with the slot off: one in DuckDB over the parts put together into
one, one on a `local-cluster` of two executors over all parts. Both have the same cores, so the difference is what Spark
itself costs. It also reads how much CPU time the driver takes for a query (the server and its Java process, without
the executors): it should grow with the parts and not with the events.

    python -m benchmarks.spark_queries --persons 100000 1000000 --parts 8 32
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.processes import held, most_held
from benchmarks.queries import EPSILON, QUESTIONS, ask, prepare, rowless, server, timed

if TYPE_CHECKING:
    from collections.abc import Mapping

DATASET = "observatory"
TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print a table for each number of persons and parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rowless-spark-bench"))
    parser.add_argument("--persons", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--parts", type=int, nargs="+", default=[8], help="0 is the parts that the import made")
    parser.add_argument("--files", type=int, default=8, help="of each table, read by as many tasks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--master", default="local-cluster[2,1,1024]")
    parser.add_argument("--only-spark", action="store_true", help="do not ask one machine beside it")
    asked = parser.parse_args()
    spark = {"ROWLESS_ENGINE": "spark", "ROWLESS_SPARK_MASTER": asked.master, "ROWLESS_SPARK_EXECUTOR_MEMORY": "1g"}
    for persons in asked.persons:
        folder = asked.folder / str(persons)
        os.environ.update(spark)
        with most_held() as most:
            home, token, events = prepare(folder, persons, files=asked.files)
        print(f"{persons:,} persons, {events:,} consultations; prepared with at most {most.megabytes:,} MB in use")
        for name in spark:
            del os.environ[name]
        for parts in asked.parts:
            divided = folder / f"parts-{parts}" if parts else home
            if not divided.exists():
                shutil.copytree(home, divided)
                _divide(divided, parts)
            _compare(None if asked.only_spark else _whole(folder, home), divided, spark, token, parts, asked.rounds)


def _divide(home: Path, parts: int) -> None:
    rowless(home, "dataset", "parts", DATASET, "--into", str(parts), "--elsewhere")


def _whole(folder: Path, home: Path) -> Path:
    """Return a home with the edition in one part."""
    whole = folder / "whole"
    if not whole.exists():
        shutil.copytree(home, whole)
        _divide(whole, 1)
    return whole


def _compare(one: Path | None, many: Path, spark: Mapping[str, str], token: str, parts: int, rounds: int) -> None:
    nano = itertools.count(random.randrange(10**8))
    with server(many, **spark) as (address, process), server(one or many) as (address_of_one, _):
        java = _java_of(process)
        print(
            f"{parts or 'the imported'} parts; driver: CPU time of the server and its Java process, without executors"
        )
        print(f"{'question':<24} {'one machine':>12} {'Spark':>10} {'later':>10} {'driver':>10}")
        for name, (query, _) in QUESTIONS.items():
            alone, cluster, driver = [], [], []
            for _ in range(rounds + 1):
                privacy = {"epsilon": round(EPSILON + next(nano) / 10**9, 9)}
                body = {"query": {"from": "consultations", **query}, "privacy": privacy}
                before = _cpu_ms(java)
                cluster.append(timed(lambda body=body: ask(address, token, body)))  # type: ignore[misc]
                driver.append(_cpu_ms(java) - before)
                if one:
                    alone.append(timed(lambda body=body: ask(address_of_one, token, body)))  # type: ignore[misc]
            there = statistics.median(cluster[1:])
            here = statistics.median(alone[1:]) if alone else float("nan")
            cpu = statistics.median(driver[1:])
            print(f"{name:<24} {here:>9.0f} ms {there:>7.0f} ms {there - here:>7.0f} ms {cpu:>7.0f} ms")
        print(f"memory at the end, with all executors: {held(process.pid) // 2**20:,} MB")


def _java_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the processes of the driver: the server's worker and its Java."""
    (worker,) = _children(process.pid)
    return [worker, *(pid for pid in _children(worker) if "java" in Path(f"/proc/{pid}/comm").read_text())]


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    listed = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for one in listed for child in one]


def _cpu_ms(pids: list[int]) -> float:
    """Return the CPU time of some processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / TICK


if __name__ == "__main__":
    main()
