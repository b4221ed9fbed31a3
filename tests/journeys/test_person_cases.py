"""Who is who, on the small files that once gave a wrong number: imported by command, asked over HTTP.

tests/cases/README.md says what the folders are.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.serving import ROOT, Home, application, approve_dataset, ask, make_home

if TYPE_CHECKING:
    from pathlib import Path

CASES = ROOT / "tests" / "cases"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Make a home without datasets."""
    return make_home(tmp_path_factory.mktemp("cases") / "home")


def imported(home: Home, manifest: Path) -> dict[str, Any]:
    """Import by command and return what it says."""
    ended = CliRunner().invoke(main, ["import", str(manifest), "--json"], env=home.environment())
    assert ended.exit_code == 0, ended.output
    found: dict[str, Any] = json.loads(ended.stdout)
    if found["edition"] == 1:
        with application(home) as place:
            approve_dataset(place.client("admin"), place.client("vera"), found["dataset"])
    return found


def answer(home: Home, dataset: str, study: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask over HTTP with noise that rounds to nothing, and return the rows."""
    with application(home) as place:
        place.open_study(study, dataset, epsilon=5000.0)
        released = place.client("ada").good("POST", f"/studies/{study}/queries", query)
    rows: list[dict[str, Any]] = released["rows"]
    return rows


def counts(home: Home, dataset: str, study: str, table: str, *keys: str) -> dict[Any, tuple[int, int]]:
    """Return persons and events by keys, exact but for noise of less than half."""
    select = {"people": {"count": "persons"}, "rows": {"count": "events"}}
    query = ask(select, 4000.0, table, group_by=list(keys), bounds={"cells_per_person": 1, "events_per_cell": 5})
    rows = answer(home, dataset, study, query)
    found = {}
    for row in rows:
        label = tuple(row[key] for key in keys)
        found[label[0] if len(keys) == 1 else label] = (row["people"]["value"], row["rows"]["value"])
    return found


def test_ids_that_are_integers_here_and_floats_there(home: Home) -> None:
    """100 persons, each once: their visits find their sex, and visits of nobody are left out."""
    told = imported(home, CASES / "ids-int-and-float" / "manifest.toml")
    assert told["persons"] == 100
    assert (told["tables"]["visits"]["kept"], told["tables"]["visits"]["without_person"]) == (300, 5)
    assert told["tables"]["visits"]["undescribed"] == 0
    assert counts(home, "c05", "floats", "visits", "sex") == {"F": (50, 150), "M": (50, 150)}


@pytest.mark.parametrize(
    ("case", "dataset", "table", "persons", "kept", "left_out"),
    [
        ("ids-na", "c04b", "t", 3, 3, 2),
        ("ids-nan", "c05b", "visits", 2, 2, 2),
        ("ids-empty", "c05d", "visits", 2, 3, 3),
    ],
)
def test_rows_without_person_id_left_out(
    home: Home, case: str, dataset: str, table: str, persons: int, kept: int, left_out: int
) -> None:
    """NA, NaN, null and empty ids are nobody: left out, counted for the admin, and never a person."""
    told = imported(home, CASES / case / "manifest.toml")
    assert told["persons"] == persons
    assert (told["tables"][table]["kept"], told["tables"][table]["without_person"]) == (kept, left_out)
    assert counts(home, dataset, case, table) == {(): (persons, kept)}


def test_persons_whose_rows_contradict_each_other(home: Home, tmp_path: Path) -> None:
    """Penguins share numbers between species: 94 persons contradict themselves, until two columns name a person."""
    folder = tmp_path / "penguins"
    shutil.copytree(CASES / "contradicting-attributes", folder)
    manifest = folder / "manifest.toml"
    told = imported(home, manifest)
    assert told["persons"] == 190
    assert told["identity"]["contradicting_by_column"]["species"] == 94
    assert told["identity"]["contradicting"] >= 94
    text = manifest.read_text().replace('id = "Individual ID"', 'id = ["Species", "Individual ID"]')
    manifest.write_text(text)
    told = imported(home, manifest)
    assert told["persons"] == 132 + 58 + 94
    assert "species" not in told["identity"]["contradicting_by_column"]
    found = counts(home, "c14", "penguins", "nests", "species")
    assert {species.split()[0]: pair for species, pair in found.items()} == {
        "Adelie": (132, 152),
        "Chinstrap": (58, 68),
        "Gentoo": (94, 124),
    }
