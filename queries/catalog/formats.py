"""How the values of a source are written, as the manifest declares it for a source or for single columns.

Keys of a column override those of its source, which override the defaults. Nothing here is learnt from the data.
docs/manifest.md ("How values are written") documents every key.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from queries.catalog.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from queries.catalog.sections import Section

# Words that programs write for a missing value. In a category each may also be a code, if the manifest declares it.
MISSING = ("NA", "N/A", "NULL")
# In numbers, dates and booleans these can only mean a missing value.
NOTHING = (*MISSING, "None", "NaN", "nan", "NaT")
TRUE, FALSE = ("true", "t", "yes", "y", "1", "1.0"), ("false", "f", "no", "n", "0", "0.0")
CLAMP, NULL = "clamp", "null"
UTC = "UTC"
THOUSANDS = (".", ",", "'", " ", "_", "\u2019", "\u00a0", "\u202f")
LOSS_MAX = Decimal("0.05")

# What the engine's strptime knows, without words that depend on a locale or on time of day alone.
_DIRECTIVES = set("dmyYbBjHIMSfpzZaA%") | {"-d", "-m", "-y", "-H", "-I", "-M", "-S", "-j"}
# The manifest's words for encodings -> Python's.
ENCODINGS = {"utf-8": "utf-8", "cp1252": "cp1252", "latin-1": "latin-1", "utf-16": "utf-16"}
# Words that statistics programs and databases write for a missing id. Case does not matter.
MISSING_IDS = ("NA", "N/A", "NULL", "None", "nan")
TEXT, NUMBER = "text", "number"


@dataclass(frozen=True)
class Identity:
    """What the manifest declares about ids: their source columns, how they are read, and the words for a missing id."""

    columns: tuple[str, ...]
    id_type: str | None = None
    missing: tuple[str, ...] = MISSING_IDS


@dataclass(frozen=True)
class Reading:
    """How values are written. `missing` is None for the default of the kind of column.

    `loss_max` is the share of a column's values, or of a table's lines, that an import may lose without stopping.
    """

    decimal: str = "."
    thousands: str = ""
    formats: tuple[str, ...] = ()
    timezone: str = UTC
    true: tuple[str, ...] = TRUE
    false: tuple[str, ...] = FALSE
    missing: tuple[str, ...] | None = None
    outside: str = CLAMP
    trim: bool = True
    loss_max: Decimal = LOSS_MAX
    renamed: tuple[tuple[str, str], ...] = ()  # texts of a category, each with the one that is read in its place
    prefix: int | None = None  # how many characters of a category's texts are kept
    other: str | None = None  # the declared value for every text that is none


# The keys of a section -> the field of Reading; and which of them mean something for which kind of column.
KEYS = {
    "decimal": "decimal",
    "thousands": "thousands",
    "format": "formats",
    "timezone": "timezone",
    "true": "true",
    "false": "false",
    "missing": "missing",
    "outside": "outside",
    "trim": "trim",
    "loss_max": "loss_max",
    "map": "renamed",
    "prefix": "prefix",
    "other": "other",
}
OF_COLUMN = ("map", "prefix", "other")  # these make sense for one column alone
_OF_NUMBERS = ("decimal", "thousands", "missing", "outside", "loss_max")
OF_KIND = {
    Kind.CATEGORY: ("missing", "trim", "loss_max", *OF_COLUMN),
    Kind.INTEGER: _OF_NUMBERS,
    Kind.NUMBER: _OF_NUMBERS,
    Kind.DATE: ("format", "timezone", "missing", "outside", "loss_max"),
    Kind.BOOLEAN: ("true", "false", "missing", "loss_max"),
}


DERIVED = ("outside", "loss_max")  # the keys of a column that is computed
OF_LEVEL = ("loss_max",)  # and of one that is a level of codes


def require_known(section: Section, said: dict[str, Any], values: tuple[str, ...] | None) -> None:
    """Raise ManifestError if a category's texts are to become values that it has not."""
    if "other" in said and said["other"] not in (values or ()):
        raise section.error("other", "must be one of the column's values")
    length = said.get("prefix")
    for old, new in said.get("renamed", ()):
        if values is not None and new[:length] not in values and "other" not in said:
            raise section.error(f"map.{old}", f"{new} is none of the column's values")


