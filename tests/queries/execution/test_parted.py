"""However many parts an edition has, every number before the noise is the same, bit for bit."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from queries.catalog import manifest, parts
from queries.catalog.schema import PERSONS
from queries.contribution import profile
from queries.contribution.person_order import EVERYBODY
from queries.errors import EngineFailed, InvalidQuery
from queries.execution import duckdb as engines
from queries.execution import kernel
from queries.execution.spark.tasks import Partial, PartTwice, merged
from queries.language import nodes
from queries.planning import planner
from queries.store import ingest
from server.api.requests.query import AskSchema
from server.demo.demonstration import ASK
from server.demo.setup import MANIFEST
from tests.laws import tries
from tests.privacy.checks import random_events
from tests.privacy.test_sensitivity import plans
from tests.queries import registry, wards
from tests.queries.clinic import STATISTICS, planned
from tests.queries.execution.test_pathways import ASKED, COHORTS, VALUES, A, B, people
from tests.queries.parted import SOME, copied, divide, divided, opened
from tests.queries.sources import clinic_store, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from queries.execution.engine import LocalEngine
    from queries.plan import Plan

FEW = 13  # fewer than the most parts, so that some parts have nobody


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LocalEngine]]:
    """Return the registry of pathways as one store, and in 1, 3 and 16 parts."""
    folder = tmp_path_factory.mktemp("registry")
    store = registry.write(folder / "store.duckdb", people(3, persons=FEW))
    found = divided(store, folder)
    yield found
    close(found)


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LocalEngine]]:
    """Return the clinic in the same numbers of parts."""
    folder = tmp_path_factory.mktemp("clinic")
    events = random_events(np.random.default_rng(6), persons=FEW, most_events=60)
    found = divided(clinic_store(folder, events), folder)
    yield found
    close(found)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[LocalEngine]]:
    """Return the hospital, most of whose categories are undeclared, in the same numbers of parts."""
    folder = tmp_path_factory.mktemp("hospital")
    random = np.random.default_rng(8)
    events = [
        wards.event(
            person,
            sex=1 + person % 2,
            origin=person % 5,
            **{name: int(random.integers(low, 5)) for name, low in (("diagnosis", 0), ("doctor", 1), ("visits", 1))},
            ward=int(random.integers(0, 4)),
            unit=int(random.integers(0, 3)),
        )
        for person in range(FEW)
        for _ in range(int(random.integers(1, 12)))
    ]
    found = divided(wards.hospital_store(folder, events), folder)
    yield found
    close(found)


def close(found: Sequence[LocalEngine]) -> None:
    """Close engines."""
    for engine in found:
        engine.close()


def alike(found: Sequence[LocalEngine], ask: Callable[[LocalEngine], Sequence[Any]]) -> list[Any]:
    """Return what an engine answers, after asserting that all answer it."""
    first, *others = ([vector.tolist() for vector in ask(engine)] for engine in found)
    assert all(other == first for other in others)
    return first


# Random plans

CODES = ("a", "b", "c")
FILTERS = st.one_of(
    st.sampled_from([A, B, nodes.Not(A), nodes.Comparison("cost", ">", 3), nodes.Comparison("urgent", "is_null")]),
    st.sampled_from([nodes.Comparison("sex", "=", "male"), *COHORTS.values(), *map(nodes.Not, COHORTS.values())]),
)
WHERE = st.one_of(
    st.none(), FILTERS, st.lists(FILTERS, min_size=2, max_size=3).map(lambda some: nodes.All(tuple(some)))
)
BOUNDS = st.builds(nodes.Bounds, st.integers(1, 6), st.integers(1, 5))
OF_EVENTS = st.sampled_from(
    [
        nodes.Count("persons"),
        nodes.Count("persons", where=A),
        nodes.Count("events"),
        nodes.Count("events", where=COHORTS["after"]),
        nodes.Sum("cost"),
        nodes.Sum("cost", (-3, 20), where=COHORTS["without"]),
        nodes.Mean("cost", (0, 9)),
        nodes.Proportion(B),
        nodes.Proportion(COHORTS["new"], "persons"),
        nodes.Variance("cost"),
        nodes.Stddev("cost", (0, 4)),
        nodes.Covariance(("cost", "born")),
        nodes.Correlation(("cost", "born")),
        nodes.Quantile("cost", (0.5,)),
        nodes.Quantile("cost", (0.1, 0.9), listed=True),
        nodes.Iqr("cost"),
        nodes.Histogram("code"),
        nodes.Top("code", 2),
    ]
)
EVENT_KEYS = st.sampled_from(
    [
        nodes.ByValue("sex"),
        nodes.ByValue("code"),
        nodes.ByValue("born"),
        nodes.ByBins("cost", (-4, 0, 2.5, 30)),
        nodes.ByPeriod("day", "month"),
        nodes.ByPart("day", "weekday"),
    ]
)
OF_PERSONS = st.sampled_from(
    [
        nodes.Count("persons"),
        nodes.Mean("v0"),
        nodes.Sum("v0"),
        nodes.Quantile("v0", (0.5,)),
        nodes.Histogram("v0"),
        nodes.Survival("v0", (0, 5, 10, 30, 60)),
        nodes.Proportion(nodes.Comparison("sex", "=", "male")),
    ]
)


def named(statistics: Sequence[nodes.Statistic]) -> tuple[tuple[str, nodes.Statistic], ...]:
    """Return statistics with names."""
    return tuple((f"s{place}", one) for place, one in enumerate(statistics))


EVENT_QUERIES = st.builds(
    lambda select, where, keys, bounds: nodes.Query("visits", named(select), where, tuple(keys), bounds),
    st.lists(OF_EVENTS, min_size=1, max_size=3),
    WHERE,
    st.lists(EVENT_KEYS, max_size=2, unique_by=lambda key: key.column),
    BOUNDS,
)
PERSON_QUERIES = st.builds(
    lambda name, where, select, keys, outer: nodes.Query(
        nodes.PerPerson("visits", (("v0", VALUES[name]),), where), named(select), outer, tuple(keys)
    ),
    st.sampled_from(list(VALUES)),
    st.sampled_from([None, A, nodes.Comparison("cost", ">", 0)]),
    st.lists(OF_PERSONS, min_size=1, max_size=2),
    st.lists(st.sampled_from([nodes.ByValue("sex"), nodes.ByValue("v0")]), max_size=1),
    st.sampled_from([None, COHORTS["within"], nodes.Not(COHORTS["new"])]),
)


@settings(
    max_examples=tries(30, audited=600), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.one_of(EVENT_QUERIES, PERSON_QUERIES))
def test_a_random_query_has_the_same_cells_in_any_number_of_parts(
    registries: list[LocalEngine], query: nodes.Query
) -> None:
    """Filters, cohorts, values per person, survival, every statistic and random contribution bounds."""
    try:
        plan = registry.planned(query)
    except InvalidQuery:
        assume(False)
    alike(registries, lambda engine: engine.cells(plan))


def test_pathways_have_the_same_cells_in_any_number_of_parts(registries: list[LocalEngine]) -> None:
    """Each query of the tests of pathways; most have cells that are not zero."""
    queries = [*ASKED, *(nodes.Query(PERSONS, (("n", nodes.Count("persons")),), one) for one in COHORTS.values())]
    plans = [registry.planned(query) for query in queries]
    found = [alike(registries, lambda engine, plan=plan: engine.cells(plan)) for plan in plans]  # type: ignore[misc]
    assert sum(any(map(any, cells)) for cells in found) > len(found) / 2


@pytest.mark.parametrize("statistic", STATISTICS)
def test_each_statistic_has_the_same_cells_in_any_number_of_parts(clinics: list[LocalEngine], statistic: str) -> None:
    """In all its forms, by every kind of key, with bounds that cut events off."""
    for plan in plans(statistic, np.random.default_rng(11))[:: tries(5, audited=1)]:
        alike(clinics, lambda engine, plan=plan: engine.cells(plan))  # type: ignore[misc]


@pytest.mark.parametrize("column", wards.UNDECLARED)
def test_undeclared_keys_have_the_same_scores_and_texts_in_any_number_of_parts(
    hospitals: list[LocalEngine], column: str
) -> None:
    """Which codes somebody has, how many persons each has within the bounds, the texts, and the cells of named values."""
    for keys in ((column,), (column, "ward"), ("unit", column)):
        plan = wards.planned(*keys, cells=2, events=2, n=nodes.Count("persons"), s=nodes.Sum("visits"))
        codes, counts = alike(hospitals, lambda engine, plan=plan: engine.scores(plan))  # type: ignore[misc]
        assert len(codes) >= 4
        assert sum(counts) > len(counts)
        table = wards.HOSPITAL.tables["stays"]
        texts = [engine.texts(table, table.columns[column], codes) for engine in hospitals]
        assert all(one == texts[0] for one in texts)
        assert len(texts[0]) == len(codes)
        shown = wards.given(plan, *codes[:3])
        alike(hospitals, lambda engine, shown=shown: engine.cells(shown))  # type: ignore[misc]


def test_a_filter_by_text_has_the_same_cells_in_any_number_of_parts(clinics: list[LocalEngine]) -> None:
    """Texts that somebody has, and texts that nobody has."""
    for texts in (("text 1", "text 7"), ("nobody's",), ("text 3", "nobody's", "'; --")):
        for where in (
            nodes.Comparison("diagnosis", "in", texts),
            nodes.Not(nodes.Comparison("diagnosis", "in", texts)),
        ):
            plan = planned(nodes.ByValue("unit"), where=where, n=nodes.Count("events"), cells=3, events=4)
            alike(clinics, lambda engine, plan=plan: engine.cells(plan))  # type: ignore[misc]


def test_profiles_have_the_same_histograms_in_any_number_of_parts(
    registries: list[LocalEngine], hospitals: list[LocalEngine]
) -> None:
    """Each person is in one bin of each histogram once, also persons without events and parts without persons."""
    for found, dataset in ((registries, registry.REGISTRY), (hospitals, wards.HOSPITAL)):
        asked = profile.plan(dataset, 10**9)
        counted = alike(found, lambda engine, asked=asked: engine.histograms(asked))  # type: ignore[misc]
        assert {sum(histogram) for histogram in counted} == {FEW}


def test_the_demonstration_has_the_same_cells_in_any_number_of_parts(tmp_path: Path) -> None:
    """Its data, its query and its profile, with the order that its import drew."""
    read = manifest.read_manifest(MANIFEST)
    made = tmp_path / "edition"
    made.mkdir()
    ingest.build(read, made, memory_limit="500MB", threads=2, progress=silent)
    asked: Any = AskSchema().load(ASK)
    plans = [planner.plan(asked["query"], read.dataset, asked["privacy"], 10_000)]
    for table, declared in read.dataset.tables.items():
        numeric = [name for name, column in declared.columns.items() if column.numeric]
        plans += [
            planner.plan(
                nodes.Query(table, (("n", nodes.Count("events")), ("s", nodes.Sum(name))), bounds=nodes.Bounds(1, 2)),
                read.dataset,
                nodes.Privacy(10**9),
                10_000,
            )
            for name in numeric
        ]
    found = []
    for into in (None, *SOME):
        place = tmp_path / f"into-{into}"
        shutil.copytree(made, place)
        if into is not None:
            divide(place, into)
        found.append(opened(place))
    for plan in plans:
        assert np.any(np.concatenate(alike(found, lambda engine, plan=plan: engine.cells(plan))))  # type: ignore[misc]
    alike(found, lambda engine: engine.histograms(profile.plan(read.dataset, 10**9)))
    close(found)


# Planted faults


def heavy(tmp_path: Path) -> Path:
    """Return a store of three persons whose events do not begin with batches."""
    visits = [tuple((1 + n % 60, 1 + n % 3, 1 + n % 90, 1) for n in range(count)) for count in (700, 1500, 900)]
    return registry.write(tmp_path / "heavy.duckdb", [registry.Person((1, 1), own, ()) for own in visits])


def test_bounding_each_batch_instead_of_each_person_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches cut a person's events elsewhere in other parts, so bounds that begin anew with each batch show."""
    found = divided(heavy(tmp_path), tmp_path, (3,))
    plan = registry.planned(
        nodes.Query("visits", (("n", nodes.Count("events")),), None, (nodes.ByValue("code"),), nodes.Bounds(2, 5))
    )
    monkeypatch.setattr(engines, "BATCH_ROWS", 1000)
    assert sum(alike(found, lambda engine: engine.cells(plan))[0]) == 3 * 2 * 5

    def by_batch(plan: Plan, stream: kernel.Stream, persons: range = EVERYBODY, _: str | None = None) -> Any:
        return [sum(vectors) for vectors in zip(*(whole(plan, [one], persons) for one in stream), strict=True)]

    whole = kernel.bound
    monkeypatch.setattr(kernel, "bound", by_batch)
    with pytest.raises(AssertionError):
        alike(found, lambda engine: engine.cells(plan))
    close(found)


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    """Return an edition of three parts."""
    place = copied(registry.write(tmp_path / "s.duckdb", people(1, persons=12)), tmp_path / "edition")
    divide(place, 3)
    return place


