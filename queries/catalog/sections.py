"""The tables of a manifest, read strictly: each knows its place and which of its keys were read.

What is wrong is collected, each error with its place, as in `tables.years.columns.visits.bounds`, so that all errors
of a manifest are shown at once. After a wrong value the reading goes on with a plausible one, and the manifest is
refused in the end (`require_sound`). What follows from an error is no error of its own (`attempt`).
"""

from __future__ import annotations

import datetime as dt
import difflib
import functools
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast

from queries.errors import ManifestError, all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Read = TypeVar("Read", bound=Callable[..., Any])

TEXTS_MAX = 1_000_000  # in one list
TODO = "TODO"  # in a draft, for what is still to be declared

# Dates without declared bounds: a public constant, wide enough for living persons' records.
DATES = (dt.date(1900, 1, 1), dt.date(2099, 12, 31))

REQUIRED: Any = object()


def _or(fallback: object) -> Callable[[Read], Read]:
    """Return a decorator of a method that reads a key: an error is collected, and the fallback returned."""

    def decorate(read: Read) -> Read:
        @functools.wraps(read)
        def collected(section: Section, *args: Any, **kwargs: Any) -> Any:
            try:
                return read(section, *args, **kwargs)
            except ManifestError as error:
                section.collect(error)
                return fallback

        return cast("Read", collected)

    return decorate


