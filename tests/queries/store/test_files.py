"""A source may be a folder: its files are read in a fixed order, and whatever is found in one is reported with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from queries.errors import ImportFailed, ManifestError
from queries.store import losses, reports
from queries.store.files import files_of
from tests.queries.sources import build, rows, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VISITS = """
[tables.visits]
source = "visits/"
{keys}
[tables.visits.columns.cost]
type = "integer"
bounds = [0, 100]
[tables.visits.columns.site]
type = "category"
"""
TEXT = VISITS.format(keys="")


def csv(patients: list[Any], costs: list[Any], sites: str = "") -> str:
    """Return visits as CSV."""
    return "patient,cost,site\n" + "".join(
        f"{patient},{cost},{site}\n"
        for patient, cost, site in zip(patients, costs, sites or "a" * len(costs), strict=True)
    )


def parquet(patients: list[Any], costs: list[Any], sites: str = "") -> pa.Table:
    """Return visits as a table."""
    return pa.table({"patient": patients, "cost": costs, "site": list(sites or "a" * len(costs))})


def stored(built: Any) -> list[tuple[Any, ...]]:
    """Return the costs and sites that were stored."""
    texts = 'SELECT cost - 1, value FROM visits LEFT JOIN "visits#site" ON site = code ORDER BY 1, 2'
    listed = rows(built.path, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'visits_%'")
    return rows(built.path, texts.replace("visits#site", str(listed[0][0])))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_imports_as_one_file_with_all_its_rows_does(tmp_path: Path, kind: str) -> None:
    """Also from nested folders, and without the files that programs write for themselves."""
    make: Any = csv if kind == "csv" else parquet
    files = {
        f"visits/2024/01.{kind}": make([1, 2], [10, 20], "ab"),
        f"visits/2024/02.{kind}": make([2, 3], [30, 40], "bc"),
        f"visits/2023.{kind}": make([1], [50], "c"),
        "visits/_SUCCESS": b"",
        f"visits/.hidden.{kind}": b"no data",
        f"visits/_temporary/0.{kind}": b"no data",
    }
    whole = {f"all.{kind}": make([1, 1, 2, 2, 3], [50, 10, 20, 30, 40], "cabbc")}
    of_many = build(tmp_path, TEXT, files)
    of_one = build(tmp_path, TEXT.replace("visits/", f"all.{kind}"), whole)
    assert of_many.report == of_one.report
    assert stored(of_many) == stored(of_one) == [(10, "a"), (20, "b"), (30, "b"), (40, "c"), (50, "c")]


def test_files_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """The first row of a person, which decides their attributes, is the first of the first file."""
    text = TEXT.replace(
        "[tables.visits]",
        "[person.columns.first]\nfrom = 'cost'\ntype = 'integer'\nbounds = [0, 100]\n[tables.visits]",
        1,
    )
    for kind, make in (("csv", csv), ("parquet", parquet)):
        folder = tmp_path / kind
        folder.mkdir()
        files = {f"visits/{name}.{kind}": make([7], [cost]) for name, cost in (("b", 20), ("a/z", 10), ("c", 5))}
        built = build(folder, text, files)
        assert rows(built.path, "SELECT first - 1 FROM persons") == [(10,)]


def test_files_of_parquet_may_order_their_columns_differently(tmp_path: Path) -> None:
    """Columns are found by their names in each file; others are not read."""
    other = parquet([2], [20], "b").select(["site", "cost", "patient"]).append_column("extra", pa.array([1.5]))
    built = build(tmp_path, TEXT, {"visits/a.parquet": parquet([1], [10]), "visits/b.parquet": other})
    assert stored(built) == [(10, "a"), (20, "b")]


@pytest.mark.parametrize("clash", ["file_row_number", "file_index"])
def test_columns_named_as_the_engines_own_change_no_row(tmp_path: Path, clash: str) -> None:
    """Columns of these names would hide the engine's numbers of rows and files."""
    files = {
        f"visits/{name}.parquet": parquet([7, 8], [cost, "?"]).append_column(clash, pa.array([0, 0]))
        for name, cost in (("a", "1"), ("b", "2"), ("c", "3"))
    }
    built = build(tmp_path, TEXT, files)
    found = built.report.tables["visits"]
    assert (found.rows, found.columns["cost"].coerced) == (6, 3)
    assert (found.columns["cost"].first, found.columns["cost"].first_file) == (1, "visits/a.parquet")


