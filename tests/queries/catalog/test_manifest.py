from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from queries.catalog import manifest, schema
from queries.catalog.schema import EPOCH, PERSONS, Kind
from queries.errors import ManifestError

WHOLE = """
[dataset]
name = "rand-hie"
title = "RAND"
epsilon = 10.0
delta = 1e-6
persons_max = 100000
overcommit = true
[person]
id = "zper"
source = "people.csv"
delimiter = ";"
title = "People"
[person.columns.sex]
type = "category"
values = ["female", "male"]
[person.columns.birth_year]
type = "integer"
bounds = [1900, 2030]
[tables.years]
source = "sub/rand_hie.parquet"
person = "who"
title = "Years"
[tables.years.bounds]
cells_per_person = 3
events_per_cell = 5
[tables.years.columns.visits]
from = "mdvis"
type = "number"
bounds = [-0.5, 100]
step = 0.1
nullable = true
title = "Visits"
[tables.years.columns.diagnosis]
type = "category"
[tables.years.columns.seen]
type = "date"
[tables.years.columns.urgent]
type = "boolean"
[tables.other]
source = "other.duckdb"
table = "t"
"""
SMALL = """
[dataset]
name = "d"
epsilon = 1
persons_max = 10
[person]
id = "p"
[tables.t]
source = "t.parquet"
[tables.t.columns.v]
type = "integer"
bounds = [0, 9]
"""


def parse(text: str) -> manifest.Manifest:
    """Read a manifest as if it lay in /data."""
    return manifest.parse(text, Path("/data"))


def test_a_whole_manifest_is_read() -> None:
    """Every key is understood, decimals are exact, and sources are relative to the manifest."""
    read = parse(WHOLE)
    dataset = read.dataset
    assert (dataset.name, dataset.title, dataset.persons_max, dataset.overcommit) == ("rand-hie", "RAND", 100_000, True)
    assert (dataset.epsilon, dataset.delta) == (Decimal("10.0"), Decimal("0.000001"))
    assert list(dataset.tables) == [PERSONS, "years", "other"]
    years = dataset.tables["years"]
    assert list(years.columns) == ["sex", "birth_year", "visits", "diagnosis", "seen", "urgent"]
    assert (years.cells_per_person, years.events_per_cell, years.title) == (3, 5, "Years")
    visits = years.columns["visits"]
    assert (visits.low, visits.high, visits.step, visits.nullable) == (-5, 1000, Decimal("0.1"), True)
    assert [column.of_person for column in years.columns.values()] == [True, True, False, False, False, False]
    assert not years.columns["diagnosis"].declared
    assert (years.columns["seen"].label(1), years.columns["seen"].high) == (
        "1900-01-01",
        (dt.date(2099, 12, 31) - EPOCH).days,
    )
    assert read.events["years"].paths == (Path("/data/sub/rand_hie.parquet"),)
    assert (read.events["years"].person, read.events["other"].person) == (("who",), ("zper",))
    assert read.events["years"].columns["visits"] == "mdvis"
    assert read.persons is not None
    assert (read.persons.paths, read.persons.delimiter) == ((Path("/data/people.csv"),), ";")
    assert read.text == WHOLE


def test_manifest_defaults_of_left_out_keys() -> None:
    """A small manifest: persons come from the events, no delta, no bounds, the name as title."""
    read = parse(SMALL)
    assert read.persons is None
    assert (read.dataset.delta, read.dataset.title, read.dataset.overcommit) == (0, "d", False)
    assert read.dataset.tables["t"].cells_per_person is None
    assert read.dataset.tables[PERSONS].one_row_per_person
    assert not read.dataset.tables["t"].one_row_per_person


