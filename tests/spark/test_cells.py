"""On a cluster every number before the noise is the one that one machine finds, bit for bit, in 1, 3 and 16 parts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from queries.catalog import manifest
from queries.contribution import profile
from queries.errors import InvalidQuery
from queries.execution.spark import engine as engines
from queries.language import nodes
from queries.planning import planner
from queries.store import ingest
from queries.store.cluster.spark import SparkCluster
from server.api.requests.query import AskSchema
from server.demo.demonstration import ASK
from server.demo.setup import MANIFEST
from tests.laws import tries
from tests.privacy.checks import random_events
from tests.privacy.test_sensitivity import plans
from tests.queries import registry, wards
from tests.queries.clinic import STATISTICS, planned
from tests.queries.execution.test_parted import EVENT_QUERIES, FEW, PERSON_QUERIES, alike
from tests.queries.execution.test_pathways import ASKED, people
from tests.queries.parted import SOME, copied, divide, opened
from tests.queries.sources import clinic_store, silent
from tests.queries.store.imports import CASES, on_cluster, on_one_machine
from tests.spark.editions import on_spark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from queries.execution.engine import Engine
    from queries.execution.spark.session import Session


def both(session: Session, store: Path, folder: Path) -> list[Engine]:
    """Return an engine of this machine over a store, and of the cluster over it in several numbers of parts."""
    found: list[Engine] = [opened(copied(store, folder / "whole"))]
    for into in SOME:
        place = copied(store, folder / str(into))
        divide(place, into)
        found.append(on_spark(session, place))
    return found


def closed(found: list[Engine]) -> Iterator[list[Engine]]:
    """Yield engines, and close them."""
    yield found
    for engine in found:
        engine.close()


@pytest.fixture(scope="module")
def registries(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    """Return engines over the registry of pathways."""
    folder = tmp_path_factory.mktemp("registry")
    yield from closed(both(session, registry.write(folder / "store.duckdb", people(3, persons=FEW)), folder))


@pytest.fixture(scope="module")
def clinics(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    """Return engines over the clinic."""
    folder = tmp_path_factory.mktemp("clinic")
    events = random_events(np.random.default_rng(6), persons=FEW, most_events=60)
    yield from closed(both(session, clinic_store(folder, events), folder))


@pytest.fixture(scope="module")
def hospitals(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Engine]]:
    """Return engines over the hospital, most of whose categories are undeclared."""
    folder = tmp_path_factory.mktemp("hospital")
    events = [
        wards.event(person, sex=1 + person % 2, diagnosis=1 + (person + visit) % 5, doctor=1 + visit % 4, visits=2)
        for person in range(FEW)
        for visit in range(1 + person % 7)
    ]
    yield from closed(both(session, wards.hospital_store(folder, events), folder))


@settings(
    max_examples=tries(6, audited=100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(EVENT_QUERIES, PERSON_QUERIES))
def test_a_random_query_has_the_same_cells_on_a_cluster(registries: list[Any], query: nodes.Query) -> None:
    """Filters, cohorts, values per person, survival, every statistic and random contribution bounds."""
    try:
        plan = registry.planned(query)
    except InvalidQuery:
        assume(False)
    alike(registries, lambda engine: engine.cells(plan))


def test_pathways_have_the_same_cells_on_a_cluster(registries: list[Any]) -> None:
    """Some of the queries of the tests of pathways, each with another feature."""
    for query in ASKED[:: tries(5, audited=1)]:
        plan = registry.planned(query)
        alike(registries, lambda engine, plan=plan: engine.cells(plan))  # type: ignore[misc]


def test_each_statistic_has_the_same_cells_on_a_cluster(clinics: list[Any]) -> None:
    """Every statistic, with bounds that cut events off, by a tree as well as at the server."""
    for place, statistic in enumerate(STATISTICS):
        (plan, *_) = plans(statistic, np.random.default_rng(11))[place % 3 :]
        alike([clinics[0], clinics[1 + place % 3]], lambda engine, plan=plan: engine.cells(plan))  # type: ignore[misc]


def test_large_tables_are_added_by_a_tree(clinics: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The executors merge them; what arrives is the same."""
    monkeypatch.setattr(engines, "AT_THE_SERVER", 0)
    plan = plans("mean", np.random.default_rng(11))[0]
    alike(clinics, lambda engine: engine.cells(plan))


