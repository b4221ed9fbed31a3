"""Ask every tool every question, in turns, and compare what it answers with the exact answer.

In each round all tools are asked one after the other, so that what else the machine does meets them alike. The first
round of each only warms it up, unless it takes so long that warming makes no difference: then no other follows.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.peers.questions import EPSILON
from benchmarks.peers.running import EndedError, LateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers.questions import Question
    from benchmarks.peers.running import Tool

    Cells = Mapping[tuple[Any, ...], float]


PATIENCE = 0.25  # of the limit: a tool whose counted rounds took so long together has no further one


@dataclass
class Measured:
    """What a tool did with a question: either numbers, or the reason why there are none."""

    seconds: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)  # of each round the median relative error of its cells
    peak_mb: int = 0
    instead: str | None = None  # "not offered: ...", "over ... s", "failed: ..."

    @property
    def is_over(self) -> bool:
        """Return whether it took longer than the limit."""
        return self.instead is not None and self.instead.startswith("over")

    def to_json(self) -> dict[str, Any]:
        """Return the medians."""
        if self.instead is not None:
            return {"instead": self.instead, "peak_mb": self.peak_mb}
        return {
            "seconds": statistics.median(self.seconds),
            "fastest": min(self.seconds),
            "slowest": max(self.seconds),
            "rounds": len(self.seconds),
            "error": statistics.median(self.errors),
            "peak_mb": self.peak_mb,
        }


def truth(folder: Path, questions: Iterable[Question]) -> list[Cells]:
    """Return the exact answer of each question: nothing is bounded, clamped or noisy."""
    # To count persons exactly takes much memory, which is given back before the tools start.
    with duckdb.connect(config={"memory_limit": "8GB", "temp_directory": str(folder)}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{folder / 'events.parquet'}')")
        return [cells(connection.execute(question.sql).fetchall()) for question in questions]


def cells(rows: Iterable[Sequence[Any]]) -> dict[tuple[Any, ...], float]:
    """Return numbers by their keys."""
    return {tuple(map(str, row[:-1])): float(row[-1]) for row in rows if row[-1] is not None}


def error_of(answered: Cells, exact: Cells) -> float:
    """Return the median over the true cells of |answer - truth| / truth; a cell that is missing is off by all of it."""
    return statistics.median(abs(answered.get(key, 0.0) - value) / abs(value) for key, value in exact.items() if value)


def ask_all(
    tools: Sequence[Tool], question: Question, exact: Cells, rounds: int, known: Mapping[str, str]
) -> dict[str, Measured]:
    """Return what each tool did with a question. `known` are the tools that are not asked, with the reason."""
    measured: dict[str, Measured] = defaultdict(Measured)
    for tool in tools:
        measured[tool.peer.name].instead = known.get(tool.peer.name)
    for number in range(rounds + 1):
        for tool in tools:
            found = measured[tool.peer.name]
            if found.instead is None and sum(found.seconds) < PATIENCE * tool.limit:
                if number == 1:
                    tool.forget_peaks()
                _ask(tool, question, exact, number, found)
    for tool in tools:
        measured[tool.peer.name].peak_mb = tool.peak_mb()
    return measured


def _ask(tool: Tool, question: Question, exact: Cells, number: int, found: Measured) -> None:
    # Each round offers a little more than the one before: the same question would be answered from what was stored.
    try:
        said = tool.ask(question, EPSILON + number / 10**6)
    except LateError:
        found.instead = f"over {tool.limit:.0f} s"
        return
    except EndedError as ended:
        found.instead = f"failed: {ended}"
        return
    if "rows" not in said:
        missing = said.get("not_offered")
        found.instead = f"not offered: {missing}" if missing else f"failed: {said['error']}"
    elif number or said["seconds"] > PATIENCE * tool.limit:
        found.seconds.append(said["seconds"])
        found.errors.append(error_of(cells(said["rows"]), exact))
