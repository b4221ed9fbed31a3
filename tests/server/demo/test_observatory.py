from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from queries.catalog import manifest
from queries.catalog.schema import Kind
from server.demo.observatory import BATCH, Shape, Written, write_observatory

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from queries.catalog.schema import Column

FILES = ("persons.parquet", "consultations.parquet", "prescriptions.parquet")
SHAPE = Shape(persons=BATCH + 10_000, seed=7)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Write one observatory of two batches for all tests that only read."""
    return write_observatory(tmp_path_factory.mktemp("observatory"), SHAPE)


def tables(one: Written) -> list[pa.Table]:
    """Read persons, consultations and prescriptions, in this order."""
    return [pq.read_table(one.manifest.parent / name) for name in FILES]


def counts(one: Written, events: str) -> NDArray[np.int64]:
    """Return how many events each person has, those with none included."""
    grouped = (
        pq.read_table(one.manifest.parent / events, columns=["patient"])
        .group_by("patient")
        .aggregate([([], "count_all")])
    )
    some = grouped["count_all"].to_numpy()
    return np.concatenate([some, np.zeros(one.persons - len(some), dtype=np.int64)])


def outside(column: Column, values: pa.ChunkedArray) -> int:
    """Count the values that the declaration does not allow."""
    if column.kind is Kind.CATEGORY:
        known = pa.array(column.values)
        return len(values) - int(pc.sum(pc.is_in(values.cast(pa.string()), known)).as_py())
    numbers = values.drop_null().cast(pa.int32()) if column.kind is Kind.DATE else values.drop_null()
    units = numbers.to_numpy().astype(np.float64) / float(column.step)
    allowed = (units >= column.low) & (units <= column.high) & (np.abs(units - np.rint(units)) < 1e-6)
    return int(np.count_nonzero(~allowed)) + (0 if column.nullable else values.null_count)


def test_the_same_shape_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two runs of one shape write files that are equal byte by byte."""
    for folder in ("one", "other"):
        write_observatory(tmp_path / folder, Shape(persons=2_000, seed=3))
    for name in (*FILES, "observatory.toml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_another_seed_gives_other_tables(tmp_path: Path) -> None:
    """No table is the same under two seeds."""
    one = write_observatory(tmp_path / "one", Shape(persons=2_000, seed=3))
    other = write_observatory(tmp_path / "other", Shape(persons=2_000, seed=4))
    for mine, theirs in zip(tables(one), tables(other), strict=True):
        assert not mine.equals(theirs)
    assert not set(tables(one)[0]["patient"].to_pylist()) & set(tables(other)[0]["patient"].to_pylist())


def test_batches_differ_from_one_another(written: Written) -> None:
    """Each batch has a random stream of its own: the second does not repeat the first."""
    practices = tables(written)[0]["practice"].to_numpy()
    assert (practices[:10_000] != practices[BATCH:]).mean() > 0.9


def test_what_is_returned_is_what_is_in_the_files(written: Written) -> None:
    """The counts are those of the files' rows, and each batch is a row group of its own."""
    files = [pq.ParquetFile(written.manifest.parent / name) for name in FILES]
    rows = [file.metadata.num_rows for file in files]
    assert rows == [written.persons, written.consultations, written.prescriptions]
    assert [file.metadata.num_row_groups for file in files] == [2, 2, 2]
    for file in files:
        file.close()


def test_progress_ends_with_all_persons(tmp_path: Path) -> None:
    """Progress is told after every batch and counts persons."""
    told: list[int] = []
    write_observatory(tmp_path, Shape(persons=BATCH + 1), told.append)
    assert told == [BATCH, BATCH + 1]


def test_every_value_is_declared(written: Written) -> None:
    """Each value of each declared column lies within the manifest's values, bounds, steps and nullability."""
    read = manifest.read_manifest(written.manifest)
    assert read.persons is not None
    for name, source in {"persons": read.persons, **read.events}.items():
        table = pq.read_table(source.paths[0])
        assert source.person == ("patient",)
        assert set(table.column_names) == {*source.person, *source.columns.values()}
        for public, own in source.columns.items():
            assert outside(read.dataset.tables[name].columns[public], table[own]) == 0, (name, public)


@pytest.mark.parametrize(("persons", "most"), [(1, 1), (999, 1_000), (1_000, 1_000), (1_001, 10_000)])
def test_the_bound_on_persons_is_round(tmp_path: Path, persons: int, most: int) -> None:
    """The declared bound on persons is the least power of ten that is no lower than their number."""
    one = write_observatory(tmp_path, Shape(persons=persons))
    assert manifest.read_manifest(one.manifest).dataset.persons_max == most


def test_a_small_shape_is_declared_too(tmp_path: Path) -> None:
    """A manifest can be read whatever the shape, even where there is but one of everything."""
    one = write_observatory(tmp_path, Shape(1, practices=1, diagnoses=1, drugs=1, first_year=2020, last_year=2020))
    assert manifest.read_manifest(one.manifest).dataset.tables["consultations"].columns["diagnosis"].values == ("D01",)


@pytest.mark.parametrize(
    "wrong",
    [{"persons": 0}, {"practices": 0}, {"drugs": 40_000}, {"seed": -1}, {"first_year": 2024}],
)
def test_a_shape_that_cannot_be_made_is_refused(wrong: dict[str, Any]) -> None:
    """A shape is checked when it is made, before any file is."""
    with pytest.raises(ValueError, match="must"):
        Shape(**{"persons": 10, **wrong})


def test_persons_are_told_apart_and_all_events_are_theirs(written: Written) -> None:
    """Pseudonyms are distinct and positive, and no event belongs to anybody else."""
    persons, consultations, prescriptions = (table["patient"] for table in tables(written))
    assert len(pc.unique(persons)) == written.persons
    assert pc.min(persons).as_py() > 0
    assert pc.all(pc.is_in(pc.unique(consultations), persons.combine_chunks())).as_py()
    assert pc.all(pc.is_in(pc.unique(prescriptions), persons.combine_chunks())).as_py()


def test_consultations_are_skewed(written: Written) -> None:
    """About 10 consultations a person in the mean and 6 in the median, a long tail, and some persons with none."""
    consultations = counts(written, "consultations.parquet")
    assert consultations.sum() == written.consultations
    assert 9.5 < consultations.mean() < 10.5
    assert 5 <= np.median(consultations) <= 7
    assert 200 < consultations.max() < 2_000
    assert 0.02 < (consultations == 0).mean() < 0.10


def test_prescriptions_follow_consultations(written: Written) -> None:
    """About 7 prescriptions a person in the mean, with a long tail, and more persons with none."""
    prescriptions = counts(written, "prescriptions.parquet")
    assert 6.5 < prescriptions.mean() < 7.5
    assert 3 <= np.median(prescriptions) <= 5
    assert prescriptions.max() > 150
    assert 0.05 < (prescriptions == 0).mean() < 0.2


def test_diagnoses_repeat_within_persons(written: Written) -> None:
    """Persons have 5 to 8 distinct diagnoses in the mean and around a hundred in the tail, fewer than by chance."""
    table = pq.read_table(written.manifest.parent / "consultations.parquet", columns=["patient", "diagnosis"])
    codes = table["diagnosis"].combine_chunks().indices.to_numpy()
    patients = table["patient"].to_numpy()

    def distinct(of: NDArray[np.int16]) -> NDArray[np.int64]:
        pairs = pa.table({"patient": patients, "code": of}).group_by(["patient", "code"]).aggregate([])
        each: NDArray[np.int64] = pairs.group_by("patient").aggregate([([], "count_all")])["count_all"].to_numpy()
        return each

    real, chance = distinct(codes), distinct(np.random.default_rng(0).permutation(codes))
    assert 5 < real.sum() / written.persons < 8
    assert 50 < real.max() < 200
    assert real.mean() < 0.9 * chance.mean()


def test_diagnoses_are_zipf_distributed(written: Written) -> None:
    """The k-th most frequent of the 300 codes is seen about 1/k as often as the first, and all are seen."""
    consultations = tables(written)[1]
    frequencies = np.sort(consultations["diagnosis"].combine_chunks().value_counts().field("counts").to_numpy())[::-1]
    assert len(frequencies) == SHAPE.diagnoses
    assert frequencies[0] / frequencies[9] == pytest.approx(10, rel=0.15)
    assert frequencies[0] / frequencies[99] == pytest.approx(100, rel=0.3)


def test_events_are_in_no_order(written: Written) -> None:
    """Neither the files' persons nor their dates ascend, and one person's events do not stand together."""
    for table in tables(written)[1:]:
        persons, days = table["patient"].to_numpy(), table["date"].cast(pa.int32()).to_numpy()
        assert 0.45 < (np.diff(days) > 0).mean() < 0.55
        assert 0.45 < (np.diff(persons) > 0).mean() < 0.55
        assert (np.diff(persons) == 0).mean() < 0.01


def test_a_consultation_is_mostly_at_the_own_practice(written: Written) -> None:
    """About nine in ten consultations are at the person's own practice."""
    persons, consultations, _ = tables(written)
    own = persons.select(["patient", "practice"]).rename_columns(["patient", "own"])
    joined = consultations.select(["patient", "practice"]).join(own, "patient")
    assert pc.mean(pc.equal(joined["practice"], joined["own"])).as_py() == pytest.approx(0.9, abs=0.01)


def test_two_in_five_blood_pressures_are_missing(written: Written) -> None:
    """Blood pressure, and nothing else, is null: in about 40 % of the consultations."""
    for table in tables(written):
        for name in table.column_names:
            expected = 0.4 if name == "systolic" else 0
            assert table[name].null_count / table.num_rows == pytest.approx(expected, abs=0.01)


def test_a_practice_is_in_one_region(written: Written) -> None:
    """Persons of one practice share one region, and all 13 regions have persons."""
    persons = tables(written)[0]
    assert len(pc.unique(persons["region"])) == 13
    places = persons.group_by(["practice", "region"]).aggregate([])
    assert len(places) == len(pc.unique(persons["practice"]))
