"""A draft of any files: from names and types alone, sound once its TODO are declared."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from budgets import formalities
from queries.catalog import manifest
from queries.store.drafts import drafting
from server.cli.main import main
from tests.budgets.world import FORMALITIES
from tests.queries.sources import write

if TYPE_CHECKING:
    from pathlib import Path

PEOPLE = pa.table(
    {
        "patient_id": [1],
        "Birth Date": pa.array([None], pa.date32()),
        "where": [{"city": "x", "at": {"lat": 1.5}}],
        "tags": [["a"]],
        "is_ill": [True],
        "person": ["x"],
        "1st": pa.array(["a"]).dictionary_encode(),
    }
)


def with_formalities(draft: str) -> str:
    """Return a draft with formalities in the place of each TODO of theirs."""
    for name, value in FORMALITIES.facts().items():
        draft = draft.replace(f'\n{name} = "TODO"', f"\n{name} = {drafting.quoted(value)}")
    return draft


def run(*arguments: str) -> Any:
    """Run a command. Return its exit code and the JSON that it prints."""
    ended = CliRunner().invoke(main, ["manifest", *arguments, "--json"])
    return ended.exit_code, json.loads(ended.output)


def test_a_draft_names_every_column_and_leaves_what_must_be_declared(tmp_path: Path) -> None:
    """Names become public names, fields within columns stand by their path, lists are left out."""
    write(tmp_path / "people.parquet", PEOPLE)
    write(tmp_path / "visits.csv", "patient_id;cost;day\n1;2;3\n")
    text = drafting.draft([tmp_path / "people.parquet", tmp_path / "visits.csv"])
    assert 'id = "patient_id"' in text
    assert "# tags is a VARCHAR[], which is not read" in text
    for public, source, kind in (
        ("birth_date", "Birth Date", "date"),
        ("where_city", "where.city", "category"),
        ("where_at_lat", "where.at.lat", "number"),
        ("person_", "person", "category"),
        ("c_1st", "1st", "category"),
    ):
        assert f'[tables.people.columns.{public}]\nfrom = "{source}"\ntype = "{kind}"\n' in text
    assert '[tables.people.columns.is_ill]\ntype = "boolean"\n' in text
    assert 'delimiter = ";"' in text
    assert '[tables.visits.columns.cost]\ntype = "category"  # or integer, ' in text


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_a_draft_reads_names_in_the_encoding_that_the_file_has(tmp_path: Path, encoding: str) -> None:
    """What a spreadsheet writes has names with accents, which public names are without; the manifest says how."""
    (tmp_path / "stays.csv").write_bytes("N° patient;Date séjour;Âge\n1;01/07/2023;3\n".encode(encoding))
    text = drafting.draft([tmp_path / "stays.csv"])
    assert ('encoding = "' in text) is (encoding != "utf-8")
    made = tomllib.loads(text)["tables"]["stays"]
    assert made.get("encoding", "utf-8") == encoding
    assert made["delimiter"] == ";"
    named = {public: column.get("from") for public, column in made["columns"].items()}
    assert named == {"n_patient": "N° patient", "date_sejour": "Date séjour", "age": "Âge"}


def test_a_draft_does_not_depend_on_values(tmp_path: Path) -> None:
    """Other rows, the same draft: nothing is learnt from the data."""
    drafts = []
    for rows in ("1;2;3\n", "", "7;x;2020-01-01\n8;1,5;\n"):
        write(tmp_path / "visits.csv", f"patient_id;cost;day\n{rows}")
        drafts.append(drafting.draft([tmp_path / "visits.csv"]))
    assert drafts[0] == drafts[1] == drafts[2]


def test_a_completed_draft_is_sound(tmp_path: Path) -> None:
    """Of a DuckDB file with a view and a schema."""
    with duckdb.connect(str(tmp_path / "h.duckdb")) as connection:
        connection.execute("CREATE TABLE visits (patient INTEGER, cost DOUBLE, day TIMESTAMP)")
        connection.execute("CREATE SCHEMA x")
        connection.execute("CREATE VIEW x.stays AS SELECT patient, day FROM visits")
    code, said = run("draft", str(tmp_path / "h.duckdb"))
    assert code == 0
    text = str(said["manifest"])
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    code, said = run("check", str(tmp_path / "m.toml"))
    assert code == 1
    assert {error["place"] for error in said["errors"]} >= {"dataset.epsilon", "tables.visits.columns.cost.step"}
    for todo, declared in (
        ('epsilon = "TODO"', "epsilon = 1"),
        ('persons_max = "TODO"', "persons_max = 9"),
        ('title = "TODO"', 'title = "t"'),
        ('step = "TODO"', "step = 1"),
        ('type = "date"\nbounds = "TODO"', 'type = "date"'),
        ('bounds = "TODO"', "bounds = [0, 9]"),
    ):
        text = text.replace(todo, declared)
    text = with_formalities(text)
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    assert run("check", str(tmp_path / "m.toml")) == (0, {"manifest": str(tmp_path / "m.toml"), "errors": []})
    made = manifest.parse(text, tmp_path)
    assert made.events["stays"].schema == "x"
    assert made.formalities is not None
    assert formalities.read(made.formalities) == FORMALITIES


def test_a_draft_has_every_part_of_the_formalities(tmp_path: Path) -> None:
    """Without them nothing is approved, so each key stands there: as TODO, or as a comment if it may be left out."""
    write(tmp_path / "visits.csv", "patient_id\n1\n")
    text = drafting.draft([tmp_path / "visits.csv"])
    section = text[text.index("[dataset.formalities]") : text.index("[person]")]
    for name in formalities.NAMES:
        optional = name in ("expires", "why_none")
        assert f'\n{"# " if optional else ""}{name} = "{"..." if optional else "TODO"}"' in section
    for name, words in formalities.CHOICES.items():
        line = next(line for line in section.splitlines() if line.startswith(f"{name} = "))
        assert words[0] in line
        assert words[-1] in line


def test_a_check_reports_what_formalities_lack_with_all_else(tmp_path: Path) -> None:
    """What is TODO, missing, unknown or contradicts, also if another part of the manifest is wrong; once each."""
    write(tmp_path / "visits.csv", "patient_id\n1\n")
    text = with_formalities(drafting.draft([tmp_path / "visits.csv"]))
    for old, new in (
        (f'controller = "{FORMALITIES.controller}"', 'controler = "x"'),
        (f'processor = "{FORMALITIES.processor}"', 'processor = "TODO"'),
        (f'kind = "{FORMALITIES.kind}"', 'kind = "none"'),
        (f'ends = "{FORMALITIES.ends}"', 'ends = "some day"'),
        (f'informed = "{FORMALITIES.informed}"', "informed = 3"),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    code, said = run("check", str(tmp_path / "m.toml"))
    assert code == 1
    places = [error["place"] for error in said["errors"]]
    assert sorted(places) == [
        "dataset.epsilon",
        *(f"dataset.formalities.{name}" for name in (
            "controler", "controller", "ends", "informed", "issued", "number", "processor", "why_none",
        )),
        "dataset.persons_max",
        "dataset.title",
    ]  # fmt: skip


def test_a_check_says_that_formalities_are_missing(tmp_path: Path) -> None:
    """It is no error, because an import does not refuse it."""
    write(tmp_path / "visits.csv", "patient_id\n1\n")
    (tmp_path / "m.toml").write_text(
        '[dataset]\nname = "d"\nepsilon = 1\npersons_max = 9\n[person]\nid = "patient_id"\n[tables.v]\nsource = "visits.csv"\n'
    )
    ended = CliRunner().invoke(main, ["manifest", "check", str(tmp_path / "m.toml")])
    assert ended.exit_code == 0
    assert "It has no [dataset.formalities]" in ended.output


def test_a_check_reports_what_all_sources_lack_at_once(tmp_path: Path) -> None:
    """Files, columns that are not there, and columns that clash; rows are not read."""
    write(tmp_path / "v.csv", 'patient,cost,Cost,day\n1,2,3\n1,"unclosed\n')
    (tmp_path / "m.toml").write_text(
        """
