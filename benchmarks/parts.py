"""What many parts cost on one machine, beside one part: `python -m benchmarks.parts`.

It asks the questions of `benchmarks.queries` of a running server, divides the edition into more parts, asks again and
puts the edition together again. The server stays up all the while. Ratios of one run are what counts.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from pathlib import Path

from benchmarks.queries import EPSILON, QUESTIONS, ROUNDS, ask, peak_mb, prepare, rowless, server, timed

DATASET = "observatory"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data"))
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 16])
    given = parser.parse_args()
    home, token, events = prepare(given.folder, given.persons)
    nano = itertools.count(random.randrange(10**8))
    found: dict[int, dict[str, float]] = {}
    with server(home) as (address, process):
        for into in (*given.parts, 1):
            began = time.monotonic()
            size = sum(one["bytes"] for one in rowless(home, "dataset", "parts", DATASET, "--into", str(into))["parts"])
            print(f"into {into} parts: {time.monotonic() - began:.1f} s, {size / 1e6:.0f} MB")
            if into in found:
                continue
            found[into] = {}
            for name, (query, _) in QUESTIONS.items():
                took = []
                for _ in range(ROUNDS + 1):
                    privacy = {"epsilon": round(EPSILON + next(nano) / 10**9, 9)}
                    body = {"query": {"from": "consultations", **query}, "privacy": privacy}
                    took.append(timed(lambda body=body: ask(address, token, body)))  # type: ignore[misc]
                found[into][name] = statistics.median(took[1:])
            print(f"  peak memory of the server until here: {peak_mb(process)} MB")
    print(f"{given.persons:,} persons, {events:,} consultations, median of {ROUNDS} rounds, milliseconds")
    print(f"{'question':<24}" + "".join(f"{f'{into} parts':>12}" for into in found) + f"{'ratio':>8}")
    first, *_, last = found
    for name in QUESTIONS:
        times = "".join(f"{one[name]:>12.0f}" for one in found.values())
        print(f"{name:<24}{times}{found[last][name] / found[first][name]:>7.2f}x")


if __name__ == "__main__":
    main()
