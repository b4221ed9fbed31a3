"""An import on a cluster gives the edition and the report of one machine. Here the cluster is this process."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from queries.catalog import manifest, parts
from queries.errors import ImportFailed
from queries.execution.duckdb import Store
from queries.execution.engine import LocalEngine
from queries.language import nodes
from queries.store import ingest
from queries.store.cluster import driver, tasks
from queries.store.cluster.driver import parts_for
from queries.store.cluster.tasks import Job
from tests.queries.clinic import COLUMNS, Event, planned
from tests.queries.sources import HEAD, clinic_manifest, clinic_source
from tests.queries.store.imports import (
    CASES,
    PARTS,
    REFUSED,
    Case,
    Edition,
    dictionaries,
    on_cluster,
    on_one_machine,
    persons,
    refusal,
)
from tests.queries.store.serial import SerialCluster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILES = CASES["folders of files, a source of persons"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("number", [1, PARTS])
def test_cluster_import_equals_the_one_of_one_machine(tmp_path: Path, case: str, number: int) -> None:
    """The report to the last count and place, and each person with all their rows."""
    one = on_one_machine(CASES[case], tmp_path)
    many = on_cluster(CASES[case], tmp_path, SerialCluster(), number)
    assert many.report == one.report
    assert persons(many) == persons(one)
    assert len(parts.kept(many.folder)) == number


@pytest.mark.parametrize("case", REFUSED)
def test_cluster_import_is_refused_in_the_same_words(tmp_path: Path, case: str) -> None:
    """Also where several files or parts have something to refuse: one refusal is reported, of all that was found."""
    expected = refusal(lambda: on_one_machine(REFUSED[case], tmp_path))
    assert refusal(lambda: on_cluster(REFUSED[case], tmp_path, SerialCluster())) == expected
    assert not (tmp_path / "edition-1" / parts.FILE).exists()


def test_codes_of_undeclared_texts_mean_the_same_in_all_parts(tmp_path: Path) -> None:
    """With the codes that nobody has, in another order for each import."""
    one, other = (dictionaries(on_cluster(FILES, tmp_path, SerialCluster())) for _ in range(2))
    assert len(one) == PARTS
    assert set(one[0]) == {"persons.city", "visits.code", "stays.code2"}
    assert all(part == one[0] for part in one)
    assert one[0] != other[0]


def test_tasks_that_run_twice_give_one_edition(tmp_path: Path) -> None:
    """Spark runs the tasks of a lost executor again: the files of the first time are not in the edition."""
    many = on_cluster(FILES, tmp_path, SerialCluster(times=2))
    assert many.report == on_one_machine(FILES, tmp_path).report
    listed = {part.file for part in parts.kept(many.folder).parts}
    assert {file.name for file in many.folder.iterdir()} == {*listed, parts.FILE, ingest.MANIFEST}


# A person is in one part


def _scattered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the fault: the ids that decide the part are those that were written."""
    drawn = tasks.Split._draw

    def draw(self: Any, connection: Any) -> None:
        connection.execute('UPDATE ids SET "#id" = decode("#part0") WHERE "#id" IS NOT NULL')
        drawn(self, connection)

    monkeypatch.setattr(tasks.Split, "_draw", draw)


SPELLED = Case(
    HEAD + '[tables.a]\nsource = "a.csv"\n[tables.b]\nsource = "b.csv"',
    {
        "a.csv": "patient\n" + "".join(f"{person:03}\n" for person in range(100)),
        "b.csv": "patient\n" + "".join(f"{person}\n" for person in range(100)),
    },
)


def test_a_person_in_two_parts_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the part decided by the id as it is written, 007 and 7 would count as two persons."""
    assert on_cluster(SPELLED, tmp_path, SerialCluster()).report["persons"] == 100
    _scattered(monkeypatch)
    with pytest.raises(ImportFailed, match="came to the wrong part"):
        on_cluster(SPELLED, tmp_path, SerialCluster())


def test_the_comparison_with_one_machine_finds_a_person_in_two_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the check of each part's persons, the report and the persons differ."""
    _scattered(monkeypatch)
    monkeypatch.setattr(tasks.Make, "_require_own", lambda *_: None)
    many, one = on_cluster(SPELLED, tmp_path, SerialCluster()), on_one_machine(SPELLED, tmp_path)
    assert many.report["persons"] > one.report["persons"] == 100
    assert persons(many) != persons(one)


