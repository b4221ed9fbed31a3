"""The data of the comparison: the made-up observatory as one flat file, and a home of Rowless with it.

Every tool reads the same Parquet file, a row for each event: person, practice, year, sex, age band, cost in cents,
diagnosis, and whether it was urgent. What is public about it stands beside it in public.json.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.queries import FORMALITIES, rowless
from server.demo.observatory import Shape, write_observatory

if TYPE_CHECKING:
    from pathlib import Path

EVENTS_OF_PERSON = 10  # on average, in the observatory
BANDS = [f"{low}-{low + 9}" for low in range(0, 100, 10)]
FLAT = """
COPY (
    SELECT c.patient AS person, c.practice, year(c.date)::SMALLINT AS year, p.sex::VARCHAR AS sex,
        $bands[(2016 - p.birth_year) // 10 + 1] AS age_band, round(c.cost * 100)::INTEGER AS cost,
        c.diagnosis::VARCHAR AS diagnosis, c.urgent
    FROM read_parquet($consultations) AS c JOIN read_parquet($persons) AS p USING (patient)
) TO '{to}' (FORMAT parquet, COMPRESSION zstd)
"""
MANIFEST = """\
[dataset]
name = "flat"
title = "A made-up observatory as one flat file"
epsilon = 10000.0
justification = "made-up data"
persons_max = {persons_max}
profile = 0.1

[dataset.formalities]
{formalities}

[person]
id = "person"
[person.columns.sex]
type = "category"
values = ["female", "male"]
[person.columns.age_band]
type = "category"
values = {bands}

[tables.events]
source = "events.parquet"
[tables.events.columns.practice]
type = "integer"
bounds = [1, 2500]
[tables.events.columns.year]
type = "integer"
bounds = [2017, 2023]
[tables.events.columns.cost]
type = "integer"
bounds = [0, 100000]
[tables.events.columns.diagnosis]
type = "category"
values = {diagnoses}
[tables.events.columns.urgent]
type = "boolean"
"""


def prepare(folder: Path, events: int) -> dict[str, Any]:
    """Write a file of about so many events and a home of Rowless with it, once; return what is public about it."""
    kept = folder / "public.json"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        persons = events // EVENTS_OF_PERSON
        written = _write_flat(folder, persons)
        keys = {
            "practice": list(range(1, 2501)),
            "year": list(range(2017, 2024)),
            "sex": ["female", "male"],
            "age_band": BANDS,
            "diagnosis": [f"D{number:03}" for number in range(1, 301)],
        }
        persons_max = 10 ** len(str(persons - 1))
        text = MANIFEST.format(
            formalities=FORMALITIES.read_text(encoding="utf-8"),
            persons_max=persons_max,
            bands=json.dumps(keys["age_band"]),
            diagnoses=json.dumps(keys["diagnosis"]),
        )
        (folder / "flat.toml").write_text(text, encoding="utf-8")
        token, seconds = make_home(folder / "home", folder / "flat.toml", "flat")
        public = {
            "events": written,
            "persons_max": persons_max,
            "keys": keys,
            "token": token,
            "import_seconds": seconds,
        }
        kept.write_text(json.dumps(public), encoding="utf-8")
    found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return found


def _write_flat(folder: Path, persons: int) -> int:
    """Write events.parquet of so many persons, and return how many events it has."""
    write_observatory(folder, Shape(persons))
    sources = {name: str(folder / f"{name}.parquet") for name in ("consultations", "persons")}
    with duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(folder)}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(FLAT.format(to=folder / "events.parquet"), {"bands": BANDS, **sources})
        found = connection.execute("SELECT COUNT(*) FROM read_parquet($1)", [str(folder / "events.parquet")]).fetchone()
    for name in ("consultations.parquet", "persons.parquet", "prescriptions.parquet", "observatory.toml"):
        (folder / name).unlink()
    assert found is not None
    return int(found[0])


def make_home(home: Path, manifest: Path, dataset: str) -> tuple[str, float]:
    """Import a manifest into a new home, with its profile and a study; return a token and the seconds of the import."""
    rowless(home, "init", "--dpo", "dpo", "--approver", "approver")
    began = time.monotonic()
    rowless(home, "import", str(manifest))
    seconds = time.monotonic() - began
    rowless(home, "dataset", "approve", dataset, "--reason", "benchmark", "--without-advice", "benchmark")
    rowless(home, "profile", dataset)
    token = rowless(home, "user", "add", "researcher", "--role", "researcher")["token"]
    terms = ("--title", "t", "--purpose", "p", "--legal-basis", "l", "--member", "researcher")
    formal = ("--formalities", str(FORMALITIES), "--justification", "made-up data")
    rowless(home, "study", "new", "bench", "--dataset", dataset, "--epsilon", "9999", *terms, *formal)
    rowless(home, "study", "approve", "bench", "--reason", "benchmark", "--without-advice", "benchmark")
    return str(token), seconds
