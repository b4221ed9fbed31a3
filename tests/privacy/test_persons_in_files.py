"""From the file on: a person more or less in the sources moves each statistic by no more than planned.

A population of persons is written into one to four sources, the ids as numbers and texts of every type and in every
spelling that programs make of them, with rows that name nobody in between. Then it is imported, with and without one
person's rows. All rows of one of the others in a table are alike, so that it does not matter which of them the bounds keep.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from queries.catalog.formats import Identity
from queries.catalog.schema import PERSONS
from queries.errors import ImportFailed
from queries.execution.duckdb import Store
from queries.execution.engine import CellsOf, of_part
from queries.language import nodes
from queries.store import identity, persons
from tests.laws import tries
from tests.privacy.checks import cells_violate
from tests.queries.clinic import planned
from tests.queries.sources import Built, build

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from queries.catalog.schema import Dataset
    from queries.plan import Plan

HEAD = '[dataset]\nname = "c"\nepsilon = 10.0\npersons_max = 1000\n'
BLANKS = ("", "", " ", "\t", "\u00a0", "\r", "\ufeff")
NOBODY = ("", " ", "NA", "n/a", "NULL", "none", "NaN")

# How a source spells whole numbers as text: one way each, for two ways would stop the import.
SPELLINGS: tuple[Callable[[int], str], ...] = (
    str,
    "{:+}".format,
    lambda n: f"{'-' if n < 0 else ''}{abs(n):040}",
    "{}.0".format,
    "{}.000".format,
    "{}e0".format,
    "{}0E-1".format,
)
# The types of columns, and which whole numbers they hold.
WHOLE = {
    **{
        f"{u}{name}": (0 if u else -(2 ** (bits - 1)), 2 ** (bits - (not u)) - 1)
        for name, bits in (("TINYINT", 8), ("SMALLINT", 16), ("INTEGER", 32), ("BIGINT", 64), ("HUGEINT", 128))
        for u in ("", "U")
    },
    "FLOAT": (-(2**24) + 1, 2**24 - 1),
    "DOUBLE": (-(2**53) + 1, 2**53 - 1),
    "DECIMAL(9,3)": (-999_999, 999_999),
    "DECIMAL(38,2)": (-(10**35), 10**35),
    "BIGNUM": (-(10**60), 10**60),
}
TEXTS = ("VARCHAR", "BLOB", "ENUM")
SIZES = (100, 10**4, 2**23, 2**52, 2**62, 10**30)


@dataclass(frozen=True)
class Row:
    """A row of a source: whose it is (None: nobody's), and a value."""

    person: int | None
    value: int


@dataclass(frozen=True)
class File:
    """A source: the type and the spelling of each column of its ids, and its rows in their order."""

    types: tuple[str, ...]
    spellings: tuple[int, ...]
    rows: tuple[Row, ...]
    seed: int

    def without(self, person: int) -> File:
        """Return the file as it is without one person's rows."""
        return replace(self, rows=tuple(row for row in self.rows if row.person != person))


@dataclass(frozen=True)
class World:
    """Persons with their ids, a file of persons (the first) or none, and files of events."""

    ids: tuple[tuple[int | str, ...], ...]
    files: tuple[File, ...]
    described: bool
    declared: str = ""

    def present(self) -> int:
        """Return how many persons the files name."""
        return len({row.person for file in self.files for row in file.rows} - {None})


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Make a world of up to 12 persons, whose ids are numbers of some size, or numbers and texts."""
    parts = draw(st.sampled_from([1, 1, 2]))
    size = draw(st.sampled_from(SIZES))
    number = st.integers(-size, size)
    text = st.text("abAB-:é", min_size=1, max_size=4)
    of_text = [draw(st.booleans()) for _ in range(parts)]
    one = st.tuples(*(number | text if texts else number for texts in of_text))
    ids = tuple(draw(st.lists(one, min_size=2, max_size=12, unique=True)))
    described = draw(st.booleans())
    files = []
    for place in range(draw(st.integers(1, 3)) + described):
        kinds = []
        for part in range(parts):
            values = [own[part] for own in ids]
            fits = [
                kind
                for kind, (low, high) in WHOLE.items()
                if all(isinstance(v, int) and low <= v <= high for v in values)
            ]
            kinds.append(draw(st.sampled_from([*fits, *TEXTS])))
        spellings = tuple(draw(st.integers(0, len(SPELLINGS) - 1)) for _ in range(parts))
        seed = draw(st.integers(0, 2**32))
        files.append(
            File(tuple(kinds), spellings, made_rows(random.Random(seed), len(ids), described and place == 0), seed)
        )
    return World(ids, tuple(files), described)


def made_rows(chance: random.Random, people: int, of_persons: bool) -> tuple[Row, ...]:
    """Return rows in any order: person 0 with many different ones, others with some that are alike, and nobody's."""
    rows = [Row(None, chance.randint(0, 9)) for _ in range(chance.randint(0, 4))]
    for person in range(people):
        value = chance.randint(0, 9)
        if of_persons:
            rows += [Row(person, value)] * (chance.random() < 0.8)
        elif person == 0:
            rows += [Row(0, chance.randint(0, 9)) for _ in range(12)]
        else:
            rows += [Row(person, value)] * chance.randint(0, 4)
    chance.shuffle(rows)
    return tuple(rows)


def column(world: World, file: File, part: int) -> list[Any]:
    """Return one column of a file's ids as its type has them, or as SQL for numbers of many digits."""
    chance = random.Random(file.seed + part)
    kind, spelled = file.types[part], SPELLINGS[file.spellings[part]]
    found: list[Any] = []
    for row in file.rows:
        own = None if row.person is None else world.ids[row.person][part]
        if kind in TEXTS:
            text = chance.choice([None, *NOBODY]) if own is None else spelled(own) if isinstance(own, int) else own
            found.append(None if text is None else chance.choice(BLANKS) + text + chance.choice(BLANKS))
        elif own is None:
            found.append(chance.choice(["NaN", "inf", None]) if kind in ("FLOAT", "DOUBLE") else None)
        else:
            found.append(str(own))
    return found


def written(world: World, folder: Path) -> Built:
    """Write the files as tables of DuckDB and import them."""
    id_columns = [f"id{part}" for part in range(len(world.ids[0]))]
    lines = ["[person]", f"id = {id_columns}".replace("'", '"'), world.declared]
    attributes = ["[person.columns.sex]", 'type = "integer"', "bounds = [0, 9]", "nullable = true"]
    if world.described:
        lines += ['source = "0.duckdb"', 'table = "t"', *attributes]
    for place, file in enumerate(world.files):
        with duckdb.connect(str(folder / f"{place}.duckdb")) as connection:
            given = {"sex": [row.value for row in file.rows], "v": [row.value for row in file.rows]}
            given |= {name: column(world, file, part) for part, name in enumerate(id_columns)}
            schema = {name: pa.int64() if name in ("sex", "v") else pa.string() for name in given}
            connection.register("given", pa.table(given, pa.schema(list(schema.items()))))
            casts = []
            for part, name in enumerate(id_columns):
                kind = file.types[part]
                if kind == "ENUM":
                    connection.execute(
                        f"CREATE TYPE e{part} AS ENUM (SELECT DISTINCT {name} FROM given WHERE {name} IS NOT NULL)"
                    )
                    kind = f"e{part}"
                casts.append(f"encode({name}) AS {name}" if kind == "BLOB" else f"{name}::{kind} AS {name}")
            connection.execute(f"CREATE TABLE t AS SELECT {', '.join(casts)}, sex, v FROM given")
        if not (world.described and place == 0):
            lines += [f"[tables.t{place}]", f'source = "{place}.duckdb"', 'table = "t"', f"[tables.t{place}.columns.v]"]
            lines += ['type = "integer"', "bounds = [0, 9]"]
    return build(folder, "\n".join(lines), {}, head=HEAD)


def plans(dataset: Dataset) -> list[Plan]:
    """Return a plan of some statistics for each table, with bounds that a person's many rows exceed."""
    made = []
    for table, declared in dataset.tables.items():
        keys = [nodes.ByValue(name) for name in ("sex", "v") if name in declared.columns]
        for chosen in ((), *((key,) for key in keys)):
            select: dict[str, nodes.Statistic] = {"people": nodes.Count("persons")}
            if table != PERSONS:
                select |= {"rows": nodes.Count("events"), "total": nodes.Sum("v"), "bins": nodes.Histogram("v")}
            made.append(planned(*chosen, dataset=dataset, table=table, cells=1, events=2, **select))
    return made


def cells(built: Built, asked: Sequence[Plan]) -> list[list[NDArray[Any]]]:
    """Return the exact cells of some plans."""
    engine = Store(built.path, memory_limit="200MB", threads=1, query_seconds=60)
    try:
        return [of_part(CellsOf(one), engine) for one in asked]
    finally:
        engine.close()


def faults(world: World) -> set[str]:
    """Import a world with and without its first person; return what is wrong: nothing, if the promise holds."""
    less = replace(world, files=tuple(file.without(0) for file in world.files))
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / name for name in ("with", "without")]
        for folder in folders:
            folder.mkdir()
        here, there = written(world, folders[0]), written(less, folders[1])
        asked = plans(here.dataset)
        found: set[str] = set()
        for one, left, right in zip(asked, cells(here, asked), cells(there, asked), strict=True):
            found |= cells_violate(one, left, right)
        if (here.report.persons, there.report.persons) != (world.present(), less.present()):
            found.add("persons")
    return found


