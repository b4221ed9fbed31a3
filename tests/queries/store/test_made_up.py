"""Made-up files in the shape of a catalog: every column and value of it, the shares that were released, and a mark."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from queries.binding import keys
from queries.catalog import described
from queries.catalog.histograms import Histogram, TableProfile, bin_starts
from queries.catalog.schema import PERSONS, describe, frozen
from queries.language import nodes
from queries.spelling import sql
from queries.store.made_up import files, marginals
from tests.queries.clinic import CLINIC, TABLE
from tests.queries.spelling.test_sql import QUERIES

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from queries.catalog.schema import Dataset

TYPES = {
    "person": "dictionary<values=string, indices=int32, ordered=0>",
    "sex": "dictionary<values=string, indices=int32, ordered=0>",
    "birth_year": "int64",
    "region": "dictionary<values=string, indices=int32, ordered=0>",
    "unit": "dictionary<values=string, indices=int32, ordered=0>",
    "diagnosis": "dictionary<values=string, indices=int32, ordered=0>",
    "visits": "int64",
    "balance": "double",
    "wide": "double",
    "urgent": "bool",
    "day": "date32[day]",
}


def written(
    folder: Path, dataset: Dataset = CLINIC, persons: int = 2000, **shares: marginals.Marginal
) -> dict[str, pa.Table]:
    """Write made-up files and read them. `shares` are of columns of visits, or of persons' attributes."""
    of = {(PERSONS if TABLE.columns[name].of_person else "visits", name): one for name, one in shares.items()}
    made = files.write(dataset, folder, persons, of, [f"release {name}" for name in shares])
    read = {name: pq.read_table(folder / files.file_of(name)) for name in dataset.tables}
    assert made.files == {files.file_of(name): content.num_rows for name, content in read.items()}
    assert list(made.files.values()) == list(files.rows(dataset, persons).values())
    return read


def share(found: pa.Table, column: str, value: Any) -> float:
    """Return how often a column has a value."""
    values = found[column].cast("string")
    fits = pc.is_null(values) if value is None else pc.equal(values, value)
    return float(pc.mean(pc.fill_null(fits, fill_value=False)).as_py())


def test_files_have_the_catalogs_shape(tmp_path: Path) -> None:
    """Every table and column is there, with values that the catalog allows, nulls where they are declared, and types."""
    read = written(tmp_path)
    for name, table in CLINIC.tables.items():
        found = read[name]
        assert found.column_names == ["person", *table.columns]
        assert {field.name: str(field.type) for field in found.schema} == {
            one: TYPES[one] for one in found.column_names
        }
        for column in table.columns.values():
            values = found[column.name].cast("string") if column.values else found[column.name]
            assert (values.null_count > 0) == column.nullable, column.name
            present = set(pc.unique(pc.drop_null(values)).to_pylist())
            if column.declared and column.size < 5_000:
                public = set(column.labels(range(1, column.size + 1)))
                assert {one.isoformat() if hasattr(one, "isoformat") else one for one in present} <= public
                assert len(present) > 1
    persons, visits = read[PERSONS], read["visits"]
    assert persons["person"].cast("string").to_pylist() == [f"made-up {n}" for n in range(1, 2001)]
    sexes = dict(zip(persons["person"].to_pylist(), persons["sex"].to_pylist(), strict=True))
    assert all(
        sexes[one] == sex for one, sex in zip(visits["person"].to_pylist(), visits["sex"].to_pylist(), strict=True)
    )


# DuckDB has no IQR and no DESCENDANTS, and takes no text for the edge of a histogram of days.
OURS = ("ranges", "lists", "filters")
RUNNING = [name for name, query in QUERIES.items() if query.source == "visits" and name not in OURS]


@pytest.mark.parametrize("name", RUNNING)
def test_the_sql_of_a_question_runs_on_the_files(tmp_path: Path, name: str) -> None:
    """DuckDB reads the files and takes the question's SQL: names and types are those that a program will meet."""
    written(tmp_path, persons=50)
    with duckdb.connect() as connection:
        for table in CLINIC.tables:
            connection.execute(f"CREATE VIEW {table} AS FROM '{tmp_path / files.file_of(table)}'")
        assert connection.execute(sql.to_sql(QUERIES[name])).fetchall()


