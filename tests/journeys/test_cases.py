"""Small files that once gave a wrong number: each is imported on the command line and asked over HTTP.

tests/cases/README.md says where they come from. Those about who is who are in test_person_cases.py. What must come out is computed here from the files, or stated.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests import processes
from tests.serving import ROOT, Home, Server, approve_dataset, environment, make_home, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

CASES = ROOT / "tests" / "cases"
EXACT = 300.0  # an epsilon at which the noise of a count is 0 but for a chance of about e^-300


@dataclass(frozen=True)
class Case:
    """A copy of a case's folder, and the server that its dataset is asked on."""

    folder: Path
    server: Server

    @property
    def home(self) -> Home:
        """Return the server's home."""
        return self.server.home

    @property
    def manifest(self) -> Path:
        """Return its manifest."""
        return self.folder / "manifest.toml"

    def write(self, old: str, new: str) -> None:
        """Change a text of the manifest."""
        text = self.manifest.read_text()
        assert text.count(old) == 1, (old, text)
        self.manifest.write_text(text.replace(old, new))

    def run(self) -> Result:
        """Import it, with --json."""
        return CliRunner().invoke(main, ["import", str(self.manifest), "--json"], env=self.home.environment())

    def refused(self) -> str:
        """Import it, which must be refused, and return the reason."""
        ended = self.run()
        assert ended.exit_code == 1, (ended.output, ended.exception)
        reason: str = json.loads(ended.stdout)["error"]
        return reason

    def imported(self) -> Any:
        """Import it and open a study on it; return the report."""
        ended = self.run()
        assert ended.exit_code == 0, (ended.output, ended.exception)
        said = json.loads(ended.stdout)
        approve_dataset(self.server.client("admin"), self.server.client("vera"), said["dataset"])
        self.server.open_study(said["dataset"], said["dataset"], epsilon=5_000.0)
        return said

    def ask(self, dataset: str, query: dict[str, Any], **privacy: Any) -> list[dict[str, Any]]:
        """Return the rows of an answer that is as good as exact."""
        body = {"query": query, "privacy": {"epsilon": EXACT, **privacy}}
        rows: list[dict[str, Any]] = self.server.client("ada").good("POST", f"/studies/{dataset}/queries", body)["rows"]
        return rows

    def count(self, said: Any, of: str, table: str, where: Any = None) -> int:
        """Return how many persons or events there are."""
        query = {"from": table, "select": {"n": {"count": of}}, **({"where": where} if where else {})}
        if of == "events":
            query["bounds"] = {"events_per_cell": 5}
        (row,) = self.ask(said["dataset"], query)
        value: int = row["n"]["value"]
        return value


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a home without datasets."""
    home = make_home(tmp_path_factory.mktemp("cases") / "home")
    with serving(home) as running:
        yield running


@pytest.fixture
def case(server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Case:
    """Copy the case that the test's marker names, with a cap that lets its questions be as good as exact."""
    folder = tmp_path / request.param
    shutil.copytree(CASES / request.param, folder)
    case = Case(folder, server)
    lines = case.manifest.read_text().splitlines()
    changed = ["epsilon = 10000" if line.replace(" ", "").startswith("epsilon=") else line for line in lines]
    case.manifest.write_text("\n".join(changed) + "\n")
    return case


def of(name: str) -> pytest.MarkDecorator:
    """Say which case a test is about."""
    return pytest.mark.parametrize("case", [name], indirect=True, ids=[name])


# Files


@of("unnamed-first-column")
def test_an_unnamed_column_is_ignored(case: Case) -> None:
    """A column without a name that nobody declared does not matter."""
    said = case.imported()
    assert said["persons"] == case.count(said, "persons", "t") == 3


@of("names-by-case")
def test_columns_that_differ_in_case(case: Case) -> None:
    """A declared column that may be either of two is refused naming both; undeclared they are ignored."""
    reason = case.refused()
    assert "x" in reason
    assert "X" in reason
    case.write("[tables.v.columns.x]", "[tables.v.columns.y]\nfrom = 'y'")
    with (case.folder / "v.csv").open("w") as file:
        file.write("id,x,X,y\n1,2,3,4\n")
    said = case.imported()
    assert case.count(said, "events", "v", {"column": "y", "op": "=", "value": 4}) == 1


@of("line-ends-mixed")
def test_import_reads_lines_of_mixed_ends(case: Case) -> None:
    """All lines are read, whichever way they end."""
    said = case.imported()
    assert said["persons"] == case.count(said, "events", "v") == 100


