"""The columns of a manifest's sections: what each holds, and how the values of its source column are written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from queries.catalog import derived
from queries.catalog.formats import DERIVED, OF_KIND, OF_LEVEL, Reading, combined, given, require_known
from queries.catalog.hierarchies import PREFIX, Hierarchy, cycle
from queries.catalog.schema import EPOCH, PERSON, PLACE, Column, Kind, Table
from queries.catalog.sections import REQUIRED, Section

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from queries.catalog.derived import Derived
    from queries.catalog.vocabularies import Declared

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
UNITS_MAX = 2**53 - 1  # the import computes units in doubles, which are exact up to here


@dataclass(frozen=True)
class Columns:
    """The columns of one section, with each one's source column and how its values are written."""

    listing: Section
    columns: dict[str, Column]
    sources: dict[str, str]
    derived: dict[str, Derived]
    codes: dict[str, str]
    said: dict[str, tuple[dict[str, Any], Section]]

    def add(self, name: str, section: Section, *, of_person: bool) -> None:
        """Read the section of a column. Raises ManifestError."""
        computed = derived.derived(section, of_person=of_person)
        column = _column(name, section, computed, of_person=of_person)
        keys = OF_KIND[column.kind] if computed is None else DERIVED if computed.level is None else OF_LEVEL
        self.said[name] = given(section, keys), section
        if computed is None:
            self.sources[name] = section.text("from", name)
        else:
            self.derived[name] = computed
            if computed.level is not None:
                column = derived.with_groups(computed, column)
        self.columns[name] = column
        if column.kind is Kind.CATEGORY and computed is None:
            if "vocabulary" in section:
                self.codes[name] = section.text("vocabulary")
                if column.hierarchy is not None:
                    section.wrong("hierarchy", "a column has either this or vocabulary")
            require_known(section, self.said[name][0], column.values)

    def vocabulary_of(self, table: str, known: Mapping[str, Declared]) -> dict[tuple[str, str], str]:
        """Return the names of the columns' vocabularies; one that is not declared is an error.

        Checks the columns that are levels of codes, too.
        """
        for public, vocabulary in self.codes.items():
            if vocabulary not in known:
                section = self.said[public][1]
                section.wrong("vocabulary", f"there is no [vocabularies.{vocabulary}]")
        self._require_levels(known)
        return {(table, public): vocabulary for public, vocabulary in self.codes.items()}

    def _require_levels(self, known: Mapping[str, Declared]) -> None:
        for public, one in self.derived.items():
            section, (of, *_) = self.said[public][1], one.of
            wrong_of = of in self.listing and of not in self.columns
            if one.level is None or not section.is_sound or wrong_of or self.codes.get(of, "") not in ("", *known):
                continue
            vocabulary = known.get(self.codes.get(of, ""))
            with section.attempt():
                derived.require_level(section, one, self.columns[public], self.columns, vocabulary is not None)
                if vocabulary is not None and one.level.named is not None and one.level.named not in vocabulary.levels:
                    said = ", ".join(vocabulary.levels) or "none"
                    raise section.error("level", f"the vocabulary of {of} has no such level; there are {said}")

    def require_used(self, used: Container[tuple[str, str]], table: str) -> None:
        """Check that something is computed from each hidden column: what nobody needs is not to be read."""
        for public, column in self.columns.items():
            if column.hidden and (table, public) not in used:
                self.said[public][1].wrong("hidden", "nothing is computed from this column; leave it out")

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


def columns(listing: Section, *, of_person: bool, taken: Mapping[str, Column] | None = None) -> Columns:
    """Return the columns of one section."""
    found = Columns(listing, {}, {}, {}, {}, {})
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
        if computed.how.is_of_events or computed.level is not None:
            continue  # the tables and the vocabularies are read later
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
            before = section.errors
            step = section.decimal("step", Decimal(1) if kind is Kind.INTEGER else REQUIRED)
            if step <= 0 or (kind is Kind.INTEGER and step != 1):
                section.wrong("step", "must be above 0 (and 1 for an integer)")
                step = Decimal(1)
            if section.errors == before:
                with section.attempt():
                    low, high = _unit_bounds(section, step)
            else:
                section.decimals("bounds")  # without a step, whether they are numbers
        case Kind.DATE:
            low, high = ((date - EPOCH).days for date in section.dates("bounds"))
        case Kind.BOOLEAN:
            pass
    professional, hidden = section.flag("professional", False), section.flag("hidden", False)
    shown = (nullable, title, values, low, high, step, labels, hierarchy)
    return Column(name, kind, of_person, *shown, professional=professional, hidden=hidden)


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