def test_a_part_in_the_place_of_another_is_refused(edition: Path) -> None:
    """A part that comes twice is told by its number, whatever its file is called."""
    files = [edition / part.file for part in parts.kept(edition).parts]
    shutil.copy(files[0], files[1])
    with pytest.raises(EngineFailed):
        opened(edition).open()


def test_a_part_is_added_once() -> None:
    """Partial answers of a cluster are merged unless a part is in both."""
    one, other, again = (Partial(frozenset(of), [np.ones(1, dtype=np.int64)]) for of in ({0, 1}, {2}, {1, 3}))
    whole = merged(one, other)
    assert whole.vectors is not None
    assert (whole.numbers, whole.vectors[0].tolist()) == ({0, 1, 2}, [2])
    with pytest.raises(PartTwice, match=r"\[1\]"):
        merged(whole, again)


def test_a_part_of_another_list_is_refused(edition: Path, tmp_path: Path) -> None:
    """Also one of the same edition, divided again into as many parts: its persons may be others."""
    old = parts.kept(edition)
    kept = tmp_path / "kept.duckdb"
    shutil.copy(edition / old.parts[1].file, kept)
    opened(edition).open()
    new = divide(edition, 3)
    shutil.copy(kept, edition / new.parts[1].file)
    with pytest.raises(EngineFailed):
        opened(edition).open()


def test_a_missing_part_is_refused(edition: Path) -> None:
    """Neither a file that is gone nor a list that leaves out a part or names one twice is ever asked."""
    listed = parts.kept(edition)
    (edition / listed.parts[2].file).unlink()
    assert parts.missing(edition, listed) == [listed.parts[2].file]
    with pytest.raises(EngineFailed):
        opened(edition).open()
    for wrong in (listed.parts[1:], (listed.parts[0], *listed.parts), (*listed.parts[:2], listed.parts[0])):
        parts.keep(edition, parts.Parts(listed.name, wrong))
        with pytest.raises(parts.BadParts):
            parts.kept(edition)
