"""SmartNoise SQL. It rewrites SQL and leaves the work to a database: here to DuckDB, which speaks enough PostgreSQL.

That is its fastest way: data frames it puts into SQLite. It bounds the rows of a person, not cells and rows of a cell,
so a person gets as many rows as all cells together may have.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import duckdb
import snsql

from benchmarks.peers.adapters.speaking import NotOfferedError, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question

STATISTICS = {"events": "COUNT(*)", "persons": "COUNT(DISTINCT person)", "sum": "SUM(cost)", "mean": "AVG(cost)"}

YEAR = "calendar_year"


class Cursor:
    """A cursor as its reader uses it: DuckDB's cannot be iterated."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._cursor = connection.cursor()

    def execute(self, text: str) -> None:
        """Run a query."""
        self._cursor.execute(text)

    @property
    def description(self) -> Any:
        """Return the columns."""
        return self._cursor.description

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor.fetchall())


class Connection:
    """A connection whose reads need no transaction: DuckDB refuses a commit where none has begun."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def cursor(self) -> Cursor:
        """Return a cursor."""
        return Cursor(self._connection)

    def commit(self) -> None:
        """Do nothing."""

    def rollback(self) -> None:
        """Do nothing."""


def begin(data: Data) -> Ask:
    """Read the file into a table of DuckDB's own."""
    connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
    # Its grammar has a word "year", and takes no column of that name.
    connection.execute(f"CREATE TABLE events AS SELECT * RENAME (year AS {YEAR}) FROM read_parquet($1)", [data.parquet])
    texts = {"sex", "age_band", "diagnosis"}

    def ask(question: Question, epsilon: float) -> Rows:
        if question.measure not in STATISTICS:
            raise NotOfferedError("it has no median")
        rows = 1 if question.measure == "persons" else question.events_per_cell
        table: dict[str, Any] = {
            "max_ids": question.cells_per_person * rows,
            "sample_max_ids": True,
            "clamp_columns": True,
            "censor_dims": False,  # the keys are public
            "person": {"type": "int", "private_id": True},
            "cost": {"type": "int", "lower": 0, "upper": question.value_max},
            "urgent": {"type": "boolean"},
        }
        for key in data.keys:
            table[YEAR if key == "year" else key] = {"type": "string" if key in texts else "int"}
        keys = [YEAR if key == "year" else key for key in question.keys]
        # Epsilon is that of each noisy number of a cell, and a mean has two.
        spent = epsilon / (2 if question.measure == "mean" else 1)
        reader = snsql.from_connection(
            Connection(connection),
            engine="postgres",
            privacy=snsql.Privacy(epsilon=spent),
            metadata={"": {"main": {"events": table}}},
        )
        sql = f"SELECT {', '.join([*keys, STATISTICS[question.measure]])} FROM main.events"
        if question.urgent_since is not None:
            sql += f" WHERE urgent = TRUE AND {YEAR} >= {question.urgent_since}"
        if keys:
            sql += f" GROUP BY {', '.join(keys)}"
        return [list(row) for row in reader.execute(sql)[1:]]

    return ask


if __name__ == "__main__":
    serve(begin)
