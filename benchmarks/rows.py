"""From noisy numbers to the bytes of an answer with a million cells: `python -m benchmarks.rows`.

Counts of 2,500 practices by 400 codes take each step that follows the noise, by column as the server does, and from a
list of dictionaries: making the rows, looking for those that drown, the hash that the log keeps, the text that the
ledger keeps, and the reply. Seconds of a processor, the least of some rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from budgets.ledger import bodies
from queries.release import postprocessing
from queries.release.rows import Labels, Rows
from queries.statistics.parts.numbers import Numbers
from server import app

if TYPE_CHECKING:
    from collections.abc import Callable

PRACTICES, MARGIN = 2_500, 40
ROUNDS = 3


def main() -> None:
    """Print the seconds of each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=400)
    codes = parser.parse_args().codes
    noisy = np.random.default_rng(1).integers(-100, 1000, PRACTICES * codes)
    total = {"by column": 0.0, "dictionaries": 0.0}
    made: dict[str, Any] = {}
    print(f"{len(noisy):,} cells: seconds by column, and from dictionaries")
    for step, by_column, by_row in (
        ("rows", lambda _: rows(noisy, codes), lambda _: list(rows(noisy, codes))),
        ("drowned", drowned, drowned),
        ("hash", hashed, hashed),
        ("stored", stored, lambda found: json.dumps({"rows": found}, separators=(",", ":"))),
        ("reply", reply, lambda found: orjson.dumps({"rows": found})),
    ):
        both = {}
        for way, act in (("by column", by_column), ("dictionaries", by_row)):
            both[way], result = least(act, made.get(way))
            total[way] += both[way]
            if step == "rows":
                made[way] = result
            else:
                assert step == "stored" or result == act(made["dictionaries"])
        print(f"{step:<10} {both['by column']:>6.2f} {both['dictionaries']:>6.2f}")
    print(f"{'all':<10} {total['by column']:>6.2f} {total['dictionaries']:>6.2f}")


def rows(noisy: Any, codes: int) -> Rows:
    """Return rows as the server makes them."""
    units = noisy.tolist()
    numbers = Numbers(units, [n - MARGIN for n in units], [n + MARGIN for n in units])
    practices = [f"P{number:04}" for number in range(PRACTICES)]
    keys = {
        "practice": Labels(practices, codes, 1),
        "diagnosis": Labels([f"D{number:03}" for number in range(codes)], 1, PRACTICES),
    }
    return Rows({**keys, "n": numbers})


def drowned(found: Any) -> list[str]:
    """Return the notes on what drowns."""
    return postprocessing.warnings(["n"], found)


def hashed(found: Any) -> str:
    """Return the hash of a body."""
    return bodies.sha256({"rows": found})


def stored(found: Any) -> str:
    """Return the text that the ledger keeps."""
    return bodies.stored({"rows": found})


def reply(found: Any) -> bytes:
    """Return the JSON of a reply."""
    return app.written({"rows": found})


def least(act: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    """Return the least seconds of a processor that an act takes, and what it returns."""
    seconds = []
    for _ in range(ROUNDS):
        fresh = Rows(given.columns) if isinstance(given, Rows) else given
        began = time.process_time()
        result = act(fresh)
        seconds.append(time.process_time() - began)
    return min(seconds), result


if __name__ == "__main__":
    main()