def test_the_public_schema_of_a_manifest_is_json() -> None:
    """What GET /datasets/NAME shows has every table and column, and nothing of the sources."""
    shown = schema.describe(parse(WHOLE).dataset)
    assert shown["name"] == "rand-hie"
    text = repr(shown)
    assert not any(secret in text for secret in ("mdvis", "zper", "who", "parquet", "/data"))
    years = schema.describe_table(parse(WHOLE).dataset.tables["years"])
    assert years["bounds"] == {"cells_per_person": 3, "events_per_cell": 5}
    columns = years["columns"]
    assert isinstance(columns, dict)
    assert columns["visits"]["bounds"] == [-0.5, 100]
    assert columns["visits"]["step"] == 0.1
    assert columns["diagnosis"]["declared"] is False
    assert columns["sex"]["values"] == ["female", "male"]


COLUMN = "tables.t.columns.v"
INTEGER = 'type = "integer"\nbounds = [0, 9]'
CHANGES: list[tuple[str, str, str]] = [
    # (what is replaced, by what, the place that is named)
    ('name = "d"', "", "dataset.name"),
    ('name = "d"', 'name = "a b"', "dataset.name"),
    ('name = "d"', 'name = "../up"', "dataset.name"),
    ('name = "d"', "name = 3", "dataset.name"),
    ('name = "d"', 'name = ""', "dataset.name"),
    ('name = "d"', f'name = "{"x" * 64}"', "dataset.name"),
    ("epsilon = 1", "", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = 0", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = -1", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = 1000001", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = inf", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = nan", "dataset.epsilon"),
    ("epsilon = 1", "epsilon = true", "dataset.epsilon"),
    ("epsilon = 1", 'epsilon = "1"', "dataset.epsilon"),
    ("epsilon = 1", "epsilon = 1\ndelta = 1", "dataset.delta"),
    ("epsilon = 1", "epsilon = 1\ndelta = -1e-9", "dataset.delta"),
    ("epsilon = 1", "epsilon = 1\novercommit = 1", "dataset.overcommit"),
    ("epsilon = 1", "epsilon = 1\nepsilom = 2", "dataset.epsilom"),
    ("persons_max = 10", "", "dataset.persons_max"),
    ("persons_max = 10", "persons_max = 0", "dataset.persons_max"),
    ("persons_max = 10", "persons_max = 2147483648", "dataset.persons_max"),
    ("persons_max = 10", "persons_max = 10.0", "dataset.persons_max"),
    ("persons_max = 10", "persons_max = true", "dataset.persons_max"),
    ('id = "p"', "", "person.id"),
    ('id = "p"', 'id = "p"\nkey = 1', "person.key"),
    ('id = "p"', 'id = "p"\nsource = "p.txt"', "person.source"),
    ('source = "t.parquet"', "", "tables.t.source"),
    ('source = "t.parquet"', 'source = "t.xlsx"', "tables.t.source"),
    ('source = "t.parquet"', 'source = "t.duckdb"', "tables.t.table"),
    ('source = "t.parquet"', 'source = "t.parquet"\ntable = "x"', "tables.t.table"),
    ('source = "t.parquet"', 'source = "t.csv"\ndelimiter = ";;"', "tables.t.delimiter"),
    ('source = "t.parquet"', 'source = "t.parquet"\nperson = 3', "tables.t.person"),
    ('source = "t.parquet"', 'source = "t.parquet"\nsorce = 3', "tables.t.sorce"),
    ('source = "t.parquet"', 'source = "t.parquet"\nbounds = {cells_per_person = 0}', "tables.t.bounds.cells_per_person"),
    ('source = "t.parquet"', 'source = "t.parquet"\nbounds = {events_per_cell = 1.5}', "tables.t.bounds.events_per_cell"),
    ('source = "t.parquet"', 'source = "t.parquet"\nbounds = {events = 1}', "tables.t.bounds.events"),
    ('source = "t.parquet"', 'source = "t.parquet"\nbounds = 3', "tables.t.bounds"),
    (INTEGER, "", f"{COLUMN}.type"),
    (INTEGER, 'type = "float"', f"{COLUMN}.type"),
    (INTEGER, 'type = "integer"', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [9, 0]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [9, 9]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0, 9.5]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0, "9"]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0, inf]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0, 9007199254740992]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [-9007199254740991, 9007199254740991]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "integer"\nbounds = [0, 9]\nstep = 2', f"{COLUMN}.step"),
    (INTEGER, 'type = "integer"\nbounds = [0, 9]\nvalues = ["a"]', f"{COLUMN}.values"),
    (INTEGER, 'type = "integer"\nbounds = [0, 9]\nnullable = "yes"', f"{COLUMN}.nullable"),
    (INTEGER, 'type = "number"\nbounds = [0, 9]', f"{COLUMN}.step"),
    (INTEGER, 'type = "number"\nbounds = [0, 9]\nstep = 0', f"{COLUMN}.step"),
    (INTEGER, 'type = "number"\nbounds = [0, 9]\nstep = -1', f"{COLUMN}.step"),
    (INTEGER, 'type = "number"\nbounds = [0, 0.25]\nstep = 0.1', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "category"\nvalues = []', f"{COLUMN}.values"),
    (INTEGER, 'type = "category"\nvalues = ["a", "a"]', f"{COLUMN}.values"),
    (INTEGER, 'type = "category"\nvalues = ["a", 1]', f"{COLUMN}.values"),
    (INTEGER, 'type = "category"\nvalues = "a"', f"{COLUMN}.values"),
    (INTEGER, 'type = "category"\nbounds = [0, 1]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "date"\nbounds = [2020-01-02, 2020-01-01]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "date"\nbounds = ["2020-02-30", 2021-01-01]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "date"\nbounds = [2020-01-01T00:00:00, 2021-01-01]', f"{COLUMN}.bounds"),
    (INTEGER, 'type = "date"\nbounds = [0, 9]', f"{COLUMN}.bounds"),
    ("[tables.t.columns.v]", "[tables.t.columns.person]", "tables.t.columns.person"),
    ("[tables.t.columns.v]", "[tables.t.columns.Person]", "tables.t.columns.Person"),
    ("[tables.t.columns.v]", '[tables.t.columns."a b"]', "tables.t.columns.a b"),
    ("[tables.t.columns.v]", '[tables.t.columns."1a"]', "tables.t.columns.1a"),
    ("[tables.t.columns.v]", f'[tables.t.columns.V]\n{INTEGER}\n[tables.t.columns.v]', "tables.t.columns.v"),
    ("[tables.t.columns.v]", f'[person.columns.V]\n{INTEGER}\n[tables.t.columns.v]', "tables.t.columns.v"),
    ("[tables.t]", '[tables.T]\nsource = "t.csv"\n[tables.t]', "tables.t"),
    ("[tables.t]", '[tables.persons]\nsource = "t.csv"\n[tables.t]', "tables.persons"),
    ("[tables.t]", '[tables.Person]\nsource = "t.csv"\n[tables.t]', "tables.Person"),
    ("[tables.t]", '[tables."a.b"]\nsource = "t.csv"\n[tables.t]', "tables.a.b"),
    ("[person]", "[people]\n[person]", "people"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "place"), CHANGES)
