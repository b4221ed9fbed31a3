"""`rowless import` over the command line: what is read, what stops it, and what it leaves behind."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from server.cli.main import main
from tests.queries.sources import rows
from tests.serving import ROOT, environment

if TYPE_CHECKING:
    from click.testing import Result

CASES = ROOT / "tests" / "cases"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home that was just made."""
    home = tmp_path / "home"
    assert run(home, "init", "--dpo", "dora", "--approver", "vera").exit_code == 0
    return home


def run(home: Path, *arguments: str, **variables: str) -> Result:
    """Run a command over a home."""
    return CliRunner().invoke(main, list(arguments), env={"ROWLESS_HOME": str(home), **variables})


def case(folder: Path, name: str, *, keys: str = "", columns: str = "", source: str = "") -> str:
    """Copy a case, with keys added to its source or columns, and return the path of its manifest."""
    copied = folder / name
    shutil.copytree(CASES / name, copied)
    manifest = copied / "manifest.toml"
    lines = []
    for line in manifest.read_text(encoding="utf-8").splitlines():
        if line.replace(" ", "").startswith("source="):
            line = f'source = "{source}"' if source else line
            lines.append(keys)
        lines.append(line)
    manifest.write_text("\n".join([*lines, columns]), encoding="utf-8")
    return str(manifest)


def imported(home: Path, manifest: str, *options: str, **variables: str) -> dict[str, Any]:
    """Run an import that must succeed; return what it said."""
    ended = run(home, "import", manifest, "--json", *options, **variables)
    assert ended.exit_code == 0, ended.output
    found = json.loads(ended.stdout)
    assert isinstance(found, dict)
    return found


def refused(home: Path, manifest: str, *options: str) -> str:
    """Run an import that must be refused and leave everything as it was; return the reason."""
    before = everything(home)
    ended = run(home, "import", manifest, *options)
    assert ended.exit_code == 1, ended.output
    assert ended.stdout == ""
    assert everything(home) == before
    return ended.stderr


def everything(home: Path) -> tuple[list[str], str]:
    """Return what lies in the home, and the audit log."""
    files = sorted(str(path.relative_to(home)) for path in home.rglob("*") if "ledger" not in path.name)
    return files, run(home, "audit", "show", "--json").stdout


def stored(home: Path, sql: str) -> list[tuple[Any, ...]]:
    """Return what a statement finds in the only store of a home."""
    (store,) = home.glob("datasets/*/*/store.duckdb")
    return rows(store, sql)


# Cases: small files that once gave a wrong number


def test_an_unterminated_quote_is_refused_with_its_line(tmp_path: Path, home: Path) -> None:
    """One stray quote would remove everybody after it."""
    reason = refused(home, case(tmp_path, "unterminated-quote"))
    assert "events.csv, line 102: a quote opens here and is never closed" in reason


READ = 'decimal = ","\nthousands = "."\nformat = "%d.%m.%Y"\ntrue = ["ja"]\nfalse = ["nein"]'


def test_bytes_of_another_encoding_are_refused_with_what_to_write(tmp_path: Path, home: Path) -> None:
    """Whoever lives in Köln is not thinned out."""
    reason = refused(home, case(tmp_path, "cp1252"))
    assert "visits.csv, line 3: not UTF-8" in reason
    assert 'write encoding = "cp1252"' in reason
    shutil.rmtree(tmp_path / "cp1252")
    found = imported(home, case(tmp_path, "cp1252", keys=f'encoding = "cp1252"\n{READ}'))
    assert found["persons"] == 200
    assert stored(home, "SELECT count_if(town = 0), count_if(town = 3) FROM visits") == [(0, 50)]


def test_whole_columns_are_not_lost_without_a_word(tmp_path: Path, home: Path) -> None:
    """Numbers, dates and words of another country: stopped with the columns; with the keys nothing is lost."""
    reason = refused(home, case(tmp_path, "decimal-comma"))
    for column in ("height", "amount", "day", "smoker"):
        assert f"tables.visits.columns.{column}: of 200 values 200 coerced, the first in line 2" in reason
    shutil.rmtree(tmp_path / "decimal-comma")
    found = imported(home, case(tmp_path, "decimal-comma", keys=READ))
    for column in found["tables"]["visits"]["columns"].values():
        assert {what: column[what] for what in ("null", "coerced", "unknown", "clamped", "missing")} == dict.fromkeys(
            ("null", "coerced", "unknown", "clamped", "missing"), 0
        )
    # the codes of 151.1, of 1,001.50 (rounded to 1,002), of 2021-02-02 and of yes
    first = "height = 1512 - 1000 AND amount = 1003 AND day = 366 + 33 AND smoker = 2"
    assert stored(home, f"SELECT count(*) FROM visits WHERE {first}") == [(1,)]


def test_names_that_clash_are_refused_where_they_are_wanted(tmp_path: Path, home: Path) -> None:
    """X and X are two columns of the file and one name; an unnamed column that nobody declared is no matter."""
    assert "tables.v.columns.x: is ambiguous: the source has the columns x and X" in refused(
        home, case(tmp_path, "names-by-case")
    )
    assert imported(home, case(tmp_path, "unnamed-first-column"))["persons"] == 3


