"""Lomas, a server: it reads a CSV file at every question, and asks SmartNoise SQL over SQLite.

The server runs with its YAML administration. Each question has a dataset of its own over the same file, because the
bound of a person stands in a dataset's metadata. The memory is that of the server.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.peers.adapters.speaking import NotOfferedError, serve
from benchmarks.peers.questions import QUESTIONS

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.adapters.speaking import Ask, Data, Rows
    from benchmarks.peers.questions import Question

STATISTICS = {"events": "COUNT(*)", "persons": "COUNT(DISTINCT person)", "sum": "SUM(cost)", "mean": "AVG(cost)"}
YEAR = "calendar_year"  # SmartNoise's grammar has a word "year", and takes no column of that name
BUDGET = 1_000_000.0
STARTED: list[int] = []


def begin(data: Data) -> Ask:
    """Write the file as CSV, and start the server."""
    folder = data.folder / "lomas"
    folder.mkdir(exist_ok=True)
    if not (folder / "events.csv").exists():
        with duckdb.connect() as connection:
            # SQLite has no booleans; whether a consultation was urgent is 0 or 1.
            select = f"SELECT * REPLACE (urgent::INTEGER AS urgent) RENAME (year AS {YEAR}) FROM read_parquet($1)"
            connection.execute(f"COPY ({select}) TO '{folder / 'events.csv'}' (FORMAT csv, HEADER)", [data.parquet])
    address = _start(folder, _configure(folder, data))

    def ask(question: Question, epsilon: float) -> Rows:
        if question.measure not in STATISTICS:
            raise NotOfferedError("SmartNoise SQL has no median")
        keys = [YEAR if key == "year" else key for key in question.keys]
        sql = f"SELECT {', '.join([*keys, STATISTICS[question.measure] + ' AS number'])} FROM df"
        if question.urgent_since is not None:
            sql += f" WHERE urgent = 1 AND {YEAR} >= {question.urgent_since}"
        if keys:
            sql += f" GROUP BY {', '.join(keys)}"
        body = {
            "dataset_name": _name(question),
            "query_str": sql,
            "epsilon": epsilon / (2 if question.measure == "mean" else 1),  # that of each noisy number of a cell
            "delta": 0,
            "mechanisms": {},
            "postprocess": True,
        }
        headers = {"Content-Type": "application/json", "user-name": "bench"}
        request = urllib.request.Request(f"{address}/smartnoise_sql_query", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=3_600) as response:
                frame = json.load(response)["result"]["df"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from None
        places = [frame["columns"].index(name) for name in (*keys, "number")]
        return [[row[place] for place in places] for row in frame["data"]]

    return ask


def _name(question: Question) -> str:
    return question.name.replace(" ", "_").replace(",", "")


def _configure(folder: Path, data: Data) -> dict[str, str]:
    """Write the server's files; return its settings. JSON is YAML too."""
    datasets, budgets = [], []
    for question in QUESTIONS:
        name = _name(question)
        metadata = folder / f"{name}.yaml"
        metadata.write_text(json.dumps(_metadata(question, data)), encoding="utf-8")
        path = {"database_type": "PATH_DB"}
        datasets.append(
            {
                "dataset_name": name,
                "dataset_access": {**path, "path": str(folder / "events.csv")},
                "metadata_access": {**path, "path": str(metadata)},
            }
        )
        budgets.append(
            {
                "dataset_name": name,
                "initial_epsilon": BUDGET,
                "initial_delta": 1.0,
                "total_spent_epsilon": 0.0,
                "total_spent_delta": 0.0,
            }
        )
    users = [{"user_name": "bench", "may_query": True, "datasets_list": budgets}]
    database = folder / "administration.yaml"
    database.write_text(json.dumps({"users": users, "datasets": datasets, "queries": []}), encoding="utf-8")
    settings = {
        "develop_mode": False,
        "server": {
            "time_attack": {"method": "stall", "magnitude": 0},
            "host_ip": "127.0.0.1",
            "host_port": 80,
            "log_level": "warning",
            "reload": False,
            "workers": 1,
        },
        "submit_limit": 0,
        "admin_database": {"db_type": "yaml", "db_file": str(database)},
        "private_db_credentials": [],
        "dp_libraries": {"opendp": {"contrib": True, "floating_point": True, "honest_but_curious": True}},
    }
    (folder / "runtime.yaml").write_text(json.dumps({"runtime_args": {"settings": settings}}), encoding="utf-8")
    (folder / "secrets.yaml").write_text("{}", encoding="utf-8")
    return {
        "LOMAS_CONFIG_PATH": str(folder / "runtime.yaml"),
        "LOMAS_SECRETS_PATH": str(folder / "secrets.yaml"),
        "OTEL_SDK_DISABLED": "true",
    }


def _metadata(question: Question, data: Data) -> dict[str, Any]:
    integer = {"type": "int", "precision": 64, "lower": 0}
    columns: dict[str, Any] = {
        # As a number it would need bounds, and noise of their size is prepared for every column.
        "person": {"type": "string", "private_id": True},
        "practice": {**integer, "upper": 2_500},
        YEAR: {**integer, "upper": 2_100},
        "cost": {**integer, "upper": question.value_max},
        "urgent": {**integer, "upper": 1},
        **{name: {"type": "string"} for name in ("sex", "age_band", "diagnosis")},
    }
    rows = 1 if question.measure == "persons" else question.events_per_cell
    return {
        "max_ids": question.cells_per_person * rows,
        "rows": data.events,
        "row_privacy": False,
        "censor_dims": False,
        "columns": columns,
    }


def _start(folder: Path, settings: dict[str, str]) -> str:
    """Start the server, and return its address when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "lomas_server.app:app", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env={**os.environ, **settings}, cwd=folder)
    STARTED.append(process.pid)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=5).close()
        except urllib.error.HTTPError:
            break  # it answers
        except OSError:
            if process.poll() is not None:
                raise RuntimeError("the server ended") from None
            time.sleep(0.2)
        else:
            break
    return f"http://127.0.0.1:{port}"


if __name__ == "__main__":
    serve(begin, lambda: STARTED[0])
