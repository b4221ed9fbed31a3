"""Sources of every kind: views in schemas, several files, patterns, folders that tell columns, compression, fields."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from queries.errors import ImportFailed, ManifestError
from queries.store.files import files_of
from tests.queries.sources import build, rows

TEXT = """
[tables.visits]
source = {source}
[tables.visits.columns.cost]
type = "integer"
bounds = [0, 100]
{keys}
"""
YEAR = """nullable = true
[tables.visits.columns.year]
type = "integer"
bounds = [2000, 2030]
"""


def csv(patients: list[Any], costs: list[Any], mark: str = ",") -> str:
    """Return visits as CSV."""
    lines = (f"{patient}{mark}{cost}\n" for patient, cost in zip(patients, costs, strict=True))
    return f"patient{mark}cost\n{''.join(lines)}"


def text(source: str, keys: str = "") -> str:
    """Return a manifest whose visits come from a source."""
    return TEXT.format(source=source, keys=keys)


def costs(built: Any) -> list[int]:
    """Return the costs that were stored."""
    return [cost for (cost,) in rows(built.path, "SELECT cost::INTEGER - 1 FROM visits ORDER BY 1")]


def years(built: Any) -> list[tuple[int, int | None]]:
    """Return the costs that were stored with their years."""
    found = rows(built.path, "SELECT cost - 1, nullif(year, 0) + 1999 FROM visits ORDER BY 1")
    return [(cost, year) for cost, year in found]


def database(path: Path, *statements: str) -> None:
    """Make a DuckDB file."""
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)


# Tables and views


def test_a_view_in_a_schema_is_read_as_a_table_is(tmp_path: Path) -> None:
    """A view may join tables of its own database; its rows count in its order."""
    database(
        tmp_path / "s.duckdb",
        "CREATE SCHEMA cdm",
        "CREATE TABLE cdm.t AS SELECT range AS patient, if(range = 9, 'x', '1') AS cost FROM range(10)",
        'CREATE VIEW cdm."all visits" AS SELECT patient, cost FROM cdm.t WHERE patient > 2 ORDER BY patient',
    )
    of_view = build(tmp_path, text('"s.duckdb"\ntable = "all visits"\nschema = "cdm"'), {})
    assert of_view.report.persons == 7
    assert of_view.report.tables["visits"].columns["cost"].first == 6
    assert build(tmp_path, text('"s.duckdb"\ntable = "t"\nschema = "cdm"'), {}).report.persons == 10


def test_a_view_in_a_schema_may_name_tables_of_the_main_one(tmp_path: Path) -> None:
    """As it could in its own database, whatever that is called here."""
    database(
        tmp_path / "s.duckdb",
        "CREATE TABLE t AS SELECT range AS patient, 1 AS cost FROM range(10)",
        "CREATE SCHEMA cdm",
        "CREATE VIEW cdm.v AS SELECT * FROM t",
    )
    assert build(tmp_path, text('"s.duckdb"\ntable = "v"\nschema = "cdm"'), {}).report.persons == 10


def test_a_view_is_computed_once(tmp_path: Path) -> None:
    """Else a person could have one attribute in one scan and another in the next, and rows would change places."""
    database(
        tmp_path / "s.duckdb",
        "CREATE VIEW v AS SELECT range // 10 AS patient, (100 * random())::INTEGER AS cost FROM range(2000)",
    )
    keys = '[person.columns.first]\nfrom = "cost"\ntype = "integer"\nbounds = [0, 100]'
    built = build(tmp_path, text('"s.duckdb"\ntable = "v"', keys), {})
    lost = rows(
        built.path,
        "SELECT count(*) FROM persons p WHERE NOT EXISTS "
        "(FROM visits v WHERE v.person = p.person AND v.cost = p.first)",
    )
    assert lost == [(0,)]


@pytest.mark.parametrize(
    ("said", "place", "words"),
    [
        ('table = "u"', "tables.visits.table", ["no table or view u in the schema main", "v (schema cdm), t"]),
        ('table = "v"', "tables.visits.table", ["v (schema cdm)"]),
        ('table = "t"\nschema = "cdm"', "tables.visits.table", ["v (schema cdm), t"]),
    ],
)
def test_a_table_that_is_not_there_is_refused_with_those_that_are(
    tmp_path: Path, said: str, place: str, words: list[str]
) -> None:
    """The names of tables, views and their schemas are shown."""
    database(
        tmp_path / "s.duckdb",
        "CREATE TABLE t (patient INTEGER, cost INTEGER)",
        "CREATE SCHEMA cdm",
        "CREATE VIEW cdm.v AS FROM t",
    )
    with pytest.raises(ManifestError) as refused:
        build(tmp_path, text(f'"s.duckdb"\n{said}'), {})
    assert refused.value.place == place
    assert all(word in str(refused.value) for word in words), str(refused.value)


# Several files


def test_several_files_are_read_in_the_order_in_which_they_are_named(tmp_path: Path) -> None:
    """The first row of a person, which decides their attributes, is the first of the first file."""
    files = {"b.csv": csv([7, 8], [20, 30]), "a.csv": csv([7], [10])}
    keys = '[person.columns.first]\nfrom = "cost"\ntype = "integer"\nbounds = [0, 100]'
    built = build(tmp_path, text('["b.csv", "a.csv"]', keys), files)
    assert costs(built) == [10, 20, 30]
    assert rows(built.path, "SELECT first - 1 FROM persons ORDER BY 1") == [(20,), (30,)]


def test_a_pattern_is_all_files_that_fit_it_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """Also in nested folders; hidden files and those that programs write for themselves are no data."""
    files = {
        "in/visits-2.parquet": pa.table({"patient": [2], "cost": [20]}),
        "in/visits-1.parquet": pa.table({"patient": [1], "cost": [10]}),
        "in/others-1.parquet": pa.table({"patient": [3], "cost": [30]}),
        "in/deep/er/visits-3.parquet": pa.table({"patient": [4], "cost": [40]}),
        "in/_visits-4.parquet": b"no data",
    }
    built = build(tmp_path, text('"in/visits-*.parquet"'), files)
    assert costs(built) == [10, 20]
    called = [file.called for file in files_of(built.declared.events["visits"])]
    assert called == ["in/visits-1.parquet", "in/visits-2.parquet"]
    assert costs(build(tmp_path, text('"in/**/visits-*.parquet"'), {})) == [10, 20, 40]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"no-*.csv"', "no file fits"),
        ('["a.csv", "a.csv"]', "has the same name twice"),
        ('["a.csv", "*.csv"]', "its rows would count as often"),
        ('["a.csv", "gone.csv"]', "there is no file"),
        ('["a.csv", "p.parquet"]', "two kinds"),
        ('"a*"', "is not .csv"),
        ('["s.duckdb", "a.csv"]\ntable = "t"', "a DuckDB source is one file"),
    ],
)
def test_files_that_cannot_be_one_source_are_refused(tmp_path: Path, source: str, words: str) -> None:
    """Nothing is left out or counted twice silently."""
    files = {"a.csv": csv([1], [1]), "a.txt": b"", "p.parquet": pa.table({"patient": [1], "cost": [1]})}
    with pytest.raises(ManifestError) as refused:
        build(tmp_path, text(source), files)
    assert words in str(refused.value), str(refused.value)
    assert refused.value.place == "tables.visits.source"


# Columns that the names of folders tell


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_names_of_folders_tell_a_column(tmp_path: Path, kind: str) -> None:
    """As Spark and DuckDB partition data; names are decoded, and one of them stands for null."""

    def make(patient: int, cost: int) -> Any:
        return csv([patient], [cost]) if kind == "csv" else pa.table({"patient": [patient], "cost": [cost]})

    files = {
        f"v/year=2023/a.{kind}": make(1, 10),
        f"v/year=2024/site=a%20b/a.{kind}": make(1, 20),
        f"v/year=__HIVE_DEFAULT_PARTITION__/a.{kind}": make(2, 30),
        f"v/year=soon/a.{kind}": make(3, 40),
    }
    built = build(tmp_path, text('"v/"', YEAR), files)
    assert years(built) == [(10, 2023), (20, 2024), (30, None), (40, None)]
    year = built.report.tables["visits"].columns["year"]
    assert (year.null, year.coerced, year.first_file) == (1, 1, f"v/year=soon/a.{kind}")
    assert years(build(tmp_path, text(f'"v/year=202*/*.{kind}"', YEAR), {})) == [(10, 2023)]


def test_a_column_of_the_file_comes_before_the_name_of_its_folder(tmp_path: Path) -> None:
    """The row itself says it. Files with and without such a column may stand side by side."""
    files = {
        "v/year=2023/a.parquet": pa.table({"patient": [1], "cost": [10], "year": ["2020"]}),
        "v/year=2024/a.parquet": pa.table({"patient": [2], "cost": [20]}),
    }
    assert years(build(tmp_path, text('"v/"', YEAR), files)) == [(10, 2020), (20, 2024)]


def test_the_name_of_a_folder_may_be_the_id(tmp_path: Path) -> None:
    """One folder a person, and one of nobody."""
    files = {f"v/patient={who}/a.csv": "cost\n1\n2\n" for who in ("7", "007x", "NA")}
    built = build(tmp_path, text('"v/"'), files)
    assert (built.report.persons, built.report.tables["visits"].without_person) == (2, 2)


# Compressed files, and tabs


def zstd(content: str) -> bytes:
    """Return a text compressed."""
    return bytes(pa.compress(content.encode(), codec="zstd", asbytes=True))


def test_compressed_files_are_read_as_what_they_hold(tmp_path: Path) -> None:
    """Also several in one, and beside plain ones in one folder; places are lines of the text."""
    files = {
        "v/1.csv.gz": gzip.compress(csv([1], [10]).encode()) + gzip.compress(b"2,20\n3,x\n"),
        "v/2.csv.zst": zstd(csv([4, 5], [40, 50])),
        "v/3.csv": csv([6], [60]),
    }
    built = build(tmp_path, text('"v/"', "nullable = true"), files)
    assert costs(built) == [-1, 10, 20, 40, 50, 60]
    cost = built.report.tables["visits"].columns["cost"]
    assert (cost.coerced, cost.first, cost.first_file) == (1, 4, "v/1.csv.gz")


@pytest.mark.parametrize(
    ("name", "harm"),
    [("v.csv.gz", "cut"), ("v.csv.gz", "changed"), ("v.csv.gz", "other"), ("v.csv.zst", "cut"), ("v.csv.zst", "other")],
)
def test_a_compressed_file_that_is_not_whole_is_refused(tmp_path: Path, name: str, harm: str) -> None:
    """Whoever is in the rest would be missing."""
    content = csv([*range(200_000)], [1] * 200_000)
    whole = gzip.compress(content.encode()) if name.endswith("gz") else zstd(content)
    middle = len(whole) // 2
    harmed = {
        "cut": whole[:-5],
        "changed": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
        "other": content.encode(),
    }[harm]
    with pytest.raises(ImportFailed, match=name):
        build(tmp_path, text(f'"{name}"'), {name: harmed})


@pytest.mark.parametrize("name", ["v.tsv", "v.TSV", "v.tsv.gz"])
def test_fields_of_a_tsv_are_separated_by_tabs(tmp_path: Path, name: str) -> None:
    """Unless the manifest says otherwise."""
    written = csv([1, 2], [10, 20], "\t").encode()
    content = gzip.compress(written) if name.endswith("gz") else written
    assert costs(build(tmp_path, text(f'"{name}"'), {name: content})) == [10, 20]
    with pytest.raises(ManifestError, match='delimiter = "'):
        build(tmp_path, text(f'"{name}"\ndelimiter = ","'), {})


# Fields within columns

NESTED = pa.table(
    {
        "who": [{"id": 1, "born": {"year": 1990}}, {"id": 2, "born": None}, None],
        "cost": [1, 2, 3],
        "marks": [[1], [2], [3]],
    }
)


def test_a_field_within_a_column_is_named_by_its_path(tmp_path: Path) -> None:
    """In Parquet files and in DuckDB; a field of what is null is null. The id may be one."""
    manifest = text(
        '"v.parquet"\nperson = "who.id"',
        YEAR.replace("bounds = [2000, 2030]", "bounds = [1900, 2030]\nfrom = 'who.born.year'"),
    )
    built = build(tmp_path, manifest, {"v.parquet": NESTED})
    assert (built.report.persons, built.report.tables["visits"].without_person) == (2, 1)
    assert rows(built.path, "SELECT cost - 1, nullif(year, 0) + 1899 FROM visits ORDER BY 1") == [(1, 1990), (2, None)]
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.register("nested", NESTED)
        connection.execute("CREATE TABLE t AS FROM nested")
    of_table = build(tmp_path, manifest.replace('"v.parquet"', '"s.duckdb"\ntable = "t"'), {})
    assert of_table.report == built.report


def test_a_column_named_as_a_path_clashes_with_it(tmp_path: Path) -> None:
    """Choosing one would be a guess. A dot in the name of a column is otherwise a letter like others."""
    clash = NESTED.append_column("who.id", pa.array([1, 2, 3]))
    with pytest.raises(ManifestError, match="ambiguous"):
        build(tmp_path, text('"v.parquet"\nperson = "who.id"'), {"v.parquet": clash})
    plain = pa.table({"who.id": [1, 2], "cost": [1, 2]})
    assert build(tmp_path, text('"w.parquet"\nperson = "who.id"'), {"w.parquet": plain}).report.persons == 2


@pytest.mark.parametrize("path", ["who.name", "marks.1", "who"])
def test_what_is_no_field_is_refused(tmp_path: Path, path: str) -> None:
    """A field that is not there, one of a list, and a whole struct as an id."""
    with pytest.raises(ManifestError) as refused:
        build(tmp_path, text(f'"v.parquet"\nperson = "{path}"'), {"v.parquet": NESTED})
    assert refused.value.place == "tables.visits.person"
