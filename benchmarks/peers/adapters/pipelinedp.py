"""PipelineDP with its local backend, on rows that are Python's own tuples in memory."""

from __future__ import annotations

from itertools import product
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pipeline_dp
import pyarrow.parquet as pq

from benchmarks.peers.adapters.speaking import serve

if TYPE_CHECKING:
    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question

COLUMNS = ("person", "practice", "year", "sex", "age_band", "cost", "diagnosis", "urgent")
PLACE = {name: number for number, name in enumerate(COLUMNS)}


def begin(data: Data) -> Ask:
    """Read the file into tuples."""
    table = pq.read_table(data.parquet, columns=list(COLUMNS))
    events = list(zip(*(table.column(name).to_pylist() for name in COLUMNS), strict=True))
    metrics = {
        "events": pipeline_dp.Metrics.COUNT,
        "persons": pipeline_dp.Metrics.PRIVACY_ID_COUNT,
        "sum": pipeline_dp.Metrics.SUM,
        "mean": pipeline_dp.Metrics.MEAN,
        "median": pipeline_dp.Metrics.PERCENTILE(50),
    }

    def ask(question: Question, epsilon: float) -> Rows:
        rows: Any = events
        if question.urgent_since is not None:
            year, urgent = PLACE["year"], PLACE["urgent"]
            rows = [row for row in rows if row[urgent] and row[year] >= question.urgent_since]
        accountant = pipeline_dp.NaiveBudgetAccountant(total_epsilon=epsilon, total_delta=0)
        engine = pipeline_dp.DPEngine(accountant, pipeline_dp.LocalBackend())
        of_value = question.measure in ("sum", "mean", "median")
        params = pipeline_dp.AggregateParams(
            metrics=[metrics[question.measure]],
            noise_kind=pipeline_dp.NoiseKind.LAPLACE,
            max_partitions_contributed=question.cells_per_person,
            max_contributions_per_partition=1 if question.measure == "persons" else question.events_per_cell,
            min_value=0 if of_value else None,
            max_value=question.value_max if of_value else None,
        )
        places = [PLACE[key] for key in question.keys]
        extractors = pipeline_dp.DataExtractors(
            privacy_id_extractor=itemgetter(PLACE["person"]),
            partition_extractor=lambda row: tuple(row[place] for place in places),
            value_extractor=itemgetter(PLACE["cost"]),
        )
        keys = list(product(*(data.keys[key] for key in question.keys)))
        answer = engine.aggregate(rows, params, extractors, public_partitions=keys)
        accountant.compute_budgets()
        return [[*key, numbers[0]] for key, numbers in answer]

    return ask


if __name__ == "__main__":
    serve(begin)
