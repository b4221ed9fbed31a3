"""A repartition holds what the parts before held, in their order, or it is refused and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest

from queries.catalog import parts
from queries.errors import ImportFailed
from queries.store import inspection, repartition, sources
from tests.queries import registry
from tests.queries.binding.test_predicates import EVENTS
from tests.queries.execution.test_pathways import people
from tests.queries.parted import copied, divide
from tests.queries.sources import clinic_store, silent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from queries.catalog.parts import Parts

PERSONS = 12


@pytest.fixture
def edition(tmp_path: Path) -> Path:
    """Return an edition of three parts."""
    place = copied(registry.write(tmp_path / "s.duckdb", people(1, persons=PERSONS)), tmp_path / "edition")
    divide(place, 3)
    return place


def state(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(folder: Path, into: int = 4) -> str:
    """Return why a repartition is refused, after asserting that it changed nothing."""
    before = state(folder)
    with pytest.raises(ImportFailed) as refusal:
        repartition.repartition(folder, parts.kept(folder), into, memory_limit="200MB", threads=2, progress=silent)
    assert state(folder) == before
    return str(refusal.value)


def read(file: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds in a part."""
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def stored(folder: Path, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table in all parts one after the other, persons numbered through them."""
    found, start = [], 0
    for part in parts.kept(folder).parts:
        rows = read(folder / part.file, f'SELECT * FROM "{table}"')
        ((persons,),) = read(folder / part.file, "SELECT count(*) FROM persons")
        assert all(0 <= row[0] < persons for row in rows)
        found += [(row[0] + start, *row[1:]) for row in rows]
        start += persons
    return found


@pytest.mark.parametrize("several", [(1,), (3, 5), (14, 1)])
def test_parts_laid_one_after_the_other_are_the_store(tmp_path: Path, several: Sequence[int]) -> None:
    """From one to many, to others and back: every row in its place, with its person; no other file is left."""
    place = copied(registry.write(tmp_path / "s.duckdb", people(2, persons=PERSONS)), tmp_path / "edition")
    before = {table: stored(place, table) for table in registry.REGISTRY.tables}
    for into in several:
        made = divide(place, into)
        assert parts.kept(place) == made
        assert len(made) == into
        assert {table: stored(place, table) for table in before} == before
        assert {path.name for path in place.iterdir()} == {parts.FILE, *(part.file for part in made.parts)}
        found = inspection.inspect(place, made, silent, hashes=True)
        assert [one.fault for one in found] == [None] * into
        sizes = [one.persons or 0 for one in found]
        assert sum(sizes) == PERSONS
        assert max(sizes) - min(sizes) <= 1


def test_dictionaries_are_whole_in_each_part(tmp_path: Path) -> None:
    """Also in parts without persons."""
    place = clinic_store(tmp_path, EVENTS[:8]).parent
    select = 'SELECT * FROM "visits.diagnosis"'
    before = read(place / parts.WHOLE, select)
    assert before
    persons = 8
    listed = divide(place, persons + 2)
    counts = [read(place / part.file, "SELECT count(*) FROM persons")[0][0] for part in listed.parts]
    assert sorted(counts) == [0, 0] + [1] * persons
    for part in (listed.parts[counts.index(0)], listed.parts[counts.index(1)]):
        assert read(place / part.file, select) == before
        assert read(place / part.file, f'SELECT * FROM "{parts.MARK}"') == [(listed.name, part.number)]


def test_a_large_store_keeps_its_order_in_little_memory(tmp_path: Path) -> None:
    """Threads do not shuffle rows, and memory is a small part of the data."""
    rows, persons = 1_500_000, 30_000
    random = np.random.default_rng(2)
    made = tmp_path / parts.WHOLE
    with duckdb.connect(str(made)) as connection:
        person = np.sort(random.integers(0, persons, rows)).astype(np.int32)
        codes = {f"c{place}": random.integers(0, 2**32, rows, dtype=np.uint32) for place in range(4)}
        everybody = np.arange(persons, dtype=np.int32)
        connection.register("events", {"person": person, **codes})
        connection.execute("CREATE TABLE visits AS SELECT * FROM events")
        connection.register("everybody", {"person": everybody})
        connection.execute("CREATE TABLE persons AS SELECT * FROM everybody")
    assert made.stat().st_size > 20_000_000
    for into in (7, 1):
        divide(tmp_path, into, "30MB")
    with duckdb.connect(str(tmp_path / parts.kept(tmp_path).parts[0].file), read_only=True) as connection:
        found = connection.execute("SELECT * FROM visits").fetchnumpy()
    assert np.array_equal(found["person"], person)
    assert all(np.array_equal(found[name], column) for name, column in codes.items())


# Planted faults


def overlapping(persons: int, number: int, into: int) -> range:
    """Give the last person of each part to the next part too."""
    return range(max(0, persons * number // into - 1), persons * (number + 1) // into)


def with_gaps(persons: int, number: int, into: int) -> range:
    """Leave out the last person of each part."""
    return range(persons * number // into, persons * (number + 1) // into - 1)


def balanced(persons: int, number: int, into: int) -> range:
    """Give one person to two parts and leave out another, so that their number is right."""
    edges = [persons * one // into for one in range(into + 1)]
    return range(edges[number] - (number == 1), edges[number + 1] - (number == 1))


@pytest.mark.parametrize("ranges", [overlapping, with_gaps, balanced])
def test_a_person_in_two_parts_or_in_none_is_refused(
    edition: Path, monkeypatch: pytest.MonkeyPatch, ranges: Callable[[int, int, int], range]
) -> None:
    """Whatever ranges were written, the new parts are compared with the old ones before anybody sees them."""
    monkeypatch.setattr(repartition, "_range_of", ranges)
    assert "do not hold what the old ones hold" in refused(edition)


@pytest.mark.parametrize("order", ["person, cost", "person DESC", "random()"])
def test_another_order_of_events_is_refused(edition: Path, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    """Also one that leaves persons in order: then others of their events would be the first ones."""

    def shuffled(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
        is_copy = "REPLACE" in sql and '"visits"' in sql
        return sources.run(connection, f"{sql} ORDER BY {order}" if is_copy else sql)

    monkeypatch.setattr(repartition, "run", shuffled)
    refused(edition)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE visits SET cost = cost + 1 WHERE person = 1",
        "DELETE FROM visits WHERE person = 1",
        "DELETE FROM persons WHERE person = 1",
    ],
)
def test_a_part_that_was_changed_is_refused(edition: Path, change: str) -> None:
    """Its hash shows it, so no changed file gets a new hash."""
    with duckdb.connect(str(edition / parts.kept(edition).parts[1].file)) as connection:
        connection.execute(change)
    assert "damaged" in refused(edition)


def relisted(folder: Path, listed: Parts) -> None:
    """Write the list anew with the hashes of the files as they are: as somebody who forges it would."""
    found = tuple(parts.described(part.number, folder / part.file) for part in listed.parts)
    parts.keep(folder, parts.Parts(listed.name, found))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE persons SET person = 0 WHERE person = 1", "does not number its persons"),
        ("INSERT INTO persons SELECT * FROM persons WHERE person = 1", "not ordered by person"),
        ("UPDATE visits SET person = person + 50", "not ordered by person"),
        ("ALTER TABLE drugs DROP COLUMN pack", "other tables or columns"),
        ("DROP TABLE drugs", "other tables or columns"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(edition: Path, change: str, reason: str) -> None:
    """Persons that are not numbered from 0, or tables that only some parts have, even if the hashes are right."""
    with duckdb.connect(str(edition / parts.kept(edition).parts[1].file)) as connection:
        connection.execute(change)
    relisted(edition, parts.kept(edition))
    assert reason in refused(edition)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE \"visits.diagnosis\" SET value = 'other' WHERE value = 'text 1'",
        'DELETE FROM "visits.diagnosis" WHERE value IS NULL',
    ],
)
def test_parts_with_other_texts_are_refused(tmp_path: Path, change: str) -> None:
    """A code has to stand for the same text in each part."""
    place = clinic_store(tmp_path, EVENTS[:30]).parent
    divide(place, 3)
    with duckdb.connect(str(place / parts.kept(place).parts[1].file)) as connection:
        connection.execute(change)
    relisted(place, parts.kept(place))
    assert "other texts" in refused(place)


@pytest.mark.parametrize("at", range(4))
def test_what_is_interrupted_leaves_nothing(edition: Path, at: int) -> None:
    """At whatever step a repartition is stopped by a signal that Python sees, the edition is as before."""
    before, steps = state(edition), 0

    def interrupt(_what: str, _done: float) -> None:
        nonlocal steps
        steps += 1
        if steps > 4 * at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repartition.repartition(edition, parts.kept(edition), 5, memory_limit="200MB", threads=1, progress=interrupt)
    assert state(edition) == before


def test_leftovers_are_only_what_a_repartition_leaves(edition: Path) -> None:
    """Files of other lists with their logs, an unfinished list and temporary files; nothing that is listed or unknown."""
    listed = parts.kept(edition)
    other = parts.file_of(parts.new_name(), 0)
    ours = {other, f"{other}.wal", parts.WHOLE, f".{parts.FILE}"}
    for name in (*ours, "manifest.toml", "report.json", "notes.duckdb", f"{other}.gz"):
        (edition / name).write_text("")
    (edition / repartition.TEMPORARY).mkdir()
    found = repartition.leftovers(edition, listed)
    assert {path.name for path in found} == {*ours, repartition.TEMPORARY}
    repartition.delete(found)
    assert repartition.leftovers(edition, listed) == []
    assert parts.missing(edition, listed) == []


# Inspection


def test_inspection_names_each_fault(edition: Path) -> None:
    """Missing, cut, changed by one bit, not a store, of another list: each part by itself."""
    assert [one.fault for one in inspection.inspect(edition, parts.kept(edition), silent, hashes=True)] == [None] * 3
    divide(edition, 6)
    listed = parts.kept(edition)
    files = [edition / part.file for part in listed.parts]
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes() + b"0")
    content = bytearray(files[2].read_bytes())
    content[-1] ^= 1
    files[2].write_bytes(content)
    files[3].write_bytes(b"no store")
    files[4].write_bytes(files[5].read_bytes())
    faults = [one.fault or "" for one in inspection.inspect(edition, listed, silent, hashes=True)]
    for fault, words in zip(
        faults,
        ("is missing", "bytes in place of", "by its hash", "cannot be opened", "another edition", ""),
        strict=True,
    ):
        assert words in fault
    assert faults[5] == ""
    quick = inspection.inspect(edition, listed, silent, hashes=False)
    assert quick[2].fault is None, "without hashes a changed bit is not found"
