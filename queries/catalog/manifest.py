"""The manifest: the TOML file in which a custodian declares a dataset.

It is read completely and strictly before any source is opened. A wrong key or type is refused with its place,
as in `tables.years.columns.visits.bounds`. Values are kept exact: TOML's decimals never pass through a float.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from queries.catalog import vocabularies
from queries.catalog.columns import NAME, Columns, columns
from queries.catalog.formats import (
    KEYS,
    MISSING_IDS,
    NUMBER,
    OF_COLUMN,
    TEXT,
    Identity,
    Reading,
    combined,
    given,
)
from queries.catalog.schema import (
    BOTH,
    EPSILON_MIN,
    NOISES,
    PERSON,
    PERSONS,
    PERSONS_MAX,
    Column,
    Dataset,
    Table,
    frozen,
    without_hidden,
)
from queries.catalog.sections import Section
from queries.catalog.source import Source, origin
from queries.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.catalog.derived import Derived
    from queries.catalog.vocabularies import Vocabulary

DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

NANO = 10**9  # epsilon is charged in billionths
EPSILON_MAX = 10_000
PROFILE = Decimal("0.1")  # the epsilon of the contribution profile that the first import buys
PROFILE_PART = 4  # not bought if it is more than this part of the cap


@dataclass(frozen=True)
class Manifest:
    """A dataset and its sources. `persons` is None when persons are taken from their first event.

    `profile` is the epsilon of the contribution profile to buy (None: none). `profile_asked` is True if the manifest
    names it, and False if it is the default. `derived` has the columns of each table that the import computes, by name:
    no source has them. `formalities` are as they are written: who imports checks what they say
    (`budgets/formalities.py`). `folder` is the one that its sources are relative to. `path` is the file that it was
    read from, if it was read from one.
    """

    dataset: Dataset
    identity: Identity
    persons: Source | None
    person_columns: Mapping[str, str]
    person_readings: Mapping[str, Reading]
    events: Mapping[str, Source]
    text: str
    folder: Path
    profile: Decimal | None = PROFILE
    profile_asked: bool = False
    formalities: Mapping[str, str] | None = None
    path: Path | None = None
    derived: Mapping[str, Mapping[str, Derived]] = field(default_factory=dict)
    vocabularies: Mapping[str, vocabularies.Declared] = field(default_factory=dict)
    vocabulary_of: Mapping[tuple[str, str], str] = field(default_factory=dict)  # by table and column

    def described(self, kept: Mapping[str, Vocabulary]) -> Dataset:
        """Return the dataset with the labels, hierarchies and levels of the vocabularies that were kept.

        It is for the import: it has the hidden columns.
        """
        return vocabularies.applied(self.dataset, self.vocabulary_of, self.derived, kept)

    def served(self, kept: Mapping[str, Vocabulary]) -> Dataset:
        """Return the same as everybody may see it and query it, without the hidden columns."""
        return without_hidden(self.described(kept))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file; sources are relative to its folder. Raises ManifestError."""
    return replace(parse(_text_of(path), path.parent), path=path)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), "is not UTF-8 text") from error


def parse(text: str, folder: Path) -> Manifest:
    """Read a manifest's text; sources are relative to `folder`. Raises ManifestError, for all that is wrong at once."""
    found, top = _parsed(text, folder)
    top.require_sound()
    return found


def read_sound_parts(path: Path) -> tuple[Manifest, tuple[ManifestError, ...]]:
    """Return what a manifest file says as far as it is sound, and all that is wrong with the rest.

    It is for a check alone, and never for an import. Raises ManifestError if the file is no TOML.
    """
    found, top = _parsed(_text_of(path), path.parent)
    return replace(found, path=path), top.faults