def test_undeclared_keys_have_the_same_scores_and_texts_on_a_cluster(hospitals: list[Any]) -> None:
    """Which codes somebody has, how many persons each has within the bounds, the texts, and cells of named values."""
    plan = wards.planned("diagnosis", cells=2, events=2, n=nodes.Count("persons"), s=nodes.Sum("visits"))
    codes, counts = alike(hospitals, lambda engine: engine.scores(plan))
    assert len(codes) == 5
    assert sum(counts) > len(counts)
    table = wards.HOSPITAL.tables["stays"]
    texts = [engine.texts(table, table.columns["diagnosis"], codes) for engine in hospitals]
    assert all(one == texts[0] for one in texts)
    assert len(texts[0]) == 5
    shown = wards.given(plan, *codes[:3])
    alike(hospitals, lambda engine: engine.cells(shown))


def test_profiles_have_the_same_histograms_on_a_cluster(hospitals: list[Any]) -> None:
    """Each person is in one bin of each histogram once, also where parts have nobody."""
    asked = profile.plan(wards.HOSPITAL, 10**9)
    counted = alike(hospitals, lambda engine: engine.histograms(asked))
    assert {sum(histogram) for histogram in counted} == {FEW}


def test_columns_that_an_import_computes_have_the_same_cells_on_a_cluster(session: Session, tmp_path: Path) -> None:
    """Levels of a vocabulary, ages from hidden dates, products and attributes from events, of files in partitions.

    Imported by Spark and asked on Spark, with bounds that cut nothing off.
    """
    case = CASES["computed columns, hidden ones, a vocabulary with levels, partitions"]
    one = on_one_machine(case, tmp_path)
    many = on_cluster(case, tmp_path, SparkCluster(session.context()), 3)
    local, cluster = opened(one.folder), on_spark(session, many.folder)
    keys = (("chapter",), ("first", "family"), (), ("seen",))
    for names in keys:
        by = tuple(nodes.ByPeriod(name, "year") if name == "seen" else nodes.ByValue(name) for name in names)
        statistics: dict[str, nodes.Statistic] = {
            "people": nodes.Count("persons"),
            "cost": nodes.Sum("cost"),
            "age": nodes.Mean("age"),
            "nights": nodes.Histogram("nights"),
            "circulation": nodes.Proportion(nodes.Comparison("chapter", "=", "I")),
        }
        plan = planned(*by, dataset=one.dataset, table="visits", cells=100, events=100, **statistics)
        assert np.any(np.concatenate(alike([local, cluster], lambda engine, plan=plan: engine.cells(plan))))  # type: ignore[list-item, misc]
    local.close()
    cluster.close()


def test_the_demonstration_has_the_same_cells_on_a_cluster(session: Session, tmp_path: Path) -> None:
    """Its data and its query, in three parts."""
    read = manifest.read_manifest(MANIFEST)
    whole, divided = tmp_path / "whole", tmp_path / "divided"
    whole.mkdir()
    ingest.build(read, whole, memory_limit="500MB", threads=2, progress=silent)
    shutil.copytree(whole, divided)
    divide(divided, 3)
    asked: Any = AskSchema().load(ASK)
    plan = planner.plan(asked["query"], read.dataset, asked["privacy"], 10_000)
    local, cluster = opened(whole), on_spark(session, divided)
    assert np.any(np.concatenate(alike([local, cluster], lambda engine: engine.cells(plan))))  # type: ignore[list-item]
    local.close()
    cluster.close()
