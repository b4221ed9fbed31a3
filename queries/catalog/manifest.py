"""The manifest: the TOML file in which a custodian declares a dataset.

It is read completely and strictly before any source is opened. A wrong key or type is refused with its place,
as in `tables.years.columns.visits.bounds`. Values are kept exact: TOML's decimals never pass through a float.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from queries.catalog import derived, vocabularies
from queries.catalog.formats import (
    DERIVED,
    KEYS,
    MISSING_IDS,
    NUMBER,
    OF_COLUMN,
    OF_KIND,
    TEXT,
    Identity,
    Reading,
    combined,
    given,
    require_known,
)
from queries.catalog.hierarchies import PREFIX, Hierarchy, cycle
from queries.catalog.schema import (
    EPOCH,
    EPSILON_MIN,
    PERSON,
    PERSONS,
    PERSONS_MAX,
    PLACE,
    Column,
    Dataset,
    Kind,
    Table,
    frozen,
)
from queries.catalog.sections import REQUIRED, Section
from queries.catalog.source import Source, origin
from queries.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.catalog.derived import Derived

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

NANO = 10**9  # epsilon is charged in billionths
UNITS_MAX = 2**53 - 1  # the import computes units in doubles, which are exact up to here
EPSILON_MAX = 10_000
PROFILE = Decimal("0.1")  # the epsilon of the contribution profile that the first import buys
PROFILE_PART = 4  # not bought if it is more than this part of the cap


@dataclass(frozen=True)
class Manifest:
    """A dataset and its sources. `persons` is None when persons are taken from their first event.

    `profile` is the epsilon of the contribution profile to buy (None: none). `profile_asked` is True if the manifest
    names it, and False if it is the default. `derived` has the columns of each table that the import computes, by name:
    no source has them. `folder` is the one that its sources are relative to. `path` is the file
    that it was read from, if it was read from one.
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
    path: Path | None = None
    derived: Mapping[str, Mapping[str, Derived]] = field(default_factory=dict)
    vocabularies: Mapping[str, vocabularies.Declared] = field(default_factory=dict)
    vocabulary_of: Mapping[tuple[str, str], str] = field(default_factory=dict)  # by table and column


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file; sources are relative to its folder. Raises ManifestError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), "is not UTF-8 text") from error
    return replace(parse(text, path.parent), path=path)


def parse(text: str, folder: Path) -> Manifest:
    """Read a manifest's text; sources are relative to `folder`. Raises ManifestError, for all that is wrong at once."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError("manifest", f"is not TOML: {error}") from error
    top = Section(document, "")
    head = top.section("dataset")
    about, profile, reading = _head(head)
    person = top.section("person")
    identity = _identity(person)
    listed_codes = _vocabularies(top, folder)
    own = _columns(person.section("columns", {}), of_person=True)
    persons = None
    if "source" in person:
        with person.attempt():
            persons = _source(person, folder, identity.columns, own, reading)
    person_title = person.text("title", "One row per person")

    tables = {PERSONS: Table(PERSONS, frozen(own.columns), person_title)}
    computed = {PERSONS: frozen(own.derived)}
    of_columns = own.vocabulary_of(PERSONS, listed_codes)
    events: dict[str, Source] = {}
    own_readings: Mapping[str, Reading] = persons.readings if persons else {}
    with top.attempt():
        listing = top.section("tables")
        if not list(listing):
            raise top.error("tables", "declare at least one table")
    for name in listing:
        section = listing.section(name)
        with listing.attempt():
            _require_free(listing, name, events)
        listed = _columns(section.section("columns", {}), of_person=False, taken=own.columns)
        tables[name] = _table(section, name, {**own.columns, **listed.columns})
        computed[name] = frozen(listed.derived)
        of_columns |= listed.vocabulary_of(name, listed_codes)
        with section.attempt():
            events[name] = _source(section, folder, _person(section, identity), listed, reading)
            if not persons and len(events) == 1:  # the persons' attributes are in this source
                own_readings = own.readings(_reading(section, reading))
            section.done()
    own.require_of_events(tables, computed)
    person.done()
    listing.done()
    top.done()
    top.require_sound()
    return Manifest(
        replace(about, tables=frozen(tables)),
        identity,
        persons,
        frozen(own.sources),
        frozen(own_readings),
        frozen(events),
        text,
        folder,
        profile,
        profile_asked="profile" in head,
        derived=frozen(computed),
        vocabularies=listed_codes,
        vocabulary_of=of_columns,
    )


def _vocabularies(top: Section, folder: Path) -> dict[str, vocabularies.Declared]:
    listing = top.section("vocabularies", {})
    return {name: vocabularies.declared(listing.section(name), folder) for name in listing}


def _head(head: Section) -> tuple[Dataset, Decimal | None, Reading]:
    """Return the dataset still without tables, what its profile may cost, and how all its sources are read."""
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
    laplace_percent = head.percent("laplace_percent")
    justification = head.text("justification") if "justification" in head else None
    profile = None
    with head.attempt():
        profile = _profile(head, epsilon, epsilon_min)
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
        laplace_percent,
        justification,
    )
    return about, profile, reading


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


@dataclass(frozen=True)
class _Columns:
    """The columns of one section, with each one's source column and how its values are written."""

    columns: dict[str, Column]
    sources: dict[str, str]
    derived: dict[str, Derived]
    codes: dict[str, str]
    said: dict[str, tuple[dict[str, Any], Section]]

    def add(self, name: str, section: Section, *, of_person: bool) -> None:
        """Read the section of a column. Raises ManifestError."""
        computed = derived.derived(section, of_person=of_person)
        column = _column(name, section, computed, of_person=of_person)
        self.said[name] = given(section, OF_KIND[column.kind] if computed is None else DERIVED), section
        if computed is None:
            self.sources[name] = section.text("from", name)
        else:
            self.derived[name] = computed
        self.columns[name] = column
        if column.kind is Kind.CATEGORY:
            if "vocabulary" in section:
                self.codes[name] = section.text("vocabulary")
                if column.hierarchy is not None:
                    section.wrong("hierarchy", "a column has either this or vocabulary")
            require_known(section, self.said[name][0], column.values)

    def vocabulary_of(self, table: str, known: Mapping[str, object]) -> dict[tuple[str, str], str]:
        """Return the names of the columns' vocabularies; one that is not declared is an error."""
        for public, vocabulary in self.codes.items():
            if vocabulary not in known:
                section = self.said[public][1]
                section.wrong("vocabulary", f"there is no [vocabularies.{vocabulary}]")
        return {(table, public): vocabulary for public, vocabulary in self.codes.items()}

    def require_of_events(self, tables: Mapping[str, Table], computed: Mapping[str, Mapping[str, Derived]]) -> None:
        """Check the attributes that are computed from events, once the tables of events are read."""
        for public, one in self.derived.items():
            section = self.said[public][1]
            if one.how.is_of_events and section.is_sound:
                with section.attempt():
                    derived.require_of_events(section, one, self.columns[public], tables, computed)

    def readings(self, base: Reading) -> dict[str, Reading]:
        """Return how each column is read, in a source read like `base`."""
        return {public: combined(base, said, section) for public, (said, section) in self.said.items()}