def test_a_name_with_marks_of_patterns_is_that_file_alone(tmp_path: Path) -> None:
    """The engine would read x[1], x* and x? as patterns, and rows of x1 twice."""
    files = {f"visits/{name}.parquet": parquet([1], [10]) for name in ("x1", "x[1]", "x*", "x?", "{x1,x2}")}
    assert build(tmp_path, TEXT, files).report.tables["visits"].rows == 5
    assert build(tmp_path, TEXT.replace("visits/", "visits/x*.parquet"), {}).report.tables["visits"].rows == 1


# What is found is named with its file


def test_losses_of_all_files_are_added_up_and_the_first_is_named(tmp_path: Path) -> None:
    """Malformed lines, doubtful records and values count together; places are of one file."""
    files = {
        "visits/1.csv": csv([1] * 30, [1] * 30),
        "visits/2.csv": csv([2] * 30, [2] * 29 + ["?"]) + "3,4\n",
        "visits/3.csv": csv([3] * 30, ["x"] * 30) + "3\n" + '4,"5,a\n5,6",7\n',
    }
    built = build(tmp_path, TEXT, files)
    found = built.report.tables["visits"]
    assert (found.rows, found.malformed, found.columns["cost"].coerced) == (91, 2, 32)
    assert (found.first_malformed, found.first_malformed_file) == (32, "visits/2.csv")
    assert (found.columns["cost"].first, found.columns["cost"].first_file) == (31, "visits/2.csv")
    said = " ".join(losses.excessive(built.declared, built.report))
    assert "visits/2.csv line 31" in said
    kept = reports.to_json(built.report)["tables"]["visits"]
    assert kept["columns"]["cost"]["first_file"] == kept["first_malformed_file"] == "visits/2.csv"


def test_an_only_file_is_reported_without_its_name(tmp_path: Path) -> None:
    """As it always was."""
    found = build(tmp_path, TEXT.replace("visits/", "one.csv"), {"one.csv": csv([1], ["?"])}).report.tables["visits"]
    assert (found.columns["cost"].first, found.columns["cost"].first_file) == (2, None)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"visits/a.csv": csv([1], [1]), "visits/b.csv": csv([1, "007", 8, 7], [1] * 4)}, "visits/b.csv line 3 and visits/b.csv line 5"),
        ({"visits/a.csv": csv([1, "007"], [1] * 2), "visits/b.csv": csv(["7"], [1])}, "visits/a.csv line 3 and visits/b.csv line 2"),
        ({"visits/a.parquet": parquet([1.0], [1]), "visits/b.parquet": parquet([1.0, 2.0**60], [1] * 2)}, "visits/b.parquet row 2"),
        ({"visits/a.csv": csv([1], [1]), "visits/b.csv": csv([1], [1]) + '2,"3\n'}, "visits/b.csv, line 3"),
        ({"visits/a.csv": csv([1], [1]), "visits/b.csv": b"patient,cost,site\n1,1,\xe9\n"}, "visits/b.csv, line 2"),
    ],
)  # fmt: skip
def test_refusals_name_file_and_row(tmp_path: Path, files: Mapping[str, Any], words: str) -> None:
    """Spellings, inexact ids, open quotes and wrong bytes are found in any of the files, and are shown there."""
    with pytest.raises(ImportFailed) as refused:
        build(tmp_path, TEXT, files)
    assert words in str(refused.value)


