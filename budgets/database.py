"""Connections and transactions. Everything else in this package works on a connection that it is handed.

`write` is one transaction that nobody else can interleave with: on SQLite it takes the write lock at once (BEGIN
IMMEDIATE), so that what it reads is still true when it writes. A commit is on disk when `write` returns.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from budgets.errors import SchemaOutdated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

BUSY_MS = 30_000


class Database:
    """The ledger's database. Threads may share it; processes open their own.

    Opening it and every transaction raise Unavailable when it cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            self._engine = sa.create_engine(url, pool_size=8, max_overflow=64)
        except (sa.exc.ArgumentError, ImportError) as error:
            # The address may hold a password: it is not repeated.
            raise Unavailable("its address is not one that SQLAlchemy understands") from error
        self._turn: AbstractContextManager[Any] = nullcontext()
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _set_up_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
            # SQLite lets one writer in and makes the others poll: within a process they may as well queue.
            self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Open a transaction that commits when the block ends and leaves no trace when it raises."""
        with self._turn, _in_words(), self._engine.connect() as connection:
            connection = connection.execution_options(rowless_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that sees one state of the database; what is written in it is forgotten."""
        with _in_words(), self._engine.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection
            finally:
                transaction.rollback()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def upgrade(self) -> None:
        """Bring the schema to this version's, keeping the data."""
        config = _alembic()
        with self.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def revisions(self) -> tuple[str | None, str | None]:
        """Return the schema's revision and the one this version works with."""
        with self.read() as connection:
            present = MigrationContext.configure(connection).get_current_revision()
        return present, ScriptDirectory.from_config(_alembic()).get_current_head()

    def require_current(self) -> None:
        """Raise SchemaOutdated unless the schema is this version's."""
        present, wanted = self.revisions()
        if present != wanted:
            raise SchemaOutdated(f"the ledger's schema is {present or 'missing'}; run `rowless init` to bring it up")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        if getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
            raise  # wrong SQL or a wrong schema: a defect, and no fault of the database
        raise Unavailable(f"{error.orig}") from error


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _set_up_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by `_begin_sqlite`, not by the driver, which would begin them late and shared.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {BUSY_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("rowless_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
