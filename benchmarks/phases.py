"""Where the time of a question goes, beside plain DuckDB: `python -m benchmarks.phases`.

The questions of `benchmarks/peers`, in one process, without HTTP and without a charge. Each round asks plain DuckDB,
then the whole way of a question, then its steps by themselves: reading the request, preparing (permission, plan,
catalog), the stream with nothing done to it, the scan (stream and kernel), the noise, and the rows. In the whole way
the noise is drawn while the scan runs, so the steps add up to more. All times are medians, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.adapters import plain_duckdb
from benchmarks.peers.adapters.speaking import Data
from benchmarks.peers.data import prepare as prepare_data
from benchmarks.peers.questions import EPSILON, QUESTIONS
from queries import processors
from queries.catalog import parts
from queries.execution.duckdb import Store
from queries.release import assembly, postprocessing
from server.api.requests.query import AskSchema
from server.app import opened
from server.cli.home import acting
from server.journey.answer import compute
from server.journey.preparing import Request, prepare
from server.runtime.settings import load_settings
from server.serving import spare_the_collector

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.adapters.speaking import Ask
    from benchmarks.peers.questions import Question
    from budgets.actors import Actor
    from queries.plan import Plan
    from server.journey.preparing import Prepared
    from server.runtime.services import Services

STEPS = ("DuckDB", "whole", "ratio", "request", "prepare", "stream", "scan", "noise", "rows")


def main() -> None:
    """Print a line for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data/phases"))
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    public = prepare_data(given.folder, given.events)
    plain = plain_duckdb.begin(Data.read(given.folder))
    os.environ.update(ROWLESS_HOME=str(given.folder / "home"), ROWLESS_SLOT_MS="0")
    services = opened(load_settings())
    with services.database.write() as transaction:
        asked = Asked(services, acting(transaction, "researcher", None), plain, store_in(given.folder / "home"))
    spare_the_collector()  # as a server does
    print(f"{public['events']:,} events, {os.cpu_count()} cores, the median of {given.rounds} rounds, milliseconds")
    print(f"{'':<36}" + "".join(f"{step:>9}" for step in STEPS))
    for question in QUESTIONS:
        rounds = [asked.once(question) for _ in range(given.rounds + 1)][1:]
        found = {step: statistics.median(one[step] for one in rounds) for step in rounds[0]}
        found["ratio"] = found["whole"] / found["DuckDB"]
        print(f"{question.name:<36}" + "".join(f"{found[step]:>9.1f}" for step in STEPS), flush=True)


@dataclass(frozen=True)
class Asked:
    """Who asks, and where."""

    services: Services
    actor: Actor
    plain: Ask
    store: Store

    def once(self, question: Question) -> dict[str, float]:
        """Return the milliseconds of each step of a question, by its name."""
        prepared: Prepared
        body, request = _timed(lambda: self._read(question))
        prepared, preparing = _timed(lambda: self._prepare(body))
        plan = prepared.plan
        engine = prepared.store.engine
        exact, scan = _timed(lambda: engine.cells(plan))
        noise, drawing = _timed(lambda: assembly.draw_noise(plan))
        noisy = assembly.add_noise(plan, exact, noise)
        names = [output.name for output in plan.outputs]
        return {
            "DuckDB": _timed(lambda: self.plain(question, EPSILON))[1],
            "whole": _timed(lambda: self._whole(question))[1],
            "request": request,
            "prepare": preparing,
            "stream": _timed(lambda: _drain(self.store, plan))[1],
            "scan": scan,
            "noise": drawing,
            "rows": _timed(lambda: postprocessing.warnings(names, assembly.rows(plan, noisy)))[1],
        }

    def _read(self, question: Question) -> Any:
        return AskSchema().load({"query": question.of_rowless, "privacy": {"epsilon": EPSILON}})

    def _prepare(self, body: Any) -> Prepared:
        return prepare(self.services, self.actor, "bench", Request(body["query"], body["privacy"]))

    def _whole(self, question: Question) -> Any:
        prepared = self._prepare(self._read(question))
        return compute(prepared.plan, prepared.store)


def _timed(act: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    found = act()
    return found, 1000 * (time.perf_counter() - began)


def store_in(home: Path) -> Store:
    """Return the one store of a home, opened as a server opens it."""
    (folder,) = (home / "datasets" / "flat").iterdir()
    (part,) = parts.kept(folder).parts
    return Store(folder / part.file, memory_limit="2GB", threads=processors.usable(), query_seconds=600)


def _drain(store: Store, plan: Plan) -> None:
    number = store.number_for(plan)

    def of_range(persons: range) -> None:
        for _ in store.stream(plan, persons, number=number):
            pass

    ranges = store.ranges()
    with ThreadPoolExecutor(len(ranges)) as threads:
        list(threads.map(of_range, ranges))


if __name__ == "__main__":
    main()