def test_a_wrong_key_or_value_is_refused_with_its_place(old: str, new: str, place: str) -> None:
    """One thing wrong in a manifest that is right otherwise, and its place is named."""
    assert old in SMALL
    with pytest.raises(ManifestError) as refused:
        parse(SMALL.replace(old, new, 1))
    assert refused.value.place == place
    assert str(refused.value).startswith(f"{place}: ")


@pytest.mark.parametrize(("text", "place"), [("", "dataset"), ("dataset = 1", "dataset"), ("[dataset", "manifest")])
def test_odd_manifest_file_refused(text: str, place: str) -> None:
    """An empty file, another shape and broken TOML."""
    with pytest.raises(ManifestError) as refused:
        parse(text)
    assert refused.value.place == place


@pytest.mark.parametrize("missing", ["[person]", "[tables.t]"])
def test_a_manifest_needs_persons_and_a_table(missing: str) -> None:
    """Without [person] or any table nothing can be imported."""
    with pytest.raises(ManifestError):
        parse(SMALL.partition(missing)[0])
    with pytest.raises(ManifestError):
        parse(SMALL.partition("[tables.t]")[0] + "[tables]")


def test_a_hint_names_the_key_that_was_meant() -> None:
    """A misspelled key is answered with the nearest known one."""
    with pytest.raises(ManifestError, match="did you mean epsilon"):
        parse(SMALL.replace("epsilon = 1", "epsilon = 1\nepsilom = 2"))