def _source(section: Section, folder: Path, person: tuple[str, ...], columns: _Columns, reading: Reading) -> Source:
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


def _columns(listing: Section, *, of_person: bool, taken: Mapping[str, Column] | None = None) -> _Columns:
    """Return the columns of one section."""
    found = _Columns({}, {}, {}, {}, {})
    lower = {name.lower() for name in taken or ()}
    for name in listing:
        section = listing.section(name)
        with listing.attempt():
            _require_usable(listing, name, lower)
        lower.add(name.lower())
        with section.attempt():
            found.add(name, section, of_person=of_person)
            section.done()
    read = {name: one for name, one in {**(taken or {}), **found.columns}.items() if name not in found.derived}
    for name, computed in found.derived.items():
        section = found.said[name][1]
        if computed.how.is_of_events:
            continue  # the tables are read later
        if section.is_sound and not any(one in listing and one not in found.columns for one in computed.of):
            with section.attempt():
                derived.require(section, computed, found.columns[name], read)
    return found


def _require_usable(listing: Section, name: str, taken: set[str]) -> None:
    """Raise ManifestError if a column may not have this name."""
    if not NAME.fullmatch(name) or name.lower() in (PERSON, PLACE):
        raise listing.error(name, "use letters, digits and _, and not the names person and rowid")
    if name.lower() in taken:
        raise listing.error(name, "is declared twice (upper and lower case are the same)")


def _column(name: str, section: Section, computed: Derived | None, *, of_person: bool) -> Column:
    kinds = [kind.value for kind in Kind]
    kind_name = section.text("type", REQUIRED if computed is None else computed.kind.value)
    if kind_name not in kinds:
        raise section.error("type", f"must be one of {', '.join(kinds)}")
    kind = Kind(kind_name)
    nullable = section.flag("nullable", False)
    title = section.text("title", "")
    values: tuple[str, ...] | None = None
    labels: dict[str, str] = {}
    hierarchy: Hierarchy | None = None
    low, high, step = 0, 1, Decimal(1)
    match kind:
        case Kind.CATEGORY:
            values, labels = section.labelled("values")
            hierarchy = _hierarchy(section)
        case Kind.INTEGER | Kind.NUMBER:
            step = section.decimal("step", Decimal(1) if kind is Kind.INTEGER else REQUIRED)
            if step <= 0 or (kind is Kind.INTEGER and step != 1):
                section.wrong("step", "must be above 0 (and 1 for an integer)")
                step = Decimal(1)
            with section.attempt():
                low, high = _unit_bounds(section, step)
        case Kind.DATE:
            low, high = ((date - EPOCH).days for date in section.dates("bounds"))
        case Kind.BOOLEAN:
            pass
    return Column(name, kind, of_person, nullable, title, values, low, high, step, labels, hierarchy)


def _hierarchy(section: Section) -> Hierarchy | None:
    """Return which values of a category are under which. Raises ManifestError."""
    if "hierarchy" not in section:
        return None
    if not isinstance(section.value("hierarchy"), dict):
        section.choice("hierarchy", (PREFIX,), PREFIX)
        return Hierarchy()
    parents = section.parents("hierarchy")
    circle = cycle(parents)
    if circle is not None:
        raise section.error("hierarchy", f"goes round in a circle: {' is under '.join(circle)}")
    return Hierarchy(parents)


def _unit_bounds(section: Section, step: Decimal) -> tuple[int, int]:
    low, high = (bound / step for bound in section.decimals("bounds"))
    if low != int(low) or high != int(high):
        raise section.error("bounds", f"must be whole multiples of the step {step}")
    if not -UNITS_MAX <= low < high <= UNITS_MAX or high - low >= UNITS_MAX:
        raise section.error("bounds", "must ascend and span fewer than 2^53 steps")
    return int(low), int(high)
