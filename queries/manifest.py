"""The manifest: the TOML file in which a custodian declares a dataset.

It is read completely and strictly before any source is opened. A wrong key or type is refused with its place,
as in `tables.years.columns.visits.bounds`. Values are kept exact: TOML's decimals never pass through a float.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from queries.catalog import EPOCH, EPSILON_MIN, PERSON, PERSONS, PLACE, Column, Dataset, Kind, Table, frozen
from queries.delimited import ENCODINGS
from queries.errors import ManifestError
from queries.identity import MISSING, NUMBER, TEXT, Identity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
DATASET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

PERSONS_MAX = 2**31 - 1  # person numbers are 32-bit
NANO = 10**9  # epsilon is charged in billionths
UNITS_MAX = 2**53 - 1  # the import computes units in doubles, which are exact up to here
EPSILON_MAX = 10_000
CATEGORIES_MAX = 1_000_000
PROFILE = Decimal("0.1")  # what the contribution profile costs that the first import buys
PROFILE_PART = 4  # unless that is more than this part of the cap

# Dates without declared bounds: a public constant, wide enough for living persons' records.
DATES = (dt.date(1900, 1, 1), dt.date(2099, 12, 31))

_REQUIRED: Any = object()


@dataclass(frozen=True)
class Source:
    """Where rows come from. `columns` ties each public column to its source column; `person` are the id's."""

    place: str
    path: Path
    person: tuple[str, ...]
    columns: Mapping[str, str]
    table: str | None = None
    delimiter: str = ","
    encoding: str = "utf-8"

    @property
    def person_place(self) -> str:
        """Return where the manifest names the id's columns."""
        return "person.id" if self.place == PERSON else f"{self.place}.person"

    @property
    def has_lines(self) -> bool:
        """Say whether the source is a text file, in which a row is found by its line."""
        return not {".csv", ".tsv"}.isdisjoint(suffix.lower() for suffix in self.path.suffixes)

    @property
    def called(self) -> str:
        """Return what an admin calls the source."""
        return self.path.name if self.table is None else f"{self.table} of {self.path.name}"


@dataclass(frozen=True)
class Manifest:
    """A dataset and its sources. `persons` is None when persons are taken from their first event.

    `profile` is the epsilon of the contribution profile that is to be bought (None: none). It is `profile_asked` for
    where the manifest names it, and the default where it does not.
    """

    dataset: Dataset
    identity: Identity
    persons: Source | None
    person_columns: Mapping[str, str]
    events: Mapping[str, Source]
    text: str
    profile: Decimal | None = PROFILE
    profile_asked: bool = False


def read(path: Path) -> Manifest:
    """Read a manifest file; sources are relative to its folder. Raises ManifestError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ManifestError(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), "is not UTF-8 text") from error
    return parse(text, path.parent)


def parse(text: str, folder: Path) -> Manifest:
    """Read a manifest's text; sources are relative to `folder`. Raises ManifestError."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ManifestError("manifest", f"is not TOML: {error}") from error
    top = _Section(document, "")
    head = top.section("dataset")
    name = head.text("name")
    if not DATASET_NAME.fullmatch(name):
        raise head.error("name", "use letters, digits, _ and -, at most 63")
    epsilon = head.decimal("epsilon")
    if not 0 < epsilon <= EPSILON_MAX:
        raise head.error("epsilon", f"must be above 0 and at most {EPSILON_MAX}")
    delta = head.decimal("delta", Decimal(0))
    if not 0 <= delta < 1:
        raise head.error("delta", "must be at least 0 and below 1")
    epsilon_min = head.decimal("epsilon_min", min(EPSILON_MIN, epsilon))
    if not 0 < epsilon_min <= epsilon or epsilon_min * NANO % 1:
        raise head.error("epsilon_min", "must be a multiple of 0.000000001 above 0, and at most epsilon")
    persons_max = head.whole("persons_max")
    if not 1 <= persons_max <= PERSONS_MAX:
        raise head.error("persons_max", f"must be from 1 to {PERSONS_MAX}")
    title = head.text("title", name)
    overcommit = head.flag("overcommit", False)
    profile = _profile(head, epsilon)
    head.done()

    person = top.section("person")
    identity = _identity(person)
    own, own_from = _columns(person.section("columns", {}), of_person=True)
    persons = None
    if "source" in person:
        persons = _source(person, folder, identity.columns, own_from)
    person_title = person.text("title", "One row per person")
    person.done()

    tables = {PERSONS: Table(PERSONS, frozen(own), person_title)}
    events: dict[str, Source] = {}
    listing = top.section("tables")
    for table_name in listing:
        section = listing.section(table_name)
        if not NAME.fullmatch(table_name) or table_name.lower() in (PERSON, PERSONS):
            raise listing.error(table_name, "use letters, digits and _, and no name that Rowless uses itself")
        if table_name.lower() in {other.lower() for other in events}:
            raise listing.error(table_name, "is declared twice (upper and lower case are the same)")
        columns, columns_from = _columns(section.section("columns", {}), of_person=False, taken=own)
        bounds = section.section("bounds", {})
        tables[table_name] = Table(
            table_name,
            frozen({**own, **columns}),
            section.text("title", ""),
            bounds.positive("cells_per_person"),
            bounds.positive("events_per_cell"),
        )
        bounds.done()
        events[table_name] = _source(section, folder, _person(section, identity), columns_from)
        section.done()
    listing.done()
    if not events:
        raise top.error("tables", "declare at least one table")
    top.done()
    dataset = Dataset(name, title, epsilon, delta, persons_max, frozen(tables), overcommit, epsilon_min)
    return Manifest(
        dataset, identity, persons, frozen(own_from), frozen(events), text, profile, profile_asked="profile" in head
    )


