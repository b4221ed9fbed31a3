"""Imports on one machine and on a cluster, side by side: sources of every kind of untidiness, and what must be equal."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from queries.catalog import manifest, parts, vocabularies
from queries.errors import ImportFailed, ManifestError
from queries.execution.duckdb import dictionary
from queries.store import ingest, reports
from queries.store.cluster import driver
from tests.queries.sources import HEAD, silent, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from queries.catalog.schema import Dataset
    from queries.store.cluster.driver import Cluster

PARTS = 5


@dataclass(frozen=True)
class Case:
    """A manifest and its sources."""

    text: str
    sources: Mapping[str, Any]


def _people(count: int) -> dict[str, list[Any]]:
    """Return persons: some without an attribute, some twice, some who contradict themselves, one without an id."""
    ids = [*range(count), 3, 4, 5, None]
    sex = [("f", "m", None)[person % 3] for person in range(count)]
    return {"id": ids, "sex": [*sex, "f", "m", "f", "f"], "city": [f"city {person % 7}" for person in range(len(ids))]}


def _csv(columns: Mapping[str, list[Any]]) -> str:
    rows = (
        ",".join("" if value is None else str(value) for value in row) for row in zip(*columns.values(), strict=True)
    )
    return "\n".join([",".join(columns), *rows]) + "\n"


def _spelled(person: int) -> str:
    return (f"{person:04}", f" {person}", f"{person}.0", f"+{person}")[person % 4]


_FILES = (
    HEAD.split("[person]")[0]
    + """
[person]
id = "id"
source = "people.parquet"
[person.columns.sex]
type = "category"
values = ["f", "m"]
nullable = true
[person.columns.city]
type = "category"
[tables.visits]
source = "visits/"
loss_max = 1
[tables.visits.columns.cost]
type = "number"
step = 0.01
bounds = [0, 100]
nullable = true
[tables.visits.columns.code]
type = "category"
missing = ["?"]
[tables.visits.columns.day]
type = "date"
outside = "null"
[tables.stays]
source = "stays/"
person = "patient"
[tables.stays.columns.code2]
from = "code"
type = "category"
[tables.stays.columns.big]
type = "integer"
bounds = [0, 1000]
"""
)
_VISITS = {
    f"visits/{month}.csv": _csv(
        {
            "id": [_spelled(person) if person % 11 else "NA" for person in range(month, 60, 2)],
            "cost": [("1.005", "x", "1e9", "", "nan")[person % 5] for person in range(month, 60, 2)],
            "code": [("a", "?", f"b{person % 9}", " a ")[person % 4] for person in range(month, 60, 2)],
            "day": [("2020-01-31", "9999-12-31", "soon")[person % 3] for person in range(month, 60, 2)],
        }
    )
    + ("1,2\n" if month > 1 else "")
    for month in (1, 2, 3)
}
_STAYS = {
    f"stays/{year}/{half}.parquet": pa.table(
        {
            "patient": pa.array([float(person) if person % 13 else float("nan") for person in range(year, 70, 3)]),
            "code": pa.array([f"c{person % 5}" for person in range(year, 70, 3)]).dictionary_encode(),
            "big": pa.array(
                [person * 10**25 if person % 2 else person for person in range(year, 70, 3)], pa.decimal128(38)
            ),
        }
    )
    for year, half in itertools.product((1, 2), "ab")
}
# All that an import computes, of rows that come in many files.
_COMPUTED = (
    HEAD
    + """