@of("unterminated-quote")
def test_a_stray_quote_is_refused(case: Case) -> None:
    """A quote that nobody ends is refused with the line where it begins: it would swallow other persons' lines."""
    assert "line 102" in case.refused()
    assert not (case.home.path / "datasets" / "quote").exists()


@of("cp1252")
def test_bytes_of_another_encoding(case: Case) -> None:
    """What is not UTF-8 is refused with its line and the key to write; with the key everybody is there."""
    reason = case.refused()
    assert "not UTF-8" in reason
    assert "line 3" in reason
    assert "encoding" in reason
    case.write('delimiter = ";"', 'delimiter = ";"\nencoding = "cp1252"\n' + SWISS)
    case.write('type = "boolean"', SMOKER)
    said = case.imported()
    assert said["persons"] == 200
    with (case.folder / "visits.csv").open(encoding="cp1252") as file:
        towns = [row["Ort"] for row in csv.DictReader(file, delimiter=";")]
    assert case.count(said, "events", "visits", {"column": "town", "op": "=", "value": "Köln"}) == towns.count("Köln")


SWISS = 'decimal = ","\nthousands = "."\nformat = "%d.%m.%Y"'
SMOKER = 'type = "boolean"\ntrue = ["ja"]\nfalse = ["nein"]'