def alike(ids: Sequence[tuple[int | str, ...]], types: tuple[str, ...], spelling: int = 0, files: int = 1) -> World:
    """Return a world of files in which the first person has many rows, each other one, with a value that the first has not.

    Of two persons that are one, a row of the first is kept of each file but by chance: once in 101 imports the other's is.
    """
    rows = (*(Row(0, n % 3) for n in range(100)), *(Row(person, 3) for person in range(1, len(ids))))
    return World(tuple(ids), (File(types, (spelling,) * len(types), rows, 1),) * files, described=False)


MANY = 5  # files of which nearly always one shows what would be seen of two persons that are one: not once in 10^10 imports


def two_files(first: str, second: str, spelling: int) -> World:
    """Return a world whose first file describes the persons and whose second has their events, in other types."""
    ids = ((7,), (8,), (0,))
    people = File((first,), (0,), tuple(Row(person, 3) for person in range(3)), 1)
    events = File((second,), (spelling,), (*(Row(0, 5),) * 4, Row(1, 4), Row(None, 5)), 2)
    return World(ids, (people, events), described=True)


@settings(max_examples=tries(6, audited=30))
@given(worlds())
@example(two_files("BIGINT", "DOUBLE", 0))
@example(two_files("VARCHAR", "DECIMAL(9,3)", 2))
@example(alike([("1", "11"), ("11", "1"), ("1:1", "1"), ("1", "1:1")], ("VARCHAR", "BLOB")))
def test_a_person_more_or_less_in_the_files_moves_each_statistic_as_planned(world: World) -> None:
    """There are as many persons as there are, and one of them moves no cell further than the noise was made for."""
    assert faults(world) == set()


