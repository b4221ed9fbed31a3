"""Hierarchies of codes: which values of a category are under which, as the manifest declares it.

A hierarchy is public, like the column that has it, and never learnt from the data. There are two kinds. By *prefix*, a
value is under every text with which it begins: E11.9 is under E11 and under E. By *parents*, a table names the values
directly above each value. A value may have several parents, because hierarchies of codes are no trees, and parents
need not be values of the column: a query may ask for what is under a chapter that no event has as its code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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


def cycle(parents: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Return values each of which is above the next, the first again at the end; None if there are none."""
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None
