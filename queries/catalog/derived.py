"""Columns that the import computes from others of the same row: an age, a length, a product, a level of codes.

Neighbours stay neighbours: a derived value is a function of the stored values of its own row and of its own person's
attributes, the same for every row, and its bounds are declared. Nothing else of the data has a part in it. An
attribute may also be the least or greatest value of its own person's events in a table: of no other's.

A *level* of a hierarchy is such a column too: the group that the row's own code belongs to, one of a declared list, or
null. Therefore grouping by a level is grouping by a stored column with declared values. An event is in one cell at
most, and what one person may change is what it is for any other key; the list of cells is the catalog's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from queries.catalog import hierarchies
from queries.catalog.schema import Kind
from queries.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from queries.catalog.schema import Column, Table
    from queries.catalog.sections import Section

PRODUCT_MAX = 2**120  # of a product in its smallest steps: the import multiplies in 128 bits


class How(StrEnum):
    """How a value is computed, by the key that declares it."""

    YEARS = "years_from"  # whole years from a date (or a year) to another date: an age
    DAYS = "days_from"  # days from a date to another date, negative if it comes before
    PRODUCT = "product"
    EARLIEST = "earliest"  # of a person: the least value that their events have in a column of a table
    LATEST = "latest"
    LEVEL = "level_of"  # the group of a code, by the hierarchy of its column

    @property
    def is_of_events(self) -> bool:
        """Return True for attributes that are computed from a person's events."""
        return self in (How.EARLIEST, How.LATEST)


@dataclass(frozen=True)
class Level:
    """Which groups a level of codes has: those of a vocabulary's level that is `named`, or else the column's values.

    `other` is the group of codes that belong to none. With `first`, a code that is under several belongs to the first.
    """

    named: str | None
    other: str | None
    first: bool

    def groups(self, column: Column) -> tuple[str, ...]:
        """Return the codes of the level: the column's values without the group of the others."""
        return tuple(value for value in column.values or () if value != self.other)


@dataclass(frozen=True)
class Derived:
    """How a column is computed, and from which columns of its table. `place` is its place in the manifest.

    For what is of events, `of` is a table and its column.
    """

    how: How
    of: tuple[str, ...]
    place: str
    level: Level | None = None

    @property
    def kind(self) -> Kind:
        """Return what the column holds, unless the manifest says otherwise."""
        if self.how.is_of_events:
            return Kind.DATE
        if self.how is How.LEVEL:
            return Kind.CATEGORY
        return Kind.NUMBER if self.how is How.PRODUCT else Kind.INTEGER


def derived(section: Section, *, of_person: bool) -> Derived | None:
    """Return how a column's section says that it is computed, or None if it is read. Raises ManifestError."""
    said = [how for how in How if how in section and (of_person or not how.is_of_events)]
    if not said:
        return None
    if len(said) > 1:
        raise section.error(said[1], f"a column has either this or {said[0]}")
    (how,) = said
    if how.is_of_events:
        table, point, column = section.text(how).partition(".")
        if not point:
            raise section.error(how, 'must name a table and its column, as in "visits.date"')
        return Derived(how, (table, column), section.place)
    if how is How.LEVEL:
        return Derived(how, (section.text(how),), section.place, _level(section))
    if how is not How.PRODUCT:
        return Derived(how, (section.text(how), section.text("to")), section.place)
    factors = section.value(how)
    if not isinstance(factors, list) or len(factors) != 2 or not all(isinstance(one, str) for one in factors):
        raise section.error(how, 'must name two columns, as in ["price", "quantity"]')
    return Derived(how, (factors[0], factors[1]), section.place)


def _level(section: Section) -> Level:
    named = section.text("level") if "level" in section else None
    if named is not None and "values" in section:
        raise section.error("level", "a column has either this or values")
    if named is None and "values" not in section:
        raise section.error("values", "must list the codes of the level; or name a level of the vocabulary")
    first = section.choice("several", ("refuse", "first"), "refuse") == "first"
    return Level(named, section.text("other") if "other" in section else None, first)


def with_groups(one: Derived, column: Column, named: Mapping[str, tuple[str, ...]] | None = None) -> Column:
    """Return a column that is a level with all its groups, the others last. `named` has the levels of a vocabulary."""
    assert one.level is not None
    values = (named or {}).get(one.level.named, ()) if one.level.named is not None else column.values or ()
    other = () if one.level.other is None or one.level.other in values else (one.level.other,)
    return replace(column, values=(*values, *other), level_of=one.of[0])


