"""A home is its owner's alone: modes, owners and links, by init, serve and doctor."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from budgets.governance.roles.founding import Founders
from server.cli.main import main
from server.errors import SettingsError
from server.runtime.health import examine
from server.runtime.home import permissions
from server.runtime.services import create_home, open_services
from server.serving import serve
from tests.serving import Home, write_clinic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from server.runtime.settings import Settings

FOUNDERS = Founders("dora", "vera", "admin")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def umask() -> Iterator[None]:
    """Let files be readable by everybody, as most shells do."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def begin(settings: Settings) -> None:
    """Make a home."""
    create_home(settings, FOUNDERS)


def modes(home: Path) -> set[str]:
    """Return the modes of everything in a home, folders with a d."""
    found = [home, *home.rglob("*")]
    return {f"{'d' * path.is_dir()}{stat.S_IMODE(path.lstat().st_mode):o}" for path in found}


def run(home: Path, *arguments: str) -> int:
    """Run a command in this process and return its exit code."""
    return CliRunner().invoke(main, list(arguments), env={"ROWLESS_HOME": str(home)}).exit_code


def home_check(home: Path) -> tuple[bool, str]:
    """Return what doctor finds about a home's modes."""
    found = {check.name: check for check in examine(Home(home, {}).settings())}
    return found["home"].ok, found["home"].finding


def test_every_file_of_a_new_home_is_private(tmp_path: Path, umask: None) -> None:
    """Also where the folder was there, open to everybody, with files in it, and where the umask forbids nothing."""
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    (home / "notes.txt").touch(mode=0o666)
    assert run(home, "init", "--dpo", "dora", "--approver", "vera") == 0
    os.umask(0)
    assert run(home, "import", str(write_clinic(tmp_path)), "--accept-losses") == 0
    os.umask(0)
    assert run(home, "doctor") == 0
    assert (home / "ledger.sqlite").exists()
    assert list(home.glob("datasets/clinic/*/store.duckdb"))
    assert modes(home) == {"d700", "600"}


@pytest.mark.parametrize(
    "loose",
    [
        ".",
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "audit.key",
        "datasets",
        "datasets/clinic/0/store.duckdb",
        "datasets/clinic/0/staging/persons.tmp",
    ],
)
@pytest.mark.parametrize("mode", [0o640, 0o602])
def test_serve_refuses_and_doctor_names_what_others_can_use(tmp_path: Path, umask: None, loose: str, mode: int) -> None:
    """A single bit for the group or others is enough; init takes it away."""
    home = tmp_path / "home"
    settings = Home(home, {}).settings()
    create_home(settings, FOUNDERS)
    path = home / loose
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch()
    permissions.make_private(home)
    mode |= 0o100 * path.is_dir()
    path.chmod(mode)
    with pytest.raises(SettingsError, match=rf"{path} has mode {mode:o}"):
        serve(settings)
    ok, words = home_check(home)
    assert not ok
    assert f"{path} has mode {mode:o}" in words
    create_home(settings, FOUNDERS)
    assert home_check(home)[0]
    assert not path.exists() or not path.stat().st_mode & 0o077


def test_a_ledger_outside_of_the_home_is_checked_too(tmp_path: Path) -> None:
    """Its file is personal data wherever it lies."""
    home, file = tmp_path / "home", tmp_path / "elsewhere.sqlite"
    settings = Home(home, {}, f"sqlite:///{file}").settings()
    create_home(settings, FOUNDERS)
    file.chmod(0o644)
    assert [problem for problem in permissions.problems(settings) if str(file) in problem]
    with pytest.raises(SettingsError, match="has mode 644"):
        serve(settings)


def test_home_that_is_symbolic_link_refused(tmp_path: Path) -> None:
    """A home that is a symbolic link is refused, because whoever can change the link could choose the home."""
    home, link = tmp_path / "home", tmp_path / "link"
    create_home(Home(home, {}).settings(), FOUNDERS)
    link.symlink_to(home)
    for act in (begin, open_services, serve):
        with pytest.raises(SettingsError, match="symbolic link"):
            act(Home(link, {}).settings())
    assert "symbolic link" in home_check(link)[1]


def test_a_link_in_a_home_leads_to_what_is_private(tmp_path: Path) -> None:
    """Stores on another disk are private there."""
    home, disk = tmp_path / "home", tmp_path / "disk"
    settings = Home(home, {}).settings()
    create_home(settings, FOUNDERS)
    (home / "datasets").rename(disk)
    (home / "datasets").symlink_to(disk)
    assert list(permissions.problems(settings)) == []
    disk.chmod(0o755)
    assert "has mode 755" in "".join(permissions.problems(settings))


@ROOT
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    """No command runs over it, because files of two users beside one ledger stop the server later."""
    home = tmp_path / "home"
    settings = Home(home, {}).settings()
    create_home(settings, FOUNDERS)
    os.chown(home, 12345, -1)
    for act in (begin, open_services, serve):
        with pytest.raises(SettingsError, match="belongs to the user 12345, and this runs as root"):
            act(settings)
    assert "run it as the user 12345" in home_check(home)[1]


@ROOT
def test_a_file_of_another_user_is_named(tmp_path: Path) -> None:
    """Such as a write-ahead log that root made."""
    home = tmp_path / "home"
    settings = Home(home, {}).settings()
    create_home(settings, FOUNDERS)
    os.chown(home / "audit.key", 12345, -1)
    with pytest.raises(SettingsError, match="audit.key belongs to the user 12345"):
        serve(settings)
    assert "audit.key belongs to the user 12345" in home_check(home)[1]


def test_a_folder_that_users_share_is_no_home(tmp_path: Path) -> None:
    """Init does not take /tmp away from everybody else."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(SettingsError, match="several users share"):
        create_home(Home(shared, {}).settings(), FOUNDERS)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
