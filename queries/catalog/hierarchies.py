"""Hierarchies of codes: which values of a category are under which, as the manifest declares it.

A hierarchy is public, like the column that has it, and never learnt from the data. There are two kinds. By *prefix*, a
value is under every text with which it begins: E11.9 is under E11 and under E. By *parents*, a table names the values
directly above each value. A value may have several parents, because hierarchies of codes are no trees, and parents
need not be values of the column: a query may ask for what is under a chapter that no event has as its code.

A *level* is a list of codes such as the chapters of a classification, to group by. Each code has at most one group
there: the one code of the level that it is under, or is. A level that has two for one code is refused, unless the
manifest says that the first of them counts. Otherwise an event would be in two cells, and one event of a person would
move two numbers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PREFIX = "prefix"


@dataclass(frozen=True)
class Hierarchy:
    """Which values are under which. `parents` has the values directly above each value; None: by prefix."""

    parents: Mapping[str, tuple[str, ...]] | None = field(default=None, hash=False)

    @property
    def by_prefix(self) -> bool:
        """Return True if a value is under every text with which it begins."""
        return self.parents is None

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Return the values directly under each value. By prefix there are none."""
        found: dict[str, list[str]] = {}
        for child, parents in (self.parents or {}).items():
            for parent in parents:
                found.setdefault(parent, []).append(child)
        return {parent: tuple(children) for parent, children in found.items()}

    def descendants(self, value: str) -> tuple[str, ...]:
        """Return a value and all that are under it, in a fixed order. By prefix it is the value alone."""
        found, waiting = {value: None}, [value]
        while waiting:
            new = [child for child in self.children.get(waiting.pop(), ()) if child not in found]
            found.update(dict.fromkeys(new))
            waiting += new
        return tuple(found)

    def under(self, value: str, values: Iterable[str]) -> tuple[str, ...]:
        """Return those of some values that are under a value, or are the value itself."""
        if self.by_prefix:
            return tuple(one for one in values if one.startswith(value))
        wanted = set(self.descendants(value))
        return tuple(one for one in values if one in wanted)

    def to_json(self) -> str | dict[str, list[str]]:
        """Return the hierarchy as the catalog shows it: the word for prefixes, or the parents of each value."""
        return PREFIX if self.parents is None else {child: list(parents) for child, parents in self.parents.items()}

    def knows(self, value: str, values: Iterable[str]) -> bool:
        """Return True if the hierarchy or the values of a column have a value: else it is likely misspelled."""
        if self.by_prefix:
            return any(one.startswith(value) for one in values)
        return value in self.children or value in (self.parents or {}) or value in values


def cells(hierarchy: Hierarchy | None, level: Sequence[str], *, first: bool) -> dict[str, int]:
    """Return the number, from 0 on, of the code of a level that each text is under; texts under none have no number.

    By prefix (or without a hierarchy), the texts are beginnings of codes: those of the level. If `first`, a code that
    is under several counts for the first of them. Raises ValueError otherwise, which names one such code.
    """
    found: dict[str, int] = {}
    by_prefix = hierarchy is None or hierarchy.by_prefix
    for number, above in enumerate(level):
        for code in (above,) if hierarchy is None else hierarchy.descendants(above):
            if found.setdefault(code, number) != number and not first:
                raise ValueError(f"{code} is under {level[found[code]]} and under {above}")
    if by_prefix and not first:
        for one, next_one in itertools.pairwise(sorted(level)):  # a text stands just before those that begin with it
            if next_one.startswith(one):
                raise ValueError(f"{next_one} is under {one} and under {next_one}")
    return found


def cycle(parents: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Return values each of which is above the next, the first again at the end; None if there are none."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None
