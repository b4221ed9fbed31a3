"""Imports at once, killed imports, and stores that went missing: with real processes, on both ledgers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from budgets.database.connection import Database
from server.runtime.home import building
from tests import processes
from tests.databases import SQLITE_ALONE
from tests.serving import Home, application, environment, make_home, write_clinic

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.databases import Databases
    from tests.processes import Process

VISITS = [
    f"{n % 600},{('female', 'male')[n % 600 % 2]},2020-{n % 12 + 1:02}-15,{n % 900}.25,{n % 90},{n % 3 == 0},C{n % 7}"
    for n in range(60_000)
]


@pytest.fixture
def home(databases: Databases, tmp_path: Path) -> Home:
    """Return a home without a dataset."""
    return make_home(tmp_path / "home", database=databases.current())


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Return a manifest whose import takes a moment."""
    return write_clinic(tmp_path, VISITS)


def start(home: Home, manifest: Path) -> Process:
    """Start an import."""
    log = manifest.with_suffix(".log")
    variables = environment(**home.environment())
    return processes.start(
        "server.cli", "import", str(manifest), "--accept-losses", variables=variables, out=log, err=log
    )


def run(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return processes.run("server.cli", *arguments, variables=environment(**home.environment()))


def stopped(home: Home, manifest: Path) -> tuple[Process, Path]:
    """Start an import and stop it while it builds. Return it and the folder in which it builds."""
    process = start(home, manifest)
    deadline = time.monotonic() + 120
    while not (found := list((home.path / "datasets" / "clinic").glob("*/staging"))):
        assert time.monotonic() < deadline
        assert process.poll() is None, manifest.with_suffix(".log").read_text()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGSTOP)
    return process, found[0].parent


@pytest.fixture
def building_one(home: Home, manifest: Path) -> Iterator[tuple[Process, Path]]:
    """Return an import that was stopped while it builds, and its folder."""
    process, folder = stopped(home, manifest)
    yield process, folder
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def editions(home: Home) -> list[tuple[int, str]]:
    """Return the editions that the ledger names."""
    return home.rows("SELECT number, folder FROM editions WHERE dataset = 'clinic' ORDER BY number")


def folders(home: Home) -> set[str]:
    """Return what lies in the dataset's folder."""
    return {path.name for path in (home.path / "datasets" / "clinic").iterdir()}


def checks(home: Home) -> dict[str, Any]:
    """Return the findings of doctor by their names."""
    ran = run(home, "doctor")
    lines = [line.removeprefix("rowless: ") for line in (ran.stdout + ran.stderr).splitlines()]
    return {line[6:].partition(": ")[0]: (line[:5].strip(), line.partition(": ")[2]) for line in lines}


def test_a_second_import_is_refused_while_one_builds(
    home: Home, manifest: Path, building_one: tuple[Process, Path]
) -> None:
    """The second says so and deletes nothing; the first ends with its edition."""
    process, folder = building_one
    for more in ((), ("--check",)):
        second = run(home, "import", str(manifest), "--accept-losses", *more)
        assert second.returncode == 1
        assert "another import or check of clinic is running" in second.stderr
    assert checks(home)["imports"] == ("ok", f"under way in {folder}")
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(120) == 0
    assert editions(home) == [(1, folder.name)]
    assert folders(home) == {folder.name}


def test_an_import_without_the_lock_deletes_nothing_that_is_built(
    home: Home, manifest: Path, building_one: tuple[Process, Path]
) -> None:
    """Even where locks fail (here, somebody deleted the lock and the database freed its own), both end whole."""
    process, folder = building_one
    (home.path / "datasets" / ".clinic.importing").unlink()
    if home.ledger.startswith("postgresql"):
        home.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
    second = run(home, "import", str(manifest), "--accept-losses")
    assert second.returncode == 0, second.stderr
    assert folder.is_dir()
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(120) == 0, manifest.with_suffix(".log").read_text()
    kept = editions(home)
    assert [number for number, _ in kept] == [1, 2]
    assert kept[1][1] == folder.name
    assert folders(home) == {name for _, name in kept}
    assert all((home.path / "datasets" / "clinic" / name / "store.duckdb").is_file() for _, name in kept)


