"""Whether the time of an answer tells if one extreme value is there: pairs of probes over HTTP. Run by `make audit`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from tests.serving import Server, ask, make_home, serving, write_clinic

if TYPE_CHECKING:
    from pathlib import Path

PAIRS = 1_000
PERSONS, EVENTS = 10_000, 100_000  # of a million a thousand pairs take hours
HIGHEST = 900  # the greatest cost that anybody has: a probe at it finds somebody, and the next one nobody
CHANGES = {
    "persons_max = 10000": "persons_max = 20000",
    "[tables.visits]\n": "[tables.visits]\nevents_expected = 100000\n",
}


def visits() -> list[str]:
    """Return 100,000 events, of which one alone has the highest cost."""
    chance = np.random.default_rng(12)
    cost, day = chance.integers(0, HIGHEST, EVENTS), chance.integers(1, 29, EVENTS)
    cost[EVENTS // 2] = HIGHEST
    return [f"{n % PERSONS},female,2020-03-{day[n]:02},{cost[n]}.00,{n % 90},true,C{n % 7}" for n in range(EVENTS)]


def probe(cost: float, turn: int) -> dict[str, Any]:
    """Return a question about who had an event at least so dear after another event; no other turn asks the same."""
    where = {"column": "cost", "op": ">=", "value": cost}
    cohort = {"persons": "visits", "where": where, "after": {"of": "visits"}}
    return ask(
        {f"n{turn}": {"count": "persons"}}, 0.001, "visits", where={"column": "person", "op": "in", "value": cohort}
    )


def latencies(server: Server, pairs: int) -> tuple[list[float], list[float], int]:
    """Return how long answers took for probes that find somebody and that find nobody, and the slot of them all."""
    client = server.client("ada")
    bodies = [probe(HIGHEST, 0), probe(HIGHEST + 0.01, 0)]
    told = {client.good("POST", "/studies/s/estimates", body)["slot_ms"] for body in bodies}
    (slot_ms,) = told
    found: tuple[list[float], list[float]] = ([], [])
    for turn in range(-5, pairs):
        order = (0, 1) if turn % 2 else (1, 0)
        for which in order:
            body = probe(HIGHEST + 0.01 * which, turn + 100)
            began = time.perf_counter()
            client.good("POST", "/studies/s/queries", body)
            if turn >= 0:
                found[which].append(time.perf_counter() - began)
    return *found, slot_ms


@pytest.mark.audit
def test_a_probe_and_its_neighbour_leave_at_the_same_beat(tmp_path: Path) -> None:
    """A thousand pairs at the least charge, with the default slot: the same beat for both of a pair, and one sample."""
    home = make_home(tmp_path / "home", write_clinic(tmp_path, visits(), **CHANGES))
    with serving(home, slot_ms="250") as server:
        server.open_study("s", "clinic")
        present, absent, slot_ms = latencies(server, PAIRS)
    beats = [[int(1000 * took / slot_ms) for took in one] for one in (present, absent)]
    assert sum(one != other for one, other in zip(*beats, strict=True)) <= PAIRS // 100
    assert stats.ks_2samp(present, absent).pvalue > 1e-6
