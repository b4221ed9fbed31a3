from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest

from queries.catalog import manifest, parts
from queries.contribution.person_order import is_ordered
from queries.errors import EngineFailed
from queries.language import nodes
from queries.planning import planner
from queries.store import ingest
from queries.store.made_up import rehearsal

if TYPE_CHECKING:
    from queries.catalog.schema import Dataset

MANIFEST = """
[dataset]
name = "wards"
epsilon = 10.0
persons_max = {persons_max}
[person]
id = "patient"
source = "patients.csv"
[person.columns.sex]
type = "category"
values = ["female", "male"]
[person.columns.town]
type = "category"
nullable = true
[tables.stays]
source = "stays.csv"
[tables.stays.columns.ward]
type = "category"
values = ["A", "B", "C", "D", "E"]
nullable = true
[tables.stays.columns.diagnosis]
type = "category"
[tables.stays.columns.days]
type = "integer"
bounds = [-5, 300]
[tables.stays.columns.balance]
type = "number"
bounds = [-400, 1000]
step = 0.25
nullable = true
[tables.stays.columns.wide]
type = "number"
bounds = [-4000000000000000, 4000000000000000]
step = 1
[tables.stays.columns.urgent]
type = "boolean"
[tables.stays.columns.day]
type = "date"
[tables.tests]
source = "tests.csv"
[tables.tests.columns.positive]
type = "boolean"
nullable = true
"""
SOURCES = {
    "patients.csv": "patient,sex,town\n1,female,Here\n2,male,There\n",
    "stays.csv": "patient,ward,diagnosis,days,balance,wide,urgent,day\n1,A,E11,3,2.5,7,true,2020-01-01\n",
    "tests.csv": "patient,positive\n2,true\n",
}


def wards(persons_max: int = 100_000) -> Dataset:
    """Return a catalog with columns of every kind and of every stored type."""
    return manifest.parse(MANIFEST.format(persons_max=persons_max), Path()).dataset


def made(folder: Path, dataset: Dataset) -> Path:
    """Return a made-up store."""
    file = folder / f"made-{len(list(folder.iterdir()))}.duckdb"
    rehearsal.build(dataset, file)
    return file


def rows(file: Path, select: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds in a store."""
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(select).fetchall()


def shape(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return the columns of every table of a store, with their types."""
    return {name: rows(file, f'DESCRIBE "{name}"') for (name,) in rows(file, "SHOW TABLES")}


def test_a_made_up_store_has_the_shape_of_an_imported_one(tmp_path: Path) -> None:
    """It has the tables, dictionaries, columns and types, in their order, that an import makes of the same manifest."""
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    declared = manifest.parse(MANIFEST.format(persons_max=100), tmp_path)
    folder = tmp_path / "edition"
    folder.mkdir()
    ingest.build(declared, folder, memory_limit="500MB", threads=1, progress=lambda _what, _done: None)
    found = shape(made(tmp_path, declared.dataset))
    imported = shape(folder / parts.WHOLE)
    del imported[parts.MARK]  # an engine asks for it only where an edition has a list of parts
    assert found == imported
    assert {"persons", "stays", "tests", "persons.town", "stays.diagnosis"} == set(found)


def test_persons_stand_in_order_with_their_own_attributes(tmp_path: Path) -> None:
    """Everybody has one row in persons; events are ordered by person and repeat what that row says."""
    file = made(tmp_path, wards())
    persons = rows(file, "SELECT person, sex, town FROM persons")
    assert [person for person, _, _ in persons] == list(range(rehearsal.PERSONS_MADE))
    for table in ("stays", "tests"):
        events = rows(file, f"SELECT person, sex, town FROM {table}")
        assert is_ordered(np.array([person for person, _, _ in events], dtype=np.int32), 0)
        assert set(events) <= set(persons)
        counts = np.bincount([person for person, _, _ in events], minlength=len(persons))
        assert (counts.min(), counts.max()) == (0, rehearsal.EVENTS_MOST)


def test_every_code_is_one_that_the_catalog_allows(tmp_path: Path) -> None:
    """Codes lie between 1 and the column's size, null's only where it was declared; few values are all met."""
    dataset = wards()
    file = made(tmp_path, dataset)
    for table in dataset.tables.values():
        for column in table.columns.values():
            size = column.size if column.declared else rehearsal.TEXTS
            ((low, high, distinct, nulls),) = rows(
                file,
                f'SELECT min({column.name}), max({column.name}), count(DISTINCT {column.name}), count_if({column.name} = 0) FROM "{table.name}"',
            )
            assert (nulls > 0) == column.nullable
            assert (low >= 1) != column.nullable
            assert 0.9 * size < high <= size
            assert distinct > 0.9 * min(size, 2_000)
    for name in ("persons.town", "stays.diagnosis"):
        kept = rows(file, f'SELECT code, value FROM "{name}" ORDER BY code')
        assert kept == [(code, f"made-up {code}") for code in range(1, rehearsal.TEXTS + 1)]


def test_rehearsal_data_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Another process, with another seed for hashes, makes the same; and so do the next versions, until this changes."""
    sums = "SELECT count(*), sum(person), sum(sex), sum(ward), sum(balance), sum(wide), sum(day) FROM stays"
    (found,) = rows(made(tmp_path, wards()), sums)
    script = f"""
from pathlib import Path
from tests.queries.store.test_rehearsal import made, rows, wards
print(rows(made(Path({str(tmp_path)!r}), wards()), {sums!r})[0])
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONHASHSEED": "77", "PATH": ""},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == str(found)
    assert found == PINNED


PINNED = (17866, 35346762, 22311, 32712, 22985046, 35877895402077655837, 648723233)


@pytest.mark.parametrize("persons_max", [1, 3, 3_999])
def test_there_are_never_more_persons_than_can_be(tmp_path: Path, persons_max: int) -> None:
    """The proofs against overflow stand on persons_max: so many are made at most."""
    ((count,),) = rows(made(tmp_path, wards(persons_max)), "SELECT count(*) FROM persons")
    assert count == persons_max


def cells(dataset: Dataset) -> list[list[int]]:
    """Return the exact cells of a query that looks a text up, over a made-up engine."""
    query = nodes.Query(
        "stays",
        (("n", nodes.Count("persons")), ("m", nodes.Mean("balance"))),
        nodes.Comparison("diagnosis", "!=", "made-up 1"),
        (nodes.ByValue("ward"),),
    )
    planned = planner.plan(query, dataset, nodes.Privacy(10**9), 1_000)
    engine = rehearsal.engine(dataset, memory_limit="500MB", query_seconds=60)
    try:
        return [part.tolist() for part in engine.cells(planned)]
    finally:
        engine.close()


def test_rehearsal_engine_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is gone as soon as it is open, and is read all the same."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    engine = rehearsal.engine(wards(), memory_limit="500MB", query_seconds=60)
    assert list(tmp_path.iterdir()) == []
    engine.close()
    first = cells(wards())
    assert sum(first[0]) > 1_000
    assert first == cells(wards())


def test_rehearsal_engine_without_room_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no file can be made, what is raised is what a store that cannot be read raises."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(EngineFailed):
        rehearsal.engine(wards(), memory_limit="500MB", query_seconds=60)