def test_hosts_that_share_a_ledger_import_a_dataset_one_at_a_time(
    home: Home, manifest: Path, building_one: tuple[Process, Path]
) -> None:
    """On PostgreSQL the ledger's own lock refuses an import of a host whose file locks do not reach the first."""
    if not home.ledger.startswith("postgresql"):
        pytest.skip("SQLite serves one host")
    (home.path / "datasets" / ".clinic.importing").unlink()
    second = run(home, "import", str(manifest), "--accept-losses")
    assert "another import or check of clinic is running" in second.stderr
    assert building_one[1].is_dir()


def test_a_store_that_vanished_is_not_registered(
    home: Home, manifest: Path, building_one: tuple[Process, Path]
) -> None:
    """Where something deletes the folder of an import that is about to end, the ledger names no edition."""
    process, folder = building_one
    ledger = Database(home.ledger)
    with ledger.write():  # the import waits for its turn to register
        os.kill(process.pid, signal.SIGCONT)
        while not (folder / "manifest.toml").exists():
            time.sleep(0.001)
        (folder / "manifest.toml").unlink()
    ledger.close()
    assert process.wait(120) == 1
    assert "nothing was changed" in manifest.with_suffix(".log").read_text()
    assert editions(home) == []
    assert home.actions().count("dataset.import") == 0


@SQLITE_ALONE
def test_what_a_killed_import_left_is_named_and_deleted(
    home: Home, manifest: Path, building_one: tuple[Process, Path], tmp_path: Path
) -> None:
    """Doctor names the folder, and the next import of any dataset deletes it before it builds."""
    process, folder = building_one
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert folder.is_dir()
    found, words = checks(home)["imports"]
    assert found == "WRONG"
    assert str(folder) in words
    other = tmp_path / "other"
    other.mkdir()
    another = write_clinic(other, **{'name = "clinic"': 'name = "another"'})
    assert run(home, "import", str(another), "--accept-losses").returncode == 0
    assert not folder.exists()
    assert checks(home)["imports"] == ("ok", "none was left unfinished")
    assert run(home, "import", str(manifest), "--accept-losses").returncode == 0
    assert len(folders(home)) == 1


@SQLITE_ALONE
def test_another_machines_import_is_dead_after_an_hour_of_silence(
    home: Home, manifest: Path, building_one: tuple[Process, Path]
) -> None:
    """Its lock says nothing here, so its beats count."""
    process, folder = building_one
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    mark = folder.with_name(f".{folder.name}.building")
    mark.write_text("another machine")
    assert run(home, "import", str(manifest), "--accept-losses").returncode == 0
    assert folder.is_dir()
    long_ago = time.time() - building.SILENT_SECONDS - 1
    os.utime(mark, (long_ago, long_ago))
    assert run(home, "import", str(manifest), "--accept-losses").returncode == 0
    assert not folder.exists()
    assert not mark.exists()


@SQLITE_ALONE
def test_doctor_says_what_to_do_about_a_damaged_store(home: Home, tmp_path: Path) -> None:
    """A store that does not open any more is imported again."""
    assert run(home, "import", str(write_clinic(tmp_path)), "--accept-losses").returncode == 0
    home.store("clinic").write_bytes(b"no store")
    found, words = checks(home)["dataset clinic"]
    assert found == "WRONG"
    assert "Run rowless import" in words


@SQLITE_ALONE
@pytest.mark.parametrize("lost", ["store.duckdb", "manifest.toml"])
def test_a_dataset_without_its_store_does_not_hide_the_others(home: Home, tmp_path: Path, lost: str) -> None:
    """The list has its state, its own routes are 503, doctor says what to do, and the report is still there."""
    for name in ("clinic", "another"):
        folder = tmp_path / name
        folder.mkdir()
        file = write_clinic(folder, **{'name = "clinic"': f'name = "{name}"'})
        assert run(home, "import", str(file), "--accept-losses").returncode == 0
    home.store("clinic").with_name(lost).unlink()
    with application(home) as place:
        listed = place.client("ada").good("GET", "/datasets")["items"]
        assert [(one["name"], one["title"], one["state"]) for one in listed] == [
            ("another", "A clinic", "waiting"),
            ("clinic", "A clinic", "unavailable"),
        ]
        reply = place.client("ada").get("/datasets/clinic")
        assert (reply.status, reply.code) == (503, "unavailable")
        assert place.client("ada").get("/datasets/another").status == 200
        assert place.client("dora").get("/datasets/clinic/report").status == 200
    found = checks(home)
    assert found["dataset another"][0] == "ok"
    assert found["dataset clinic"][0] == "WRONG"
    assert "Run rowless import" in found["dataset clinic"][1]