def given(section: Section, keys: Sequence[str]) -> dict[str, Any]:
    """Return the values that a section gives for some of the keys, by the fields of Reading, without wrong ones."""
    found: dict[str, Any] = {}
    for key in keys:
        if key in section:
            with section.attempt():
                found[KEYS[key]] = _READ[key](section, key)
    return found


def combined(base: Reading, said: dict[str, Any], section: Section) -> Reading:
    """Return a reading, with the section's values in place of its own. Raises ManifestError."""
    reading = replace(base, **said)
    if reading.thousands == reading.decimal:
        key = "thousands" if "thousands" in said else "decimal"
        raise section.error(
            key, f'decimal and thousands cannot both be "{reading.decimal}"; decimal is "." unless you say otherwise'
        )
    both = {word.lower() for word in reading.true} & {word.lower() for word in reading.false}
    if both:
        key = "true" if "true" in said else "false"
        raise section.error(key, f"{' and '.join(sorted(both))} would mean true and false; give both lists")
    return reading


def _decimal(section: Section, key: str) -> str:
    return section.choice(key, (".", ","), ".")


def _thousands(section: Section, key: str) -> str:
    return section.choice(key, THOUSANDS, ",")


def _formats(section: Section, key: str) -> tuple[str, ...]:
    value = section.value(key)
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and one.strip() for one in listed):
        raise section.error(key, 'must be a text, or a list of texts, as in "%d.%m.%Y"')
    for one in listed:
        directives = re.findall(r"%(-.|.|$)", one)
        for directive in directives:
            if directive not in _DIRECTIVES:
                raise section.error(key, f'{one}: %{directive} is not known; use %d, %m, %Y as in "%d.%m.%Y"')
        if not {"Y", "y", "-y"} & set(directives):
            raise section.error(key, f"{one}: a date needs a year, %Y (or %y, of two digits)")
        if "\0" in one:
            raise section.error(key, "holds a NUL character")
    return tuple(listed)


def _timezone(section: Section, key: str) -> str:
    value = section.text(key)
    if not re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", value):
        raise section.error(key, 'must be the name of a time zone, as in "Europe/Zurich"')
    return value


def _words(section: Section, key: str) -> tuple[str, ...]:
    """Return words for true or false. A whole number stands for its digits."""
    words = section.words(key, ())
    if not words:
        raise section.error(key, 'must be a list of words, as in ["ja", "j"]')
    return words


def _missing(section: Section, key: str) -> tuple[str, ...]:
    """Return the words for a missing value. Dates stand for their text."""
    value = section.value(key)
    if isinstance(value, list) and any(type(one) is dt.date for one in value):
        value = [one.isoformat() if type(one) is dt.date else one for one in value]
    return section.words(key, (), value)


def _outside(section: Section, key: str) -> str:
    return section.choice(key, (CLAMP, NULL), CLAMP)


def _trim(section: Section, key: str) -> bool:
    return section.flag(key, True)


def _loss_max(section: Section, key: str) -> Decimal:
    value = section.decimal(key)
    if not 0 <= value <= 1:
        raise section.error(key, "must be from 0 to 1: a share, as in 0.05 for 5%")
    return value


def _map(section: Section, key: str) -> tuple[tuple[str, str], ...]:
    """Return texts with those that are read in their place."""
    renamed = section.section(key)
    found = tuple((old, renamed.text(old)) for old in renamed)
    if not found:
        raise section.error(key, 'must rename texts, as in { Homme = "M" }')
    return found


def _prefix(section: Section, key: str) -> int:
    return section.positive(key) or 1


def _other(section: Section, key: str) -> str:
    return section.text(key)


_READ: dict[str, Callable[[Section, str], Any]] = {
    "decimal": _decimal,
    "thousands": _thousands,
    "format": _formats,
    "timezone": _timezone,
    "true": _words,
    "false": _words,
    "missing": _missing,
    "outside": _outside,
    "trim": _trim,
    "loss_max": _loss_max,
    "map": _map,
    "prefix": _prefix,
    "other": _other,
}
