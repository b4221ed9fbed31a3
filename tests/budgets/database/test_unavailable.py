"""A database that fails: a clear error, nothing half-written, and work goes on when it is back."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy as sa

from budgets.database import connection
from budgets.database.connection import Database
from budgets.errors import SchemaOutdated, Unavailable
from budgets.ledger import charges
from tests.budgets.world import cost, make_world, question
from tests.databases import Postgresql, Sqlite, change, file_of
from tests.ports import free_port
from tests.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.budgets.world import World
    from tests.postgres import Postgres


@pytest.fixture(scope="module")
def server(postgres_installed: None) -> Iterator[Postgres]:
    """Run a PostgreSQL to be stopped and killed, one that keeps what it committed."""
    with postgres("max_connections=20") as running:
        yield running


@pytest.fixture
def shared(server: Postgres) -> Iterator[World]:
    """Make a ledger with a study on that server."""
    world = make_world(Postgresql(server))
    world.import_edition()
    world.open_study("hearts", 1000)
    yield world
    world.database.close()


def works(world: World, text: str) -> None:
    """Assert that a query can be charged and settled, and that the ledger is whole."""
    world.spend("hearts", text, cost(1))
    world.check()


# Addresses


@pytest.mark.parametrize(
    "address",
    ["", "nonsense", "mysql://localhost/ledger", "oracle://localhost/ledger", "sqlite:////nowhere/at/all/ledger.db"],
)
def test_an_address_that_cannot_be_used_is_refused(address: str) -> None:
    """Whatever is no SQLite file or PostgreSQL is Unavailable, with the reason."""
    with pytest.raises(Unavailable), Database(address).read() as transaction:
        transaction.exec_driver_sql("SELECT 1")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_is_known(postgres_server: Postgres, scheme: str) -> None:
    """Addresses as hosters write them reach the server through the one driver that comes along."""
    database = Database(postgres_server.dsn("postgres").replace("postgresql", scheme, 1))
    with database.read() as transaction:
        assert transaction.exec_driver_sql("SELECT 1").scalar() == 1
    database.close()


def test_a_password_is_not_repeated() -> None:
    """No message holds the password of the address, not even when nobody listens there."""
    for address in (f"postgresql://me:hunter2@127.0.0.1:{free_port()}/ledger", "mysql://me:hunter2@127.0.0.1/ledger"):
        with pytest.raises(Unavailable) as refused, Database(address).read() as transaction:
            transaction.exec_driver_sql("SELECT 1")
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        (psycopg.errors.DiskFull, True),
        (psycopg.errors.OutOfMemory, True),
        (psycopg.errors.ReadOnlySqlTransaction, True),
        (psycopg.errors.AdminShutdown, True),
        (psycopg.errors.DataCorrupted, True),
        (psycopg.errors.DeadlockDetected, True),
        (psycopg.errors.UniqueViolation, False),
        (psycopg.errors.CheckViolation, False),
        (psycopg.errors.UndefinedTable, False),
        (psycopg.errors.SyntaxError, False),
        (psycopg.errors.NumericValueOutOfRange, False),
    ],
)
def test_postgresqls_states_are_told_from_defects(
    postgres_server: Postgres, error: type[psycopg.Error], unavailable: bool
) -> None:
    """What the server raises of its own state is Unavailable, a full disk among it; wrong SQL and broken rules are not."""
    database = Database(postgres_server.dsn("postgres"))
    raises = f"DO $$ BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = '{error.sqlstate}'; END $$"
    expected = Unavailable if unavailable else sa.exc.DBAPIError
    with pytest.raises(expected, match="as asked"), database.write() as transaction:
        transaction.exec_driver_sql(raises)
    database.close()


# PostgreSQL that goes away


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_between_transactions_goes_unnoticed(server: Postgres, shared: World, how: signal.Signals) -> None:
    """After the server was restarted, orderly or by a crash, the next transaction works on a fresh connection."""
    works(shared, "before")
    server.stop(how)
    server.start()
    works(shared, "after")
    assert shared.balance("hearts").spent == cost(2, 2)


def test_without_its_server_everything_is_unavailable(server: Postgres, shared: World) -> None:
    """While the server is down reads and writes are Unavailable; when it is back all is as it was."""
    charge = shared.reserve("hearts", "before", cost(1))
    before = shared.everything()
    server.stop()
    for act in (
        lambda: shared.balance(),
        lambda: shared.settle(charge, {}),
        lambda: shared.reserve("hearts", "q", cost(1)),
    ):
        with pytest.raises(Unavailable):
            act()
    server.start()
    assert shared.everything() == before
    assert shared.settle(charge, {"answer": 1}) is not None
    works(shared, "after")


@pytest.mark.parametrize("moment", ["reserve", "settle"])
def test_a_server_that_dies_inside_a_transaction(server: Postgres, shared: World, moment: str) -> None:
    """A crash of the server in the middle of a transaction leaves nothing of it, and is Unavailable."""
    charge = shared.reserve("hearts", "before", cost(1))
    before = shared.everything()
    with pytest.raises(Unavailable), shared.database.write() as transaction:
        if moment == "reserve":
            charges.reserve(transaction, question("hearts", "another"), cost(1))
        else:
            charges.settle(transaction, charge, {"answer": 1})
        server.stop(signal.SIGQUIT)
    server.start()
    assert shared.everything() == before
    works(shared, "after")


def test_a_connection_that_is_cut_inside_a_transaction(server: Postgres, shared: World) -> None:
    """A connection that an operator or a network ends leaves nothing behind, and the lock is free again at once."""
    before = shared.everything()
    with pytest.raises(Unavailable), shared.database.write() as transaction:
        charges.reserve(transaction, question("hearts", "another"), cost(1))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 't%'")
        charges.reserve(transaction, question("hearts", "one more"), cost(1))
    assert shared.everything() == before
    works(shared, "after")


def test_a_read_only_server_is_unavailable(server: Postgres, shared: World) -> None:
    """A server that takes no writes, as a standby does, is read from; to write is Unavailable."""
    before = shared.everything()
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.execute("SELECT pg_reload_conf()")
    shared.database.close()  # a new connection has it for sure
    with pytest.raises(Unavailable, match="read-only"):
        shared.reserve("hearts", "another", cost(1))
    assert shared.everything() == before
    server.stop()
    (server.folder / "data" / "postgresql.auto.conf").write_text("")
    server.start()
    works(shared, "after")


def test_too_many_connections_are_unavailable(server: Postgres, shared: World) -> None:
    """When the server has no connection left that is said, and passes."""
    shared.database.close()
    with contextlib.ExitStack() as held:
        with contextlib.suppress(Unavailable):
            for _ in range(40):
                taken = Database(shared.url)
                held.callback(taken.close)
                held.enter_context(taken.read()).exec_driver_sql("SELECT 1")
        with pytest.raises(Unavailable, match="too many clients|slots"):
            shared.balance()
    works(shared, "after")


def test_whoever_holds_the_lock_too_long_is_named_as_the_reason(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits for the lock longer than it may gives up, Unavailable, having changed nothing."""
    monkeypatch.setattr(connection, "WAIT_MS", 200)
    other = Database(shared.url)
    before = shared.everything()
    with shared.database.write(), pytest.raises(Unavailable, match="lock timeout"), other.write() as transaction:
        charges.reserve(transaction, question("hearts", "another"), cost(1))
    other.close()
    assert shared.everything() == before
    works(shared, "after")


