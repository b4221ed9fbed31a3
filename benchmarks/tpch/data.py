"""The data of TPC-H, as `tpchgen-cli` makes them, and a home of Rowless with the customer as the person.

Rowless's questions have no arithmetic between columns, and tables meet by person. What the questions compute from
several columns of a row stands in the prepared files as a column of its own.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.peers.data import make_home
from benchmarks.peers.environments import Peer, install
from benchmarks.queries import FORMALITIES

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("customer", "orders", "lineitem")
GENERATOR = Peer("tpchgen-cli", "tpchgen", ("tpchgen-cli",), ("tpchgen-cli",))

PREPARED = {
    "customers": "SELECT c_custkey AS customer, c_mktsegment AS segment FROM customer",
    "person_orders": """
        SELECT o_custkey AS customer, o_orderdate AS ordered, o_orderpriority AS priority,
            o_comment LIKE '%special%requests%' AS special,
            o_orderkey IN (SELECT l_orderkey FROM lineitem WHERE l_commitdate < l_receiptdate) AS late
        FROM orders
    """,
    "lines": """
        SELECT o_custkey AS customer, l_returnflag AS returned, l_linestatus AS status, l_shipmode AS mode,
            o_orderpriority AS priority, l_shipdate AS shipped, l_receiptdate AS received,
            l_commitdate < l_receiptdate AS received_late, l_shipdate < l_commitdate AS shipped_early,
            l_quantity AS quantity, l_extendedprice AS price, l_discount AS discount,
            l_extendedprice * (1 - l_discount) AS discounted,
            l_extendedprice * (1 - l_discount) * (1 + l_tax) AS charged, l_extendedprice * l_discount AS saved
        FROM lineitem JOIN orders ON o_orderkey = l_orderkey
    """,
}

# The bounds and lists are those of the TPC-H specification (4.2.3), not of the data: a part costs at most 2,099.00, a
# line has at most 50 of them, a discount is at most 0.10 and a tax 0.08.
MANIFEST = """\
[dataset]
name = "tpch"
title = "TPC-H with the customer as the person"
epsilon = 10000.0
justification = "made-up data"
persons_max = {persons_max}
profile = 0.1

[dataset.formalities]
{formalities}

[person]
id = "customer"
source = "customers.parquet"
[person.columns.segment]
type = "category"
values = ["AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY"]

[tables.orders]
source = "person_orders.parquet"
[tables.orders.columns.ordered]
type = "date"
bounds = [1992-01-01, 1998-12-31]
[tables.orders.columns.priority]
type = "category"
values = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"]
[tables.orders.columns.special]
type = "boolean"
[tables.orders.columns.late]
type = "boolean"

[tables.lines]
source = "lines.parquet"
[tables.lines.columns.returned]
type = "category"
values = ["A", "N", "R"]
[tables.lines.columns.status]
type = "category"
values = ["F", "O"]
[tables.lines.columns.mode]
type = "category"
values = ["AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"]
[tables.lines.columns.priority]
type = "category"
values = ["1-URGENT", "2-HIGH", "3-MEDIUM", "4-NOT SPECIFIED", "5-LOW"]
[tables.lines.columns.shipped]
type = "date"
bounds = [1992-01-01, 1998-12-31]
[tables.lines.columns.received]
type = "date"
bounds = [1992-01-01, 1998-12-31]
[tables.lines.columns.received_late]
type = "boolean"
[tables.lines.columns.shipped_early]
type = "boolean"
[tables.lines.columns.quantity]
type = "integer"
bounds = [1, 50]
[tables.lines.columns.price]
type = "number"
bounds = [0, 104950]
step = 0.01
[tables.lines.columns.discount]
type = "number"
bounds = [0, 0.10]
step = 0.01
[tables.lines.columns.discounted]
type = "number"
bounds = [0, 104950]
step = 0.01
[tables.lines.columns.charged]
type = "number"
bounds = [0, 113346]
step = 0.01
[tables.lines.columns.saved]
type = "number"
bounds = [0, 10495]
step = 0.01
"""


def prepare(folder: Path, scale: float) -> dict[str, Any]:
    """Make the data and the home, once; return the rows of each table, the token and what the import took."""
    kept = folder / "made.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _generate(folder, scale)
        rows = _flatten(folder)
        persons_max = 10 ** len(str(int(150_000 * scale) - 1))
        (folder / "tpch.toml").write_text(
            MANIFEST.format(formalities=FORMALITIES.read_text(encoding="utf-8"), persons_max=persons_max),
            encoding="utf-8",
        )
        token, seconds = make_home(folder / "home", folder / "tpch.toml", "tpch")
        kept.write_text(json.dumps({"rows": rows, "token": token, "import_seconds": seconds}), encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _generate(folder: Path, scale: float) -> None:
    """Write the tables of TPC-H that the questions read."""
    generator = install(GENERATOR)
    if generator.python is None:
        raise SystemExit(f"tpchgen-cli does not install: {generator.error}")
    options = (f"--scale-factor={scale:g}", f"--tables={','.join(TABLES)}", f"--output-dir={folder}")
    subprocess.run([str(generator.python.with_name("tpchgen-cli")), "parquet", *options], check=True)


def _flatten(folder: Path) -> dict[str, int]:
    """Write the files that the manifest names; return the rows of each of TPC-H's tables."""
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(folder)}) as connection:
        connection.execute("SET enable_progress_bar = false")
        read(connection, folder)
        for name, select in PREPARED.items():
            connection.execute(f"COPY ({select}) TO '{folder / name}.parquet' (FORMAT parquet, COMPRESSION zstd)")
        counted = {name: connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone() for name in TABLES}
        return {name: int(row[0]) for name, row in counted.items() if row}


def read(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Read TPC-H's tables into tables of DuckDB."""
    for name in TABLES:
        source = folder / f"{name}.parquet"
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{source}')")
