"""A manifest of an OMOP CDM: drafted from its names, checked, imported, with labels and what is under what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.csv
import pytest
import sqlalchemy as sa
from omop_cdm.regular import cdm54

from budgets.formalities import NAMES
from queries.catalog import manifest, vocabularies
from queries.catalog.schema import describe_table
from queries.errors import ManifestError
from queries.store import ingest
from queries.store.drafts import checking, omop
from server.demo import cdm
from tests.queries.sources import silent
from tests.queries.store.drafts.test_drafting import with_formalities

if TYPE_CHECKING:
    from pathlib import Path

    from queries.catalog.schema import Dataset

TODO = {
    'title = "TODO"': 'title = "Made-up persons"',
    'epsilon = "TODO"': "epsilon = 10\njustification = 'a test'",
    'persons_max = "TODO"': "persons_max = 10000",
    'delta = "TODO"': "delta = 1e-6",
}


def completed(draft: str) -> str:
    """Return a draft of a CDM with what had to be declared."""
    for todo, declared in TODO.items():
        assert todo in draft
        draft = draft.replace(todo, declared)
    return with_formalities(draft)


def imported(text: str, folder: Path) -> tuple[Dataset, Path]:
    """Import a manifest. Return the dataset as the server opens it, and the edition's folder."""
    declared = manifest.parse(text, folder)
    (made := folder / "edition").mkdir()
    ingest.build(declared, made, memory_limit="500MB", threads=1, progress=silent)
    kept = vocabularies.kept(made)
    return declared.described(kept), made


def test_a_cdm_is_drafted_checked_and_imported(tmp_path: Path) -> None:
    """Nothing but the title, the cap, the bound on persons and the formalities is left to declare."""
    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 200, schema="cdm")
    text = omop.draft([path], cdm.RELEASE)
    with pytest.raises(ManifestError) as refused:
        manifest.parse(text, tmp_path)
    places = sorted(error.place for error in refused.value.each)
    assert [place for place in places if ".formalities." not in place] == [
        "dataset.delta", "dataset.epsilon", "dataset.persons_max", "dataset.title",
    ]  # fmt: skip
    assert [place.rpartition(".")[2] for place in places if ".formalities." in place] == sorted(
        set(NAMES) - {"expires", "why_none"}
    )
    assert checking.faults(manifest.parse(completed(text), tmp_path)) == []
    dataset, _ = imported(completed(text), tmp_path)
    assert {"persons", "observation_period", "condition_occurrence", "death"} <= set(dataset.tables)
    conditions = dataset.tables["condition_occurrence"].columns
    assert list(conditions)[-1] == "age"
    concept = conditions["condition_concept_id"]
    assert not concept.declared
    assert concept.value_labels[str(cdm.TYPE_2)] == "Type 2 diabetes mellitus"
    assert concept.hierarchy is not None
    assert set(concept.hierarchy.descendants(str(cdm.DIABETES))) == {
        str(one) for one in (cdm.DIABETES, cdm.TYPE_1, cdm.TYPE_2, cdm.RENAL)
    }
    assert dataset.tables["persons"].columns["gender_concept_id"].value_labels == {"8507": "male", "8532": "female"}


def test_concepts_of_a_sites_own_and_of_other_domains_are_no_labels(tmp_path: Path) -> None:
    """A local concept may tell of a person, and is shown to nobody."""
    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 50)
    dataset, made = imported(completed(omop.draft([path], cdm.RELEASE)), tmp_path)
    labels = dataset.tables["condition_occurrence"].columns["condition_concept_id"].value_labels
    assert set(labels) == {str(concept) for concept in cdm.CONDITIONS}
    assert "Dr Smith" not in (made / vocabularies.FILE).read_text(encoding="utf-8")
    shown = describe_table(dataset.tables["condition_occurrence"])["columns"]
    assert isinstance(shown, dict)
    assert shown["condition_concept_id"]["vocabulary"] == cdm.RELEASE
    assert "value_labels" not in shown["condition_concept_id"]


