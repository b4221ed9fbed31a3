from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from budgets.database import tables
from budgets.database.connection import WAIT_MS, Database
from budgets.errors import SchemaOutdated
from tests.budgets.world import interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases import Databases

ADD = "INSERT INTO identities (commitment, salt, name) VALUES ('{0}', 'salt', 'name')"
COUNT = "SELECT count(*) FROM identities"


@pytest.fixture
def address(databases: Databases) -> str:
    """Return the address of an empty ledger."""
    return databases.current()


@pytest.fixture
def database(address: str) -> Iterator[Database]:
    """Open an empty ledger."""
    opened = Database(address)
    yield opened
    opened.close()


@pytest.fixture
def other(address: str) -> Iterator[Database]:
    """Open the same ledger once more, as another process would."""
    opened = Database(address)
    yield opened
    opened.close()


def count(database: Database) -> int:
    """Count the rows of one table."""
    with database.read() as transaction:
        return int(transaction.exec_driver_sql(COUNT).scalar() or 0)


def test_write_is_visible_to_others_when_it_ends(database: Database, other: Database) -> None:
    """What a write did is there for others as soon as it ends."""
    with database.write() as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
    assert count(other) == 1


def test_a_write_that_raises_leaves_no_trace(database: Database) -> None:
    """When the block raises, nothing of it is kept, and the next write goes on as if it had not been."""
    with interrupted(database) as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
        assert transaction.exec_driver_sql(COUNT).scalar() == 1
    assert count(database) == 0
    with database.write() as transaction:
        transaction.exec_driver_sql(ADD.format("a"))
    assert count(database) == 1


def test_a_write_has_the_database_to_itself(database: Database, other: Database) -> None:
    """From the start of a write nobody else's write begins, so what it reads is still true when it writes."""
    began, seen = threading.Event(), []

    def work() -> None:
        began.set()
        with other.write() as transaction:
            seen.append(transaction.exec_driver_sql(COUNT).scalar())

    writer = threading.Thread(target=work)
    with database.write() as transaction:
        assert transaction.exec_driver_sql(COUNT).scalar() == 0
        writer.start()
        began.wait()
        writer.join(timeout=0.3)
        assert seen == []
        transaction.exec_driver_sql(ADD.format("a"))
    writer.join()
    assert seen == [1], "it sees all that was committed before it began"


def test_read_transaction_sees_one_state(database: Database) -> None:
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
        reader.join(timeout=120)
        assert seen == [0]


def test_a_read_changes_nothing(database: Database) -> None:
    """What is written within a read is refused or forgotten."""
    try:
        with database.read() as transaction:
            transaction.exec_driver_sql(ADD.format("a"))
    except sa.exc.DBAPIError:
        pass
    assert count(database) == 0


@pytest.mark.parametrize("separate", [False, True])
def test_concurrent_writes_lose_no_count(database: Database, other: Database, separate: bool) -> None:
    """Threads that read a number and write it back plus one in a write lose no count, on two pools as on one."""
    with database.write() as transaction:
        transaction.exec_driver_sql("INSERT INTO identities (commitment, salt, name) VALUES ('counter', '0', 'name')")

    def work(number: int) -> None:
        mine = other if separate and number % 2 else database
        for _ in range(25):
            with mine.write() as transaction:
                present = int(transaction.exec_driver_sql("SELECT salt FROM identities").scalar() or 0)
                transaction.exec_driver_sql(f"UPDATE identities SET salt = '{present + 1}'")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as transaction:
        assert transaction.exec_driver_sql("SELECT salt FROM identities").scalar() == str(16 * 25)


SETTINGS: dict[str, dict[str, str | int]] = {
    "sqlite": {
        "PRAGMA journal_mode": "wal",
        "PRAGMA synchronous": 2,
        "PRAGMA foreign_keys": 1,
        "PRAGMA busy_timeout": WAIT_MS,
    },
    "postgresql": {
        "SHOW synchronous_commit": "on",
        "SHOW lock_timeout": f"{WAIT_MS // 1000}s",
        "SHOW idle_in_transaction_session_timeout": "1min",
    },
}


def test_every_connection_is_set_up(database: Database, address: str) -> None:
    """Each connection syncs every commit to disk, keeps foreign keys, and waits its turn, but not for ever."""
    with database.read() as first, database.read() as second, database.write() as third:
        for transaction in (first, second, third):
            for ask, value in SETTINGS[address.partition(":")[0]].items():
                assert transaction.exec_driver_sql(ask).scalar() == value, ask


def test_row_with_dangling_foreign_key_refused(database: Database) -> None:
    """A row that points at nothing is refused."""
    with pytest.raises(sa.exc.IntegrityError, match="(?i)foreign key"), database.write() as transaction:
        row = {"id": "id", "user": "nobody", "hash": "hash", "created_at": "now"}
        transaction.execute(sa.insert(tables.tokens).values(**row))


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


def test_the_error_of_a_defect_names_nobody(database: Database) -> None:
    """What a statement was given does not stand in its error, which ends up in the server's log."""
    wanted = sa.text("SELECT no_such_column FROM users WHERE name = :name")
    with pytest.raises(sa.exc.DBAPIError, match="no_such_column") as caught, database.read() as transaction:
        transaction.execute(wanted, {"name": "zaphod.admin"})
    assert "zaphod" not in str(caught.value)