def test_every_file_says_that_it_is_made_up(tmp_path: Path) -> None:
    """Name, metadata, each person's name and a text beside the files say it, and of what they were made."""
    written(tmp_path, region=released(nodes.ByValue("region"), [1, 0, 0, 0]))
    for file in tmp_path.iterdir():
        assert "made-up" in file.name.lower()
        said = file.read_text() if file.suffix == ".txt" else pq.read_schema(file).metadata[b"rowless"].decode()
        assert "no result computed from them means anything" in said
        assert "release region" in said
        if file.suffix == ".parquet":
            assert json.loads(said)["made_up"] is True
            assert all(one.startswith("made-up ") for one in pq.read_table(file)["person"].to_pylist())
    assert len(list(tmp_path.iterdir())) == 3


def test_the_same_catalog_gives_the_same_files(tmp_path: Path) -> None:
    """No chance is in them: made again, they are equal, byte for byte."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def released(key: nodes.Key, numbers: list[float]) -> marginals.Marginal:
    """Return the marginal of released numbers, one for each cell of a key."""
    found = marginals.of(keys.bind(key, TABLE, "", undeclared=True), numbers)
    assert found is not None
    return found


def test_columns_have_the_shares_that_were_released(tmp_path: Path) -> None:
    """Values, null, bins and parts of dates come as often as the answer says, and what was negative does not come."""
    visits = written(
        tmp_path,
        persons=4000,
        region=released(nodes.ByValue("region"), [60.4, -3, 30, 10]),
        visits=released(nodes.ByBins("visits", (0, 2, 10)), [90, 10]),
        wide=released(nodes.ByBins("wide", (-(2**33), 0, 1000)), [0, 5, 5]),
        day=released(nodes.ByPart("day", "weekday"), [0, 0, 0, 0, 0, 7, 0]),
        sex=released(nodes.ByValue("sex"), [3, 1]),
    )["visits"]
    for value, wanted in (("north", 0.6), ("east", 0.0), ("south", 0.3), (None, 0.1)):
        assert share(visits, "region", value) == pytest.approx(wanted, abs=0.02)
    assert share(visits, "region", "east") == 0
    assert float(np.mean(visits["visits"].to_numpy() < 2)) == pytest.approx(0.9, abs=0.02)
    assert set(visits["visits"].to_pylist()) == set(range(10))
    assert {day.isoweekday() for day in visits["day"].to_pylist()} == {6}
    assert share(visits, "sex", "female") == pytest.approx(0.75, abs=0.03)
    wide = visits["wide"].drop_null().to_numpy()
    assert (wide.min() >= 0, wide.max() < 1000, visits["wide"].null_count / len(visits)) == (
        True,
        True,
        pytest.approx(0.5, abs=0.03),
    )


def test_numbers_that_are_all_noise_are_no_marginal() -> None:
    """An answer without a number above 0 says nothing of a column."""
    assert marginals.of(keys.bind(nodes.ByValue("sex"), TABLE, ""), [-3, 0.2]) is None


def test_persons_have_the_events_of_the_profile(tmp_path: Path) -> None:
    """With a profile, so many events as it says: here from 8 to 10 of one half, and none of the other."""
    starts = bin_starts(16)
    numbers = [1000 if start in (0, 8) else 0 for start in starts]
    profiled = replace(TABLE, profile=TableProfile(Histogram(16, tuple(numbers), 0.1), frozen({})))
    dataset = replace(CLINIC, tables=frozen({**CLINIC.tables, "visits": profiled}))
    visits = written(tmp_path, dataset)["visits"]
    each = np.unique(visits["person"].to_numpy(), return_counts=True)[1]
    assert set(each.tolist()) == set(range(8, starts[starts.index(8) + 1]))
    assert len(each) == pytest.approx(1000, abs=80)
    assert "profile of visits" in (tmp_path / files.ABOUT).read_text()


def test_a_profile_without_events_leaves_no_table_empty(tmp_path: Path) -> None:
    """Where noise hid the few events, there are some as without a profile: a program needs rows, and the text says so."""
    numbers = [1000 if start == 0 else -20 for start in bin_starts(16)]
    profiled = replace(TABLE, profile=TableProfile(Histogram(16, tuple(numbers), 0.1), frozen({})))
    dataset = replace(CLINIC, tables=frozen({**CLINIC.tables, "visits": profiled}))
    assert written(tmp_path, dataset)["visits"].num_rows > 1000
    assert "profile of visits" not in (tmp_path / files.ABOUT).read_text()


def test_catalog_is_read_from_its_description() -> None:
    """What a server shows of a dataset makes the same catalog, as far as it is needed."""
    shown = json.loads(json.dumps(describe(CLINIC)))
    read = described.read(shown)
    assert describe(read) == shown
    for name, table in CLINIC.tables.items():
        for column in table.columns.values():
            found = read.tables[name].columns[column.name]
            assert (found.size, found.low, found.step) == (column.size, column.low, column.step)
