"""A real PostgreSQL for tests and benchmarks, with data in a folder of its own.

The programs are those that the package pgserver carries, or those of the machine where pgserver has no wheel. Its Python
wrapper is not used, because it keeps state in the user's runtime folder and shares servers between processes.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 300  # on a machine that does much else
DEBIAN = Path("/usr/lib/postgresql")
MISSING = "PostgreSQL is missing, and pgserver has no wheel for this Python: apt-get install postgresql"
SUPERUSER = "postgres"


@dataclass(eq=False)
class Postgres:
    """A server on 127.0.0.1. It can be stopped, killed and started again on the same data and port."""

    folder: Path
    programs: Path
    port: int
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    spare: list[str] = field(default_factory=list)  # databases that a test gave back

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(self.binary("postgres"), "-D", str(self.folder / "data"), "-k", "", "-h", "127.0.0.1"),
                    *("-p", str(self.port)),
                    *(word for option in self.options for word in ("-c", option)),
                ],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=_user(),
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT drops its clients first, SIGQUIT leaves it to recovery, as a crash does."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_SECONDS)
            self.process = None

    def binary(self, name: str) -> str:
        """Return the path of one of the server's programs."""
        return str(self.programs / name)

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the superuser, outside of the code under test."""
        with closing(psycopg.connect(self.dsn(database), autocommit=True)) as connection:
            cursor = connection.execute(sql.encode())
            return [] if cursor.description is None else cursor.fetchall()

    def dsn(self, database: str, user: str = SUPERUSER) -> str:
        """Return the address of a database as libpq and people write it."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1") -> str:
        """Make a database as a copy of another that nobody is connected to, and return its address."""
        name = f"t{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.dsn(name)

    def drop(self, address: str) -> None:
        """Remove a database and whoever is connected to it."""
        self.execute(f"DROP DATABASE {address.rpartition('/')[2]} WITH (FORCE)")


@contextmanager
def postgres(*options: str) -> Iterator[Postgres]:
    """Run a server until the block ends. Options are settings of PostgreSQL, as in "fsync=off"."""
    with tempfile.TemporaryDirectory(prefix="rowless-postgres-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "data").mkdir(mode=0o700)
        if (user := _user()) is not None:
            os.chown(folder / "data", user, -1)
        server = Postgres(folder, _programs(folder), free_port(), options)
        subprocess.run(
            [
                *(server.binary("initdb"), "-D", str(folder / "data"), "-U", SUPERUSER, "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            user=user,
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()


def is_installed() -> bool:
    """Return True if there is a PostgreSQL to run."""
    return _pgserver() is not None or newest(DEBIAN) is not None


def newest(root: Path) -> Path | None:
    """Return the programs of the newest PostgreSQL that Debian's packages installed below a folder."""
    installed = sorted(root.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


def _pgserver() -> Path | None:
    """Return the folder of the package pgserver."""
    spec = importlib.util.find_spec("pgserver")
    return None if spec is None or not spec.submodule_search_locations else Path(spec.submodule_search_locations[0])


def _programs(folder: Path) -> Path:
    """Return where the server's programs are: pgserver's, or those of the machine."""
    package = _pgserver()
    if package is None:
        found = newest(DEBIAN)
        assert found is not None, MISSING
        return found
    # Copied, because the user that runs the server may not be able to reach the virtual environment.
    (folder / "pgserver").mkdir()
    (folder / "pgserver").chmod(0o755)  # whatever the umask is
    shutil.copytree(package / "pginstall", folder / "pgserver" / "pginstall", symlinks=True)
    shutil.copytree(package.with_name("pgserver.libs"), folder / "pgserver.libs")
    return folder / "pgserver" / "pginstall" / "bin"


def _user() -> int | None:
    """Return the user to run as: PostgreSQL refuses to run as root."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
