"""Rowless beside plain DuckDB and other tools for differential privacy: `python -m benchmarks.peers`.

Each tool runs in a virtual environment and a process of its own on the same Parquet file, and is asked the same
questions with the same contribution bounds, in turns. It writes docs/performance.md and its pictures.

    python -m benchmarks.peers                            1, 10 and 100 million events; takes about an hour
    python -m benchmarks.peers --millions 1 --rounds 3
    python -m benchmarks.peers --only "Rowless, engine" "plain DuckDB" --page elsewhere.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import page, tables
from benchmarks.peers.data import prepare
from benchmarks.peers.environments import Peer, install
from benchmarks.peers.measuring import ask_all, truth
from benchmarks.peers.questions import QUESTIONS
from benchmarks.peers.running import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.peers.environments import Installed

FOLDER = Path("benchmarks/data/peers")
PYTHONS = ("3.12", "3.11", "3.10")
PEERS = (
    Peer(page.OURS, "rowless_engine", shown=("rowless", "duckdb", "opendp", "numba"), largest=100),
    Peer(page.HTTP, "rowless_http", shown=("rowless",), largest=100),
    Peer(page.PLAIN, "plain_duckdb", shown=("duckdb",), largest=100),
    Peer("OpenDP on Polars", "opendp_polars", ("opendp[polars]",), ("opendp", "polars"), PYTHONS, heavy=True),
    # DuckDB 2 refuses the ORDER BY RANDOM() of its windows.
    Peer("SmartNoise SQL", "smartnoise", ("smartnoise-sql", "duckdb<2"), ("smartnoise-sql", "duckdb"), PYTHONS),
    Peer("Tumult Analytics", "tumult", ("tmlt-analytics",), ("tmlt-analytics", "pyspark"), PYTHONS, heavy=True),
    Peer("PipelineDP", "pipelinedp", ("pipeline-dp", "pyarrow"), ("pipeline-dp",), PYTHONS, heavy=True),
    # It imports pkg_resources, and by way of diffprivlib a name that scikit-learn has dropped.
    Peer(
        "Lomas",
        "lomas",
        ("lomas-server", "duckdb", "setuptools<81", "scikit-learn<1.7"),
        ("lomas-server", "smartnoise-sql"),
        PYTHONS,
        heavy=True,
    ),
)


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--millions", type=int, nargs="+", default=[1, 10, 100], help="of events")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for a tool and a question")
    parser.add_argument("--only", nargs="+", help="the names of some tools")
    parser.add_argument("--page", type=Path, help="write no page but the numbers, as JSON, to this file")
    parser.add_argument("--again", type=Path, help="measure nothing, and write the page from such a file")
    asked = parser.parse_args()
    if asked.again:
        page.write(json.loads(asked.again.read_text(encoding="utf-8")))
        return
    peers = [peer for peer in PEERS if asked.only is None or peer.name in asked.only]
    environments = {peer.name: install(peer) for peer in peers}
    results: dict[str, Any] = {
        "machine": page.machine(f"python -m benchmarks.peers {' '.join(sys.argv[1:])}".strip()),
        "tools": [peer.name for peer in PEERS],
        "versions": {name: {"version": one.version, "error": one.error} for name, one in environments.items()},
        "sizes": [],
    }
    over: set[tuple[str, str]] = set()
    for millions in sorted(asked.millions):
        here = [peer for peer in peers if peer.largest >= millions]
        folder = asked.folder / str(millions)
        before = results["sizes"]
        # Kept after each question: a run that is stopped leaves what it has measured.
        for size in measure(folder, millions, here, environments, (asked.rounds, asked.limit), over):
            results["sizes"] = [*before, size]
            kept = asked.page or asked.folder / "results.json"
            kept.write_text(json.dumps(results, indent=1), encoding="utf-8")
    if asked.page is None:
        page.write(results)


def measure(
    folder: Path,
    millions: int,
    peers: Sequence[Peer],
    environments: Mapping[str, Installed],
    asked: tuple[int, float],
    over: set[tuple[str, str]],
) -> Iterator[dict[str, Any]]:
    """Ask everything about one file, and yield what is known after each question.

    `over` grows by the tools and questions that took too long: they take too long for more events too.
    """
    rounds, limit = asked
    public = prepare(folder.absolute(), millions * 1_000_000)
    print(f"\n{public['events']:,} events", flush=True)
    exact = truth(folder, QUESTIONS)
    size: dict[str, Any] = {
        "events": public["events"],
        "rounds": rounds,
        "limit": limit,
        "import_seconds": public["import_seconds"],
        "peers": any(peer.requirements for peer in peers),
        "loading": {},
        "questions": [{"name": question.name, "tools": {}} for question in QUESTIONS],
    }
    for together in passes(peers, millions):
        tools = [Tool(peer, environments[peer.name], folder.absolute(), limit) for peer in together]
        try:
            for number, question in enumerate(QUESTIONS):
                known = {peer.name: "not installed" for peer in together if environments[peer.name].python is None}
                known |= {name: f"over {limit:.0f} s" for name, of in over if of == question.name}
                measured = ask_all(tools, question, exact[number], rounds, known)
                over |= {(name, question.name) for name, found in measured.items() if found.is_over}
                told = {name: found.to_json() for name, found in measured.items()}
                size["questions"][number]["tools"] |= told
                size["loading"] |= {tool.peer.name: tool.loading for tool in tools if tool.loading == tool.loading}
                for name, one in told.items():
                    print(f"  {question.name:<36} {name:<18} {_line(one)}", flush=True)
                yield size
        finally:
            for tool in tools:
                tool.end()


def passes(peers: Sequence[Peer], millions: int) -> list[list[Peer]]:
    """Return which tools run at the same time: all of a million events; of more the heavy ones alone."""
    if millions <= 1:
        return [list(peers)]
    alone = [[peer] for peer in peers if peer.heavy]
    return [[peer for peer in peers if not peer.heavy], *alone]


def _line(told: Mapping[str, Any]) -> str:
    if "instead" in told:
        return tables.one_line(str(told["instead"]))
    return f"{told['seconds']:9.3f} s  off by {told['error']:.2%}  {told['peak_mb']:,} MB  {told['rounds']} rounds"


if __name__ == "__main__":
    main()