def test_a_file_that_cannot_be_read_is_a_manifest_error(tmp_path: Path) -> None:
    """A missing file and one that is no text."""
    with pytest.raises(ManifestError):
        manifest.read_manifest(tmp_path / "gone.toml")
    (tmp_path / "m.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError):
        manifest.read_manifest(tmp_path / "m.toml")
    (tmp_path / "m.toml").write_text(SMALL)
    assert manifest.read_manifest(tmp_path / "m.toml").events["t"].paths == (tmp_path / "t.parquet",)


def test_the_widest_bounds_are_accepted() -> None:
    """Just below 2^53 steps everything is exact in a double."""
    text = SMALL.replace("bounds = [0, 9]", f"bounds = [0, {2**53 - 2}]")
    assert parse(text).dataset.tables["t"].columns["v"].high == 2**53 - 2


@pytest.mark.parametrize("kind", list(Kind))
def test_labels_cover_every_code(kind: Kind) -> None:
    """Each code of a column has a label of its own, in the declared order."""
    column = {
        Kind.CATEGORY: 'type = "category"\nvalues = ["b", "a"]',
        Kind.INTEGER: INTEGER,
        Kind.NUMBER: 'type = "number"\nstep = 0.1\nbounds = [-0.2, 0.3]',
        Kind.DATE: 'type = "date"\nbounds = [2020-02-28, 2020-03-01]',
        Kind.BOOLEAN: 'type = "boolean"',
    }[kind]
    read = parse(SMALL.replace(INTEGER, column)).dataset.tables["t"].columns["v"]
    assert [read.label(code) for code in range(1, read.size + 1)] == {
        Kind.CATEGORY: ["b", "a"],
        Kind.INTEGER: list(range(10)),
        Kind.NUMBER: [-0.2, -0.1, 0, 0.1, 0.2, 0.3],
        Kind.DATE: ["2020-02-28", "2020-02-29", "2020-03-01"],
        Kind.BOOLEAN: [False, True],
    }[kind]


MANY = """
[dataset]
name = "no name"
epsilon = "ten"
persons_max = 0
profil = 1
[person]
id = 7
[person.columns.sex]
type = "category"
values = ["f", "f"]
[tables.t]
source = "t.xlsx"
decimal = ";"
format = "%d.%m"
[tables.t.columns.v]
type = "integer"
bounds = [9, 0]
title = 3
[tables.t.columns.w]
type = "numbr"
[tables.t.columns.person]
type = "date"
bounds = ["soon", "later"]
[tables.t.columns.age]
years_from = "w"
to = "person"
bounds = [0, 9]
[tables.t.bounds]
cells_per_person = 0
events_per_cel = 1
[tables.persons]
source = "p.csv"
"""
PLACES = [
    "dataset.name",
    "dataset.epsilon",
    "dataset.persons_max",
    "dataset.profil",
    "person.id",
    "person.columns.sex.values",
    "tables.t.columns.v.title",
    "tables.t.columns.v.bounds",
    "tables.t.columns.w.type",
    "tables.t.columns.person",
    "tables.t.columns.person.bounds",
    "tables.t.bounds.cells_per_person",
    "tables.t.bounds.events_per_cel",
    "tables.t.source",
    "tables.t.decimal",
    "tables.t.format",
    "tables.persons",
]


def test_all_that_is_wrong_is_refused_at_once() -> None:
    """Each error with its place, once, and nothing that only follows from another error."""
    with pytest.raises(ManifestError) as refused:
        parse(MANY)
    assert sorted(error.place for error in refused.value.each) == sorted(PLACES)
    assert str(refused.value).startswith(f"{len(PLACES)} errors:\n  ")
    with pytest.raises(ManifestError) as alone:
        parse(SMALL.replace("persons_max = 10", "persons_max = 0"))
    assert str(alone.value).startswith("dataset.persons_max: ")
