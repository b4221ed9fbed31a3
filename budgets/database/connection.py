"""Connections and transactions. All other modules of this package work on a connection that they are given.

`write` is a transaction that no other writer can interleave with, in this process or another one: what it reads is
still true when it writes. The audit log is one chain, so writers have to queue in any case. They queue at the start,
for one lock, so there are no deadlocks. On SQLite it is the database's write lock (BEGIN IMMEDIATE), on PostgreSQL an
advisory lock that ends with the transaction. A commit is on disk when `write` returns.

`read` sees one state of the database and waits for no one.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from budgets.database.files import LedgerFile
from budgets.errors import SchemaOutdated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WAIT_MS = 30_000  # for the lock; a transaction that holds it longer is stuck
SHRED_WAIT_MS = 5_000  # for readers; writers have to wait meanwhile
IDLE_MS = 60_000  # a server that stops within a transaction delays the others no longer than this

FILES = "rowless_files"
POSTGRESQL = "postgresql+psycopg"
WRITERS_LOCK = int.from_bytes(b"rowless", "big")
# Our own defects: wrong SQL, a broken constraint, a value that does not fit. All other errors are the database's state.
SQLITE_DEFECTS = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
}
# Classes of SQLSTATE: connection, transaction state (read-only, idle too long), authorization, database, rollback,
# resources, wrong state of an object (lock not available), operator intervention, system, internal (damage).
POSTGRESQL_UNAVAILABLE = {"08", "25", "28", "3D", "40", "53", "55", "57", "58", "XX"}


class Database:
    """The ledger's database. Threads may share it; processes open their own.

    Opening it and every transaction raise Unavailable if it cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        # Only one writer can run at a time. Within a process they queue here, without a connection each.
        self._turn = threading.Lock()
        self._sqlite = self._engine.dialect.name == "sqlite"
        path = file_of(url)
        self._file = None if path is None else LedgerFile(path)
        if self._sqlite:
            if self._file is not None:
                sa.event.listen(self._engine, "do_connect", self._require_same_file)
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            if self._file is not None:
                sa.event.listen(self._engine, "connect", self._remember_files)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
        else:
            sa.event.listen(self._engine, "connect", _set_up_postgresql)
            sa.event.listen(self._engine, "begin", _begin_postgresql)

    @property
    def engine_name(self) -> str:
        """Return "sqlite" or "postgresql"."""
        return str(self._engine.dialect.name)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that commits when the block ends and leaves no trace when it raises."""
        with self._turn, _in_words(), self._engine.connect() as connection:
            if self._file is not None:
                self._file.require_in_place(connection.info[FILES])
            connection = connection.execution_options(rowless_write=True)
            with connection.begin():
                yield connection

    def _require_same_file(self, *_: object) -> None:
        assert self._file is not None
        self._file.require_same()

    def _remember_files(self, connection: sqlite3.Connection, record: sa.pool.ConnectionPoolEntry) -> None:
        assert self._file is not None
        connection.execute("SELECT count(*) FROM sqlite_master")  # opens the write-ahead log
        record.info[FILES] = self._file.opened()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the database. What is written in it is rolled back."""
        with _in_words(), self._engine.connect() as connection:
            if not self._sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            transaction = connection.begin()
            try:
                yield connection
            finally:
                transaction.rollback()

    def require_writable(self) -> None:
        """Raise Unavailable unless a transaction can write now. It waits for its turn, as writers do."""
        with self.write() as transaction:
            if not self._sqlite and transaction.exec_driver_sql("SHOW transaction_read_only").scalar() == "on":
                raise Unavailable("the database is read-only")

    @contextmanager
    def alone(self, what: str) -> Iterator[bool]:
        """Hold the ledger's lock of this name, over all hosts. Yield False if it is taken. Others do not wait for it.

        A ledger in SQLite serves one host, where files can be locked: there it is always free. The database frees the
        lock when the connection ends in any way, so it is no proof that nobody else works.
        """
        if self._sqlite:
            yield True
            return
        number = int.from_bytes(hashlib.sha256(f"rowless {what}".encode()).digest()[:8], signed=True)
        with _in_words():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()  # closed at the end, and not put back into the pool with the lock
        try:
            with _in_words():
                free = connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({number})").scalar()
            yield bool(free)
        finally:
            with suppress(sa.exc.DBAPIError):  # it was lost meanwhile
                connection.close()

    def shred(self, tables: Sequence[sa.Table]) -> bool:
        """Remove deleted rows of these tables from the database's files. Return whether that was done.

        The tables are given in an order in which they can be emptied. SQLite overwrites deleted rows with zeros, but
        not the remains of a row on a page that was rebuilt. Therefore each table is emptied, which overwrites its
        pages, and filled again: the tables that hold names are small. Then the write-ahead log is emptied, which has
        to wait for readers of an older state. If one reads for too long, this returns False and may be tried again.
        On PostgreSQL it always returns False: docs/operations.md describes what its admin does.
        """
        if not self._sqlite:
            return False
        with self.write() as transaction:
            transaction.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for table in tables:
                rows = [row._asdict() for row in transaction.execute(sa.select(table))]
                transaction.execute(sa.delete(table))
                if rows:
                    transaction.execute(sa.insert(table), rows)
        with self._turn, _in_words(), closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                cursor.execute(f"PRAGMA busy_timeout = {SHRED_WAIT_MS}")
                (busy, *_) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
                cursor.close()
        return int(busy) == 0

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def upgrade(self, also: Callable[[sa.Connection], object] = lambda _: None) -> None:
        """Migrate the schema to this version's, keeping the data, and do something more in the same transaction.

        Raises SchemaOutdated if a later version made it.
        """
        config = _alembic()
        with self.write() as connection:
            _refuse_later(MigrationContext.configure(connection).get_current_revision())
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            also(connection)

    def revisions(self) -> tuple[str | None, str | None]:
        """Return the schema's revision and the one that this version works with."""
        with self.read() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
        return present, _migrations().get_current_head()

    def require_current(self) -> None:
        """Raise SchemaOutdated unless the schema is this version's."""
        present, wanted = self.revisions()
        _refuse_later(present)
        if present != wanted:
            raise SchemaOutdated(f"the ledger's schema is {present or 'missing'}; run `rowless init` to bring it up")