def _parsed(text: str, folder: Path) -> tuple[Manifest, Section]:
    """Return what a text says, and its section, which has collected what is wrong. Raises ManifestError: no TOML."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError("manifest", f"is not TOML: {error}") from error
    top = Section(document, "")
    head = top.section("dataset")
    about, profile, reading, formalities = _head(head)
    person = top.section("person")
    identity = _identity(person)
    listed_codes = _vocabularies(top, folder)
    own = columns(person.section("columns", {}), of_person=True)
    persons = None
    if "source" in person:
        with person.attempt():
            persons = _source(person, folder, identity.columns, own, reading)
    person_title = person.text("title", "One row per person")

    found = _Tables(
        {PERSONS: Table(PERSONS, frozen(own.columns), person_title)},
        {PERSONS: frozen(own.derived)},
        own.vocabulary_of(PERSONS, listed_codes),
    )
    own_readings: Mapping[str, Reading] = persons.readings if persons else {}
    with top.attempt():
        listing = top.section("tables")
        if not list(listing):
            raise top.error("tables", "declare at least one table")
    for name in listing:
        section = listing.section(name)
        with listing.attempt():
            _require_free(listing, name, found.events)
        listed = found.add(name, section, own, listed_codes)
        with section.attempt():
            found.events[name] = _source(section, folder, _person(section, identity), listed, reading)
            if not persons and len(found.events) == 1:  # the persons' attributes are in this source
                own_readings = own.readings(_reading(section, reading))
            section.done()
    found.require_computed(own)
    person.done()
    listing.done()
    top.done()
    made = Manifest(
        replace(about, tables=frozen(found.tables)),
        identity,
        persons,
        frozen(own.sources),
        frozen(own_readings),
        frozen(found.events),
        text,
        folder,
        profile,
        profile_asked="profile" in head,
        formalities=formalities,
        derived=frozen(found.computed),
        vocabularies=listed_codes,
        vocabulary_of=found.of_columns,
    )
    return made, top


@dataclass
class _Tables:
    """What the sections of tables declare, as they are read: columns that are computed, vocabularies of columns."""

    tables: dict[str, Table]
    computed: dict[str, Mapping[str, Derived]]
    of_columns: dict[tuple[str, str], str]
    events: dict[str, Source] = field(default_factory=dict)
    listed: dict[str, Columns] = field(default_factory=dict)

    def add(self, name: str, section: Section, own: Columns, known: Mapping[str, vocabularies.Declared]) -> Columns:
        """Read the columns of a table of events. `own` are the persons', `known` the vocabularies."""
        listed = columns(section.section("columns", {}), of_person=False, taken=own.columns)
        self.tables[name] = _table(section, name, {**own.columns, **listed.columns})
        self.computed[name], self.listed[name] = frozen(listed.derived), listed
        self.of_columns |= listed.vocabulary_of(name, known)
        return listed

    def require_computed(self, own: Columns) -> None:
        """Check what is computed from events, and that hidden columns are for computing, once all is read."""
        own.require_of_events(self.tables, self.computed)
        used = _inputs(self.tables, self.computed)
        for table, listed in (*self.listed.items(), (PERSONS, own)):
            listed.require_used(used, table)


def _inputs(tables: Mapping[str, Table], computed: Mapping[str, Mapping[str, Derived]]) -> set[tuple[str, str]]:
    """Return the columns from which others are computed, each with its table."""
    found = set()
    for table, of_table in computed.items():
        for one in of_table.values():
            if one.how.is_of_events:
                found.add((one.of[0], one.of[1]))
                continue
            known = tables[table].columns
            found |= {(PERSONS if name in known and known[name].of_person else table, name) for name in one.of}
    return found


def _vocabularies(top: Section, folder: Path) -> dict[str, vocabularies.Declared]:
    listing = top.section("vocabularies", {})
    return {name: vocabularies.declared(listing.section(name), folder) for name in listing}