# Planted faults: each defence taken out is seen


def test_a_form_that_depends_on_the_type_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were texts compared as texts, the integer 7 and the text 7.0 would be two persons."""
    world = two_files("BIGINT", "VARCHAR", 3)
    assert faults(world) == set()
    monkeypatch.setattr(identity, "_form_of_text", lambda written: f"nullif({written}, '')")
    assert "persons" in faults(world)
    assert faults(world) & {"largest", "cells", "l1"}


def test_a_form_of_floats_that_is_not_that_of_integers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a float its text, 7.0 and the integer 7 would be two persons."""
    world = two_files("BIGINT", "DOUBLE", 0)
    assert faults(world) == set()
    honest = identity.part

    def as_text(place: int, name: str, kind: str, declared: Identity) -> identity.Part:
        found = honest(place, name, kind, declared)
        return replace(found, written=f"{found.key}::VARCHAR") if kind == "DOUBLE" else found

    monkeypatch.setattr(identity, "part", as_text)
    monkeypatch.setattr(identity, "_decimal", lambda spelled: spelled)
    assert faults(world) >= {"persons", "l1"}


def test_blanks_that_are_not_trimmed_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person whose id stands with and without blanks would be two, and their rows count twice."""
    world = alike([("A",), ("B",)], ("VARCHAR",))
    assert faults(world) == set()
    monkeypatch.setattr(identity, "_written", lambda place: f"TRY(decode({place}))")
    assert faults(world) >= {"persons", "l1"}


def test_an_encoding_without_lengths_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were parts put together without their lengths, two persons would be one, and removing one would free the other."""
    world = alike([("a:", "b"), ("a", ":b")], ("VARCHAR", "VARCHAR"), files=MANY)
    assert faults(world) == set()
    monkeypatch.setattr(identity, "encoded", " || ".join)
    assert faults(world) >= {"persons", "cells"}


def test_words_for_nothing_that_become_a_person_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were NA and empty texts ids, there would be a person whom nobody is."""
    world = two_files("BIGINT", "VARCHAR", 0)
    world = replace(world, files=(world.files[0], replace(world.files[1], rows=(Row(1, 1), *(Row(None, 2),) * 20))))
    assert faults(world) == set()
    monkeypatch.setattr(identity, "words_for_nothing", lambda _declared: "SELECT NULL WHERE false")
    assert faults(world) == {"persons"}


def test_two_spellings_that_are_merged_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were 007 and 7 of one source merged unasked, a person of the two would hold back the other's rows."""
    world = alike([("007",), ("7",)], ("VARCHAR",), files=MANY)
    with pytest.raises(ImportFailed, match="written in two ways"):
        faults(world)
    assert faults(replace(world, declared='id_type = "text"')) == set()
    monkeypatch.setattr(persons, "_refuse_two_spellings", lambda *_: None)
    assert faults(world) >= {"persons", "cells"}


def test_floats_that_are_no_exact_ids_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were floats of 2^53 taken as ids, neighbouring numbers would be one person."""
    world = alike([(2**53,), (2**53 + 1,)], ("DOUBLE",), files=MANY)
    with pytest.raises(ImportFailed, match="same float"):
        faults(world)
    monkeypatch.setattr(persons, "refuse_odd", lambda *_: None)
    assert faults(world) >= {"persons", "cells"}