def _profile(head: _Section, cap: Decimal) -> Decimal | None:
    """Return what the contribution profile may cost. Raises ManifestError."""
    if head.is_false("profile"):
        return None
    epsilon = head.decimal("profile", PROFILE)
    if not 0 < epsilon <= cap and "profile" in head:
        raise head.error("profile", f"must be above 0 and at most the cap, epsilon {cap}; or false, for none")
    return epsilon


def _identity(person: _Section) -> Identity:
    id_type = person.text("id_type", "") or None
    if id_type not in (None, TEXT, NUMBER):
        raise person.error(
            "id_type", 'must be "text" (ids are texts as they are written) or "number" (all are numbers)'
        )
    return Identity(person.names("id"), id_type, person.words("missing", MISSING))


def _person(section: _Section, identity: Identity) -> tuple[str, ...]:
    columns = section.names("person", identity.columns)
    if len(columns) != len(identity.columns):
        raise section.error("person", f"must name {len(identity.columns)} columns, as person.id does")
    return columns


def _source(section: _Section, folder: Path, person: tuple[str, ...], columns: Mapping[str, str]) -> Source:
    path = folder / section.text("source")
    delimiter = section.text("delimiter", ",")
    if len(delimiter) != 1:
        raise section.error("delimiter", "must be one character")
    table = section.text("table", "") or None
    suffix = path.suffix.lower()
    if suffix in (".duckdb", ".db"):
        if table is None:
            raise section.error("table", "a DuckDB source needs the name of its table")
    elif suffix not in (".parquet", ".csv"):
        raise section.error("source", "must be a .parquet, .csv, .duckdb or .db file")
    elif table is not None:
        raise section.error("table", "only a DuckDB source has tables")
    encoding = section.choice("encoding", ENCODINGS, "utf-8")
    return Source(section.place, path, person, frozen(columns), table, delimiter, encoding)


def _columns(
    listing: _Section, *, of_person: bool, taken: Mapping[str, Column] | None = None
) -> tuple[dict[str, Column], dict[str, str]]:
    """Return the columns of one section and the source column of each."""
    columns: dict[str, Column] = {}
    sources: dict[str, str] = {}
    lower = {name.lower() for name in taken or ()}
    for name in listing:
        section = listing.section(name)
        if not NAME.fullmatch(name) or name.lower() in (PERSON, PLACE):
            raise listing.error(name, "use letters, digits and _, and not the names person and rowid")
        if name.lower() in lower:
            raise listing.error(name, "is declared twice (upper and lower case are the same)")
        lower.add(name.lower())
        sources[name] = section.text("from", name)
        columns[name] = _column(name, section, of_person=of_person)
        section.done()
    return columns, sources


def _column(name: str, section: _Section, *, of_person: bool) -> Column:
    kinds = [kind.value for kind in Kind]
    kind_name = section.text("type")
    if kind_name not in kinds:
        raise section.error("type", f"must be one of {', '.join(kinds)}")
    kind = Kind(kind_name)
    nullable = section.flag("nullable", False)
    title = section.text("title", "")
    values: tuple[str, ...] | None = None
    low, high, step = 0, 1, Decimal(1)
    match kind:
        case Kind.CATEGORY:
            values = section.texts("values")
        case Kind.INTEGER | Kind.NUMBER:
            step = section.decimal("step", Decimal(1) if kind is Kind.INTEGER else _REQUIRED)
            if step <= 0 or (kind is Kind.INTEGER and step != 1):
                raise section.error("step", "must be above 0 (and 1 for an integer)")
            low, high = _unit_bounds(section, step)
        case Kind.DATE:
            low, high = ((date - EPOCH).days for date in section.dates("bounds"))
        case Kind.BOOLEAN:
            pass
    return Column(name, kind, of_person, nullable, title, values, low, high, step)