source = "people.csv"
[person.columns.born]
type = "date"
hidden = true
[person.columns.seen]
type = "date"
latest = "visits.out"
nullable = true
[vocabularies.icd]
title = "ICD"
source = "icd.csv"
code = "code"
label = "label"
[vocabularies.icd.parents]
source = "icd.csv"
code = "code"
parent = "above"
[vocabularies.icd.levels.chapter]
codes = ["E", "I"]
[tables.visits]
source = "visits/"
loss_max = 1
[tables.visits.columns.year]
type = "category"
[tables.visits.columns.in]
type = "date"
[tables.visits.columns.out]
type = "date"
nullable = true
[tables.visits.columns.code]
type = "category"
vocabulary = "icd"
hidden = true
[tables.visits.columns.family]
from = "code"
type = "category"
prefix = 1
map = { Z99 = "X" }
values = ["E", "I", "X", "else"]
other = "else"
[tables.visits.columns.price]
type = "number"
bounds = [0, 100]
step = 0.05
[tables.visits.columns.pieces]
type = "integer"
bounds = [0, 20]
[tables.visits.columns.age]
years_from = "born"
to = "in"
bounds = [0, 60]
[tables.visits.columns.nights]
days_from = "in"
to = "out"
bounds = [0, 9]
outside = "null"
[tables.visits.columns.cost]
product = ["price", "pieces"]
bounds = [0, 900]
step = 0.5
[tables.visits.columns.chapter]
level_of = "code"
level = "chapter"
[tables.visits.columns.first]
level_of = "code"
values = ["E1", "E", "E11"]
several = "first"
other = "other"
"""
)
_ICD = "code,label,above\nE,Endocrine,\nI,Circulation,\nE1,Diabetes,E\nE11,Type 2,E1\nE11.9,Plain,E11\nI10,Pressure,I\n"
_BORN = {
    "patient": [*range(45)],
    "born": [f"19{30 + person:02}-0{1 + person % 9}-28" if person % 7 else "" for person in range(45)],
}
_PARTITIONED = {
    f"visits/year={year}/{half}.csv": _csv(
        {
            "patient": (people := [person for person in range(year % 5, 50, 2)]),
            "in": [f"{year}-0{1 + person % 9}-1{person % 10}" for person in people],
            "out": [("", f"{year}-0{1 + person % 9}-2{person % 10}")[person % 3 > 0] for person in people],
            "code": [("E11.9", "E1", "I10", "Z99", "", "Q")[(person + year) % 6] for person in people],
            "price": [person * 0.35 for person in people],
            "pieces": [person % 23 for person in people],
        }
    )
    for year, half in itertools.product((2019, 2020, 2021), "ab")
}
CASES: dict[str, Case] = {
    "folders of files, a source of persons": Case(
        _FILES, {"people.parquet": pa.table(_people(50)), **_VISITS, **_STAYS}
    ),
    "attributes from the first table": Case(
        HEAD
        + """
        [person.columns.city]
        type = "category"
        nullable = true
        [tables.visits]
        source = "visits/"
        [tables.visits.columns.n]
        type = "integer"
        bounds = [0, 9]
        [tables.others]
        source = "others.csv"
        """,
        {
            "visits/a.csv": _csv({"patient": [1, 2, 3, 4, 5, 1], "city": ["x", "y", "", "z", "x", "y"], "n": [*range(6)]}),
            "visits/b.csv": _csv({"patient": [3, 2, 6, ""], "city": ["q", "y", "r", "s"], "n": [1, 2, 3, 4]}),
            "others.csv": _csv({"patient": ["007", "1", "x", "X"]}),
        },
    ),
    "ids in two columns, alike but for case": Case(
        HEAD.replace('id = "patient"', 'id = ["site", "no"]')
        + '[tables.t]\nsource = "t.csv"\n[tables.u]\nsource = "u.parquet"\nperson = ["s", "n"]',
        {
            "t.csv": _csv({"site": [*"aAbBcC", "ß", "ẞ", "İ", "i̇"] * 2, "no": [*range(7)] * 2 + [1] * 6}),
            "u.parquet": pa.table({"s": ["a", "a ", "A", None], "n": [0.0, 1.0, 2.0, 3.0]}),
        },
    ),
    "whole numbers in several types, a table of DuckDB": Case(
        HEAD + '[tables.t]\nsource = "t.duckdb"\ntable = "t"\n[tables.u]\nsource = "u/"',
        {
            "t.duckdb": pa.table({"patient": pa.array([*range(-5, 40), None], pa.int16())}),
            "u/a.parquet": pa.table({"patient": pa.array([2**62, 7, -3])}),
            "u/b.parquet": pa.table({"patient": pa.array([7, 8, None])}),
        },
    ),
    "computed columns, hidden ones, a vocabulary with levels, partitions": Case(
        _COMPUTED, {"people.csv": _csv(_BORN), "icd.csv": _ICD, **_PARTITIONED}
    ),
    "no rows": Case(HEAD + '[tables.t]\nsource = "t.csv"', {"t.csv": "patient\n"}),
}  # fmt: skip

# What is refused, and by the same words.
REFUSED: dict[str, Case] = {
    "two spellings": Case(
        HEAD + '[tables.t]\nsource = "t/"',
        {"t/a.csv": _csv({"patient": ["x", *range(40)]}), "t/b.csv": _csv({"patient": ["03", "05", "017", "0", "09"]})},
    ),
    "floats that are no ids": Case(
        HEAD + '[tables.s]\nsource = "s.csv"\n[tables.t]\nsource = "t/"',
        {
            "s.csv": "patient\n1\n",
            **{f"t/{n}.parquet": pa.table({"patient": [1.0, 2.0**60 + n * 2.0**54, 2.0**61]}) for n in (1, 2)},
        },
    ),
    "ids that are no numbers": Case(
        HEAD + 'id_type = "number"\n[tables.t]\nsource = "t/"', {"t/a.csv": "patient\n1\nx\n", "t/b.csv": "patient\ny\n"}
    ),
    "an open quote, in the second of two bad files": Case(
        HEAD + '[tables.t]\nsource = "t/"', {"t/a.csv": "patient\n1\n", "t/b.csv": 'patient\n"1\n', "t/c.csv": "patient\n\"2\n"}
    ),
    "no such column": Case(HEAD + '[tables.t]\nsource = "t/"', {"t/a.csv": "patient\n1\n", "t/b.csv": "person\n1\n"}),
    "two types": Case(
        HEAD + '[tables.t]\nsource = "t/"',
        {"t/a.parquet": pa.table({"patient": [1]}), "t/b.parquet": pa.table({"patient": ["1"]})},
    ),
    "no such time zone": Case(
        HEAD + '[tables.t]\nsource = "t.csv"\ntimezone = "Mars/Phobos"\n[tables.t.columns.day]\ntype = "date"',
        {"t.csv": "patient,day\n1,2020-01-01\n"},
    ),
    "too many persons": Case(
        HEAD.replace("100000", "30") + '[tables.t]\nsource = "t.csv"', {"t.csv": _csv({"patient": [*range(31)]})}
    ),
    "a list as an id": Case(HEAD + '[tables.t]\nsource = "t.parquet"', {"t.parquet": pa.table({"patient": [[1]]})}),
    "an empty folder": Case(HEAD + '[tables.t]\nsource = "t/"', {"t/_SUCCESS": b""}),
}  # fmt: skip


@dataclass(frozen=True)
class Edition:
    """An edition with what was declared and what was reported of it."""

    folder: Path
    dataset: Dataset
    report: dict[str, Any]


def on_one_machine(case: Case, folder: Path) -> Edition:
    """Import a case as one machine does."""

    def build(declared: Any, made: Path) -> Any:
        return ingest.build(declared, made, memory_limit="500MB", threads=2, progress=silent)

    return _built(case, folder, build)


def on_cluster(case: Case, folder: Path, cluster: Cluster, number_of_parts: int = PARTS) -> Edition:
    """Import a case as a cluster does."""

    def build(declared: Any, made: Path) -> Any:
        return driver.build(
            declared,
            made,
            cluster=cluster,
            number_of_parts=number_of_parts,
            memory_limit="300MB",
            threads=1,
            progress=silent,
        )

    return _built(case, folder, build)


def _built(case: Case, folder: Path, build: Callable[[Any, Path], Any]) -> Edition:
    for file, content in case.sources.items():
        if not (folder / file).exists():
            write(folder / file, content)
    declared = manifest.parse(case.text, folder)
    made = folder / f"edition-{sum(1 for _ in folder.glob('edition-*'))}"
    made.mkdir()
    try:
        report = build(declared, made)
    finally:
        assert not (made / ingest.STAGING).exists()
    return Edition(made, declared.served(vocabularies.kept(made)), reports.to_json(report))


def refusal(build: Callable[[], Edition]) -> tuple[type[Exception], str]:
    """Return how an import is refused."""
    try:
        build()
    except (ManifestError, ImportFailed) as error:
        return ManifestError if isinstance(error, ManifestError) else ImportFailed, str(error)
    raise AssertionError("it was not refused")


def persons(edition: Edition) -> Counter[Any]:
    """Return the persons of an edition, each as all that the edition knows of them, with texts in place of codes."""
    found: Counter[Any] = Counter()
    listed = parts.kept(edition.folder)
    assert all(parts.described(part.number, edition.folder / part.file) == part for part in listed.parts)
    for part in listed.parts:
        with duckdb.connect(str(edition.folder / part.file), read_only=True) as connection:
            found.update(_persons_of(connection, edition.dataset))
    return found


def dictionaries(edition: Edition) -> list[dict[str, list[Any]]]:
    """Return the texts and codes of each part."""
    found = []
    for part in parts.kept(edition.folder).parts:
        with duckdb.connect(str(edition.folder / part.file), read_only=True) as connection:
            tables = [str(row[0]) for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            kept = [table for table in tables if "." in table]
            found.append({t: connection.execute(f'SELECT code, value FROM "{t}" ORDER BY 1').fetchall() for t in kept})
    return found


def _persons_of(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> list[Any]:
    of_person: dict[int, list[Any]] = defaultdict(list)
    for table in dataset.tables.values():
        columns = []
        for column in table.columns.values():
            kept = dictionary(table.name, column)
            text = f'(SELECT value FROM "{kept}" WHERE code = t."{column.name}")'
            columns.append(f't."{column.name}"' if column.declared else text)
        listed = ", ".join(['t."person"', *columns])
        for person, *values in connection.execute(f'SELECT {listed} FROM "{table.name}" t').fetchall():
            of_person[person].append((table.name, *values))
    assert sorted(of_person) == list(range(len(of_person)))
    return [tuple(sorted(rows, key=repr)) for rows in of_person.values()]