def test_without_a_named_release_nothing_of_the_concepts_is_shown(tmp_path: Path) -> None:
    """The table concept may hold only what occurs."""
    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 50)
    text = omop.draft([path], None)
    assert "[vocabularies" not in text
    dataset, made = imported(completed(text), tmp_path)
    assert not (made / vocabularies.FILE).exists()
    assert not dataset.tables["condition_occurrence"].columns["condition_concept_id"].value_labels


def test_a_cdm_may_be_a_folder_of_files_in_upper_case_with_tabs(tmp_path: Path) -> None:
    """As exports are, and Athena's vocabularies."""
    import duckdb

    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 50)
    (folder := tmp_path / "cdm").mkdir()
    with duckdb.connect(str(path)) as connection:
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            table = connection.sql(f"FROM {name}").to_arrow_table()
            table = table.rename_columns([column.upper() for column in table.column_names])
            options = pyarrow.csv.WriteOptions(delimiter="\t")
            pyarrow.csv.write_csv(table, folder / f"{name.upper()}.csv", options)
    text = completed(omop.draft([folder], cdm.RELEASE))
    assert checking.faults(manifest.parse(text, tmp_path)) == []
    dataset, _ = imported(text, tmp_path)
    assert dataset.tables["condition_occurrence"].columns["condition_concept_id"].value_labels


def test_what_is_no_cdm_is_refused(tmp_path: Path) -> None:
    """A person and one table of events are needed."""
    (tmp_path / "person.csv").write_text("person_id\n1\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="no OMOP CDM"):
        omop.draft([tmp_path / "person.csv"], None)


def test_fields_are_those_of_the_cdm() -> None:
    """Each is in the table, and has the type, that the package omop-cdm gives it."""
    known = {table.name: table.columns for table in cdm54.Base.metadata.tables.values()}
    for table, fields in {"person": omop.PERSON, **omop.TABLES}.items():
        assert "person_id" in known[table]
        for field in fields:
            wanted = sa.Date if 'type = "date"' in field.keys else sa.Integer
            assert isinstance(known[table][field.name].type, wanted), (table, field.name)


def test_a_vocabulary_is_kept_with_the_edition(tmp_path: Path) -> None:
    """The same whatever becomes of its file."""
    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 50)
    dataset, made = imported(completed(omop.draft([path], cdm.RELEASE)), tmp_path)
    path.unlink()
    declared = manifest.parse((made / ingest.MANIFEST).read_text(encoding="utf-8"), made)
    again = declared.described(vocabularies.kept(made))
    assert again == dataset
    assert replace(again, title="") != dataset


def test_a_level_groups_the_concepts_of_a_cdm(tmp_path: Path) -> None:
    """The concepts under diabetes, by a list of ancestors; each event has the group that its concept is under."""
    import duckdb

    path = cdm.write_cdm(tmp_path / "cdm.duckdb", 300)
    text = completed(omop.draft([path], cdm.RELEASE))
    text += f"""
[vocabularies.condition.levels.kinds]
codes = [{cdm.DIABETES}, {cdm.HYPERTENSION}]
[tables.condition_occurrence.columns.kind]
level_of = "condition_concept_id"
level = "kinds"
other = "other"
"""
    dataset, made = imported(text, tmp_path)
    column = dataset.tables["condition_occurrence"].columns["kind"]
    assert column.values == (str(cdm.DIABETES), str(cdm.HYPERTENSION), "other")
    assert column.value_labels[str(cdm.DIABETES)] == "Diabetes mellitus"
    with duckdb.connect(str(made / "store.duckdb"), read_only=True) as store, duckdb.connect(str(path)) as source:
        counted = "SELECT kind, count(*) FROM condition_occurrence GROUP BY kind ORDER BY kind"
        found = dict(store.sql(counted).fetchall())
        concept = source.sql("SELECT condition_concept_id FROM condition_occurrence").fetchall()
    truth = [0, 0, 0]
    for (one,) in concept:
        diabetes = one in (cdm.DIABETES, cdm.TYPE_1, cdm.TYPE_2, cdm.RENAL)
        truth[0 if diabetes else 1 if one in (cdm.HYPERTENSION, cdm.ESSENTIAL) else 2] += 1
    assert [found[code] for code in (1, 2, 3)] == truth
    assert min(truth) > 5