def _unit_bounds(section: _Section, step: Decimal) -> tuple[int, int]:
    low, high = (bound / step for bound in section.decimals("bounds"))
    if low != int(low) or high != int(high):
        raise section.error("bounds", f"must be whole multiples of the step {step}")
    if not -UNITS_MAX <= low < high <= UNITS_MAX or high - low >= UNITS_MAX:
        raise section.error("bounds", "must ascend and span fewer than 2^53 steps")
    return int(low), int(high)


class _Section:
    """One table of the document that knows its place and which of its keys were read."""

    def __init__(self, document: Mapping[str, Any], place: str) -> None:
        self._document = document
        self._read: set[str] = set()
        self.place = place

    def __contains__(self, key: str) -> bool:
        return key in self._document

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def error(self, key: str, message: str) -> ManifestError:
        return ManifestError(f"{self.place}.{key}" if self.place else key, message)

    def done(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self._document:
            if key not in self._read:
                near = difflib.get_close_matches(key, self._read, 1)
                raise self.error(key, f"is not known here{f'; did you mean {near[0]}?' if near else ''}")

    def _take(self, key: str, default: Any) -> Any:
        self._read.add(key)
        if key in self._document:
            return self._document[key]
        if default is _REQUIRED:
            raise self.error(key, "is missing")
        return default

    def section(self, key: str, default: Any = _REQUIRED) -> _Section:
        value = self._take(key, default)
        if not isinstance(value, dict):
            raise self.error(key, "must be a table of keys")
        return _Section(value, f"{self.place}.{key}" if self.place else key)

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or (value == "" and key in self._document):
            raise self.error(key, "must be a text that is not empty")
        return value

    def names(self, key: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        """Return the names of one or several source columns, each once."""
        value = self._take(key, default)
        several = value if isinstance(value, list | tuple) else [value]
        if not several or not all(isinstance(one, str) and one for one in several):
            raise self.error(key, 'must be the name of a column, or a list of names, as in ["site", "patient"]')
        if len(set(several)) != len(several):
            raise self.error(key, "names the same column twice")
        return tuple(several)

    def words(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Return a list of texts and numbers, as texts. It may be empty."""
        value = self._take(key, default)
        if isinstance(value, tuple):
            return value
        if not isinstance(value, list) or not all(
            isinstance(one, (str, int, Decimal)) and not isinstance(one, bool) for one in value
        ):
            raise self.error(key, 'must be a list of texts and numbers, as in ["NA", -9]')
        if any("\0" in str(one) for one in value):
            raise self.error(key, "holds a NUL character")
        return tuple(map(str, value))

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.error(key, f"must be one of {', '.join(choices)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def is_false(self, key: str) -> bool:
        """Say whether a key stands there as false, in place of what it is else."""
        return self._take(key, None) is False

    def whole(self, key: str) -> int:
        value = self._take(key, _REQUIRED)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, "must be a whole number")
        return value

    def positive(self, key: str) -> int | None:
        """Return an optional whole number of at least 1."""
        if key not in self:
            self._read.add(key)
            return None
        value = self.whole(key)
        if value < 1:
            raise self.error(key, "must be at least 1")
        return value

    def decimal(self, key: str, default: Any = _REQUIRED) -> Decimal:
        return self._decimal(key, self._take(key, default))

    def decimals(self, key: str) -> tuple[Decimal, Decimal]:
        low, high = self._pair(key, self._take(key, _REQUIRED))
        return self._decimal(key, low), self._decimal(key, high)

    def dates(self, key: str) -> tuple[dt.date, dt.date]:
        low, high = (self._date(key, value) for value in self._pair(key, self._take(key, list(DATES))))
        if low >= high:
            raise self.error(key, "must ascend")
        return low, high

    def texts(self, key: str) -> tuple[str, ...] | None:
        values = self._take(key, None)
        if values is None:
            return None
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values) or not values:
            raise self.error(key, 'must be a list of texts, as in ["female", "male"]')
        if len(set(values)) != len(values):
            raise self.error(key, "holds the same text twice")
        if len(values) > CATEGORIES_MAX:
            raise self.error(key, f"holds more than {CATEGORIES_MAX} texts")
        return tuple(values)

    def _pair(self, key: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise self.error(key, "must be a list of two, [lowest, highest]")
        return value

    def _decimal(self, key: str, value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not Decimal(value).is_finite():
            raise self.error(key, "must be a finite number")
        return Decimal(value)

    def _date(self, key: str, value: Any) -> dt.date:
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return value
        try:
            return dt.date.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.error(key, "must hold dates, as in [2017-01-01, 2023-12-31]") from None
