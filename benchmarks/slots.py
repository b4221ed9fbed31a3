"""How often an answer misses its slot: `python -m benchmarks.slots`.

The questions of `benchmarks/peers` go to a server with slots of 250 ms, one after the other. A table shows the slot of
each, which its estimate tells, beside the times after which answers came. The ledger knows how many scans missed their
first slot. The rates of the machine are measured anew before, as at the first start of a server.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.peers.data import prepare
from benchmarks.peers.questions import QUESTIONS
from benchmarks.queries import ask, server, timed
from budgets.ledger import overruns
from server.app import opened
from server.runtime.scans import rates
from server.runtime.settings import load_settings

SLOT_MS = 250


def main() -> None:
    """Print a line for each question, and how many scans missed their slot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data/phases"))
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    public = prepare(given.folder, given.events)
    home = given.folder / "home"
    (home / rates.FILE).unlink(missing_ok=True)
    before = missed(home)
    nano = random.randrange(10**6)  # other runs have asked the same questions of this home
    print(f"{public['events']:,} events, {given.rounds} rounds, milliseconds")
    print(f"{'':<36}{'slot':>8}{'least':>8}{'median':>8}{'most':>8}")
    with server(home, ROWLESS_SLOT_MS=str(SLOT_MS)) as (address, _):
        for question in QUESTIONS:
            bodies = []
            for place in range(given.rounds):
                epsilon = round(1 + (nano + place) / 10**9, 9)
                bodies.append({"query": question.of_rowless, "privacy": {"epsilon": epsilon}})
            slot = estimate(address, public["token"], bodies[0])["slot_ms"]
            times = [timed(lambda body=body: ask(address, public["token"], body)) for body in bodies]  # type: ignore[misc]
            row = (slot, min(times), statistics.median(times), max(times))
            print(f"{question.name:<36}" + "".join(f"{one:>8.0f}" for one in row), flush=True)
    print(f"{missed(home) - before} of {given.rounds * len(QUESTIONS)} scans missed their first slot")


def estimate(address: str, token: str, body: dict[str, Any]) -> Any:
    """Return an estimate."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/studies/bench/estimates", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)


def missed(home: Path) -> int:
    """Return how many scans of a home have missed their slot so far."""
    os.environ.update(ROWLESS_HOME=str(home))
    services = opened(load_settings())
    with services.database.read() as transaction:
        return sum(overruns.counts(transaction, "2000-01-01").values())


if __name__ == "__main__":
    main()
