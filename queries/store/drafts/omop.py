"""A manifest for an OMOP Common Data Model: which of its fields is the person, a date, a concept or a number.

The tables and fields are facts of the OMOP CDM v5.4, as OHDSI publishes them
(github.com/OHDSI/CommonDataModel, inst/csv/OMOP_CDMv5.4_Field_Level.csv). Identifiers, source values, free text and the
keys of providers and places are left out. A test compares names and types with the package `omop-cdm`.

Nothing is learnt from the data. Concepts are categories without declared values, because a site's `concept` table may
hold the site's own concepts, or only those that occur. Where the custodian names the public release of the vocabularies
that it holds in full, labels and hierarchies come from it, without the site's own concepts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from queries.catalog.sections import TODO
from queries.catalog.source import kind_of
from queries.errors import ManifestError
from queries.store.drafts import drafting
from queries.store.drafts.drafting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from queries.store.drafts.drafting import Found

VERSIONS = ("5.4",)
LOCAL = 2_000_000_000  # from here on, concepts are a site's own
PERSON_ID = "person_id"


@dataclass(frozen=True)
class Field:
    """A field of the CDM. `keys` are those of its column besides `from`, as TOML; `domain` that of its concepts."""

    name: str
    keys: tuple[str, ...]
    domain: str = ""


def _concept(name: str, domain: str) -> Field:
    return Field(name, ('type = "category"', "missing = [0]"), domain)


def _date(name: str) -> Field:
    return Field(name, ('type = "date"', 'outside = "null"', "nullable = true"))


_SEX = Field(
    "gender_concept_id",
    ('type = "category"', 'values = { 8507 = "male", 8532 = "female" }', "missing = [0]", "nullable = true"),
)
_BORN = Field("year_of_birth", ('type = "integer"', "bounds = [1900, 2030]"))
PERSON = (_SEX, _BORN, _concept("race_concept_id", "Race"), _concept("ethnicity_concept_id", "Ethnicity"))

# The tables of events, each with the fields to read.
TABLES: Mapping[str, tuple[Field, ...]] = {
    "observation_period": (_date("observation_period_start_date"), _date("observation_period_end_date")),
    "visit_occurrence": (
        _concept("visit_concept_id", "Visit"),
        _date("visit_start_date"),
        _date("visit_end_date"),
    ),
    "condition_occurrence": (
        _concept("condition_concept_id", "Condition"),
        _date("condition_start_date"),
        _date("condition_end_date"),
    ),
    "drug_exposure": (
        _concept("drug_concept_id", "Drug"),
        _date("drug_exposure_start_date"),
        _date("drug_exposure_end_date"),
        Field("days_supply", ('type = "integer"', "bounds = [0, 366]", "nullable = true")),
    ),
    "procedure_occurrence": (_concept("procedure_concept_id", "Procedure"), _date("procedure_date")),
    "measurement": (
        _concept("measurement_concept_id", "Measurement"),
        _date("measurement_date"),
        _concept("value_as_concept_id", "Meas Value"),
    ),
    "observation": (
        _concept("observation_concept_id", "Observation"),
        _date("observation_date"),
        _concept("value_as_concept_id", ""),
    ),
    "death": (_date("death_date"), _concept("cause_concept_id", "Condition")),
}
# What is computed at import: (name, how, from, to, bounds).
DERIVED: Mapping[str, tuple[tuple[str, str, str, str, str], ...]] = {
    "visit_occurrence": (
        ("age", "years_from", _BORN.name, "visit_start_date", "[0, 120]"),
        ("days", "days_from", "visit_start_date", "visit_end_date", "[0, 366]"),
    ),
    "condition_occurrence": (("age", "years_from", _BORN.name, "condition_start_date", "[0, 120]"),),
    "drug_exposure": (("age", "years_from", _BORN.name, "drug_exposure_start_date", "[0, 120]"),),
    "procedure_occurrence": (("age", "years_from", _BORN.name, "procedure_date", "[0, 120]"),),
    "measurement": (("age", "years_from", _BORN.name, "measurement_date", "[0, 120]"),),
    "observation": (("age", "years_from", _BORN.name, "observation_date", "[0, 120]"),),
    "death": (("age", "years_from", _BORN.name, "death_date", "[0, 120]"),),
}
# Which concepts a domain's vocabulary holds besides those of the domain: standard ones and classes, few enough to show.
_STANDARD = ("standard_concept", ("S", "C"))
_DRUGS = ("vocabulary_id", ("RxNorm", "ATC"))


def draft(paths: Sequence[Path], release: str | None) -> str:
    """Return a manifest for a CDM: a DuckDB file, a folder of files or single files.

    `release` names the public vocabularies that its table `concept` holds in full; without it there are no labels.
    Raises ManifestError (no table person, or none of events), ImportFailed.
    """
    found = {one.name: one for one in drafting.tables_in([*files_of(paths)])}
    present = [name for name in TABLES if name in found and _has(found[name], PERSON_ID)]
    person = found.get("person_")  # as no table of events may be named (`drafting.py`)
    if person is None or not present:
        raise ManifestError(
            ", ".join(map(str, paths)), f"is no OMOP CDM: it needs person and one of {', '.join(TABLES)}"
        )
    domains = _domains(release, found)
    lines = [*drafting.head("omop"), f"delta = {quoted(TODO)}        # as in 1e-6: to group by a concept costs some"]
    lines += [*drafting.formalities(), "", "[person]", f"id = {quoted(_name(person, PERSON_ID))}", *_source(person)]
    for field in PERSON:
        lines += _column("person", person, field, domains)
    lines += _observed(found.get("observation_period"))
    for name in present:
        lines += _table(name, found[name], person, domains)
    for name in TABLES:
        if name in found and name not in present:
            lines += ["", f"# {name} is left out: it has no field {PERSON_ID}, so its rows belong to nobody"]
    for domain in domains:
        lines += _vocabulary(domain, release or "", found)
    return "\n".join(lines) + "\n"


def _observed(periods: Found | None) -> list[str]:
    """Return attributes of the person: the first and the last day on which they were observed."""
    lines = []
    for public, how, field in (
        ("observed_from", "earliest", "observation_period_start_date"),
        ("observed_to", "latest", "observation_period_end_date"),
    ):
        if periods is not None and _has(periods, field):
            lines += ["", f"[person.columns.{public}]", 'type = "date"', f'{how} = "observation_period.{field}"']
            lines.append("nullable = true")
    return lines


def _table(name: str, table: Found, person: Found, domains: Sequence[str]) -> list[str]:
    """Return the section of a table of events."""
    lines = ["", f"[tables.{name}]", *_source(table), *_own_id(table, person)]
    for field in TABLES[name]:
        lines += _column(f"tables.{name}", table, field, domains)
    for public, how, start, end, bounds in DERIVED.get(name, ()):
        if _has(table, end) and _has(person if start == _BORN.name else table, start):
            lines += ["", f"[tables.{name}.columns.{public}]", f"{how} = {quoted(start)}", f"to = {quoted(end)}"]
            lines += [f"bounds = {bounds}", "nullable = true"]
    if name == "measurement" and _has(table, "value_as_number"):
        lines += ["", "# value_as_number needs bounds and a step for what is measured: give each measure a view."]
    return lines


def files_of(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of a CDM: those of a folder are a table each."""
    for path in paths:
        if path.is_dir():
            yield from sorted(one for one in path.iterdir() if kind_of(one) is not None or one.is_dir())
        else:
            yield path


