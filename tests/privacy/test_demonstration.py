"""The demonstration's numbers against the truth, in as many fresh draws of profile and noise as it may be run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from queries import plan
from queries.catalog import manifest, parts
from queries.contribution import profile, tallying
from queries.execution import kernel
from queries.execution.duckdb import Store
from queries.language.nodes import Bounds, Privacy
from queries.planning import planner
from queries.release import assembly
from queries.statistics import estimates
from queries.store import ingest
from server.api.requests.query import AskSchema
from server.demo.demonstration import ASK
from server.demo.observatory import write_observatory
from server.demo.setup import MANIFEST, OBSERVATORY
from tests.privacy.noise import fewest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queries.catalog.schema import Dataset
    from queries.language.nodes import Query

NANO = 10**9
RUNS = 20
WIDE = Bounds(10**6, 10**4)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Dataset, Store]]]:
    """Return both datasets of the demonstration, imported once."""
    folder = tmp_path_factory.mktemp("demonstration")
    manifests = (MANIFEST, write_observatory(folder / "data", OBSERVATORY).manifest)
    found = {}
    for file in manifests:
        read = manifest.read_manifest(file)
        place: Path = folder / read.dataset.name
        place.mkdir()
        ingest.build(read, place, memory_limit="500MB", threads=2, progress=lambda *_: None)
        engine = Store(place / parts.WHOLE, memory_limit="500MB", threads=2, query_seconds=60)
        found[read.dataset.name] = (read.dataset, engine)
    yield found
    for _, engine in found.values():
        engine.close()


def rows(made: plan.Plan, exact: list[Any]) -> list[dict[str, Any]]:
    """Return the rows of an answer with fresh noise."""
    return assembly.rows(made, assembly.add_noise(made, exact))


def cells(made: plan.Plan, engine: Store) -> list[Any]:
    """Return a plan's exact cells."""
    return kernel.bound_in_parts(made, engine.ranges(), engine.stream)


def test_printed_margins_of_demonstration_hold_truth(opened: dict[str, tuple[Dataset, Store]]) -> None:
    """Of the numbers that twenty demonstrations print the true ones lie between low and high at the stated rate."""
    dataset, engine = opened["rand-hie"]
    asked = AskSchema().load(ASK)
    made = planner.plan(asked["query"], dataset, asked["privacy"], 10_000)
    exact = cells(made, engine)
    whole = planner.plan(replace(asked["query"], bounds=WIDE), dataset, Privacy(NANO), 10_000)
    patients, sides = cells(whole, engine)
    truth = [(n, yes / (yes + no)) for n, yes, no in zip(patients, sides[::2], sides[1::2], strict=True)]
    held = total = 0
    for _ in range(RUNS):
        for (n, share), row in zip(truth, rows(made, exact), strict=True):
            for value, name in ((n, "patients"), (share, "saw_a_doctor")):
                held += row[name]["low"] <= value <= row[name]["high"]
                total += 1
    assert total == RUNS * 10
    assert held >= fewest(total) * total, held


@pytest.mark.parametrize("text", ["consultations", "prescriptions"])
def test_a_count_of_all_events_has_the_truth(opened: dict[str, tuple[Dataset, Store]], text: str) -> None:
    """With a fresh profile each time and no bounds named, the true number lies within the margin and the expected loss."""
    dataset, engine = opened["observatory"]
    body = {"query": {"from": text, "select": {"n": {"count": "events"}}}, "privacy": {"epsilon": 0.5}}
    asked: Query = AskSchema().load(body)["query"]
    planned = profile.plan(dataset, NANO // 10)
    numbers = tallying.tally(planned, engine)
    wide = replace(asked, bounds=WIDE)
    ((truth,),) = cells(planner.plan(wide, dataset, Privacy(NANO), 10), engine)
    held, away = 0, []
    for _ in range(RUNS):
        known = profile.with_profile(dataset, profile.read(profile.release(planned, numbers)))
        made = planner.plan(asked, known, Privacy(NANO // 2), 10)
        (column,), (row,) = assembly.columns(made), rows(made, cells(made, engine))
        assert column["truncation"] == "profile"
        lost = column["expected_loss"]
        assert isinstance(lost, float)
        held += row["n"]["low"] <= truth <= row["n"]["high"] + 2 * lost * truth
        away.append(abs(row["n"]["value"] - truth) / truth)
    # Half of the profiles cut off 0.2% or less, one of 50 cuts off 1%, and of 12,000 none cut off more than 8%.
    assert max(away) < 0.25, "never again 119,469 where 202,770 is true"
    assert np.median(away) < 0.03
    assert held >= fewest(RUNS) * RUNS, held
    assert estimates.fixed_margin(made.outputs[0], 0.95) > 0
