"""TPC-H with the customer as the person, beside plain DuckDB on TPC-H's own tables: `python -m benchmarks.tpch`.

The home has bought a contribution profile of epsilon 0.1. The questions name no contribution bounds, so Rowless
chooses them from the profile. Each question is asked at epsilon 1, in turns over HTTP, in this process, and of DuckDB.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.peers import chart, page, tables
from benchmarks.queries import ask, server, timed
from benchmarks.tpch.data import prepare, read
from benchmarks.tpch.questions import QUESTIONS
from server.api.requests.query import AskSchema
from server.app import opened
from server.cli.home import acting
from server.journey.answer import compute
from server.journey.preparing import Request
from server.journey.preparing import prepare as plan
from server.runtime.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.tpch.questions import Part, Question

    Numbers = dict[tuple[Any, ...], tuple[float, ...]]
    Asked = Callable[[dict[str, Any]], Mapping[str, Any]]

TOOLS = (page.OURS, page.HTTP, page.PLAIN)


@dataclass(frozen=True)
class Measured:
    """What a question took and how exact it was."""

    seconds: list[float]  # medians, of each of TOOLS
    numbers: int  # of an answer
    errors: list[float]  # relative ones, of all rounds
    named: list[float]  # the same with bounds that the asker names


def main() -> None:
    """Print the table and put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data/tpch"))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-page", action="store_true", help="print the table only")
    asked = parser.parse_args()
    folder = (asked.folder / f"{asked.scale:g}").absolute()
    made = prepare(folder, asked.scale)
    plain = duckdb.connect(config={"threads": os.cpu_count() or 1})
    read(plain, folder)
    engine = _engine(folder / "home")
    with server(folder / "home") as (address, _):
        measured = {
            question.name: _measure(
                question, plain, engine, lambda body: ask(address, made["token"], body), asked.rounds
            )
            for question in QUESTIONS
        }
    head = ["question", "plain DuckDB", "Rowless, engine", "Rowless, HTTP", "Rowless / DuckDB", "numbers"]
    head += ["median relative error", "90% within", "with bounds named"]
    counted = ", ".join(f"{number:,} rows of {name}" for name, number in made["rows"].items())
    where = page.machine(f"python -m benchmarks.tpch {' '.join(sys.argv[1:])}".strip())
    told = (
        f"{where}\n\n{tables.table(head, [_row(*one) for one in measured.items()])}\n\n"
        f"Scale {asked.scale:g}: {counted}. Median of {asked.rounds} rounds after one that warms up; the error is that "
        f"of all rounds. The import took {made['import_seconds']:.0f} s."
    )
    print(told)
    if not asked.no_page:
        page.put(page.PAGE, "tpch", f"{told}\n\n![Seconds of each question](pictures/performance/tpch.svg)")
        title = f"Time of TPC-H's questions, scale {asked.scale:g}, epsilon 1"
        seconds = {name: dict(zip(TOOLS, one.seconds, strict=True)) for name, one in measured.items()}
        page.PICTURES.mkdir(parents=True, exist_ok=True)
        drawn = chart.chart(title, TOOLS, seconds, page.axis)
        (page.PICTURES / "tpch.svg").write_text(drawn + "\n", encoding="utf-8")


def _engine(home: Path) -> Asked:
    """Return what answers a body in this process, without HTTP and the ledger."""
    os.environ.update(ROWLESS_HOME=str(home), ROWLESS_SLOT_MS="0")
    services = opened(load_settings())
    with services.database.write() as transaction:
        actor = acting(transaction, "researcher", None)

    def answer(body: dict[str, Any]) -> Mapping[str, Any]:
        asked = AskSchema().load(body)
        prepared = plan(services, actor, "bench", Request(asked["query"], asked["privacy"]))
        return compute(prepared.plan, prepared.store)

    return answer


def _measure(question: Question, plain: duckdb.DuckDBPyConnection, engine: Asked, http: Asked, rounds: int) -> Measured:
    exact = _exact(question, plain.execute(question.sql).fetchall())
    nano = itertools.count(random.randrange(10**6))  # the same question again would be a replay
    seconds: dict[str, list[float]] = {"plain": [], "engine": [], "http": []}
    errors: list[float] = []
    named: list[float] = []  # the errors with named bounds
    for number in range(rounds + 1):
        for name, asked in (("engine", engine), ("http", http)):
            found: Numbers = {}
            took = timed(lambda asked=asked, found=found: _ask(question.parts, asked, next(nano), found))  # type: ignore[misc]
            if number:
                seconds[name].append(took / 1000)
                errors += _errors(found, exact)
        bounded: Numbers = {}
        _ask(question.bounded, engine, next(nano), bounded)
        named += _errors(bounded, exact) if bounded else []
        took = timed(lambda: plain.execute(question.sql).fetchall())
        if number:
            seconds["plain"].append(took / 1000)
    middle = [statistics.median(seconds[name]) for name in ("engine", "http", "plain")]
    return Measured(middle, sum(map(len, exact.values())), errors, named)


def _row(name: str, found: Measured) -> list[str]:
    engine, http, plain = found.seconds
    return [
        name,
        *map(tables.duration, (plain, engine, http)),
        tables.times(engine / plain),
        str(found.numbers),
        tables.share(statistics.median(found.errors)),
        tables.share(statistics.quantiles(found.errors, n=10)[-1]),
        tables.share(statistics.median(found.named)) if found.named else tables.NONE,
    ]


def _exact(question: Question, rows: Iterable[Sequence[Any]]) -> Numbers:
    return {tuple(map(str, row[: question.keys])): tuple(map(float, row[question.keys :])) for row in rows}


def _ask(parts: Sequence[Part], asked: Asked, nano: int, found: Numbers) -> None:
    """Ask the parts of a question and add their numbers to `found`."""
    for part in parts:
        privacy = {"epsilon": round(part.epsilon + nano / 10**9, 9)}
        answer = asked({"query": part.query, "privacy": privacy})
        found.update(_numbers(part, answer["rows"]))


def _numbers(part: Part, rows: Iterable[Mapping[str, Any]]) -> Numbers:
    return {
        tuple(str(row[key]) for key in part.keys) or tuple(map(str, part.key)): tuple(
            float(row[name]["value"]) for name in part.names
        )
        for row in rows
    }


def _errors(found: Numbers, exact: Numbers) -> list[float]:
    """Return |answer - truth| / truth of each number of the exact answer; one that is missing is off by all of it."""
    nothing: tuple[float, ...] = ()
    return [
        abs(answered - value) / abs(value)
        for key, values in exact.items()
        for answered, value in zip(found.get(key, nothing) or [0.0] * len(values), values, strict=True)
        if value
    ]


if __name__ == "__main__":
    main()
