"""A small OMOP CDM of made-up persons, as a DuckDB file: no package here carries Eunomia's data.

Its tables have the names and types of the CDM 5.4; concept ids and names are those of OHDSI's public vocabularies. Who
has what was drawn, and is a function of the seed alone.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = "v5.0 27-AUG-25"  # as the manifest of the tests names it
MALE, FEMALE = 8507, 8532
DIABETES, TYPE_1, TYPE_2, RENAL = 201820, 201254, 201826, 443731
HYPERTENSION, ESSENTIAL = 316866, 320128
METFORMIN, INSULIN = 1503297, 1596977
LOCAL = 2_000_000_123  # a concept of the site's own
CONDITIONS = {
    DIABETES: "Diabetes mellitus",
    TYPE_1: "Type 1 diabetes mellitus",
    TYPE_2: "Type 2 diabetes mellitus",
    RENAL: "Renal disorder due to type 2 diabetes mellitus",
    HYPERTENSION: "Hypertensive disorder",
    ESSENTIAL: "Essential hypertension",
    317009: "Asthma",
    255573: "Chronic obstructive pulmonary disease",
    312437: "Dyspnea",
    378253: "Headache",
    4029498: "Seizure disorder",
    260139: "Acute bronchitis",
    28060: "Streptococcal sore throat",
    40481087: "Viral sinusitis",
}
PARENTS = {TYPE_1: DIABETES, TYPE_2: DIABETES, RENAL: TYPE_2, ESSENTIAL: HYPERTENSION}
DRUGS = {METFORMIN: "metformin", INSULIN: "insulin glargine", 1332418: "amlodipine"}
OTHERS = {
    MALE: ("MALE", "Gender"),
    FEMALE: ("FEMALE", "Gender"),
    8527: ("White", "Race"),
    38003564: ("Not Hispanic or Latino", "Ethnicity"),
    9202: ("Outpatient Visit", "Visit"),
    9201: ("Inpatient Visit", "Visit"),
}
START, END = dt.date(2010, 1, 1), dt.date(2020, 12, 31)
_HABITS = {
    317009: 0.06,
    255573: 0.08,
    312437: 0.05,
    378253: 0.2,
    4029498: 0.02,
    260139: 0.3,
    28060: 0.25,
    40481087: 0.4,
}


@dataclass
class _Rows:
    """Rows of the tables, as they are drawn."""

    persons: list[dict[str, Any]]
    periods: list[dict[str, Any]]
    visits: list[dict[str, Any]]
    conditions: list[dict[str, Any]]
    drugs: list[dict[str, Any]]
    deaths: list[dict[str, Any]]


def _person(drawn: random.Random, number: int, rows: _Rows) -> None:
    sex, born = drawn.choice((MALE, FEMALE)), drawn.randrange(1920, 2006)
    start = START + dt.timedelta(drawn.randrange(1500))
    end = min(END, start + dt.timedelta(drawn.randrange(400, 4000)))
    about = {"person_id": number, "race_concept_id": 8527, "ethnicity_concept_id": 38003564}
    rows.persons.append({**about, "gender_concept_id": sex, "year_of_birth": born})
    rows.periods.append(
        {"person_id": number, "observation_period_start_date": start, "observation_period_end_date": end}
    )

    def day() -> dt.date:
        return start + dt.timedelta(drawn.randrange((end - start).days))

    def condition(concept: int, on: dt.date) -> None:
        rows.conditions.append(
            {
                "person_id": number,
                "condition_concept_id": concept,
                "condition_start_date": on,
                "condition_end_date": None,
            }
        )

    def drug(concept: int, on: dt.date) -> None:
        rows.drugs.append(
            {
                "person_id": number,
                "drug_concept_id": concept,
                "drug_exposure_start_date": on,
                "drug_exposure_end_date": on + dt.timedelta(29),
                "days_supply": 30,
            }
        )

    for concept, chance in _HABITS.items():
        if drawn.random() < chance:
            condition(concept, day())
    older = (2015 - born) / 100
    if drawn.random() < 0.3 * older:
        first = day()
        condition(drawn.choice((TYPE_2, TYPE_2, TYPE_2, RENAL, DIABETES)), first)
        if drawn.random() < 0.7:
            later = first + dt.timedelta(drawn.randrange(400))
            if later <= end:
                drug(METFORMIN, later)
    elif drawn.random() < 0.02:
        condition(TYPE_1, first := day())
        drug(INSULIN, first)
    if drawn.random() < 0.5 * older:
        condition(drawn.choice((HYPERTENSION, ESSENTIAL)), day())
    if drawn.random() < 0.001:
        condition(LOCAL, day())
    for _ in range(drawn.randrange(4)):
        on = day()
        rows.visits.append(
            {
                "person_id": number,
                "visit_concept_id": drawn.choice((9202, 9202, 9201)),
                "visit_start_date": on,
                "visit_end_date": on + dt.timedelta(drawn.randrange(5)),
            }
        )
    if drawn.random() < 0.03:
        rows.deaths.append({"person_id": number, "death_date": end, "cause_concept_id": 0})


def _concepts() -> pa.Table:
    named = [(concept, name, "Condition") for concept, name in CONDITIONS.items()]
    named += [(concept, name, "Drug") for concept, name in DRUGS.items()]
    named += [(concept, *about) for concept, about in OTHERS.items()]
    named.append((LOCAL, "Patient of Dr Smith's trial", "Condition"))
    ids, names, domains = zip(*named, strict=True)
    standard = ["S"] * len(ids)
    vocabularies = ["RxNorm" if domain == "Drug" else "SNOMED" for domain in domains]
    return pa.table(
        {
            "concept_id": ids,
            "concept_name": names,
            "domain_id": domains,
            "vocabulary_id": vocabularies,
            "standard_concept": standard,
        }
    )


def _ancestors() -> pa.Table:
    pairs = [(concept, concept, 0) for concept in CONDITIONS]
    for concept in CONDITIONS:
        above, levels = concept, 0
        while above in PARENTS:
            above, levels = PARENTS[above], levels + 1
            pairs.append((above, concept, levels))
    above, below, levels_of = zip(*pairs, strict=True)
    return pa.table(
        {"ancestor_concept_id": above, "descendant_concept_id": below, "min_levels_of_separation": levels_of}
    )


def _schema(*names: str) -> pa.Schema:
    types = {name: pa.date32() if name.endswith("date") else pa.int64() for name in ("person_id", *names)}
    return pa.schema(list(types.items()))


def write_cdm(path: Path, persons: int = 3000, seed: int = 1, schema: str = "main") -> Path:
    """Write a CDM into a DuckDB file."""
    drawn, rows = random.Random(seed), _Rows([], [], [], [], [], [])
    for number in range(1, persons + 1):
        _person(drawn, number, rows)
    tables = {
        "person": pa.Table.from_pylist(rows.persons),
        "observation_period": pa.Table.from_pylist(rows.periods),
        "visit_occurrence": pa.Table.from_pylist(rows.visits),
        "condition_occurrence": pa.Table.from_pylist(
            rows.conditions,
            schema=_schema("condition_concept_id", "condition_start_date", "condition_end_date"),
        ),
        "drug_exposure": pa.Table.from_pylist(rows.drugs),
        "death": pa.Table.from_pylist(rows.deaths, schema=_schema("cause_concept_id", "death_date")),
        "concept": _concepts(),
        "concept_ancestor": _ancestors(),
    }
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for name, table in tables.items():
            connection.register("made", table)
            connection.execute(f'CREATE TABLE "{path.stem}".{schema}.{name} AS SELECT * FROM made')
            connection.unregister("made")
    return path