class Section:
    """One table of the document that knows its place and which of its keys were read."""

    def __init__(self, document: Mapping[str, Any], place: str, errors: list[ManifestError] | None = None) -> None:
        """Read a table. `errors` collects what is wrong, in all tables of the document."""
        self._document = document
        self._read: set[str] = set()
        self._errors = [] if errors is None else errors
        self.is_sound = True  # as far as it was read; the tables within it count for themselves
        self.place = place

    def __contains__(self, key: str) -> bool:
        return key in self._document

    def __iter__(self) -> Iterator[str]:
        return iter(self._document)

    def error(self, key: str, message: str) -> ManifestError:
        """Return the error for a key, with its place."""
        return ManifestError(f"{self.place}.{key}" if self.place else key, message)

    def collect(self, error: ManifestError) -> None:
        """Keep an error, so that others are found too."""
        self._errors.append(error)
        self.is_sound = False

    @property
    def errors(self) -> int:
        """Return how many errors were collected so far, in all tables of the document."""
        return len(self._errors)

    def wrong(self, key: str, message: str) -> None:
        """Keep the error for a key, with its place."""
        self.collect(self.error(key, message))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Collect an error of the enclosed reading, unless an earlier one within it may be its cause."""
        before = len(self._errors)
        try:
            yield
        except ManifestError as error:
            if len(self._errors) == before:
                self.collect(error)

    def require_sound(self) -> None:
        """Raise all errors that were collected, as one."""
        if self.faults:
            raise all_of(self.faults)

    @property
    def faults(self) -> tuple[ManifestError, ...]:
        """Return all errors that were collected, each once."""
        return tuple({str(each): each for error in self._errors for each in error.each}.values())

    def done(self) -> None:
        """Collect an error for each key that was not read: call it when all are read."""
        for key in self._document:
            if key not in self._read:
                near = difflib.get_close_matches(key, self._read, 1)
                self.wrong(key, f"is not known here{f'; did you mean {near[0]}?' if near else ''}")

    def _take(self, key: str, default: Any) -> Any:
        self._read.add(key)
        if key in self._document:
            if self._document[key] == TODO:
                raise self.error(key, "is still TODO: declare it from what is known about the source")
            return self._document[key]
        if default is REQUIRED:
            raise self.error(key, "is missing")
        return default

    def section(self, key: str, default: Any = REQUIRED) -> Section:
        """Return a table within this one. If it is wrong, what is read of it is no error of its own."""
        place = f"{self.place}.{key}" if self.place else key
        try:
            value = self._take(key, default)
            if not isinstance(value, dict):
                raise self.error(key, "must be a table of keys")
        except ManifestError as error:
            self.collect(error)
            return Section({}, place)
        return Section(value, place, self._errors)

    def words_by_key(self, key: str) -> dict[str, str] | None:
        """Return a table within this one that has texts and days alone, with days as texts; None if it is not there."""
        if key not in self:
            return None
        section = self.section(key)
        return {name: section.text_or_day(name) for name in section}

    @_or("")
    def text_or_day(self, key: str) -> str:
        """Return a text that is not empty, or a day as its text."""
        value = self._take(key, REQUIRED)
        if type(value) is dt.date:
            return value.isoformat()
        if not isinstance(value, str) or not value:
            raise self.error(key, "must be a text that is not empty, or a day")
        return value

    @_or("unreadable")
    def text(self, key: str, default: Any = REQUIRED) -> str:
        """Return a text that is not empty."""
        return self._text(key, default)

    def _text(self, key: str, default: Any) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or (value == "" and key in self._document):
            raise self.error(key, "must be a text that is not empty")
        return value

    @_or(("unreadable",))
    def names(self, key: str, default: Any = REQUIRED) -> tuple[str, ...]:
        """Return one or several names, as of source columns, each once."""
        value = self._take(key, default)
        several = value if isinstance(value, list | tuple) else [value]
        if not several or not all(isinstance(one, str) and one for one in several):
            raise self.error(key, 'must be a name, or a list of names, as in ["site", "patient"]')
        if len(set(several)) != len(several):
            raise self.error(key, "has the same name twice")
        return tuple(several)

    def value(self, key: str) -> Any:
        """Return the value of a key, of whatever type."""
        return self._take(key, REQUIRED)

    @_or(())
    def words(self, key: str, default: tuple[str, ...], value: Any = None) -> tuple[str, ...]:
        """Return a list of texts and numbers, as texts; it may be empty. `value` replaces the key's value."""
        value = self._take(key, default) if value is None else value
        if isinstance(value, tuple):
            return value
        if not isinstance(value, list) or not all(
            isinstance(one, (str, int, Decimal)) and not isinstance(one, bool) for one in value
        ):
            raise self.error(key, 'must be a list of texts and numbers, as in ["NA", -9]')
        if any("\0" in str(one) for one in value):
            raise self.error(key, "holds a NUL character")
        return tuple(map(str, value))

    @_or("unreadable")
    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        """Return one of several texts."""
        value = self._text(key, default)
        if value not in choices:
            raise self.error(key, f"must be one of {', '.join(choices)}")
        return value

    @_or(False)
    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def is_false(self, key: str) -> bool:
        """Return True if a key has the value false in place of its usual value."""
        return self._take(key, None) is False

    @_or(1)
    def whole(self, key: str) -> int:
        """Return a whole number."""
        return self._whole(key)

    def _whole(self, key: str) -> int:
        value = self._take(key, REQUIRED)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(key, "must be a whole number")
        return value

    @_or(None)
    def positive(self, key: str) -> int | None:
        """Return an optional whole number of at least 1."""
        if key not in self:
            self._read.add(key)
            return None
        value = self._whole(key)
        if value < 1:
            raise self.error(key, "must be at least 1")
        return value

    @_or(None)
    def percent(self, key: str) -> int | None:
        """Return an optional whole number from 0 to 100."""
        if key not in self:
            self._read.add(key)
            return None
        value = self._whole(key)
        if not 0 <= value <= 100:
            raise self.error(key, "must be from 0 to 100")
        return value

    @_or(Decimal("0.5"))  # which is plausible for an epsilon, a delta and a step
    def decimal(self, key: str, default: Any = REQUIRED) -> Decimal:
        """Return a number, exactly as it was written."""
        return self._decimal(key, self._take(key, default))

    @_or((Decimal(0), Decimal(1)))
    def decimals(self, key: str) -> tuple[Decimal, Decimal]:
        """Return two numbers."""
        low, high = self._pair(key, self._take(key, REQUIRED))
        return self._decimal(key, low), self._decimal(key, high)

    @_or(DATES)
    def dates(self, key: str) -> tuple[dt.date, dt.date]:
        """Return two dates that ascend."""
        low, high = (self._date(key, value) for value in self._pair(key, self._take(key, list(DATES))))
        if low >= high:
            raise self.error(key, "must ascend")
        return low, high

    @_or(None)
    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of different texts, or None if there is none."""
        values = self._take(key, None)
        if values is None:
            return None
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values) or not values:
            raise self.error(key, 'must be a list of texts, as in ["female", "male"]')
        if len(set(values)) != len(values):
            raise self.error(key, "holds the same text twice")
        return self._few(key, values)

    @_or((None, {}))
    def labelled(self, key: str) -> tuple[tuple[str, ...] | None, dict[str, str]]:
        """Return a list of different texts (None if there is none), and the label of each that has one.

        The texts are given as a list, or as a table of their labels; an empty label is none.
        """
        values = self._document.get(key)
        if not isinstance(values, dict):
            return self.texts(key), {}
        self._read.add(key)
        for value, label in values.items():
            if not isinstance(label, str) or "\0" in label:
                raise self.error(f"{key}.{value}", "must be the label of the value, a text")
        if not values:
            raise self.error(key, 'must list values, as in ["F", "M"], or their labels, as in { F = "female" }')
        return self._few(key, values), {value: label for value, label in values.items() if label.strip()}

    def parents(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return the parents of each text that has any."""
        found: dict[str, tuple[str, ...]] = {}
        for child in (section := self.section(key)):
            found[child] = section.names(child)
        return found

    def _few(self, key: str, values: Collection[str]) -> tuple[str, ...]:
        if len(values) > TEXTS_MAX:
            raise self.error(key, f"holds more than {TEXTS_MAX} texts")
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