def test_every_line_is_read_whatever_ends_it(tmp_path: Path, home: Path) -> None:
    """A file of Windows and Unix lines has all of its lines."""
    assert imported(home, case(tmp_path, "line-ends-mixed"))["tables"]["v"]["kept"] == 100


@pytest.mark.parametrize(
    ("shell", "keys", "day"),
    [
        ("America/New_York", "", "2019-12-31"),
        ("Pacific/Auckland", "", "2019-12-31"),
        ("America/New_York", 'timezone = "Europe/Zurich"', "2020-01-01"),
    ],
)
def test_the_day_of_an_instant_does_not_hang_on_the_shell(
    tmp_path: Path, home: Path, shell: str, keys: str, day: str
) -> None:
    """A timestamp with a zone falls on its day in the manifest's zone, whatever TZ the import runs in."""
    # Python is started anew: a library may read TZ when it is loaded.
    subprocess.run(
        [sys.executable, "-m", "server.cli", "import", case(tmp_path, "timestamp-with-zone", keys=keys)],
        env=environment(ROWLESS_HOME=str(home), TZ=shell),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    days = stored(home, "SELECT (DATE '2019-01-01' + (t::INTEGER - 1))::VARCHAR FROM v ORDER BY t LIMIT 1")
    assert days == [(day,)]


def test_sentinels_can_be_declared(tmp_path: Path, home: Path) -> None:
    """999 and -9 are nobody's age and 9999 no year: stopped without keys, null with them."""
    reason = refused(home, case(tmp_path, "sentinels"))
    assert "tables.v.columns.age: of 1000 values 200 clamped, the first in line 2; see bounds, missing" in reason
    assert "tables.v.columns.stay_end: of 1000 values 250 clamped" in reason
    shutil.rmtree(tmp_path / "sentinels")
    found = imported(home, case(tmp_path, "sentinels", keys='missing = [999, -9]\noutside = "null"'))
    columns = found["tables"]["v"]["columns"]
    assert (columns["age"]["missing"], columns["stay_end"]["outside"]) == (200, 250)
    sql = "SELECT avg(age::INTEGER - 1) FILTER (age > 0), count_if(stay_end = 0) FROM v"
    assert stored(home, sql) == [(40, 250)]


@pytest.mark.parametrize(("keys", "codes"), [("", ["E11.9", "I10"]), ("missing = []", ["E11.9", "I10", "NA", "NULL"])])
def test_words_for_nothing_are_no_codes(tmp_path: Path, home: Path, keys: str, codes: list[str]) -> None:
    """NA and NULL are codes only where the manifest says that nothing is missing."""
    imported(home, case(tmp_path, "missing-words", keys=keys))
    assert [code for (code,) in stored(home, 'SELECT value FROM "v.code" WHERE value IS NOT NULL ORDER BY 1')] == codes


@pytest.mark.parametrize("source", ["lung.csv", "lung.parquet"])
def test_codes_that_a_program_kept_as_floats_are_known(tmp_path: Path, home: Path, source: str) -> None:
    """A 1.0 is the declared 1."""
    imported(home, case(tmp_path, "codes-as-floats", source=source))
    found = stored(home, "SELECT ecog, count(*) FROM p GROUP BY 1 ORDER BY 1")
    assert found == [(0, 1), (1, 63), (2, 113), (3, 50), (4, 1)]


# Losses


MANIFEST = """
[dataset]
name = "small"
epsilon = 1
persons_max = 1000
{dataset}
[person]
id = "id"
[tables.t]
source = "t.csv"
{table}
[tables.t.columns.x]
type = "integer"
bounds = [0, 10]
{column}
"""


def small(folder: Path, lines: list[str], *, dataset: str = "", table: str = "", column: str = "") -> str:
    """Write a table of ids and numbers and its manifest, and return the manifest's path."""
    (folder / "t.csv").write_text("\n".join(["id,x", *lines]) + "\n", encoding="utf-8")
    manifest = folder / "small.toml"
    manifest.write_text(MANIFEST.format(dataset=dataset, table=table, column=column), encoding="utf-8")
    return str(manifest)


GOOD = [f"{n},5" for n in range(95)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (["{n},oops"], "tables.t.columns.x: of {of} values {bad} coerced, the first in line 97"),
        (["{n},11"], "tables.t.columns.x: of {of} values {bad} clamped, the first in line 97"),
        (["{n}"], "tables.t: of {of} lines of t.csv {bad} are malformed (the first is line 97)"),
    ],
)
def test_an_import_stops_beyond_loss_max(tmp_path: Path, home: Path, bad: list[str], said: str) -> None:
    """5% may be lost, and not one more; the manifest and --accept-losses say otherwise."""
    few, many = ([bad[0].format(n=200 + n) for n in range(count)] for count in (5, 6))
    reason = refused(home, small(tmp_path, [*GOOD, *many]))
    assert said.format(of=101, bad=6) in reason
    assert not (home / "datasets" / "small").exists()
    for more in ({"dataset": "loss_max = 0.06"}, {"table": "loss_max = 1"}):
        imported(home, small(tmp_path, [*GOOD, *many], **more))
    imported(home, small(tmp_path, [*GOOD, *many]), "--accept-losses")
    imported(home, small(tmp_path, [*GOOD, *few]))
    assert "of 100 " in refused(home, small(tmp_path, [*GOOD, *few], dataset="loss_max = 0.04"))