@of("decimal-comma")
def test_the_numbers_and_dates_of_another_country(case: Case) -> None:
    """As it stands whole columns would be lost, which is refused; with the keys that say how, nothing is."""
    reason = case.refused()
    assert "visits" in reason
    assert "height" in reason
    case.write('delimiter = ";"', 'delimiter = ";"\n' + SWISS)
    case.write('type = "boolean"', SMOKER)
    said = case.imported()
    for column, lost in said["tables"]["visits"]["columns"].items():
        assert not lost["coerced"], column
        assert not lost["unknown"], column
    with (case.folder / "visits.csv").open(encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    heights = [float(row["Größe"].replace(",", ".")) for row in lines]
    query = {"from": "visits", "select": {"h": {"mean": "height"}}, "bounds": {"events_per_cell": 1}}
    (row,) = case.ask(said["dataset"], query)
    assert row["h"]["value"] == pytest.approx(sum(heights) / len(heights), abs=0.05)
    smokers = sum(row["Raucher"] == "ja" for row in lines)
    assert case.count(said, "events", "visits", {"column": "smoker", "op": "=", "value": True}) == smokers


@of("timestamp-with-zone")
def test_days_do_not_hinge_on_the_shell(case: Case) -> None:
    """A moment is a day in the manifest's zone, by default UTC, wherever the import runs."""

    def days(name: str, zone: str, **keys: str) -> list[int]:
        text = (CASES / "timestamp-with-zone" / "manifest.toml").read_text().replace('"c06c"', f'"{name}"')
        for key, value in keys.items():
            text = text.replace('source = "v.parquet"', f'source = "v.parquet"\n{key} = "{value}"')
        case.manifest.write_text(text)
        variables = environment(**{**case.home.environment(), "TZ": zone})
        ended = processes.run("server.cli", "import", str(case.manifest), "--json", variables=variables)
        assert ended.returncode == 0, ended.stderr
        approve_dataset(case.server.client("admin"), case.server.client("vera"), name)
        case.server.open_study(name, name, epsilon=5_000.0)
        wanted = ("2019-12-31", "2020-01-01", "2020-06-30", "2020-07-01")
        return [
            case.count({"dataset": name}, "events", "v", {"column": "t", "op": "=", "value": day}) for day in wanted
        ]

    assert days("zone-a", "America/New_York") == [1, 0, 1, 1]
    assert days("zone-b", "Asia/Tokyo") == [1, 0, 1, 1]
    assert days("zone-c", "America/New_York", timezone="Europe/Zurich") == [0, 1, 0, 2]


@of("sentinels")
def test_sentinels_are_no_values(case: Case) -> None:
    """999 and -9 are missing and 9999-12-31 is no day, where the manifest says so."""
    case.write('type = "integer"', 'type = "integer"\nmissing = [999, -9]')
    case.write('type = "date"', 'type = "date"\noutside = "null"')
    said = case.imported()
    query = {"from": "v", "select": {"age": {"mean": "age"}}, "bounds": {"events_per_cell": 1}}
    (row,) = case.ask(said["dataset"], query)
    assert row["age"]["value"] == pytest.approx(40, abs=0.05)
    assert case.count(said, "events", "v", {"column": "stay_end", "op": "is_null"}) == 250


@of("missing-words")
def test_missing_words_are_no_codes(case: Case) -> None:
    """NA and NULL are no codes, unless the manifest wants them."""

    def counts(said: Any) -> dict[str, int]:
        return {
            word: case.count(said, "events", "v", {"column": "code", "op": "=", "value": word})
            for word in ("NA", "NULL", "E11.9")
        }

    with (case.folder / "v.csv").open() as file:
        codes = [row["code"] for row in csv.DictReader(file)]
    said = case.imported()
    assert counts(said) == {"NA": 0, "NULL": 0, "E11.9": codes.count("E11.9")}
    case.write('"c23"', '"c23-wanted"')
    case.write("nullable = true", "nullable = true\nmissing = []")
    said = case.imported()
    assert counts(said) == {word: codes.count(word) for word in ("NA", "NULL", "E11.9")}


@pytest.mark.parametrize("file", ["lung.csv", "lung.parquet"])
@of("codes-as-floats")
def test_code_written_as_float_is_read_as_code(case: Case, file: str) -> None:
    """1.0 is the code 1, in a text file and in a column of doubles."""
    dataset = f"lung-{file.partition('.')[2]}"
    case.write('"c24"', f'"{dataset}"')
    case.write("lung.csv", file)
    said = case.imported()
    with (case.folder / "lung.csv").open() as lines:
        wanted = [row["ph.ecog"] for row in csv.DictReader(lines)]
    rows = case.ask(dataset, {"from": "p", "group_by": ["ecog"], "select": {"n": {"count": "persons"}}})
    assert {row["ecog"]: row["n"]["value"] for row in rows} == {
        code: wanted.count(f"{code}.0") for code in ("0", "1", "2", "3")
    }
    assert said["tables"]["p"]["columns"]["ecog"]["unknown"] == 0


@of("digest-collision")
def test_a_text_is_looked_up_as_a_text(case: Case) -> None:
    """Two texts whose SHA-256 begins with the same 64 bits are two texts, whatever order an import gives them."""
    with (case.folder / "events.csv").open() as file:
        drugs = [row["drug"] for row in csv.DictReader(file)]
    texts = sorted(set(drugs), key=drugs.count)
    assert [drugs.count(text) for text in texts] == [1, 50]
    for edition in range(6):
        said = case.imported() if not edition else json.loads(case.run().stdout)
        found = [case.count(said, "persons", "events", {"column": "drug", "op": "=", "value": text}) for text in texts]
        assert found == [1, 50], edition


# Survival


@of("survival-rossi")
def test_a_curve_equals_kaplan_meier(case: Case) -> None:
    """The curve is Kaplan-Meier's to 4 digits at a large epsilon, over HTTP and on the command line."""
    said = case.imported()
    asked = json.loads((case.folder / "s.json").read_text())
    asked["privacy"] = {"epsilon": EXACT}
    reply = case.server.client("ada").good("POST", f"/studies/{said['dataset']}/queries", asked)
    edges = asked["query"]["select"]["s"]["bins"]
    for row in reply["rows"]:
        wanted = _kaplan_meier(case.folder, "1" if row["fin"] else "0", edges[1:])
        assert [part["value"] for part in row["s"]["survival"]] == pytest.approx(wanted, abs=1e-4)
    (case.folder / "exact.json").write_text(json.dumps(asked))
    for form in ((), ("--json",)):
        arguments = ["query", said["dataset"], str(case.folder / "exact.json"), *form]
        ended = CliRunner().invoke(main, arguments, env=case.home.environment())
        assert ended.exit_code == 0, (ended.output, ended.exception)
        for row in reply["rows"]:
            for part in row["s"]["survival"]:
                shown = str(part["value"]) if form else f"{part['value']:.3f}"[:4]
                assert shown in ended.output, (shown, ended.output)


def _kaplan_meier(folder: Path, fin: str, ends: list[int]) -> list[float]:
    """Return the product-limit estimate at the end of each interval; nobody is lost before the last."""

    def read(name: str) -> list[dict[str, str]]:
        with (folder / name).open() as file:
            return list(csv.DictReader(file))

    start = {row["id"]: dt.date.fromisoformat(row["start"]) for row in read("release.csv")}
    group = {row["id"] for row in read("people.csv") if row["fin"] == fin}
    waits = [
        (dt.date.fromisoformat(row["date"]) - start[row["id"]]).days for row in read("arrest.csv") if row["id"] in group
    ]
    return [1 - sum(wait < end for wait in waits) / len(group) for end in ends]