def test_a_row_of_a_table_with_deleted_rows_is_counted_among_those_there_are(tmp_path: Path) -> None:
    """The engine does not use the numbers of deleted rows again."""
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT range AS patient, if(range = 9, 'x', '1') AS cost, 'a' AS site FROM range(10)"
        )
        connection.execute("DELETE FROM t WHERE patient < 5")
    text = TEXT.replace('"visits/"', '"s.duckdb"\ntable = "t"')
    assert build(tmp_path, text, {}).report.tables["visits"].columns["cost"].first == 4


# What is refused


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"visits/_SUCCESS": b""}, ["holds no .csv or .parquet file"]),
        ({}, ["there is no folder"]),
        ({"visits/a.csv": csv([1], [1]), "visits/b/c.parquet": parquet([1], [1])}, ["a.csv", "b/c.parquet", "two kinds"]),
        ({"visits/a.csv": csv([1], [1]), "visits/b.csv.bz2": b""}, ["b.csv.bz2"]),
        ({"visits/a.csv": csv([1], [1]), "visits/b.parquet.gz": b""}, ["b.parquet.gz"]),
        ({"visits/a.csv": csv([1], [1]), "visits/b.tsv": "patient\tcost\tsite\n"}, ["a.csv", "b.tsv", "two kinds"]),
        ({"visits/a.parquet": parquet([1], [1]), "visits/_delta_log/0.json": b""}, ["Delta"]),
        ({"visits/a.parquet": parquet([1], [1]), "visits/b.parquet": parquet([1], ["1"])}, ["cost", "BIGINT in visits/a.parquet", "VARCHAR in visits/b.parquet"]),
        ({"visits/a.parquet": parquet([1], [1]), "visits/b.parquet": parquet([1], [1]).drop_columns(["cost"])}, ["visits/b.parquet has no column cost"]),
        ({"visits/a.csv": csv([1], [1]), "visits/b.csv": "patient,cost\n1,2\n"}, ["visits/b.csv has no column site"]),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_read_whole_is_refused(
    tmp_path: Path, files: Mapping[str, Any], words: list[str]
) -> None:
    """Nothing is left out silently."""
    with pytest.raises(ManifestError) as refused:
        build(tmp_path, TEXT, files)
    assert refused.value.place.startswith("tables.visits")
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_a_file_without_the_ending_of_a_source_is_not_said_to_be_missing(tmp_path: Path) -> None:
    """The refusal tells which endings there are."""
    write(tmp_path / "visits", csv([1], [1]))
    with pytest.raises(ManifestError, match=r"is there, and its name does not end .* \.csv, .* or \.db"):
        build(tmp_path, TEXT, {})


def test_a_link_to_a_folder_is_refused_and_not_skipped(tmp_path: Path) -> None:
    """Whoever is in it would be missing."""
    write(tmp_path / "visits/a.csv", csv([1], [1]))
    write(tmp_path / "elsewhere/b.csv", csv([2], [2]))
    (tmp_path / "visits/b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ManifestError, match="link to a folder"):
        build(tmp_path, TEXT, {})


def test_a_folder_may_be_named_as_its_files_are(tmp_path: Path) -> None:
    """Spark writes folders named x.parquet."""
    built = build(tmp_path, TEXT.replace("visits/", "v.parquet"), {"v.parquet/part-0.parquet": parquet([1], [10])})
    assert built.report.persons == 1
    assert [file.called for file in files_of(built.declared.events["visits"])] == ["v.parquet/part-0.parquet"]


def test_a_duckdb_source_is_no_folder(tmp_path: Path) -> None:
    """Its table is in one file."""
    text = TEXT.replace('"visits/"', '"s.duckdb"\ntable = "t"')
    with pytest.raises(ManifestError, match="is a folder"):
        build(tmp_path, text, {"s.duckdb/a.csv": csv([1], [1])})
