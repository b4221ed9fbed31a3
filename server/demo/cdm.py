"""A small OMOP CDM of made-up persons, as a DuckDB file, for `rowless demo --omop` and for tests.

Its tables have the names and types of the CDM 5.4; concept ids and names are those of OHDSI's public vocabularies. Who
has what was drawn with chances chosen by hand, and is a function of the seed alone: nothing was learnt from real
persons. The table `cdm_source` says that all is made up.
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

PERSONS = 3000
RELEASE = "v5.0 27-AUG-25"  # of the vocabularies, of which the table concept has a few
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


@dataclass
class _Person:
    """A person who is drawn, under observation from one day to another."""

    drawn: random.Random
    number: int
    born: int
    start: dt.date
    end: dt.date
    rows: _Rows

    def day(self) -> dt.date:
        """Draw a day under observation."""
        return self.start + dt.timedelta(self.drawn.randrange((self.end - self.start).days))

    def condition(self, concept: int, on: dt.date) -> None:
        """Add a condition."""
        dates = {"condition_start_date": on, "condition_end_date": None}
        self.rows.conditions.append({"person_id": self.number, "condition_concept_id": concept, **dates})

    def drug(self, concept: int, on: dt.date) -> None:
        """Add a drug for 30 days."""
        dates = {"drug_exposure_start_date": on, "drug_exposure_end_date": on + dt.timedelta(29)}
        self.rows.drugs.append({"person_id": self.number, "drug_concept_id": concept, **dates, "days_supply": 30})

    def fall_ill(self) -> None:
        """Draw conditions and what is taken for them. Diabetes and hypertension are more frequent in old age."""
        drawn = self.drawn
        for concept, chance in _HABITS.items():
            if drawn.random() < chance:
                self.condition(concept, self.day())
        older = (2015 - self.born) / 100
        if drawn.random() < 0.3 * older:
            first = self.day()
            self.condition(drawn.choice((TYPE_2, TYPE_2, TYPE_2, RENAL, DIABETES)), first)
            if drawn.random() < 0.7:
                later = first + dt.timedelta(drawn.randrange(400))
                if later <= self.end:
                    self.drug(METFORMIN, later)
        elif drawn.random() < 0.02:
            self.condition(TYPE_1, first := self.day())
            self.drug(INSULIN, first)
        if drawn.random() < 0.5 * older:
            self.condition(drawn.choice((HYPERTENSION, ESSENTIAL)), self.day())
        if drawn.random() < 0.001:
            self.condition(LOCAL, self.day())

    def visit(self) -> None:
        """Draw a visit."""
        on = self.day()
        concept = self.drawn.choice((9202, 9202, 9201))
        dates = {"visit_start_date": on, "visit_end_date": on + dt.timedelta(self.drawn.randrange(5))}
        self.rows.visits.append({"person_id": self.number, "visit_concept_id": concept, **dates})


def _draw(drawn: random.Random, number: int, rows: _Rows) -> None:
    """Draw a person with all their rows."""
    sex, born = drawn.choice((MALE, FEMALE)), drawn.randrange(1920, 2006)
    start = START + dt.timedelta(drawn.randrange(1500))
    end = min(END, start + dt.timedelta(drawn.randrange(400, 4000)))
    about = {"person_id": number, "race_concept_id": 8527, "ethnicity_concept_id": 38003564}
    rows.persons.append({**about, "gender_concept_id": sex, "year_of_birth": born})
    rows.periods.append(
        {"person_id": number, "observation_period_start_date": start, "observation_period_end_date": end}
    )
    person = _Person(drawn, number, born, start, end, rows)
    person.fall_ill()
    for _ in range(drawn.randrange(4)):
        person.visit()
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
    ancestors, descendants, separations = zip(*pairs, strict=True)
    return pa.table(
        {
            "ancestor_concept_id": ancestors,
            "descendant_concept_id": descendants,
            "min_levels_of_separation": separations,
        }
    )


def _schema(*names: str) -> pa.Schema:
    types = {name: pa.date32() if name.endswith("date") else pa.int64() for name in ("person_id", *names)}
    return pa.schema(list(types.items()))


def _source() -> pa.Table:
    """Return the table in which a CDM says what it is."""
    return pa.table(
        {
            "cdm_source_name": ["Made-up persons, written by Rowless: none of them exist"],
            "cdm_source_abbreviation": ["made up"],
            "cdm_version": ["5.4"],
            "vocabulary_version": [RELEASE],
        }
    )


def write_cdm(path: Path, persons: int = PERSONS, seed: int = 1, schema: str = "main") -> Path:
    """Write a CDM into a new DuckDB file, the same for the same persons and seed. Return its path."""
    drawn = random.Random(seed)  # noqa: S311  # these persons are nobody's secret
    rows = _Rows([], [], [], [], [], [])
    for number in range(1, persons + 1):
        _draw(drawn, number, rows)
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
        "cdm_source": _source(),
    }
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        ((database,),) = connection.execute("SELECT current_database()").fetchall()  # of the file's name
        for name, table in tables.items():
            connection.register("made", table)
            statement = f'CREATE TABLE "{database}".{schema}.{name} AS SELECT * FROM made'  # noqa: S608  # our own names
            connection.execute(statement)
            connection.unregister("made")
    return path