def file_of(url: str) -> Path | None:
    """Return the file of a ledger in SQLite; None if the address is of something else."""
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        return None
    if address.get_backend_name() != "sqlite" or address.database in {None, "", ":memory:"}:
        return None
    named = str(address.database)
    # SQLAlchemy also takes the address of a file as SQLite writes it: file:PATH, with options after it.
    return Path(named.removeprefix("file:") if "uri" in address.query else named).absolute()


def _refuse_later(present: str | None) -> None:
    """Raise SchemaOutdated if this version does not know the schema, because it cannot migrate that one."""
    try:
        _migrations().get_revisions(present or ())
    except CommandError as error:
        raise SchemaOutdated(
            f"the ledger's schema is {present}, which this version of Rowless does not know, because a later "
            "one made it. Use that version or another home"
        ) from error


def _engine(url: str) -> sa.Engine:
    try:
        address = sa.make_url(url)
        if address.get_backend_name() in {"postgres", "postgresql"}:
            # Connections that died in the pool, for example because the database was restarted, are replaced.
            return sa.create_engine(
                address.set(drivername=POSTGRESQL),
                pool_size=8,
                max_overflow=64,
                pool_pre_ping=True,
                hide_parameters=True,  # they may be names, which must not get into the log of a defect
                connect_args={"connect_timeout": 10},
            )
        if address.get_backend_name() == "sqlite":
            return sa.create_engine(address, pool_size=8, max_overflow=64, hide_parameters=True)
    except (sa.exc.ArgumentError, ImportError) as error:
        # The address may hold a password, so it is not repeated.
        raise Unavailable("its address is not one that SQLAlchemy understands") from error
    raise Unavailable("the ledger is kept in SQLite or PostgreSQL: sqlite:///FILE or postgresql://USER@HOST/NAME")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise Unavailable("every connection is in use") from error
    except sa.exc.DBAPIError as error:
        if _is_defect(error.orig):
            raise
        raise Unavailable(f"{error.orig}".strip()) from error
    except sqlite3.Error as error:  # while a connection is set up, or a transaction begins
        if _is_defect(error):
            raise
        raise Unavailable(str(error)) from error


def _is_defect(error: BaseException | None) -> bool:
    """Return whether an error is our own defect. Otherwise the database cannot be used."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return code is None or code & 0xFF in SQLITE_DEFECTS
    state = getattr(error, "sqlstate", None)
    # Without a state, the server was not reached or went away.
    return not (isinstance(error, psycopg.OperationalError) if state is None else state[:2] in POSTGRESQL_UNAVAILABLE)


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _migrations() -> ScriptDirectory:
    """Return this version's migrations. To read them takes longer than to open a ledger."""
    return ScriptDirectory.from_config(_alembic())


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # `_begin_sqlite` begins transactions. The driver would begin them late and without the write lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",  # deleted rows are overwritten: see `shred`
        f"busy_timeout = {WAIT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("rowless_write", False)
    # By the driver itself: each request begins transactions, and SQLAlchemy would make a statement and a result of it.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute("BEGIN IMMEDIATE" if write else "BEGIN")


def _set_up_postgresql(connection: psycopg.Connection[Any], _record: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute(
        f"SET lock_timeout = {WAIT_MS}; SET idle_in_transaction_session_timeout = {IDLE_MS}; "
        "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'"
    )
    connection.autocommit = before


def _begin_postgresql(connection: sa.Connection) -> None:
    # In READ COMMITTED each statement sees what was committed before it, so all that earlier holders of the lock wrote.
    if connection.get_execution_options().get("rowless_write", False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})")
