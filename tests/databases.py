"""The ledger's two databases, as tests make them and look into them without the code under test."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from budgets.database.connection import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.postgres import Postgres


ADDED = re.compile(r", (?=\w+ (?:TEXT|VARCHAR|BIGINT|INTEGER)\b)")
# A database's version and the names of its tables.
STATE = (
    "SELECT version_num, ARRAY(SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1) "
    "FROM alembic_version"
)
IN_ANY_ORDER = "SET LOCAL session_replication_role = replica"  # no foreign keys
T = TypeVar("T")


# For tests of what Python refuses or decides: other tests of the same function write by the same SQL to both databases.
SQLITE_ALONE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)


class Databases(Protocol):
    """Where a test gets databases of its own from."""

    def empty(self) -> str:
        """Return the address of a database without a schema."""

    def current(self) -> str:
        """Return the address of a database with this version's schema and no rows."""

    def filled(self, fill: Callable[[Database], T]) -> tuple[str, T]:
        """Return the address of one with the rows that a function writes, and what it returns. It is called once for all."""

    def drop(self) -> None:
        """Remove what was made."""


class Sqlite:
    """Database files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def empty(self) -> str:
        """Return the address of a database without a schema."""
        return f"sqlite:///{self._folder / f'{uuid4().hex}.db'}"

    def current(self) -> str:
        """Return the address of a database with this version's schema and no rows."""
        made = self.empty()
        file_of(made).write_bytes(_current_file())
        return made

    def filled(self, fill: Callable[[Database], T]) -> tuple[str, T]:
        """Return the address of one with the rows that a function writes, and what it returns. It is called once for all."""
        content, returned = _filled_file(fill)
        made = self.empty()
        file_of(made).write_bytes(content)
        return made, returned

    def drop(self) -> None:
        """Leave the files to whoever made the folder."""


class Postgresql:
    """Databases of one server."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._empty: list[str] = []
        self._current: list[str] = []

    def empty(self) -> str:
        """Return the address of a database without a schema."""
        self._empty.append(self._server.create())
        return self._empty[-1]

    def current(self) -> str:
        """Return the address of a database with this version's schema and no rows."""
        if not self._server.spare:
            self._server.spare.append(self._server.create(_template(self._server).rpartition("/")[2]))
        self._current.append(self._server.spare.pop())
        return self._current[-1]

    def filled(self, fill: Callable[[Database], T]) -> tuple[str, T]:
        """Return the address of one with the rows that a function writes, and what it returns. It is called once for all."""
        statements, returned = _filled_rows(self._server, fill)
        made = self.current()
        change(made, statements)
        return made, returned

    def drop(self) -> None:
        """Remove what was made. A database is made in half a second and emptied in a hundredth: those are used again."""
        for made in self._empty:
            self._server.drop(made)
        for made in self._current:
            if self._emptied(made):
                self._server.spare.append(made)
            else:
                self._server.drop(made)

    def _emptied(self, made: str) -> bool:
        """Remove every row, in few words with the server. Return False if the database has another schema."""
        with closing(psycopg.connect(made)) as connection, connection.transaction():
            state = connection.execute(STATE.encode()).fetchall()
            if state != _state(self._server):
                return False
            tables = [name for name in state[0][1] if name != "alembic_version"]
            connection.execute("; ".join([IN_ANY_ORDER, *(f'DELETE FROM "{name}"' for name in tables)]).encode())
        return True


@cache
def _current_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        made = Sqlite(Path(folder)).empty()
        _upgrade(made)
        return file_of(made).read_bytes()


@cache
def _filled_file(fill: Callable[[Database], T]) -> tuple[bytes, T]:
    with tempfile.TemporaryDirectory() as folder:
        made = Sqlite(Path(folder)).current()
        with closing(Database(made)) as database:
            returned = fill(database)
        return file_of(made).read_bytes(), returned


@cache
def _template(server: Postgres) -> str:
    made = server.create()
    _upgrade(made)
    return made


@cache
def _state(server: Postgres) -> list[tuple[Any, ...]]:
    return rows(_template(server), STATE)


@cache
def _filled_rows(server: Postgres, fill: Callable[[Database], T]) -> tuple[str, T]:
    """Return the statements that write the rows, and what the function returned."""
    made = server.create(_template(server).rpartition("/")[2])
    with closing(Database(made)) as database:
        returned = fill(database)
    statements = [IN_ANY_ORDER]
    with closing(psycopg.connect(made)) as connection:
        for name in _state(server)[0][1]:
            table = sql.Identifier(name)
            for row in (
                connection.execute(sql.SQL("SELECT * FROM {}").format(table)) if name != "alembic_version" else ()
            ):
                values = sql.SQL(", ").join(map(sql.Literal, row))
                statements.append(sql.SQL("INSERT INTO {} VALUES ({})").format(table, values).as_string(connection))
    server.drop(made)
    return "; ".join(statements), returned


def _upgrade(address: str) -> None:
    database = Database(address)
    database.upgrade()
    database.close()


def file_of(address: str) -> Path:
    """Return the file of a SQLite database."""
    assert is_sqlite(address)
    return Path(address.removeprefix("sqlite:///"))


def is_sqlite(address: str) -> bool:
    """Say which of the two it is."""
    return address.startswith("sqlite:")


def rows(address: str, select: str, *values: object) -> list[tuple[Any, ...]]:
    """Return what a SELECT finds; values stand for ?."""
    if is_sqlite(address):
        with closing(sqlite3.connect(file_of(address), timeout=30)) as sqlite:
            return sqlite.execute(select, values).fetchall()
    with closing(psycopg.connect(address)) as postgresql:
        return postgresql.execute(select.replace("?", "%s").encode(), values or None).fetchall()


def change(address: str, *statements: str) -> None:
    """Run statements in one transaction, as somebody with access to the database could."""
    if is_sqlite(address):
        with closing(sqlite3.connect(file_of(address), timeout=30)) as sqlite, sqlite:
            for statement in statements:
                sqlite.execute(statement)
    else:
        with closing(psycopg.connect(address)) as postgresql, postgresql.transaction():
            for statement in statements:
                postgresql.execute(statement.encode())


def contents(address: str) -> bytes:
    """Return all that a database keeps: a SQLite file's bytes with those beside it, or every row as text."""
    if is_sqlite(address):
        return b"".join(path.read_bytes() for path in sorted(file_of(address).parent.glob(f"{file_of(address).name}*")))
    tables = [name for (name,) in rows(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return repr([rows(address, f'SELECT * FROM "{name}"') for name in tables]).encode()


def schema(address: str) -> dict[str, set[str]]:
    """Return what the tables and indexes of a database are made of, in the database's own words."""
    if is_sqlite(address):
        # The lines of each CREATE statement: their order means nothing. A column added later stands on the last line.
        made = rows(address, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
        lines = {name: "\n".join(ADDED.split(text)).removesuffix(")").splitlines() for name, text in made}
        return {name: {line.strip().rstrip(",").strip() for line in found} for name, found in lines.items()}
    found: dict[str, set[str]] = {}
    for select in (
        "SELECT table_name, concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, "
        "column_default) FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT conrelid::regclass::text, concat('CONSTRAINT ', conname, ' ', pg_get_constraintdef(oid)) "
        "FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
        "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    ):
        for table, part in rows(address, select):
            if table != "alembic_version":
                found.setdefault(table, set()).add(part)
    return found
