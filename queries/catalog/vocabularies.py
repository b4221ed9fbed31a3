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

from queries.catalog import derived
from queries.catalog.hierarchies import Hierarchy
from queries.catalog.schema import PERSONS, frozen
from queries.catalog.source import origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from queries.catalog.derived import Derived
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
class DeclaredLevel:
    """Which codes a level has: those in `rows` of the vocabulary's file, or directly under a code, or those listed."""

    rows: Listing | None = None
    under: str | None = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declared:
    """Where a vocabulary is. `title` names its release. Codes that are whole numbers from `below` on are left out."""

    title: str
    codes: Listing
    parents: Listing | None
    below: int | None
    levels: Mapping[str, DeclaredLevel] = field(default_factory=dict)


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary that was read. `labels` has every code, and an empty text for one without a label.

    `levels` has the codes of each level, in their order.
    """

    title: str
    labels: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def describe(self, column: Column) -> Column:
        """Return a column whose values are of this vocabulary. Its own labels come before those of the vocabulary."""
        labels = {code: label for code, label in self.labels.items() if label} | dict(column.value_labels)
        hierarchy = Hierarchy(self.parents) if self.parents else column.hierarchy
        return replace(column, value_labels=labels, hierarchy=hierarchy, vocabulary=self.title)

    def describe_level(self, column: Column, one: Derived) -> Column:
        """Return a column that is a level of codes of this vocabulary, with its groups and their labels."""
        grouped = derived.with_groups(one, column, self.levels)
        labels = {value: self.labels[value] for value in grouped.values or () if self.labels.get(value)}
        return replace(grouped, value_labels=labels | dict(column.value_labels), vocabulary=self.title)


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
    listed = section.section("levels", {})
    levels = {name: _level(listed.section(name), codes) for name in listed}
    section.done()
    return Declared(title, codes, parents, below, levels)


def _level(section: Section, codes: Listing) -> DeclaredLevel:
    """Return what a section says of a level; what is wrong is collected."""
    said = [key for key in ("where", "under", "codes") if key in section]
    if len(said) != 1:
        section.wrong("where", "a level has one of where, under and codes")
        return DeclaredLevel()
    found = DeclaredLevel()
    if said == ["under"]:
        found = DeclaredLevel(under=section.text("under"))
    elif said == ["codes"]:
        found = DeclaredLevel(codes=tuple(dict.fromkeys(section.words("codes", ()))))
    else:
        where = section.section("where")
        conditions = {column: where.words(column, ()) for column in where}
        found = DeclaredLevel(replace(codes, place=section.place, other=None, where={**codes.where, **conditions}))
    section.done()
    return found


def _listing(section: Section, folder: Path, other: str) -> Listing:
    where = section.section("where", {})
    return Listing(
        section.place,
        origin(section, folder),
        section.text("code"),
        section.text(other) if other == "parent" else section.text(other, "") or None,
        {column: where.words(column, ()) for column in where},
    )


def applied(
    dataset: Dataset,
    of_columns: Mapping[tuple[str, str], str],
    computed: Mapping[str, Mapping[str, Derived]],
    kept: Mapping[str, Vocabulary],
) -> Dataset:
    """Return a dataset with the labels, hierarchies and levels of its columns' vocabularies.

    `of_columns` has the name of each column's vocabulary, by its table and name; `computed` has the columns of each
    table that are computed.
    """

    def described(table: Table) -> Table:
        columns = {}
        for public, column in table.columns.items():
            source = PERSONS if column.of_person else table.name
            one = computed[source].get(public)
            level = one if one is not None and one.level is not None else None
            vocabulary = kept.get(of_columns.get((source, public if level is None else level.of[0]), ""))
            if vocabulary is None:
                columns[public] = column
            elif level is None:
                columns[public] = vocabulary.describe(column)
            else:
                columns[public] = vocabulary.describe_level(column, level)
        return replace(table, columns=frozen(columns))

    if not of_columns:
        return dataset
    return replace(dataset, tables=frozen({name: described(table) for name, table in dataset.tables.items()}))


def keep(folder: Path, read: Mapping[str, Vocabulary]) -> None:
    """Write vocabularies into an edition's folder."""
    written = {
        name: {
            "title": one.title,
            "labels": dict(one.labels),
            "parents": dict(one.parents),
            "levels": dict(one.levels),
        }
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
            one["title"],
            one["labels"],
            {code: tuple(parents) for code, parents in one["parents"].items()},
            {level: tuple(codes) for level, codes in one.get("levels", {}).items()},  # older editions have none
        )
        for name, one in found.items()
    }
