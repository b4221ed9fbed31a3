"""Tumult Analytics on Spark, which runs on this machine alone, with its data cached in memory.

Its bounds by group know one column. What is grouped by several columns is grouped by their texts, joined.
"""

from __future__ import annotations

import os
import shutil
import sys
from itertools import product
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from tmlt.analytics import (
    AddRowsWithID,
    KeySet,
    MaxGroupsPerID,
    MaxRowsPerGroupPerID,
    MaxRowsPerID,
    PureDPBudget,
    QueryBuilder,
    Session,
)

from benchmarks.peers.adapters.speaking import serve

if TYPE_CHECKING:
    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question

MEMORY = "6g"
TASKS = 8  # of a shuffle; Spark's own 200 are for clusters, and slower here


def begin(data: Data) -> Ask:
    """Start Spark, and read the file into its cache."""
    os.environ["PYSPARK_PYTHON"] = sys.executable  # what Spark starts is to be of this environment too
    warehouse = data.folder / "tumult"  # it keeps what it computes in between there, for good
    shutil.rmtree(warehouse, ignore_errors=True)
    spark = (
        SparkSession.builder.master(f"local[{os.cpu_count()}]")
        .config("spark.driver.memory", MEMORY)
        .config("spark.sql.shuffle.partitions", TASKS)
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", warehouse.as_uri())
        .getOrCreate()
    )
    read = spark.read.parquet(data.parquet)
    integers = {name: sf.col(name).cast("bigint") for name in ("practice", "year", "cost", "urgent")}
    events = read.withColumns({**integers, "urgent": sf.col("urgent").cast("int").cast("bigint")}).cache()
    events.count()

    def ask(question: Question, epsilon: float) -> Rows:
        keys = list(product(*(data.keys[key] for key in question.keys)))
        joined = sf.concat_ws("|", *(sf.col(key).cast("string") for key in question.keys))
        session = Session.from_dataframe(
            PureDPBudget(epsilon),
            "events",
            events.select("person", "year", "urgent", "cost", joined.alias("key")),
            AddRowsWithID("person"),
        )
        query: Any = QueryBuilder("events")
        if question.urgent_since is not None:
            query = query.filter(f"urgent = 1 AND year >= {question.urgent_since}")
        if question.keys:
            rows = 1 if question.measure == "persons" else question.events_per_cell
            query = query.enforce(MaxGroupsPerID("key", question.cells_per_person))
            query = query.enforce(MaxRowsPerGroupPerID("key", rows))
            query = query.groupby(KeySet.from_dict({"key": ["|".join(map(str, key)) for key in keys]}))
        else:
            query = query.enforce(MaxRowsPerID(question.events_per_cell))
        answer = session.evaluate(_statistic(query, question), PureDPBudget(epsilon)).collect()
        return [[*(row["key"].split("|") if question.keys else []), row["number"]] for row in answer]

    return ask


def _statistic(query: Any, question: Question) -> Any:
    bounds = {"low": 0, "high": question.value_max, "name": "number"}
    if question.measure == "sum":
        return query.sum("cost", **bounds)
    if question.measure == "mean":
        return query.average("cost", **bounds)
    if question.measure == "median":
        return query.median("cost", **bounds)
    return query.count(name="number")  # of persons too: each has one row in a group


if __name__ == "__main__":
    serve(begin)
