"""A ledger whose file vanishes, is replaced or shrinks under a real server: nothing is written any more, and 503."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from budgets.governance.roles.founding import Founders
from server.errors import SettingsError
from server.runtime.health import examine
from server.runtime.services import create_home, open_ledger
from tests.serving import PATIENTS, Home, ask, make_home, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.postgres import Postgres


FOUNDERS = Founders("dora", "vera", "admin")


def delete(ledger: Path) -> None:
    """Delete the file alone, as a clumsy clean-up does."""
    ledger.unlink()


def delete_all(ledger: Path) -> None:
    """Delete the file with what is beside it."""
    for file in ledger.parent.glob("ledger.sqlite*"):
        file.unlink()


def replace(ledger: Path) -> None:
    """Put an older copy in its place in one step."""
    copy = ledger.with_name("copy")
    shutil.copy2(ledger, copy)
    copy.replace(ledger)


def truncate(ledger: Path) -> None:
    """Cut the file off."""
    os.truncate(ledger, ledger.stat().st_size // 2)


def empty(ledger: Path) -> None:
    """Leave a file of no bytes."""
    os.truncate(ledger, 0)


def lose_log(ledger: Path) -> None:
    """Delete the write-ahead log, which holds the last charges."""
    ledger.with_name("ledger.sqlite-wal").unlink()


@pytest.mark.parametrize("harm", [delete, delete_all, replace, truncate, empty, lose_log])
def test_a_server_stops_writing_when_its_ledger_is_harmed(home: Home, harm: Callable[[Path], None]) -> None:
    """Queries are 503 with nothing charged, the log says why, and no new ledger appears."""
    ledger = home.path / "ledger.sqlite"
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        ada.good("POST", "/studies/s/queries", ask(PATIENTS, 0.5))
        harm(ledger)
        before = ledger.stat() if ledger.exists() else None
        for number in range(20):  # more than the connections that are open
            reply = ada.post("/studies/s/queries", ask({f"n{number}": {"count": "persons"}}, 0.01))
            assert (reply.status, reply.code) == (503, "unavailable"), number
        assert server.client("dora").post("/studies/s/suspend", {"reason": "r"}).status == 503
        after = ledger.stat() if ledger.exists() else None
        assert (before and (before.st_ino, before.st_size)) == (after and (after.st_ino, after.st_size))
        assert server.client(None).get("/health").status == 200
    log = home.path.with_suffix(".log").read_text()
    assert "nothing is written any more" in log
    assert "docs/operations.md" in log


def test_a_server_goes_on_when_its_own_ledger_is_back(home: Home) -> None:
    """A file that was only moved away is the same one."""
    ledger = home.path / "ledger.sqlite"
    with serving(home) as server:
        server.open_study("s", "rand-hie", epsilon=9.0)
        ada = server.client("ada")
        aside = ledger.rename(home.path / "aside")
        assert ada.post("/studies/s/queries", ask(PATIENTS, 0.5)).status == 503
        assert not ledger.exists()
        aside.rename(ledger)
        assert ada.post("/studies/s/queries", ask(PATIENTS, 0.5)).status == 201
    home.assert_sound()


@pytest.mark.parametrize("left", [None, b""])
def test_no_command_begins_a_new_ledger_in_a_home_that_was_in_use(tmp_path: Path, left: bytes | None) -> None:
    """A new ledger would forget what was spent: serve, init and doctor say what to do, and make nothing."""
    home = make_home(tmp_path / "home")
    ledger = home.path / "ledger.sqlite"
    ledger.unlink()
    if left is not None:
        ledger.write_bytes(left)
    with pytest.raises(SettingsError, match="put a backup in its place"):
        create_home(home.settings(), FOUNDERS)
    if left is None:
        with pytest.raises(SettingsError, match="put a backup in its place"):
            open_ledger(home.settings())
    assert_doctor_names_a_backup(home)
    assert (ledger.read_bytes() if ledger.exists() else None) == left


def test_doctor_says_what_to_do_about_a_damaged_ledger(tmp_path: Path) -> None:
    """A file that is no database any more, and one that was cut off."""
    home = make_home(tmp_path / "home")
    ledger = home.path / "ledger.sqlite"
    whole = ledger.read_bytes()
    for damaged in (b"no ledger" * 1_000, whole[: len(whole) // 2]):
        ledger.write_bytes(damaged)
        assert_doctor_names_a_backup(home)


def assert_doctor_names_a_backup(home: Home) -> None:
    """Assert that a check of the ledger failed and says to restore a backup."""
    (found,) = [check for check in examine(home.settings()) if check.name == "ledger"]
    assert not found.ok
    assert "put a backup in its place" in found.finding


def test_no_new_ledger_is_begun_in_an_empty_database(
    shared_template: Home, tmp_path: Path, postgres_server: Postgres
) -> None:
    """The same where the ledger was in PostgreSQL."""
    empty = postgres_server.create()
    home = shared_template.copy(tmp_path / "home", empty)
    with pytest.raises(SettingsError, match="would forget what was spent"):
        create_home(home.settings(), FOUNDERS)
    postgres_server.drop(empty)