def test_parts_are_drawn_anew_for_each_import(tmp_path: Path) -> None:
    """The key is random: nobody can tell from an id in which part its person is."""
    keys: list[bytes] = []

    class Looking(SerialCluster):
        def shuffled(self, split: Any, *given: Any) -> Any:
            keys.append(split.job.key)
            return super().shuffled(split, *given)

    for _ in range(2):
        on_cluster(SPELLED, tmp_path, Looking())
    assert len(set(keys)) == 2
    assert all(len(key) == driver.KEY_BYTES for key in keys)
    jobs = [Job("", tmp_path, tmp_path, {}, "", 16, "", 1, key) for key in keys]
    found = [[job.part_of(str(person)) for person in range(1000)] for job in jobs]
    assert sum(one == other for one, other in zip(*found, strict=True)) < 150
    assert max(found[0].count(part) for part in range(16)) < 120
    drawn = hashlib.blake2b(b"7", key=keys[0], digest_size=8).digest()
    assert found[0][7] == int.from_bytes(drawn, "big") % 16


def test_the_number_of_parts_follows_from_public_numbers_alone() -> None:
    """One part up to half a million persons, and never more than a list of parts may have."""
    assert [parts_for(persons) for persons in (1, 500_000, 500_001, 10_000_000)] == [1, 1, 2, 20]
    assert parts_for(2**31) == parts.PARTS_MAX
    assert parts_for(1000, 10) == 100


# The cells of plans


def test_cells_over_the_parts_are_those_of_one_machine(tmp_path: Path) -> None:
    """Where bounds cut nothing, so that the random order of a person's events does not matter."""
    events = [
        Event(person, (1 + person % 2, 3, person % 4, 1 + row % 3, 0, person % 5, 9 * row, 77 * row, 1 + row % 2, 10 * row))
        for person in range(200)
        for row in range(1, person % 7)
    ]  # fmt: skip
    case = Case(HEAD + clinic_manifest(), {"visits.parquet": clinic_source(events)})
    one, many = on_one_machine(case, tmp_path), on_cluster(case, tmp_path, SerialCluster(), 16)
    statistics: dict[str, nodes.Statistic] = {
        "people": nodes.Count("persons"),
        "rows": nodes.Count("events"),
        "total": nodes.Sum("visits"),
        "mean": nodes.Mean("balance"),
    }
    plan = planned(nodes.ByValue("sex"), nodes.ByValue("region"), dataset=one.dataset, cells=8, events=8, **statistics)
    assert _cells(one, plan) == _cells(many, plan)
    assert any(any(vector) for vector in _cells(one, plan))
    assert set(COLUMNS) >= {"sex", "region"}


def _cells(edition: Edition, plan: Any) -> list[list[int]]:
    listed = parts.kept(edition.folder)
    engine = LocalEngine(
        [
            Store(
                edition.folder / part.file,
                memory_limit="100MB",
                threads=1,
                query_seconds=60,
                mark=(listed.name, part.number),
            )
            for part in listed.parts
        ]
    )
    try:
        vectors: list[NDArray[Any]] = engine.cells(plan)
        return [vector.tolist() for vector in vectors]
    finally:
        engine.close()


# Interrupted


@pytest.mark.parametrize("at", range(4))
def test_interrupted_cluster_import_leaves_no_list_of_parts(tmp_path: Path, at: int) -> None:
    """Whenever Ctrl-C comes: no staging, and nothing that could be opened as an edition."""
    on_one_machine(FILES, tmp_path)  # writes the sources
    declared = manifest.parse(FILES.text, tmp_path)
    made = tmp_path / "interrupted"
    made.mkdir()
    steps = 0

    def interrupt(_what: str, _done: float) -> None:
        nonlocal steps
        if threading.current_thread() is threading.main_thread():
            if steps == at:
                raise KeyboardInterrupt
            steps += 1

    def build() -> None:
        driver.build(
            declared, made, cluster=SerialCluster(), number_of_parts=2, memory_limit="300MB",
            threads=1, progress=interrupt,
        )  # fmt: skip

    if at < 2:
        with pytest.raises(KeyboardInterrupt):
            build()
        assert list(made.iterdir()) == []
    else:
        build()
        assert steps == 2


def test_a_task_that_outlives_its_import_ends(tmp_path: Path) -> None:
    """An executor that was cut off writes nothing once the import's folder is gone."""
    write = Job("", tmp_path, tmp_path / "gone", {}, "", 1, "100MB", 1, b"k")
    made = tasks.Make(write, {}, {})(0, [])
    assert made.failure is not None
    assert "has ended" in made.failure.words
    assert not (tmp_path / "gone").exists()
