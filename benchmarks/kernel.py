"""Scan and kernel alone, without noise and HTTP: `python -m benchmarks.kernel`.

For questions of each shape over 10 million events it compares the fused loops and the general ones, numbers of streams,
and DuckDB with threads of its own or without, beside the same stream with nothing done to it. Then long lists of codes
and cohorts, beside the same question without them. All times are the least of some rounds.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.queries import prepare
from queries import processors
from queries.binding import dates
from queries.catalog import parts
from queries.catalog.manifest import read_manifest
from queries.execution import kernel, passes
from queries.execution.duckdb import Store
from queries.language import nodes
from queries.planning import planner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

SEX, YEAR = nodes.ByValue("sex"), nodes.ByPeriod("date", "year")
AGE = nodes.ByBins("birth_year", tuple(range(1900, 2021, 20)))
EVENTS, PERSONS = (("n", nodes.Count("events")),), (("n", nodes.Count("persons")),)
COST = (0, 200)
DIAGNOSES = tuple(f"D{n:03}" for n in range(1, 300, 2))
ILL = nodes.Cohort("consultations", nodes.Comparison("diagnosis", "in", DIAGNOSES))


def asked(select: Any, *keys: nodes.Key, cells: int | None = None, events: int | None = None, where: Any = None) -> Any:
    """Return a question about consultations."""
    return nodes.Query("consultations", select, where, keys, nodes.Bounds(cells, events))


SHAPES = {
    "count of events": asked(EVENTS, events=20),
    "count by practice": asked(EVENTS, nodes.ByValue("practice"), cells=2, events=20),
    "sum by year and sex": asked((("s", nodes.Sum("cost", COST)),), YEAR, SEX, cells=5, events=20),
    "persons by year, sex, age": asked(PERSONS, YEAR, SEX, AGE, cells=5),
    "persons by code": asked(PERSONS, nodes.ByValue("diagnosis"), cells=20),
    "several measures": asked((*PERSONS, ("m", nodes.Mean("cost", COST))), SEX, events=20),
}
CONDITIONS = {
    "count of events": SHAPES["count of events"],
    "150 codes in the filter": asked(EVENTS, events=20, where=nodes.Comparison("diagnosis", "in", DIAGNOSES)),
    "a cohort of 150 codes in the filter": asked(EVENTS, events=20, where=ILL),
    "the cohort in a statistic's filter": asked((("n", nodes.Count("events", where=ILL)),), events=20),
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    home, _, events = prepare(given.folder, given.persons)
    dataset = read_manifest(given.folder / "observatory.toml").dataset
    (folder,) = (home / "datasets" / "observatory").iterdir()
    store = folder / parts.kept(folder).parts[0].file
    kernel.warm()
    cores = processors.usable()
    print(f"{events:,} events, {cores} cores, the least of {given.rounds} rounds, milliseconds")
    ways = {
        "stream alone": Way(cores, 1, _drain),
        "fused": Way(cores, 1, _count),
        "general": Way(cores, 1, _count_generally),
        "1 stream": Way(1, 1, _count),
        f"{2 * cores} streams": Way(2 * cores, 1, _count),
        f"{cores} DuckDB threads": Way(cores, cores, _count),
    }
    table(dataset, store, SHAPES, ways, given.rounds)
    table(dataset, store, CONDITIONS, {"fused": ways["fused"]}, given.rounds)


@dataclass(frozen=True)
class Way:
    """How many streams there are, how many threads DuckDB has, and what is done with a range of persons."""

    streams: int
    threads: int
    run: Callable[[Store, Plan, range], object]

    def least(self, path: Path, plan: Plan, rounds: int) -> float:
        """Return the least seconds of some rounds."""
        with _opened(path, self.streams, self.threads) as store, ThreadPoolExecutor(self.streams) as pool:

            def once() -> float:
                began = time.perf_counter()
                list(pool.map(partial(self.run, store, plan), store.ranges()))
                return time.perf_counter() - began

            return min(once() for _ in range(rounds))


def table(dataset: Dataset, store: Path, questions: dict[str, Any], ways: dict[str, Way], rounds: int) -> None:
    """Print the milliseconds of each question in each way."""
    print(f"{'':<38}" + "".join(f"{way:>17}" for way in ways))
    for name, query in questions.items():
        plan = planner.plan(dates.fill_in(query, dataset.tables), dataset, nodes.Privacy(10**9), 10**6)
        found = (1000 * way.least(store, plan, rounds) for way in ways.values())
        print(f"{name:<38}" + "".join(f"{one:>17.1f}" for one in found), flush=True)


@contextmanager
def _opened(path: Path, streams: int, threads: int) -> Iterator[Store]:
    """Open a store whose DuckDB has so many threads."""
    engine: Any = duckdb
    connect = engine.connect

    def connected(*arguments: Any, config: dict[str, Any], **options: Any) -> Any:
        return connect(*arguments, config={**config, "threads": threads}, **options)

    engine.connect = connected
    store = Store(path, memory_limit="2GB", threads=streams, query_seconds=600)
    try:
        store.open()
        yield store
    finally:
        engine.connect = connect
        store.close()


def _count(store: Store, plan: Plan, persons: range) -> None:
    kernel.bound(plan, store.stream(plan, persons), persons)


def _count_generally(store: Store, plan: Plan, persons: range) -> None:
    accumulator = passes.Accumulator(plan, persons)
    for person, batch in store.stream(plan, persons):
        accumulator.take(person, batch)


def _drain(store: Store, plan: Plan, persons: range) -> None:
    for _ in store.stream(plan, persons):
        pass


if __name__ == "__main__":
    main()
