"""Vocabularies: public lists of codes with their labels and what is above each, for columns that hold such codes.

A manifest declares where a vocabulary is and the name of its release. It is public, so it must not be learnt from the
data: a list that was cut down to the codes that occur would tell which do. Sites also add codes of their own, which may
tell of persons; `below` leaves them out by their number (of OMOP, concepts from 2 billion on).

The import reads a vocabulary and keeps it beside the edition's store, because its file may change or vanish.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from queries.catalog.hierarchies import Hierarchy
from queries.catalog.schema import PERSONS, frozen
from queries.catalog.source import origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.catalog.schema import Column, Dataset, Table
    from queries.catalog.sections import Section
    from queries.catalog.source import Origin

FILE = "vocabularies.json"  # in an edition's folder


@dataclass(frozen=True)
class Listing:
    """A file that lists something of codes: their labels, or what is directly above them.

    `other` is the column with the label or the parent. Only rows count that have one of the texts in each column of
    `where`.
    """

    place: str
    origin: Origin
    code: str
    other: str | None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """Where a vocabulary is. `title` names its release. Codes that are whole numbers from `below` on are left out."""

    title: str
    codes: Listing
    parents: Listing | None
    below: int | None


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary that was read. `labels` has every code, and an empty text for one without a label."""

    title: str
    labels: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]

    def describe(self, column: Column) -> Column:
        """Return a column whose values are of this vocabulary. Its own labels come before those of the vocabulary."""
        labels = {code: label for code, label in self.labels.items() if label} | dict(column.value_labels)
        hierarchy = Hierarchy(self.parents) if self.parents else column.hierarchy
        return replace(column, value_labels=labels, hierarchy=hierarchy, vocabulary=self.title)


def declared(section: Section, folder: Path) -> Declared:
    """Return what a section declares of a vocabulary. What is wrong is collected."""
    title = section.text("title")
    codes = _listing(section, folder, "label")
    parents = None
    if "parents" in section:
        within = section.section("parents")
        parents = _listing(within, folder, "parent")
        within.done()
    below = section.positive("below")
    section.done()
    return Declared(title, codes, parents, below)


def _listing(section: Section, folder: Path, other: str) -> Listing:
    where = section.section("where", {})
    return Listing(
        section.place,
        origin(section, folder),
        section.text("code"),
        section.text(other) if other == "parent" else section.text(other, "") or None,
        {column: where.words(column, ()) for column in where},
    )


def applied(dataset: Dataset, of_columns: Mapping[tuple[str, str], str], kept: Mapping[str, Vocabulary]) -> Dataset:
    """Return a dataset with the labels and hierarchies of its columns' vocabularies.

    `of_columns` has the name of each column's vocabulary, by its table and name.
    """

    def described(table: Table) -> Table:
        columns = {}
        for public, column in table.columns.items():
            vocabulary = kept.get(of_columns.get((PERSONS if column.of_person else table.name, public), ""))
            columns[public] = column if vocabulary is None else vocabulary.describe(column)
        return replace(table, columns=frozen(columns))

    if not of_columns:
        return dataset
    return replace(dataset, tables=frozen({name: described(table) for name, table in dataset.tables.items()}))


def keep(folder: Path, read: Mapping[str, Vocabulary]) -> None:
    """Write vocabularies into an edition's folder."""
    written = {
        name: {"title": one.title, "labels": dict(one.labels), "parents": dict(one.parents)}
        for name, one in read.items()
    }
    (folder / FILE).write_text(json.dumps(written), encoding="utf-8")


def kept(folder: Path) -> dict[str, Vocabulary]:
    """Return the vocabularies that were kept with an edition. Raises OSError, ValueError if they cannot be read."""
    if not (folder / FILE).exists():
        return {}
    found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    return {
        name: Vocabulary(
            one["title"], one["labels"], {code: tuple(parents) for code, parents in one["parents"].items()}
        )
        for name, one in found.items()
    }