def _name(table: Found, field: str) -> str:
    """Return how a file spells a field, whose case does not matter. Raises ManifestError."""
    for one in table.fields:
        if one.path.strip().lower() == field:
            return one.path.strip()
    raise ManifestError(table.name, f"has no field {field}, which every CDM has")


def _has(table: Found, field: str) -> bool:
    return any(one.path.strip().lower() == field for one in table.fields)


def _source(table: Found) -> list[str]:
    return [f"{key} = {quoted(value)}" for key, value in table.keys]


def _own_id(table: Found, person: Found) -> list[str]:
    own = _name(table, PERSON_ID)
    return [] if own == _name(person, PERSON_ID) else [f"person = {quoted(own)}"]


def _column(place: str, table: Found, field: Field, domains: Sequence[str]) -> list[str]:
    if not _has(table, field.name):
        return []
    said = _name(table, field.name)
    lines = ["", f"[{place}.columns.{field.name}]", *([] if said == field.name else [f"from = {quoted(said)}"])]
    lines += field.keys
    return [*lines, f"vocabulary = {quoted(_key(field.domain))}"] if field.domain in domains else lines


def _key(domain: str) -> str:
    return domain.lower().replace(" ", "_")


def _domains(release: str | None, found: Mapping[str, Found]) -> list[str]:
    """Return the domains of the fields that are read, if there is a release to describe them."""
    if release is None:
        return []
    if "concept" not in found:
        raise ManifestError("--vocabulary", "the files have no table concept")
    tables = [fields for name, fields in TABLES.items() if name in found]
    return sorted({field.domain for fields in (PERSON, *tables) for field in fields if field.domain})


def _vocabulary(domain: str, release: str, found: Mapping[str, Found]) -> list[str]:
    """Return the section of a domain's vocabulary: its standard concepts with their names, and what is above each."""
    concept, key = found["concept"], _key(domain)
    wanted = [("domain_id", (domain,)), _STANDARD, *([_DRUGS] if domain == "Drug" else [])]
    where = [f"{_name(concept, field)} = [{', '.join(map(quoted, texts))}]" for field, texts in wanted]
    lines = [
        "",
        f"[vocabularies.{key}]  # a whole public release, and no list of what occurs in the data: it is shown",
        f"title = {quoted(release)}",
        *_source(concept),
        f"code = {quoted(_name(concept, 'concept_id'))}",
        f"label = {quoted(_name(concept, 'concept_name'))}",
        f"where = {{ {', '.join(where)} }}",
        f"below = {LOCAL}  # from here on, concepts are a site's own",
    ]
    above = found.get("concept_ancestor")
    if above is None:
        return lines
    return [
        *lines,
        f"[vocabularies.{key}.parents]",
        *_source(above),
        f"code = {quoted(_name(above, 'descendant_concept_id'))}",
        f"parent = {quoted(_name(above, 'ancestor_concept_id'))}",
        f"where = {{ {_name(above, 'min_levels_of_separation')} = [1] }}",
    ]