def test_a_column_has_a_loss_max_of_its_own(tmp_path: Path, home: Path) -> None:
    """Where a column may lose all, the others may not."""
    lines = [f"{n},oops" for n in range(30)]
    refused(home, small(tmp_path, lines))
    imported(home, small(tmp_path, lines, column="loss_max = 1"))


def test_rows_without_an_id_are_lines_lost(tmp_path: Path, home: Path) -> None:
    """Many rows without an id stop an import, as does a file in which nobody has one."""
    assert "of 115 lines of t.csv 20 have no id" in refused(home, small(tmp_path, [*GOOD, *[",5"] * 20]))
    assert "of 2 lines of t.csv 2 have no id" in refused(home, small(tmp_path, [",5"] * 2))
    assert imported(home, small(tmp_path, [*GOOD, *[",5"] * 19]))["tables"]["t"]["without_person"] == 19


def test_two_stray_quotes_stop_an_import(tmp_path: Path, home: Path) -> None:
    """What may have swallowed lines is accepted only by the custodian who looked at it."""
    manifest = small(tmp_path, [])
    (tmp_path / "t.csv").write_text('id,x,n,m\n1,5,"a,b\n2,5,a,b\n3,5,a,b"\n4,5,a\n', encoding="utf-8")
    (tmp_path / "t.csv").write_text('id,n,x,m\n1,"a,5,b\n2,a,5,b\n3,a",5,b\n4,a,5,b\n', encoding="utf-8")
    assert "1 records of t.csv run over several lines" in refused(home, manifest)
    assert "begins with a quote on line 2" in refused(home, manifest)
    assert imported(home, manifest, "--accept-losses")["persons"] == 2


def test_import_check_changes_nothing(tmp_path: Path, home: Path) -> None:
    """--check reads everything, says what an import would, and leaves no edition, folder or entry."""
    before = everything(home)
    lines = [*GOOD, *[f"{n},oops" for n in range(200, 206)]]
    ended = run(home, "import", small(tmp_path, lines), "--check", "--json")
    assert ended.exit_code == 1
    found = json.loads(ended.stdout)
    assert found["tables"]["t"]["columns"]["x"]["coerced"] == 6
    assert found["losses"][0].startswith("tables.t.columns.x: of 101 values 6 coerced")
    ended = run(home, "import", small(tmp_path, GOOD), "--check")
    assert ended.exit_code == 0
    assert ended.stdout.startswith("Checked small, nothing was changed: 95 persons")
    assert everything(home) == before
    imported(home, small(tmp_path, GOOD))
    before = everything(home)
    assert run(home, "import", small(tmp_path, lines), "--check").exit_code == 1
    assert everything(home) == before


# Two at once


def test_a_second_import_of_a_dataset_is_refused_while_one_runs(tmp_path: Path, home: Path) -> None:
    """Nobody deletes what another builds; a lock that nobody holds any more does not matter."""
    manifest = small(tmp_path, GOOD)
    lock = home / "datasets" / ".small.importing"
    building = home / "datasets" / "small" / "0123456789abcdef"
    building.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for options in ([], ["--check"]):
            assert "another import or check of small is running" in refused(home, manifest, *options)
        assert building.is_dir()
        other = small(tmp_path, GOOD)
        text = Path(other).read_text(encoding="utf-8").replace('"small"', '"another"')
        Path(other).write_text(text, encoding="utf-8")
        imported(home, other)
    imported(home, small(tmp_path, GOOD))
    assert not building.exists()
    assert not lock.exists()
    assert list((home / "datasets" / "small").iterdir()) != []


def test_a_failed_first_import_leaves_nothing(tmp_path: Path, home: Path) -> None:
    """Neither a folder of the dataset nor a lock is left behind."""
    manifest = small(tmp_path, ['1,"5'])
    files = sorted(home.rglob("*"))
    refused(home, manifest)
    (tmp_path / "t.csv").unlink()
    refused(home, manifest)
    assert [path for path in sorted(home.rglob("*")) if path not in files and "ledger" not in path.name] == []


def test_an_estimate_changes_nothing(tmp_path: Path, home: Path) -> None:
    """It says what an import needs and what is free, in words and as JSON."""
    manifest, before = small(tmp_path, ["1,1"] * 50), everything(home)
    found = imported(home, manifest, "--estimate")
    assert found["rows"] == 50
    assert found["disk_bytes"] < found["free_bytes"]
    assert run(home, "import", manifest, "--estimate").stdout.startswith("About 50 rows: up to 0.1 GB of disk")
    assert everything(home) == before