def test_a_server_that_fell_asleep_in_a_transaction_loses_it(shared: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that stops in the middle does not hold the others up for ever: its transaction is ended for it."""
    monkeypatch.setattr(connection, "IDLE_MS", 1_000)  # more than a busy machine takes from one statement to the next
    sleepy, done = Database(shared.url), []
    before = shared.everything()
    with pytest.raises(Unavailable), sleepy.write() as transaction:
        charges.reserve(transaction, question("hearts", "never"), cost(1))
        waiting = threading.Thread(target=lambda: done.append(shared.reserve("hearts", "meanwhile", cost(1))))
        waiting.start()
        waiting.join(120)
        assert done, "the lock was not freed"
        charges.settle(transaction, done[0], None)
    sleepy.close()
    assert len(shared.everything()["charges"]) == len(before["charges"]) + 1
    works(shared, "after")


# SQLite whose disk fails


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "rowless-test", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("only root can mount a small disk, where it is allowed at all")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_unavailable_and_loses_nothing(small_disk: Path) -> None:
    """On a full disk a write is Unavailable and leaves nothing; what was there is whole, and goes on with space."""
    world = make_world(Sqlite(small_disk))
    world.import_edition()
    world.open_study("hearts", 1000)
    kept = 0
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 128 * 1024))
    with pytest.raises(Unavailable, match="full"):
        for kept in range(1000):
            world.reserve("hearts", f"question {kept}" + "x" * 1000, cost(1))
    assert kept > 0
    assert world.balance("hearts").reserved == cost(kept, kept)
    world.check()
    filler.unlink()
    works(world, "after")
    world.database.close()


def test_a_size_limit_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    """A database that may not grow is Unavailable for a write that needs room, and is whole."""
    world = make_world(Sqlite(tmp_path))
    world.import_edition()
    world.open_study("hearts", 1000)
    charge = world.reserve("hearts", "a question", cost(1))
    before = world.everything()
    with pytest.raises(Unavailable, match="full"), world.database.write() as transaction:
        transaction.exec_driver_sql("PRAGMA max_page_count = 1")  # no less than there are
        charges.settle(transaction, charge, {"answer": "x" * 1_000_000})
    world.database.close()
    assert world.everything() == before
    works(world, "after")
    world.database.close()


def test_a_read_only_file_is_unavailable(tmp_path: Path) -> None:
    """A file that may only be read answers no write, keeps what it has, and goes on when it is writable again."""
    world = make_world(Sqlite(tmp_path))
    world.import_edition()
    world.open_study("hearts", 1000)
    before = world.everything()
    # Permissions do not stop root, who may run this.
    read_only = Database(f"sqlite:///file:{file_of(world.url)}?mode=ro&uri=true")
    with pytest.raises(Unavailable, match="readonly"), read_only.write() as transaction:
        charges.reserve(transaction, question("hearts", "a question"), cost(1))
    read_only.close()
    assert world.everything() == before
    works(world, "after")
    world.database.close()


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"\xff" * 4096, b"no database at all" * 300])
def test_a_damaged_file_is_named_as_such(tmp_path: Path, damage: bytes) -> None:
    """What is no ledger is refused in words: missing schema for an empty file, Unavailable for a damaged one."""
    file = tmp_path / "ledger.db"
    file.write_bytes(damage)
    database = Database(f"sqlite:///{file}")
    if not damage:
        with pytest.raises(SchemaOutdated):
            database.require_current()
    else:
        with pytest.raises(Unavailable):
            database.require_current()
    database.close()


def test_a_locked_file_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that waits too long for another process's write gives up having changed nothing."""
    monkeypatch.setattr(connection, "WAIT_MS", 200)
    world = make_world(Sqlite(tmp_path))
    world.import_edition()
    world.open_study("hearts", 1000)
    other = Database(world.url)
    started = time.monotonic()
    with world.database.write(), pytest.raises(Unavailable, match="locked"), other.write():
        pass
    assert time.monotonic() - started < 10
    other.close()
    change(world.url, "SELECT 1")
    works(world, "after")
    world.database.close()
