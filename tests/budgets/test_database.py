from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from budgets.database import BUSY_MS, Database
from budgets.errors import SchemaOutdated
from tests.budgets.world import interrupted, make_database, url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ADD = "INSERT INTO identities VALUES ('{0}', 'salt', 'name')"
COUNT = "SELECT count(*) FROM identities"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Make an empty ledger."""
    made = make_database(tmp_path / "ledger.db")
    yield made
    made.close()


def count(database: Database) -> int:
    """Count the rows of one table."""
    with database.read() as transaction:
        return int(transaction.exec_driver_sql(COUNT).scalar() or 0)


def test_a_write_is_kept(database: Database, tmp_path: Path) -> None:
    """What a write did is there for others as soon as it ends."""
    with database.write() as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
    other = Database(url(tmp_path / "ledger.db"))
    assert count(other) == 1
    other.close()


def test_a_write_that_raises_leaves_no_trace(database: Database) -> None:
    """When the block raises, nothing of it is kept, and the next write goes on as if it had not been."""
    with interrupted(database) as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
        assert transaction.exec_driver_sql(COUNT).scalar() == 1
    assert count(database) == 0
    with database.write() as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
    assert count(database) == 1


def test_a_write_takes_the_lock_at_once(database: Database, tmp_path: Path) -> None:
    """From the start of a write nobody else can write, so what it reads is still true when it writes."""
    other = sqlite3.connect(tmp_path / "ledger.db", timeout=0, isolation_level=None)
    with database.write(), pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


def test_a_read_sees_one_state(database: Database) -> None:
    """A read sees the database as it was at its first look, whatever is committed meanwhile, and blocks no write."""
    with database.read() as before:
        assert before.exec_driver_sql(COUNT).scalar() == 0
        with database.write() as transaction:
            transaction.exec_driver_sql(ADD.format("a"))
            assert before.exec_driver_sql(COUNT).scalar() == 0
        assert before.exec_driver_sql(COUNT).scalar() == 0
    assert count(database) == 1


def test_a_read_does_not_wait_for_a_write(database: Database) -> None:
    """While a write is open others read, and see nothing of it."""
    with database.write() as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(count(database)))
        reader.start()
        reader.join(timeout=10)
        assert seen == [0]


def test_a_read_changes_nothing(database: Database) -> None:
    """What is written within a read is refused or forgotten."""
    try:
        with database.read() as transaction:
            transaction.exec_driver_sql(ADD.format("a"))
    except sa.exc.OperationalError:
        pass
    assert count(database) == 0


def test_writes_of_one_database_take_turns(database: Database) -> None:
    """Threads that read a number and write it back plus one in a write lose no count."""
    with database.write() as transaction:
        transaction.exec_driver_sql("INSERT INTO identities VALUES ('counter', '0', 'name')")

    def work() -> None:
        for _ in range(25):
            with database.write() as transaction:
                present = int(transaction.exec_driver_sql("SELECT salt FROM identities").scalar() or 0)
                transaction.exec_driver_sql(f"UPDATE identities SET salt = '{present + 1}'")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as transaction:
        assert transaction.exec_driver_sql("SELECT salt FROM identities").scalar() == str(16 * 25)


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", BUSY_MS)],
)
def test_every_connection_is_set_up(database: Database, pragma: str, value: str | int) -> None:
    """Each connection syncs every commit to disk, keeps foreign keys, and waits its turn."""
    with database.read() as first, database.read() as second, database.write() as third:
        for transaction in (first, second, third):
            assert transaction.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_foreign_keys_are_kept(database: Database) -> None:
    """A row that points at nothing is refused."""
    with pytest.raises(sa.exc.IntegrityError, match="FOREIGN KEY"), database.write() as transaction:
        transaction.exec_driver_sql("INSERT INTO tokens VALUES ('id', 'nobody', 'hash', 'now', NULL)")


def test_the_schema_is_current_after_an_upgrade(database: Database) -> None:
    """A database with this version's schema is accepted, and names the revision it has."""
    database.require_current()
    present, wanted = database.revisions()
    assert present == wanted
    assert present is not None


@pytest.mark.parametrize("revision", [None, "9999"])
def test_another_schema_is_refused(database: Database, revision: str | None) -> None:
    """A database without a revision, or with one that this version does not know, is not worked on."""
    with database.write() as transaction:
        transaction.exec_driver_sql("DELETE FROM alembic_version")
        if revision is not None:
            transaction.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")
    with pytest.raises(SchemaOutdated, match=revision or "missing"):
        database.require_current()