def numbers(one: Derived, column: Column, of: Column) -> dict[str, int]:
    """Return the code of the group of each text of a column `of` (by prefix: of each beginning).

    Raises ManifestError if a code belongs to two groups.
    """
    assert one.level is not None
    groups = one.level.groups(column)
    try:
        found = hierarchies.cells(of.hierarchy, groups, first=one.level.first)
    except ValueError as error:
        raise ManifestError(
            f"{one.place}.{How.LEVEL}",
            f'{error}: an event has one cell. Leave one out, or write several = "first", and the first counts',
        ) from error
    codes = {value: code for code, value in enumerate(column.values or (), start=1)}
    return {text: codes[groups[number]] for text, number in found.items()}


def require_level(section: Section, one: Derived, column: Column, columns: Mapping[str, Column], codes: bool) -> None:
    """Raise ManifestError unless a column can be a level. `columns` are those of its section.

    With `codes`, the hierarchy is that of a vocabulary, which is read later.
    """
    of = columns.get(one.of[0])
    if column.kind is not Kind.CATEGORY:
        raise section.error("type", "must be category, because it is a level of codes")
    if of is None or of.kind is not Kind.CATEGORY or of.level_of is not None:
        said = ", ".join(each.name for each in columns.values() if each.kind is Kind.CATEGORY and not each.level_of)
        raise section.error(one.how, f"there is no category {one.of[0]} here that is read; there are {said or 'none'}")
    _require_marked(section, column, of)
    assert one.level is not None
    if one.level.named is not None and not codes:
        raise section.error("level", f"{of.name} has no vocabulary; list the codes of the level as values")
    if not codes:
        numbers(one, column, of)


def require(section: Section, one: Derived, column: Column, columns: Mapping[str, Column]) -> None:
    """Raise ManifestError unless a column can be computed. `columns` are those of its table that are read."""
    if not column.numeric or (column.kind is not Kind.INTEGER and one.how is not How.PRODUCT):
        raise section.error("type", f"must be {one.kind.value}, because it is computed")
    for at, name in enumerate(one.of):
        if name not in columns:
            raise section.error(
                "to" if at and one.how is not How.PRODUCT else one.how,
                f"there is no column {name} that is read; there are {', '.join(columns)}",
            )
    first, second = (columns[name] for name in one.of)
    _require_marked(section, column, first, second)
    if one.how is How.PRODUCT:
        _require_product(section, column, first, second)
        return
    if first.kind is not Kind.DATE and (one.how is How.DAYS or first.kind is not Kind.INTEGER):
        raise section.error(one.how, f"{first.name} is no date{'' if one.how is How.DAYS else ', and no year'}")
    if second.kind is not Kind.DATE:
        raise section.error("to", f"{second.name} is no date")


def require_of_events(
    section: Section,
    one: Derived,
    column: Column,
    tables: Mapping[str, Table],
    computed: Mapping[str, Mapping[str, Derived]],
) -> None:
    """Raise ManifestError unless an attribute can be computed from events: it has the bounds of their column.

    `computed` has the columns of each table that are no columns of its source.
    """
    table, name = one.of
    columns = tables[table].columns if table in tables else {}
    known = {public: of for public, of in columns.items() if not of.of_person and public not in computed[table]}
    if name not in known:
        raise section.error(one.how, f"there is no column {name} of a table {table} that is read")
    of = known[name]
    _require_marked(section, column, of)
    if not of.ordered:
        raise section.error(one.how, f"{table}.{name} has no order")
    if (of.kind, of.low, of.high, of.step) != (column.kind, column.low, column.high, column.step):
        raise section.error(one.how, f"must have the type, bounds and step of {table}.{name}")


def _require_marked(section: Section, column: Column, *sources: Column) -> None:
    """Raise ManifestError if a column tells of professionals because one that it is computed from does."""
    for source in sources:
        if source.professional and not column.professional:
            raise section.error("professional", f"must be true, as {source.name} has it")


def _require_product(section: Section, column: Column, first: Column, second: Column) -> None:
    for factor in (first, second):
        if not factor.numeric:
            raise section.error(How.PRODUCT, f"{factor.name} holds no numbers")
    times, parts = steps_of_product(column, first, second)
    largest = max(abs(a) * abs(b) for a in (first.low, first.high) for b in (second.low, second.high))
    if largest * times > PRODUCT_MAX or parts > PRODUCT_MAX:
        raise section.error(How.PRODUCT, "the product of the bounds needs more than 120 bits; take coarser steps")


def steps_of_product(column: Column, first: Column, second: Column) -> tuple[int, int]:
    """Return by which fraction a product of two numbers of steps has to be multiplied to be in steps of the column."""
    one, other, whole = (part.step.as_integer_ratio() for part in (first, second, column))
    return one[0] * other[0] * whole[1], one[1] * other[1] * whole[0]