def _head(head: Section) -> tuple[Dataset, Decimal | None, Reading, dict[str, str] | None]:
    """Return the dataset still without tables, what its profile may cost, how sources are read, and formalities."""
    name = head.text("name")
    if not DATASET_NAME.fullmatch(name):
        head.wrong("name", "use letters, digits, _ and -, at most 63")
    epsilon = head.decimal("epsilon")
    if not 0 < epsilon <= EPSILON_MAX:
        head.wrong("epsilon", f"must be above 0 and at most {EPSILON_MAX}")
    delta = head.decimal("delta", Decimal(0))
    if not 0 <= delta < 1:
        head.wrong("delta", "must be at least 0 and below 1")
    is_sound = head.is_sound
    epsilon_min = head.decimal("epsilon_min", min(EPSILON_MIN, epsilon))
    if is_sound and (not 0 < epsilon_min <= epsilon or epsilon_min * NANO % 1):
        head.wrong("epsilon_min", "must be a multiple of 0.000000001 above 0, and at most epsilon")
    persons_max = head.whole("persons_max")
    if not 1 <= persons_max <= PERSONS_MAX:
        head.wrong("persons_max", f"must be from 1 to {PERSONS_MAX}")
    persons_expected = head.positive("persons_expected")
    title = head.text("title", name)
    overcommit = head.flag("overcommit", False)
    noise = head.choice("noise", NOISES, BOTH)
    laplace_percent = head.percent("laplace_percent")
    justification = head.text("justification") if "justification" in head else None
    profile = None
    with head.attempt():
        profile = _profile(head, epsilon, epsilon_min)
    formalities = head.words_by_key("formalities")
    reading = combined(Reading(), given(head, ("loss_max",)), head)
    head.done()
    about = Dataset(
        name,
        title,
        epsilon,
        delta,
        persons_max,
        frozen({}),
        overcommit,
        epsilon_min,
        persons_expected,
        noise,
        laplace_percent,
        justification,
    )
    return about, profile, reading, formalities


def _require_free(listing: Section, name: str, events: Mapping[str, Source]) -> None:
    """Raise ManifestError if a table may not have this name."""
    if not NAME.fullmatch(name) or name.lower() in (PERSON, PERSONS):
        raise listing.error(name, "use letters, digits and _, and no name that Rowless uses itself")
    if name.lower() in {other.lower() for other in events}:
        raise listing.error(name, "is declared twice (upper and lower case are the same)")


def _table(section: Section, name: str, columns: Mapping[str, Column]) -> Table:
    """Return a table of events with its columns, the persons' first."""
    bounds = section.section("bounds", {})
    table = Table(
        name,
        frozen(columns),
        section.text("title", ""),
        bounds.positive("cells_per_person"),
        bounds.positive("events_per_cell"),
        events_expected=section.positive("events_expected"),
    )
    bounds.done()
    return table


def _profile(head: Section, cap: Decimal, least: Decimal) -> Decimal | None:
    """Return how much the contribution profile may cost. Raises ManifestError."""
    if head.is_false("profile"):
        return None
    epsilon = head.decimal("profile", max(PROFILE, least))
    if not least <= epsilon <= cap and "profile" in head and head.is_sound:
        raise head.error(
            "profile", f"must be at least epsilon_min, {least}, and at most the cap, epsilon {cap}; or false, for none"
        )
    return epsilon


def _identity(person: Section) -> Identity:
    id_type = person.text("id_type", "") or None
    if id_type not in (None, TEXT, NUMBER):
        person.wrong("id_type", 'must be "text" (ids are texts as they are written) or "number" (all are numbers)')
    return Identity(person.names("id"), id_type, person.words("missing", MISSING_IDS))


def _person(section: Section, identity: Identity) -> tuple[str, ...]:
    columns = section.names("person", identity.columns)
    if len(columns) != len(identity.columns):
        raise section.error("person", f"must name {len(identity.columns)} columns, as person.id does")
    return columns


def _source(section: Section, folder: Path, person: tuple[str, ...], columns: Columns, reading: Reading) -> Source:
    read = _reading(section, reading)
    where = origin(section, folder)
    return Source(
        section.place,
        where.paths,
        person,
        frozen(columns.sources),
        where.table,
        where.schema,
        where.delimiter,
        where.encoding,
        frozen(columns.readings(read)),
        read.loss_max,
    )


def _reading(section: Section, base: Reading) -> Reading:
    # In the section of persons, `missing` are the words that are no id.
    keys = [key for key in KEYS if key not in OF_COLUMN and not (key == "missing" and section.place == PERSON)]
    return combined(base, given(section, keys), section)
