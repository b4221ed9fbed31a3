"""The public schema of a dataset: tables, columns, categories and bounds.

The custodian declared everything here in the manifest, and nothing was learnt from the data. Therefore anyone may see
it, and anything may be computed from it before a budget is charged.

Every stored value is a *code*: 0 stands for null (or for a value that was not declared or could not be read),
and 1..size for the declared values in their declared order. Numbers and dates count in *units*: whole multiples
of the column's step, or days since 1970-01-01. The two are tied by `units = code - 1 + low`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from queries.catalog.hierarchies import Hierarchy
    from queries.catalog.histograms import TableProfile

EPSILON_MIN = Decimal("0.001")  # what a question costs at least, where the manifest has no other
PERSON = "person"  # the person column of every stored table; its numbers never leave the server
PLACE = "rowid"  # what DuckDB calls the place of a row in its table; no column may have its name
PERSONS = "persons"  # the table with one row per person
PERSONS_MAX = 2**31 - 1  # person numbers are 32-bit, from 0 on

EPOCH = dt.date(1970, 1, 1)


class Kind(StrEnum):
    """What a column holds."""

    CATEGORY = "category"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Column:
    """One column of the public schema.

    `low` and `high` bound the column in units, inclusive. A category without `values` is undeclared: it may be
    filtered, but its values are not public and it has no size. `value_labels` says in words what values stand for;
    a value may have none. `hierarchy` says which values of a category are under which. A `professional` column tells
    of those who treat or serve the persons (a practice, a physician): a study needs a reason to use it.
    """

    name: str
    kind: Kind
    of_person: bool = False
    nullable: bool = False
    title: str = ""
    values: tuple[str, ...] | None = None
    low: int = 0
    high: int = 0
    step: Decimal = Decimal(1)
    value_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    hierarchy: Hierarchy | None = None
    vocabulary: str | None = None  # the public list of codes, by its title, that labels and hierarchy are from
    professional: bool = False
    level_of: str | None = None  # the column whose codes this one groups, if it is a level of them
    hidden: bool = False  # read by the import alone, to compute others from: in no catalog and in no store

    @property
    def declared(self) -> bool:
        """Return True if every value of the column is public."""
        return self.kind is not Kind.CATEGORY or self.values is not None

    @property
    def numeric(self) -> bool:
        """Return True if the column can be summed."""
        return self.kind in (Kind.INTEGER, Kind.NUMBER)

    @property
    def ordered(self) -> bool:
        """Return True if the column's values can be compared and cut into bins."""
        return self.kind in (Kind.INTEGER, Kind.NUMBER, Kind.DATE)

    @property
    def size(self) -> int:
        """Return how many codes there are beside 0. Undeclared columns have none."""
        if self.kind is Kind.CATEGORY:
            return len(self.values or ())
        return self.high - self.low + 1

    def label(self, code: int) -> str | int | float | bool:
        """Return the public value behind a code from 1 to `size`."""
        return self.labels(range(code, code + 1))[0]

    def labels(self, codes: range) -> Sequence[str | int | float | bool]:
        """Return the public values behind a range of codes."""
        if self.kind is Kind.CATEGORY:
            assert self.values is not None
            return self.values[codes.start - 1 : codes.stop - 1]
        units = range(codes.start - 1 + self.low, codes.stop - 1 + self.low)
        if self.kind is Kind.BOOLEAN:
            return [bool(one) for one in units]
        if self.kind is Kind.DATE:
            return [(EPOCH + dt.timedelta(days=one)).isoformat() for one in units]
        return self.numbers(units)

    def value(self, units: int) -> int | float:
        """Return units as the number people read: a whole one, or the float nearest to the exact decimal."""
        (number,) = self.numbers([units])
        return number

    def numbers(self, units: Iterable[int]) -> list[int | float]:
        """Return many units as the numbers people read."""
        numerator, denominator = self.step.as_integer_ratio()
        if denominator == 1:
            return [n * numerator for n in units]
        # Python divides integers to the nearest float, as exactly as a decimal would.
        scaled = (n * numerator for n in units)
        return [n // denominator if n % denominator == 0 else n / denominator for n in scaled]


@dataclass(frozen=True)
class Table:
    """A table of events, or the table of persons. Its columns include the person's own, which stand first.

    `cells_per_person` and `events_per_cell` are contribution bounds that the custodian declared as sensible
    for a query that names none; they are public like everything here. The `profile` is public too: it is the only part
    that was learnt from the data, by a release that was paid for.
    """

    name: str
    columns: Mapping[str, Column]
    title: str = ""
    cells_per_person: int | None = None
    events_per_cell: int | None = None
    built: bool = False  # for one query, of one row for each person
    profile: TableProfile | None = None
    events_expected: int | None = None  # about how many there are, if the custodian declares it: used for slots only

    @property
    def one_row_per_person(self) -> bool:
        """Return True if each person has one row here, so that no contribution needs a bound."""
        return self.built or self.name == PERSONS


LAPLACE, GAUSSIAN, BOTH = "laplace", "gaussian", "both"
NOISES = (LAPLACE, GAUSSIAN, BOTH)


@dataclass(frozen=True)
class Dataset:
    """A named source with its public schema and the cap on what may ever be revealed of one person.

    `persons_max` is a public upper bound on the number of persons; the proofs against overflow rely on it. A
    question costs at least `epsilon_min` (`least_charge.py`).
    """

    name: str
    title: str
    epsilon: Decimal
    delta: Decimal
    persons_max: int
    tables: Mapping[str, Table]
    overcommit: bool = False
    epsilon_min: Decimal = EPSILON_MIN
    persons_expected: int | None = None  # about how many there are, if the custodian declares it: used for slots only
    noise: str = BOTH  # the kinds of noise that queries may have: one of `NOISES`
    laplace_percent: int | None = None  # the part of epsilon for Laplace noise, if the custodian declares it
    justification: str | None = None  # why the cap is so large


def allowed_noise(one: str, other: str) -> str | None:
    """Return the kinds of noise that both of two terms allow, or None if there is none."""
    if BOTH in (one, other):
        return other if one == BOTH else one
    return one if one == other else None


def without_hidden(dataset: Dataset) -> Dataset:
    """Return a dataset as it is served: without the columns that only the import reads, and without their names."""

    def public(table: Table) -> Table:
        hidden = {name for name, column in table.columns.items() if column.hidden}
        shown = {
            name: replace(column, level_of=None) if column.level_of in hidden else column
            for name, column in table.columns.items()
            if name not in hidden
        }
        return replace(table, columns=frozen(shown))

    return replace(dataset, tables=frozen({name: public(table) for name, table in dataset.tables.items()}))


V = TypeVar("V")


def frozen(mapping: Mapping[str, V]) -> Mapping[str, V]:
    """Return a read-only copy."""
    return MappingProxyType(dict(mapping))


def describe(dataset: Dataset) -> dict[str, object]:
    """Return the public schema as JSON values, as `GET /datasets/NAME` shows it."""
    return {
        "name": dataset.name,
        "title": dataset.title,
        "persons_max": dataset.persons_max,
        "persons_expected": dataset.persons_expected,
        "epsilon_min": float(dataset.epsilon_min),
        "noise": dataset.noise,
        "tables": {name: describe_table(table) for name, table in dataset.tables.items()},
    }


def describe_table(table: Table) -> dict[str, object]:
    """Return one table of the public schema as JSON values."""
    bounds = {"cells_per_person": table.cells_per_person, "events_per_cell": table.events_per_cell}
    return {
        "title": table.title,
        "one_row_per_person": table.one_row_per_person,
        "events_expected": table.events_expected,
        "bounds": {name: bound for name, bound in bounds.items() if bound is not None},
        "columns": {name: _describe_column(column) for name, column in table.columns.items()},
    }


def _describe_column(column: Column) -> dict[str, object]:
    shown: dict[str, object] = {
        "type": column.kind.value,
        "title": column.title,
        "of_person": column.of_person,
        "nullable": column.nullable,
        **({"professional": True} if column.professional else {}),
        **({"level_of": column.level_of} if column.level_of is not None else {}),
    }
    if column.kind is Kind.CATEGORY:
        shown["declared"] = column.declared
        if column.values is not None:
            shown["values"] = list(column.values)
        shown |= _describe_codes(column)
    elif column.kind is not Kind.BOOLEAN:
        shown["bounds"] = [column.label(1), column.label(column.size)]
        if column.kind is Kind.NUMBER:
            shown["step"] = float(column.step)
    return shown


def _describe_codes(column: Column) -> dict[str, object]:
    """Return what is declared of a category's codes. A vocabulary is named, because it may have a million codes."""
    shown: dict[str, object] = {}
    labels = column.value_labels
    if column.vocabulary is not None:
        shown["vocabulary"] = column.vocabulary
        labels = {value: labels[value] for value in column.values or () if value in labels}
    if labels:
        shown["value_labels"] = dict(labels)
    if column.hierarchy is not None:
        shown["hierarchy"] = "vocabulary" if column.vocabulary is not None else column.hierarchy.to_json()
    return shown
