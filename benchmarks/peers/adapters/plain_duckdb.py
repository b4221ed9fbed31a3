"""Plain DuckDB: no privacy at all, the measure of what a scan costs.

Its table is in a file of its own, which it keeps in memory as far as it likes. That is no slower than a table in memory
alone, because texts are compressed in the file, and it takes less memory.

It knows how many rows a table has and reads nothing to count them. Its time for the count of all events is therefore
that of a sum over one column, which reads what a count by person has to read at least.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import duckdb

from benchmarks.peers.adapters.speaking import serve

if TYPE_CHECKING:
    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question


def begin(data: Data) -> Ask:
    """Read the file into a table of DuckDB's own."""
    file = data.folder / "plain.duckdb"
    file.unlink(missing_ok=True)
    connection = duckdb.connect(file, config={"threads": os.cpu_count() or 1})
    connection.execute("CREATE TABLE events AS SELECT * FROM read_parquet($1)", [data.parquet])
    connection.execute("CHECKPOINT")

    def ask(question: Question, _: float) -> Rows:
        if question.measure == "events" and not question.keys:
            connection.execute("SELECT SUM(cost) FROM events").fetchall()
        return [list(row) for row in connection.execute(question.sql).fetchall()]

    return ask


if __name__ == "__main__":
    serve(begin)
