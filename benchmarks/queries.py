"""Queries over HTTP beside plain, non-private DuckDB on the same data: `python -m benchmarks.queries`.

It generates an observatory (1,000,000 persons, about 10 million consultations), imports it, starts a real server with
the answer slot off and asks; in turns with it, it runs the plain query on a DuckDB table imported from the same Parquet
file. Ratios of one run are what counts: machines differ, and these are noisy.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS = 7
FORMALITIES = Path(__file__).with_name("formalities.toml")  # nothing is approved without
TABLES = ("persons", "consultations", "prescriptions")
EPSILON = 0.5

QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "persons by 300 codes": (
        {"group_by": ["diagnosis"], "select": {"n": {"count": "persons"}}, "bounds": {"cells_per_person": 20}},
        "SELECT diagnosis, COUNT(DISTINCT patient) FROM consultations GROUP BY diagnosis",
    ),
    "sum by 2,500 practices": (
        {
            "group_by": ["practice"],
            "select": {"cost": {"sum": "cost", "bounds": [0, 200]}},
            "bounds": {"cells_per_person": 2, "events_per_cell": 20},
        },
        "SELECT practice, SUM(cost) FROM consultations GROUP BY practice",
    ),
    "sum by sex": (
        {
            "group_by": ["sex"],
            "select": {"cost": {"sum": "cost", "bounds": [0, 200]}},
            "bounds": {"events_per_cell": 20},
        },
        "SELECT p.sex, SUM(c.cost) FROM consultations c JOIN persons p USING (patient) GROUP BY p.sex",
    ),
    "events by month": (
        {
            "group_by": [{"column": "date", "period": "month"}],
            "select": {"n": {"count": "events"}},
            "bounds": {"cells_per_person": 20, "events_per_cell": 2},
        },
        "SELECT date_trunc('month', date), COUNT(*) FROM consultations GROUP BY 1",
    ),
    "mean cost, filtered": (
        {
            "where": {
                "all": [
                    {"column": "date", "op": ">=", "value": "2020-01-01"},
                    {"column": "urgent", "op": "=", "value": True},
                ]
            },
            "select": {"cost": {"mean": "cost", "bounds": [0, 200]}},
            "bounds": {"events_per_cell": 20},
        },
        "SELECT AVG(cost) FROM consultations WHERE date >= DATE '2020-01-01' AND urgent",
    ),
    "visits per person": (
        {
            "from": {"per_person": "consultations", "values": {"visits": {"count": "events", "bounds": [0, 100]}}},
            "select": {"spread": {"histogram": "visits"}},
        },
        "SELECT n, COUNT(*) FROM (SELECT patient, COUNT(*) AS n FROM consultations GROUP BY patient) GROUP BY n",
    ),
    "treated within 90 days": (
        {
            "from": "persons",
            "where": {
                "column": "person",
                "op": "in",
                "value": {
                    "persons": "prescriptions",
                    "where": {"column": "drug", "op": "in", "value": ["M016", "M032", "M020"]},
                    "after": {
                        "of": "consultations",
                        "where": {"column": "diagnosis", "op": "=", "value": "D007"},
                        "within_days": 90,
                    },
                },
            },
            "select": {"treated": {"count": "persons"}},
        },
        (
            "SELECT COUNT(DISTINCT p.patient) FROM prescriptions p WHERE drug IN ('M016', 'M032', 'M020') AND EXISTS "
            "(SELECT 1 FROM consultations c WHERE c.patient = p.patient AND c.diagnosis = 'D007' "
            "AND c.date BETWEEN p.date - 90 AND p.date)"
        ),
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("benchmarks/data"))
    given = parser.parse_args()
    home, token, events = prepare(given.folder, given.persons)
    plain = duckdb.connect(config={"threads": os.cpu_count() or 1})
    for table in TABLES:
        plain.execute(f"CREATE TABLE {table} AS SELECT * FROM read_parquet('{given.folder / table}.parquet')")
    print(f"{given.persons:,} persons, {events:,} consultations, {os.cpu_count()} cores, median of {ROUNDS} rounds")
    # Each round asks for another epsilon, and each run for others again: a replay would be no measurement.
    nano = itertools.count(random.randrange(10**8))
    print(f"{'question':<24} {'Rowless':>10} {'DuckDB':>10} {'ratio':>8}")
    with server(home) as (address, process):
        for name, (query, sql) in QUESTIONS.items():
            ours, theirs = [], []
            for _ in range(ROUNDS + 1):
                epsilon = round(EPSILON + next(nano) / 10**9, 9)
                body = {"query": {"from": "consultations", **query}, "privacy": {"epsilon": epsilon}}
                ours.append(timed(lambda body=body: ask(address, token, body)))  # type: ignore[misc]
                theirs.append(timed(lambda sql=sql: plain.execute(sql).fetchall()))  # type: ignore[misc]
            mine, plain_ms = statistics.median(ours[1:]), statistics.median(theirs[1:])
            print(f"{name:<24} {mine:>7.0f} ms {plain_ms:>7.0f} ms {mine / plain_ms:>7.2f}x")
        print(f"peak memory of the server: {peak_mb(process)} MB")


def prepare(folder: Path, persons: int, files: int = 1) -> tuple[Path, str, int]:
    """Generate and import the observatory, once, of some files a table.

    Return the home, a researcher's token and the number of consultations.
    """
    home, kept = folder / "home", folder / "benchmark.json"
    if not kept.exists():
        began = time.monotonic()
        written = rowless(home, "demo-data", str(folder), "--persons", str(persons))
        print(f"generated in {time.monotonic() - began:.0f} s")
        manifest = folder / "observatory.toml"
        manifest.write_text(manifest.read_text().replace("epsilon = 3.0", "epsilon = 10000.0"))
        if files > 1:
            into_files(manifest, files)
        rowless(home, "init", "--dpo", "dpo", "--approver", "approver")
        began = time.monotonic()
        rowless(home, "import", str(manifest))
        took = time.monotonic() - began
        millions = (written["consultations"] + written["prescriptions"]) / 1e6
        print(f"imported in {took:.0f} s: {took / millions:.2f} s per million events")
        rowless(home, "dataset", "approve", "observatory", "--reason", "benchmark", "--without-advice", "benchmark")
        rowless(home, "profile", "observatory")
        token = rowless(home, "user", "add", "researcher", "--role", "researcher")["token"]
        terms = ("--title", "t", "--purpose", "p", "--legal-basis", "l", "--member", "researcher")
        formal = ("--formalities", str(FORMALITIES), "--justification", "made-up data")
        rowless(home, "study", "new", "bench", "--dataset", "observatory", "--epsilon", "9999", *terms, *formal)
        rowless(home, "study", "approve", "bench", "--reason", "benchmark", "--without-advice", "benchmark")
        kept.write_text(json.dumps({"token": token, "events": written["consultations"], "persons": persons}))
    found = json.loads(kept.read_text())
    if found["persons"] != persons:
        sys.exit(f"{folder} holds {found['persons']} persons; delete it or name another --folder")
    return home, found["token"], found["events"]


def into_files(manifest: Path, files: int) -> None:
    """Divide the Parquet file of each table into a folder of files, and name the folders in the manifest."""
    text = manifest.read_text(encoding="utf-8")
    for table in TABLES:
        whole = manifest.with_name(f"{table}.parquet")
        folder = manifest.with_name(table)
        folder.mkdir()
        source = pq.ParquetFile(whole)
        for number in range(files):
            with pq.ParquetWriter(folder / f"{number:03}.parquet", source.schema_arrow, compression="zstd") as to:
                for group in range(number, source.num_row_groups, files):
                    to.write_table(source.read_row_group(group))
        whole.unlink()
        text = text.replace(f'"{table}.parquet"', f'"{table}/"')
    manifest.write_text(text, encoding="utf-8")


def rowless(home: Path, *arguments: str) -> Any:
    """Run a command in a home and return what it says."""
    run = subprocess.run(
        [sys.executable, "-m", "server.cli", *arguments, "--json"],
        env={**os.environ, "ROWLESS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        sys.exit(run.stderr)
    return json.loads(run.stdout)


@contextmanager
def server(home: Path, **more: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve a home on a free port of this machine, with the slot off, and with more settings."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"ROWLESS_HOME": str(home), "ROWLESS_PORT": str(port), "ROWLESS_SLOT_MS": "0", **more}
    process = subprocess.Popen(
        [sys.executable, "-m", "server.cli", "serve"],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/api/v1"
    try:
        for _ in range(1_800):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address, process
    finally:
        process.terminate()
        process.wait()


def ask(address: str, token: str, body: dict[str, Any]) -> Any:
    """Ask one query."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/studies/bench/queries", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=600) as response:
        answer = json.load(response)
    assert not answer["replayed"]
    return answer


def timed(call: Callable[[], Any]) -> float:
    """Return how long a call takes, in milliseconds."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def peak_mb(process: subprocess.Popen[bytes]) -> int:
    """Return the peak resident memory of a server's worker."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    status = Path(f"/proc/{children[0]}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024


if __name__ == "__main__":
    main()