[dataset]
name = "d"
epsilon = 1
persons_max = 9
[person]
id = "patient"
source = "gone.csv"
[tables.v]
source = "v.csv"
[tables.v.columns.cost]
type = "integer"
bounds = [0, 9]
[tables.v.columns.d]
from = "date"
type = "date"
[tables.w]
source = "w*.csv"
""",
        encoding="utf-8",
    )
    code, said = run("check", str(tmp_path / "m.toml"))
    assert code == 1
    found = {error["place"]: error["message"] for error in said["errors"]}
    assert set(found) == {"tables.v.columns.cost", "tables.v.columns.d", "person.source", "tables.w.source"}
    assert "Cost" in found["tables.v.columns.cost"]


def test_a_check_reports_sources_also_where_the_manifest_is_wrong(tmp_path: Path) -> None:
    """What is sound is compared with the sources. What only follows from an error, or is alike in all files, is left out."""
    for name in ("a", "b"):
        write(tmp_path / "v" / f"{name}.csv", "patient,cost\n1,2\n")
    (tmp_path / "m.toml").write_text(
        """
[dataset]
name = "d"
epsilon = "TODO"
persons_max = 9
[person]
id = "TODO"
[tables.v]
source = "v/"
[tables.v.columns.cost]
type = "integer"
bounds = "TODO"
[tables.v.columns.day]
type = "date"
[tables.v.columns.odd]
type = "dat"
[tables.w]
source = "gone.csv"
""",
        encoding="utf-8",
    )
    code, said = run("check", str(tmp_path / "m.toml"))
    assert code == 1
    places = [error["place"] for error in said["errors"] if not error["place"].startswith("dataset.formalities")]
    assert sorted(places) == [
        "dataset.epsilon",
        "person.id",
        "tables.v.columns.cost.bounds",
        "tables.v.columns.day",
        "tables.v.columns.odd.type",
        "tables.w.source",
    ]
